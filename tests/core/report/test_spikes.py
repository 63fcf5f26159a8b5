"""What the report says of spikes and of layers that drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from faq_tui.core.report.spikes import spike_lines, spikes
from faq_tui.core.stages import report
from faq_tui.core.store.activations import LayerErrors, add_activations, add_layer_errors, all_activations
from tests.support.schemas import schema
from tests.support.spikes_run import add_made_up, spiky_run

SCHEMA = schema("report")


def checked(body: dict[str, Any]) -> str:
    """The Markdown, once the data fits the published schema."""
    wanted = {"$schema": SCHEMA["$schema"], "$defs": SCHEMA["$defs"], **SCHEMA["properties"]["spikes"]}
    jsonschema.Draft202012Validator(wanted).validate(json.loads(json.dumps(body)))
    return "\n".join(spike_lines({"spikes": body}))


def test_the_section_says_which_set_is_rougher(tmp_path: Path) -> None:
    with spiky_run(tmp_path / "run") as run:
        body = spikes(run)
        text = checked(body)
    assert [(c["ours"], c["theirs"]) for c in body["comparisons"]][::2] == [
        ("elder-tokens", "baseline-tokens"),
        ("elder", "baseline"),
    ]
    assert "- elder makes self\\_attn.o\\_proj rougher" in text or "- elder makes self_attn.o_proj rougher" in text
    assert "elder-tokens and baseline-tokens: no consistent difference" in text
    assert "| gptq-w4g64-elder" in text and "0.05 (layer 11)" in text
    assert not body["experts"]


def test_the_line_about_first_tokens_is_there_if_they_were_measured(tmp_path: Path) -> None:
    with spiky_run(tmp_path / "run", sets={"baseline": 1.0}) as run:
        before = spikes(run)
        assert "first tokens make up" not in checked(before) and "sinks" not in before["sets"][0]
        (row,) = all_activations(run.store).values()
        row.summary["sinks"] = [{"layer": 2, "max": 812.4, "share": 0.93, "massive": 1}]
        add_activations(run.store, row)
        text = checked(spikes(run))
    assert text.startswith("## Spikes\n\n")
    line = "- baseline: the samples' first tokens make up 93% of the input's squared norm (median over layers), 93%"
    assert f"{line} in layer 2" in text


def test_experts_that_get_too_little_are_counted(tmp_path: Path) -> None:
    with spiky_run(tmp_path / "run", sets={"baseline": 1.0}) as run:
        add_made_up(run, "elder", 1.0, experts={"0": [3000, 17, 400, 3], "1": [0, 900, 1000, 1520]})
        body = spikes(run)
        text = checked(body)
    assert body["experts"] == [{"set": "elder", "experts": 8, "minimum": 0.005, "starved": 3}]
    assert "3 of 8 experts received less than 0.5% of the set's tokens" in text


def test_layers_without_a_finite_error_are_dashes(tmp_path: Path) -> None:
    with spiky_run(tmp_path / "run") as run:
        body = spikes(run)
    first, second = body["layer_errors"]
    first["errors"], second["errors"] = [0.2, None, 0.4, None], [None, None]
    text = " ".join(checked(body).split())
    assert "| gptq-w4g64-baseline | 0.3 | – | 0.4 (layer 2) |" in text
    assert "| gptq-w4g64-elder | – | – | – |" in text


@pytest.mark.parametrize("change", ["set", "errors"])
def test_what_the_section_shows_makes_the_report_stale(tmp_path: Path, change: str) -> None:
    with spiky_run(tmp_path / "run") as run:
        before = [report.signature(run), report.signature(run)]
        if change == "set":
            run.store.db.execute("UPDATE activations SET signature = 'other' WHERE set_name = 'elder'")
        else:
            add_layer_errors(run.store, LayerErrors("gptq-w4g64-elder", "other", "answers", 1000, [0.1]))
        assert before[0] == before[1] != report.signature(run)


def test_nothing_measured_is_nothing_said(tmp_path: Path) -> None:
    with spiky_run(tmp_path / "run", sets={}) as run:
        run.store.db.execute("DELETE FROM layer_errors")
        assert checked(spikes(run)) == ""
