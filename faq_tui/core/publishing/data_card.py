"""The card of a calibration set's repository: what a row holds, and where the texts come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faq_tui.core.model_card.calibration import Calibration, calibration_lines, data_set_id, source_models
from faq_tui.core.model_card.front_matter import front_matter_of_dataset
from faq_tui.core.model_card.privacy import public_value, without_folders
from faq_tui.core.model_card.target_card import TargetCard
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.tables import table
from faq_tui.core.seeds.read import STARTER

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FIELDS = (
    ("seed_id", "the question's id"),
    ("candidate_id", "the answer's id; null if the sample is the question itself"),
    ("source", "the model that answered, or `baseline`"),
    ("text", "the text of `input_ids`, in the chat template of the target"),
    ("input_ids", "the token ids that the quantizer sees"),
    ("n_tokens", "number of tokens"),
    ("n_tokens_full", "number of tokens before the sample was cut"),
    ("picked_by", "`judge` or `person`; null if the sample is the question itself"),
)
STARTER_LICENCE = "- The questions were written for faq-tui, under the licence Apache-2.0."
OWN_QUESTIONS = "- The questions come from the person who made this data set. faq-tui does not know their licence."


def licence_concern(calibration: Calibration) -> str:
    """Why a person must think before they publish the set. Returns "" if all its texts are faq-tui's own."""
    if (calibration.get("seeds") or {}).get("path") == STARTER:
        return ""
    return "the licence of the questions is unknown"


def data_card(set_name: str, calibration: Calibration, target: TargetCard, model: str) -> str:
    """The whole README.md. `model` is the hub id of the model that was calibrated on the set."""
    known = target.hub_id or target.name
    url = f"https://huggingface.co/{model}"
    lines = [
        f"# Calibration set {escape(set_name)}",
        "",
        f"The samples on which [{model}]({url}) was calibrated: {escape(known)}, quantized by faq-tui.",
        "",
        "## Fields",
        "",
        *table(["Field", "Meaning"], [list(field) for field in FIELDS], left=2),
        "",
        "## Origin",
        "",
        *calibration_lines(calibration),
        "",
        "## Licence",
        "",
        *_licences(calibration),
        "",
    ]
    text = "\n".join(without_folders(line) for line in lines)
    return f"{front_matter_of_dataset(_front_matter(set_name, calibration))}\n{text.rstrip()}\n"


def data_file(set_name: str) -> str:
    return f"data/{set_name}.jsonl"


def _front_matter(set_name: str, calibration: Calibration) -> dict[str, Any]:
    samples = int(calibration.get("samples") or 0)
    seeds = data_set_id(calibration)
    files = [{"split": "train", "path": data_file(set_name)}]
    return {
        "license": None if licence_concern(calibration) or source_models(calibration) else "apache-2.0",
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in SIZES if samples < most), "n>1M")],
        "source_datasets": [seeds] if seeds else None,
        "tags": ["calibration", "quantization", "faq-tui"],
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _licences(calibration: Calibration) -> list[str]:
    lines = [OWN_QUESTIONS if licence_concern(calibration) else STARTER_LICENCE]
    if seeds := data_set_id(calibration):
        url = f"https://huggingface.co/datasets/{seeds}"
        lines = [f"- The questions come from the data set [{seeds}]({url}). Its card states their licence."]
    return lines + [
        f"- {escape(public_value(model))} wrote answers. The licence of this model may limit the use of its answers."
        for model in source_models(calibration)
    ]


def provenance(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the artefact's manifest about the set, for programs."""
    return {
        key: manifest[key] for key in ("artefact", "recipe", "target", "calibration", "versions") if key in manifest
    }
