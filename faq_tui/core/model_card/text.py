"""The text of a model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.extensions import METHODS
from faq_tui.core.model_card.calibration import calibration_lines, calibration_of, data_set_id
from faq_tui.core.model_card.front_matter import front_matter_of_model
from faq_tui.core.model_card.licence import OTHER, Licence
from faq_tui.core.model_card.privacy import without_folders
from faq_tui.core.model_card.target_card import TargetCard
from faq_tui.core.models.dense import format_of_folder
from faq_tui.core.quantizing.servable import doubts, serve_commands
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.tables import table

# A README.md with this line was written by faq-tui, and faq-tui may write it again.
MARK = "<!-- faq-tui writes this card again after each evaluation. Delete this line to keep your own changes. -->"
TITLES = {"vllm": "vLLM", "sglang": "SGLang"}
PAPER = "[FAQ, Family-Aware Quantization](https://arxiv.org/abs/2601.11200)"
NO_LICENCE = (
    "The licence of the target is unknown on this machine. Before you use or publish this model, read the licence of "
    "the target."
)


@dataclass(frozen=True)
class ModelCardFacts:
    """Everything that a card says.

    `place` is how a server names the model: a path in the run's folder, or a hub id. `evidence` has the lines of the
    section with the results.
    """

    folder: Path
    manifest: Mapping[str, Any]
    target: TargetCard
    evidence: list[str]
    place: str
    quantized_by: str = "faq-tui"
    data_set: str | None = None  # hub id of the published calibration set


def model_card(facts: ModelCardFacts) -> str:
    """The whole README.md of an artefact. It has no paths of this machine and no addresses of servers."""
    lines = [MARK, "", f"# {escape(_title(facts))}", "", _summary(facts), "", *facts.evidence]
    lines += [*_serving(facts), *_recipe(facts.manifest), *_calibration(facts), *_licence(facts.target)]
    lines += _versions(facts.manifest)
    text = "\n".join(without_folders(line) for line in lines)
    return f"{front_matter_of_model(_front_matter(facts))}{text.rstrip()}\n"


def _front_matter(facts: ModelCardFacts) -> dict[str, Any]:
    recipe, target = _recipe_of(facts.manifest), facts.target
    seeds = data_set_id(calibration_of(facts.manifest))
    return {
        "base_model": target.hub_id,
        "base_model_relation": "quantized" if target.hub_id else None,
        "quantized_by": facts.quantized_by,
        # transformers cannot load the packed experts of a mixture; vLLM can
        "library_name": "vllm" if facts.manifest.get("experts") else "transformers",
        "pipeline_tag": target.task,
        **licence_keys(target.licence),
        "language": list(target.languages) or None,
        "datasets": [name for name in (facts.data_set, seeds) if name] or None,
        "tags": ["faq-tui", "family-aware-quantization", str(recipe.get("method")), f"{recipe.get('bits')}-bit"],
    }


def licence_keys(licence: Licence) -> dict[str, str | None]:
    """The keys of a card's front matter for a licence. The values of an unknown licence are None."""
    if not licence.known:
        return {"license": None}
    further = {"license_name": licence.name, "license_link": licence.link} if licence.id == OTHER else {}
    return {"license": licence.id, **further}


def _recipe_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    recipe = manifest.get("recipe")
    return recipe if isinstance(recipe, dict) else {}


def _title(facts: ModelCardFacts) -> str:
    recipe = _recipe_of(facts.manifest)
    return f"{facts.target.name.rpartition('/')[2]}, {_method(recipe)}, {recipe.get('bits')} bits"


def _method(recipe: Mapping[str, Any]) -> str:
    name = str(recipe.get("method"))
    return str(METHODS.get(name).title) if name in METHODS else name


def _summary(facts: ModelCardFacts) -> str:
    recipe, target = _recipe_of(facts.manifest), facts.target
    named = f"[{target.hub_id}](https://huggingface.co/{target.hub_id})" if target.hub_id else escape(target.name)
    set_name = escape(str(calibration_of(facts.manifest).get("set")))
    return (
        f"{named}, quantized to {recipe.get('bits')} bits with {escape(_method(recipe))} on the calibration set "
        f"{set_name} by faq-tui, a workbench for {PAPER}."
    )


def _serving(facts: ModelCardFacts) -> list[str]:
    format = format_of_folder(facts.folder)
    commands = serve_commands(Path(facts.place), format)
    lines = ["## Serve", ""]
    if not commands:
        return [*lines, "faq-tui knows no server that can load this model.", ""]
    for engine, command in commands.items():
        lines += [f"{TITLES.get(engine, engine)}:", "", "```sh", command, "```", ""]
    return lines + [f"> {escape(doubt)}.\n" for doubt in doubts(facts.folder)]


def _recipe(manifest: Mapping[str, Any]) -> list[str]:
    recipe = _recipe_of(manifest)
    rows = [[escape(key), escape(_value(value))] for key, value in recipe.items() if value is not None]
    bits = manifest.get("average_bits")
    rows += _weights(manifest.get("weights"))
    rows += [["average bits per quantized weight", f"{bits:.4g}"]] if isinstance(bits, int | float) else []
    return ["## Recipe", "", *table(["Key", "Value"], rows, left=2), ""]


def _weights(weights: object) -> list[list[str]]:
    """The row about the weights of the calibration tokens; none if all tokens had the weight 1."""
    if not isinstance(weights, dict):
        return []
    if why_not := weights.get("not_used"):
        return [["weights of tokens", escape(f"not used: {why_not}")]]
    share = weights.get("sink_share")
    return [["share of the first tokens", f"{share:.4g}"]] if isinstance(share, int | float) else []


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _calibration(facts: ModelCardFacts) -> list[str]:
    lines = ["## Calibration data", "", *calibration_lines(calibration_of(facts.manifest))]
    if facts.data_set:
        url = f"https://huggingface.co/datasets/{facts.data_set}"
        lines.append(f"- **Published** as the data set [{facts.data_set}]({url})")
    return [*lines, ""]


def _licence(target: TargetCard) -> list[str]:
    if not target.licence.known:
        return ["## Licence", "", NO_LICENCE, ""]
    link = target.licence.link
    where = f" ([its text](<{link}>))" if link else ""  # inside <>, brackets are no markup
    stated = f"The target states this licence: {escape(target.licence.title)}{where}. It also applies to this model."
    return ["## Licence", "", stated, ""]


def _versions(manifest: Mapping[str, Any]) -> list[str]:
    versions = manifest.get("versions")
    installed = versions.items() if isinstance(versions, dict) else ()
    rows = [[escape(name), escape(version)] for name, version in installed if version]
    return ["## Versions", "", *table(["Package", "Version"], rows, left=2), ""] if rows else []
