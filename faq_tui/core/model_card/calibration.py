"""Describe a calibration set by the manifest of the artefact that was made with it: for model cards and data cards.

The manifest records what was used when the artefact was made. The settings may have changed since then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faq_tui.core.base.text import counted
from faq_tui.core.model_card.privacy import public_value
from faq_tui.core.report.formatting import escape
from faq_tui.core.seeds.read import STARTER
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.settings.sets import plain_name

Calibration = Mapping[str, Any]  # the entry `calibration` of a manifest
# The types of the facts with which a card computes. A fact that is not named here is only shown, or not used.
TYPES: dict[str, Any] = {
    **dict.fromkeys(("samples", "tokens", "picked_by_person", "answers_cut"), int),
    **dict.fromkeys(("seeds", "assemble", "judge", "sources", "prose"), dict),
}
INNER_TYPES: dict[str, dict[str, Any]] = {
    "seeds": {"path": str, "count": int, "sample_seed": int},
    "assemble": {"max_tokens": int},
    "prose": {"share": int | float},
}
SOURCE_TYPES = {"sampling": dict}


def calibration_of(manifest: Mapping[str, Any]) -> Calibration:
    """The manifest's facts about the set; empty in a manifest that another program wrote.

    A run may come from anyone, so facts of an unexpected type are left out.
    """
    found = _fitting(manifest.get("calibration"), TYPES)
    for name, types in INNER_TYPES.items():
        if name in found:
            found[name] = _fitting(found[name], types)
    sources = {name: _fitting(one, SOURCE_TYPES) for name, one in found.get("sources", {}).items()}
    return {**found, "sources": sources} if sources else found


def _fitting(values: Any, types: Mapping[str, Any]) -> dict[str, Any]:
    """The entries whose values have the types in `types`. A key that `types` lacks may have a value of any type."""
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, types.get(key, object))}


def calibration_lines(calibration: Calibration) -> list[str]:
    """One line of Markdown for each fact about the set."""
    if not calibration:
        return ["- The manifest does not describe the calibration set."]
    size = f"{counted(calibration.get('samples', 0), 'sample')}, {counted(calibration.get('tokens', 0), 'token')}"
    by_person = calibration.get("picked_by_person")
    size += f", {by_person} picked by a person" if by_person else ""
    lines = [f"- **Set {_public(calibration.get('set'))}**: {size}", _seeds(calibration.get("seeds") or {})]
    lines += [_source(name, source) for name, source in _used_sources(calibration)]
    judge = calibration.get("judge") or {}
    if judge and _used_sources(calibration):
        model = f", {_public(judge['model'])}" if judge.get("model") else ""
        lines.append(f"- **Judge** that picked one answer to each question: {_public(judge.get('kind'))}{model}")
    assembled = calibration.get("assemble") or {}
    if "max_tokens" in assembled:
        lines.append(f"- **Assembled**: at most {assembled['max_tokens']:,} tokens per sample")
    if "answers_cut" in calibration:
        lines.append(f"- **Answers** cut after {calibration['answers_cut']} tokens")
    prose = calibration.get("prose") or {}
    if "share" in prose:
        lines.append(f"- **Prose**: {prose['share']:.0%} of the tokens, from {_public(prose.get('file'))}")
    return [*lines, f"- **Hash of the token ids**: {_public(calibration.get('ids_hash'))}"]


def data_set_id(calibration: Calibration) -> str | None:
    """The hub id of the data set of the seeds; None if the seeds come from a file."""
    path = (calibration.get("seeds") or {}).get("path")
    if not isinstance(path, str) or path.count("/") != 1 or path.startswith((".", "/", "~")):
        return None
    return None if "." in path.rpartition("/")[2] else path


def source_models(calibration: Calibration) -> list[str]:
    """The models whose answers may be in the set."""
    return list(dict.fromkeys(str(source.get("model")) for _, source in _used_sources(calibration)))


def _used_sources(calibration: Calibration) -> list[tuple[str, Mapping[str, Any]]]:
    """The sources whose answers may be in the set. A set that mixes sources has a name of its own: all are listed."""
    sources = calibration.get("sources") or {}
    name = plain_name(str(calibration.get("set"))).removesuffix(TOKENS_SUFFIX)
    if name in sources:
        return [(name, sources[name])]
    return [] if name == BASELINE or name.startswith(f"{BASELINE}-") else list(sources.items())


def _seeds(seeds: Mapping[str, Any]) -> str:
    path = seeds.get("path")
    where = "the starter questions of faq-tui" if path == STARTER else _public(path)
    return f"- **Questions**: {seeds.get('count')} from {where} (random seed {seeds.get('sample_seed')})"


def _source(name: str, source: Mapping[str, Any]) -> str:
    given = (source.get("sampling") or {}).items()
    sampling = ", ".join(f"{key} {value}" for key, value in given if value is not None)
    facts = f"reasoning {_public(source.get('reasoning'))}, prompt {_public(source.get('prompt'))}"
    return f"- **Answers of {_public(name)}**: {_public(source.get('model'))}, {facts}; {_public(sampling)}"


def _public(value: object) -> str:
    return escape(public_value(str(value)))
