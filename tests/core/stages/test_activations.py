"""The stage `activations` on a tiny model in a real worker: resumed set by set, stopped, shared, switched off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from faq_tui.core.activations import files, view
from faq_tui.core.activations.compare import SAME
from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import Stopped
from faq_tui.core.base.hashing import digest
from faq_tui.core.chat.token_kinds import kinds_of, with_sink, write_kinds
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import ActivationsReady, Event, Note, StageProgress, StageStarted
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings import parse_settings
from faq_tui.core.stages import activations as stage
from faq_tui.core.store.activations import all_activations
from faq_tui.core.store.sets import SetRow, add_set, all_sets
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

TOML = """
[target]
model = "./target"
device = "cpu"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "Big"
[activations]
modules = ["o_proj"]
tokens = 200
"""
SETS = ("baseline", "elder", "baseline-tokens", "elder-tokens")
TEXT = "<|im_start|>user\nwhy {n}<|im_end|>\n<|im_start|>assistant\n<think>as {n}</think>so<|im_end|>\n"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("target"), layers=2, hidden=64)


@pytest.fixture
def run(tmp_path: Path, target: Path) -> Iterator[Run]:
    """Four assembled sets; the last two hold the same ids."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(target)
    (tmp_path / "target").symlink_to(target)
    (tmp_path / "faq.toml").write_text(TOML)
    with open_run(tmp_path) as made:
        made.calibration.mkdir()
        for number, name in enumerate(SETS):
            texts = [TEXT.format(n=n + 10 * min(number, 2)) for n in range(4)]
            rows = [{"text": text, "input_ids": tokenizer(text)["input_ids"]} for text in texts]
            (made.calibration / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            ids = [row["input_ids"] for row in rows]
            tokens = sum(map(len, ids))
            add_set(made.store, SetRow(name, digest(ids), 4, tokens, tokens, 0, {}))
        yield made


def changed(run: Run, old: str, new: str) -> Run:
    assert old in TOML
    return replace(run, settings=parse_settings(TOML.replace(old, new)))


def go(run: Run, cancel: CancelToken | None = None) -> list[Event]:
    events: list[Event] = []
    stage.execute(Context(run, events.append, cancel or CancelToken(), "20260101-000000-abcd"))
    return events


def ready(events: list[Event]) -> list[str]:
    return [event.set for event in events if isinstance(event, ActivationsReady)]


def test_every_set_is_measured_once_and_only_what_is_missing_again(run: Run) -> None:
    events = go(run)
    assert ready(events) == ["baseline", "elder", "baseline-tokens", "elder-tokens"]
    progress = [event for event in events if isinstance(event, StageProgress)]
    rows = all_activations(run.store)
    measured = sum(rows[name].tokens for name in SETS[:3])
    assert progress[-1].done == progress[-1].total == measured, "equal sets go through the model once"
    assert all(row.tokens <= 200 for row in rows.values())
    assert stage.intact(run)
    place = rows["elder"].summary["places"][0]
    assert (place["layer"], place["module"], place["channels"]) == (0, "self_attn.o_proj", 64)
    kinds = rows["elder"].summary["kinds"]
    assert kinds["sink"] == rows["elder"].samples and min(kinds.values()) > 0
    tensors = load_file(files.path_of(run, "elder"))
    assert tensors["landscape.1.self_attn.o_proj"].shape == (128, 64)
    assert tensors["absmax.0.self_attn.o_proj"].max() == pytest.approx(place["max"], rel=1e-6)
    twin = load_file(files.path_of(run, "elder-tokens"))
    assert all(np.array_equal(twin[name], array) for name, array in load_file(files.path_of(run, SETS[2])).items())

    assert ready(go(run)) == []

    seen = view.overview(run)
    assert seen.pairs() == [("elder-tokens", "baseline-tokens"), ("elder", "baseline")]
    found = view.compare_sets(seen, "elder-tokens", "baseline-tokens", "self_attn.o_proj", 200)
    assert found.verdict == SAME
    channels = view.absmax(run, "elder", ModuleRef(1, "self_attn.o_proj"))
    assert channels is not None and channels.shape == (64,)
    assert view.absmax(run, "elder", ModuleRef(9, "no.such")) is None
    files.path_of(run, "elder").write_bytes(b"\x00" * 40)
    assert view.landscape(run, "elder", ModuleRef(1, "self_attn.o_proj")) is None
    files.path_of(run, "baseline").unlink()
    assert not stage.intact(run)
    again = go(run)
    assert ready(again) == ["baseline", "elder"], "a file that is gone or broken is measured again"
    measured_again = rows["baseline"].samples + rows["elder"].samples
    assert sum(isinstance(event, StageProgress) for event in again) == measured_again and stage.intact(run)


def test_recorded_kinds_are_taken_and_searched_for_only_where_there_are_none(run: Run) -> None:
    lines = (run.calibration / "elder.jsonl").read_text().splitlines()
    lengths = [len(json.loads(line)["input_ids"]) for line in lines]
    hashes = {name: row.ids_hash for name, row in all_sets(run.store).items()}
    recorded = [with_sink(kinds_of(length, [], other="answer")) for length in lengths]
    write_kinds(run.token_kinds / "elder.jsonl", recorded, hashes["elder"])
    write_kinds(run.token_kinds / "baseline.jsonl", recorded, "of other ids")
    go(run)
    rows = all_activations(run.store)
    assert sum(rows["elder"].summary["kinds"].values()) == rows["elder"].tokens
    assert {kind for kind, count in rows["elder"].summary["kinds"].items() if count} == {"sink", "answer"}
    assert min(rows["baseline"].summary["kinds"].values()) > 0, "kinds of other ids are not taken"


def test_a_stop_keeps_finished_sets(run: Run) -> None:
    cancel, events = CancelToken(), list[Event]()

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, ActivationsReady):
            cancel.set()

    with pytest.raises(Stopped):
        stage.execute(Context(run, emit, cancel, "20260101-000000-abcd"))
    kept = list(all_activations(run.store))
    assert kept[0] == "baseline" and len(kept) < 4
    assert "baseline" not in ready(go(run)) and len(all_activations(run.store)) == 4


def test_what_makes_it_stale(run: Run) -> None:
    before = stage.signature(run)
    for old, new in (('["o_proj"]', '["down_proj"]'), ("tokens = 200", "tokens = 100"), ('"cpu"', '"auto"')):
        assert stage.signature(changed(run, old, new)) != before
    assert stage.signature(changed(run, "tokens = 200", "tokens = 200\nexpert_minimum = 0.5")) == before
    off = changed(run, "tokens = 200", "enabled = false")
    assert stage.signature(off) != before
    (started,) = go(off)
    assert isinstance(started, StageStarted) and started.total == 0


def test_a_target_without_the_modules_is_no_failure(run: Run) -> None:
    events = go(changed(run, '["o_proj"]', '["c_proj"]'))
    notes = [event.message for event in events if isinstance(event, Note)]
    assert len(notes) == 1 and "has no c_proj in its layers" in notes[0]
    assert stage.intact(run) and not all_activations(run.store)
