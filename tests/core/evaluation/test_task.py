"""The worker's task: a target and artefacts that are read layer by layer give the figures of whole models."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.steps import WorkStep, reported_to
from faq_tui.core.evaluation import compare, heldout, log_probs, task
from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.spec import HeldoutQuestion, Spec
from faq_tui.core.evaluation.task import WRITING
from faq_tui.core.models import memory_need, opening
from faq_tui.core.models.layer_stream import LayerStream
from tests.support.model_families import model_of
from tests.support.packed_folders import pack_folder


def items(seed: int) -> list[Item]:
    dice = random.Random(seed)
    lengths = [dice.randrange(3, 20) for _ in range(7)]
    return [Item(tuple(dice.randrange(64) for _ in range(length)), 1 + length // 3) for length in lengths]


TEXTS = {"one": Heldout(PROSE, items(1)), "two": Heldout(PROSE, items(2))}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import torch

    root = tmp_path_factory.mktemp("models")
    model_of("llama").to(torch.bfloat16).save_pretrained(root / UNQUANTIZED)
    for method in ("gptq", "w8a8"):
        pack_folder(shutil.copytree(root / UNQUANTIZED, root / method), method)
    return {folder.name: folder for folder in sorted(root.iterdir(), reverse=True)}


def evaluate(
    folders: dict[str, Path],
    cache: Path,
    read: str,
    hear: Callable[[dict[str, Any]], None] = lambda message: None,
    cancel: CancelToken | None = None,
    **changes: Any,
) -> list[dict[str, Any]]:
    subjects = {name: (f"hash-{name}", "" if name == UNQUANTIZED else str(path)) for name, path in folders.items()}
    fields = {"texts": TEXTS, "answers": [], "stored": {}, **changes}
    spec = Spec(
        str(folders[UNQUANTIZED]), False, "cpu", "auto", 3, 8, str(cache), subjects=subjects, read=read, **fields
    )
    cache.mkdir(exist_ok=True)
    (cache / "order.json").write_text(json.dumps(spec.to_json()), encoding="utf-8")
    messages: list[dict[str, Any]] = []

    def send(kind: str, **body: Any) -> None:
        messages.append({"kind": kind, **body})
        hear(messages[-1])

    task.run({"order": str(cache / "order.json")}, send, cancel or CancelToken())
    return messages


def measurements(messages: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["subject"], one["text"]): one for one in messages if one["kind"] == "measurement"}


def test_the_figures_and_signatures_are_those_of_whole_models(folders: dict[str, Path], tmp_path: Path) -> None:
    streamed = evaluate(folders, tmp_path / "layers", "layers")
    whole, layers = measurements(evaluate(folders, tmp_path / "whole", "whole")), measurements(streamed)
    assert whole.keys() == layers.keys() and len(whole) == 6
    for key, one in whole.items():
        other = layers[key]
        assert one["signature"] == other["signature"]
        for column, values in one["items"].items():
            assert other["items"][column] == pytest.approx(values, abs=1e-4), (key, column)
    assert sum(whole["gptq", "one"]["items"]["kl"]) > 0.01  # the artefact is another model
    last = [message for message in streamed if message["kind"] == "progress"][-1]
    assert last["done"] == last["total"] == 3 * sum(text.size for text in TEXTS.values())
    details = {message["detail"] for message in streamed if message["kind"] == "progress"}
    assert {f"{name}: layer {n} of 3" for name in folders for n in (1, 2, 3)} <= details


def test_each_layer_of_a_model_is_read_once_for_all_texts(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = LayerStream.run

    def counted(self: LayerStream, batches: Any, each_layer: Any = None) -> list[Any]:
        runs.append(len(batches))
        return run(self, batches, each_layer)

    monkeypatch.setattr(LayerStream, "run", counted)
    evaluate(folders, tmp_path, "layers")
    assert len(runs) == len(folders)


def test_a_model_that_does_not_fit_is_read_layer_by_layer(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def details(free: int) -> str:
        monkeypatch.setattr(opening, "free_bytes", lambda device: free)
        return " ".join(str(one.get("detail")) for one in evaluate(folders, tmp_path / str(free), "auto"))

    need = memory_need.memory_need(folders[UNQUANTIZED], 4).whole + memory_need.HOST_BESIDE
    assert "layer 1 of 3" not in details(need)
    assert "layer 1 of 3" in details(need - 1)


def test_a_model_that_does_not_fit_cannot_write_answers(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "free_bytes", lambda device: 1 << 20)
    for read in ("auto", "layers"):
        with pytest.raises(FaqError, match="only a model that is read as a whole can write held-out answers"):
            evaluate(folders, tmp_path, read, answers=[HeldoutQuestion("s1", [1, 2, 3], [])])


def test_answers_are_written_by_the_whole_model_and_measured_layer_by_layer(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    messages = evaluate(folders, tmp_path, "layers", answers=[HeldoutQuestion("s1", [1, 2, 3], [])])
    assert [one["seed_id"] for one in answers_in(messages)] == ["s1"]
    assert len(measurements(messages)) == 9


def test_answers_do_not_depend_on_where_they_were_interrupted(folders: dict[str, Path], tmp_path: Path) -> None:
    """After each message about answers, a new evaluation writes the missing answers as the first one did."""
    prompts = [[1 + n % 5, 2, 3, *[7] * (n % 3), 4 + n] for n in range(16)]  # more than the 12 rows of a batch
    only = {UNQUANTIZED: folders[UNQUANTIZED]}

    def written(known: dict[str, list[int]]) -> list[dict[str, Any]]:
        questions = [HeldoutQuestion(f"s{n}", prompt, known.get(f"s{n}", [])) for n, prompt in enumerate(prompts)]
        return [one for one in evaluate(only, tmp_path, "whole", answers=questions) if "answer" in one["kind"]]

    messages = written({})
    whole = {one["seed_id"]: one["ids"] for one in answers_in(messages)}
    assert len(whole) == 16 and len(messages) > 1
    for stop in range(1, len(messages)):
        known = {one["seed_id"]: one["ids"] for one in answers_in(messages[:stop])}
        later = {one["seed_id"]: one["ids"] for one in answers_in(written(known))}
        assert known | later == whole


def answers_in(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [answer for one in messages if one["kind"] == "answers" for answer in one["answers"]]


# ---- several artefacts in one sweep

GIB = 1 << 30
WAYS = [("whole", 100 * GIB), ("whole", 0), ("layers", 100 * GIB)]  # how models are read, and the free memory


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[slice]:
    """The parts of batches for which the target's log-probabilities are computed from its stored states."""
    parts: list[slice] = []
    compute = compare._Unquantized.log_probs

    def counted(self: Any, part: slice) -> Any:
        parts.append(part)
        return compute(self, part)

    monkeypatch.setattr(compare._Unquantized, "log_probs", counted)
    return parts


def figures(messages: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {key: (one["signature"], one["items"], one["token_kl"]) for key, one in measurements(messages).items()}


@pytest.mark.parametrize(("read", "free"), WAYS)
def test_artefacts_in_one_sweep_have_the_figures_of_artefacts_one_after_the_other(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    computed: list[slice],
    read: str,
    free: int,
) -> None:
    monkeypatch.setattr(log_probs, "free_bytes", lambda device: free)
    monkeypatch.setattr(heldout, "SHORT", 1)  # several batches
    monkeypatch.setattr(compare, "LOGIT_BYTES", 5 * 4 * 64)  # several parts of a batch
    together = figures(evaluate(folders, tmp_path / "together", read))
    assert bool(computed) == (not free), "with enough memory, the target's own measurement has computed them"
    apart: dict[tuple[str, str], Any] = {}
    for name in ("gptq", "w8a8"):
        apart |= figures(evaluate({n: folders[n] for n in (UNQUANTIZED, name)}, tmp_path / name, read))
    assert together == apart and len(together) == 6


def test_the_target_is_read_only_once_for_artefacts_that_come_later(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[slice]
) -> None:
    monkeypatch.setattr(log_probs, "free_bytes", lambda device: 100 * GIB)
    target = {UNQUANTIZED: folders[UNQUANTIZED]}
    messages = evaluate(target, tmp_path, "whole")
    stored = {UNQUANTIZED: {text: one["signature"] for (_, text), one in measurements(messages).items()}}
    later = evaluate(folders, tmp_path, "whole", stored=stored)
    assert {subject for subject, _ in measurements(later)} == {"gptq", "w8a8"}
    assert len(computed) == len(TEXTS), "the first artefact computes one part of each text, also for the second"
    together = figures(evaluate(folders, tmp_path / "b", "whole"))
    assert figures(later) == {key: value for key, value in together.items() if key[0] != UNQUANTIZED}


@pytest.mark.parametrize(("read", "free"), WAYS)
def test_a_stop_in_the_middle_repeats_no_stored_measurement(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str, free: int
) -> None:
    monkeypatch.setattr(log_probs, "free_bytes", lambda device: free)
    whole = figures(evaluate(folders, tmp_path / "whole", read))
    found: dict[tuple[str, str], Any] = {}
    rounds = 0
    while len(found) < len(whole):
        cancel, heard = CancelToken(), list[dict[str, Any]]()

        def stop(message: dict[str, Any], cancel: CancelToken = cancel, heard: list[dict[str, Any]] = heard) -> None:
            heard.append(message)
            if len(measurements(heard)) == 2:
                cancel.set()

        stored: dict[str, dict[str, str]] = {}
        for (subject, text), (signature, *_) in found.items():
            stored.setdefault(subject, {})[text] = signature
        try:
            evaluate(folders, tmp_path / "stopped", read, stop, cancel, stored=stored)
        except Stopped:
            assert cancel.is_set
        new = figures(heard)
        assert not new.keys() & found.keys() and len(new) == 2
        found |= new
        rounds += 1
    assert found == whole and rounds == 3


def test_a_broken_artefact_in_the_middle_does_not_change_the_figures_of_the_next(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    whole = figures(evaluate(folders, tmp_path / "whole", "whole"))
    broken = shutil.copytree(folders["gptq"], tmp_path / "broken")
    weights = next(broken.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    middle = {UNQUANTIZED: folders[UNQUANTIZED], "gptq": broken, "w8a8": folders["w8a8"]}
    heard: list[dict[str, Any]] = []
    with pytest.raises(FaqError, match="all others are evaluated"):
        evaluate(middle, tmp_path / "cache", "whole", heard.append)
    assert figures(heard) == {key: value for key, value in whole.items() if key[0] != "gptq"}


def test_the_writing_of_answers_is_a_step_of_its_own(folders: dict[str, Path], tmp_path: Path) -> None:
    """A generated token takes longer than a token that is read, so the two are not counted together."""
    questions = [HeldoutQuestion(str(n), [n, 5, 6], []) for n in range(1, 4)]
    steps: list[WorkStep] = []
    with reported_to(steps.append):
        messages = evaluate(folders, tmp_path, "whole", answers=questions)
    assert [one for one in steps if one.what == WRITING][-1] == WorkStep(WRITING, 24, 24, "tokens", ended=True)
    plans = [message for message in messages if message["kind"] == "plan"]
    most = len(folders) * (sum(text.size for text in TEXTS.values()) + 3 * (3 + 8))
    assert plans[0]["total"] == most and plans[1]["total"] <= most and plans[1]["done"] == 0
    progress = [message for message in messages if message["kind"] == "progress"]
    assert all(" on " in one["detail"] for one in progress)
    assert progress[-1]["done"] == progress[-1]["total"]
