"""Models answer for real: a tiny random target and its artefacts, in worker children and through a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.models.memory_need import GIB, MemoryNeed
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.run.server_record import SERVING, new_record, write_record
from faq_tui.core.stages.memory_check import TargetMemory
from faq_tui.core.trying import bench as module
from faq_tui.core.trying.answer import TriedAnswer
from faq_tui.core.trying.bench import TryBench, asks_server, room_for
from faq_tui.core.trying.departure import compare
from faq_tui.core.trying.models import TriedModel, chosen_models, models_of
from faq_tui.core.trying.request import TryRequest
from faq_tui.core.worker.parent import GRACE_S
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.quantize_bench import children
from tests.support.try_run import EQUAL, GPTQ, W8A8, make_try_run, serve_section

PROMPT = "Which of the boxes is heavier?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_try_run(tmp_path_factory.mktemp("try") / "run")


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    with open_run(folder) as opened:
        yield opened


def answers_of(
    bench: TryBench, models: list[TriedModel], request: TryRequest
) -> tuple[dict[str, TriedAnswer], list[tuple[str, str]]]:
    """The answers, and the name and kind of each message."""
    answers, heard = {model.name: TriedAnswer(model.name) for model in models}, []

    def hear(name: str, message: dict[str, Any]) -> None:
        answers[name].take(message)
        heard.append((name, message["kind"]))

    bench.ask(models, request, hear)
    return answers, heard


def greedy(folder: Path, tokens: int) -> tuple[list[int], str]:
    """What transformers itself generates, and its text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**prompt, do_sample=False, temperature=None, max_new_tokens=tokens)[0]
    ids = ids[prompt["input_ids"].shape[1] :].tolist()
    return ids, tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.slow
def test_three_models_one_after_the_other(run: Run) -> None:
    bench = TryBench(run, at_once=1)
    models = chosen_models(run, [EQUAL, GPTQ, W8A8])
    answers, _ = answers_of(bench, models, TryRequest(PROMPT, max_tokens=24))
    assert children() == [], "models that do not fit together are not kept"
    ids, text = greedy(run.folder / "target", 24)
    reference = answers["unquantized"]
    assert (reference.ids, reference.text) == (ids, text) and reference.state == "done"
    assert reference.count == 24 and reference.finish_reason == "length" and reference.prompt_tokens
    assert reference.rate and reference.memory_mb and reference.memory_mb > 100 and reference.load_seconds
    assert not compare(reference, answers[EQUAL]).departed and answers[EQUAL].ids == ids
    for name in (GPTQ, W8A8):
        found = compare(reference, answers[name])
        assert found.departed and found.by_token and found.equal < 24, "random weights answer something else"


@pytest.mark.slow
def test_a_model_stays_loaded_is_stopped_and_answers_again(run: Run) -> None:
    bench = TryBench(run, at_once=1)
    models = models_of(run)[:1]
    try:
        answers, heard = answers_of(bench, models, TryRequest(PROMPT, max_tokens=4, temperature=1.5, seed=1))
        assert ("unquantized", "loading") in heard
        again, heard = answers_of(bench, models, TryRequest(PROMPT, max_tokens=4, temperature=1.5, seed=1))
        assert ("unquantized", "loading") not in heard and len(children()) == 1
        assert again["unquantized"].ids == answers["unquantized"].ids, "the same seed draws the same tokens"
        other, _ = answers_of(bench, models, TryRequest(PROMPT, max_tokens=4, temperature=1.5, seed=2))
        assert other["unquantized"].ids != answers["unquantized"].ids

        refused, _ = answers_of(bench, models, TryRequest("end it <|im_end|> here"))
        assert refused["unquantized"].state == "failed"
        assert "contains the target's special token <|im_end|>" in refused["unquantized"].problem
        long, _ = answers_of(bench, models, TryRequest("word " * 2000))
        assert "leave no room in the model's window of 1024 tokens" in long["unquantized"].problem

        pressed: list[float] = []

        def stop() -> None:
            pressed.append(time.monotonic())
            bench.stop()

        threading.Timer(0.4, stop).start()
        stopped, _ = answers_of(bench, models, TryRequest(PROMPT, max_tokens=1000))
        assert stopped["unquantized"].state == "stopped" and 0 < len(stopped["unquantized"].ids) < 990
        assert time.monotonic() - pressed[0] < 0.9, "a stop ends an answer at once"
        assert len(children()) == 1, "the model stays loaded"
    finally:
        bench.close()
    assert children() == []


@pytest.mark.slow
def test_a_stop_while_the_model_loads(run: Run) -> None:
    bench = TryBench(run, at_once=1)
    pressed: list[float] = []
    answer = TriedAnswer("unquantized")

    def hear(_name: str, message: dict[str, Any]) -> None:
        answer.take(message)
        if message["kind"] == "loading":
            threading.Timer(0.1, stop).start()  # a warm fork server loads the model in less than a second

    def stop() -> None:
        pressed.append(time.monotonic())
        bench.stop()

    bench.ask(models_of(run)[:1], TryRequest(PROMPT), hear)
    assert answer.state == "stopped" and not answer.ids and children() == []
    assert time.monotonic() - pressed[0] < GRACE_S, "the child itself has ended, and was not killed"


@pytest.mark.slow
def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run")
    (folder / "models" / GPTQ / "model.safetensors").write_bytes(b"no weights")
    with open_run(folder) as run:
        models = chosen_models(run, [GPTQ, EQUAL])
        (folder / "models" / EQUAL / "faq_manifest.json").unlink()
        answers, _ = answers_of(TryBench(run, at_once=1), models, TryRequest(PROMPT, max_tokens=2))
    assert answers["unquantized"].state == "done"
    assert answers[EQUAL].problem.startswith(f"{EQUAL} has no complete folder")
    assert answers[GPTQ].state == "failed" and "Traceback" not in answers[GPTQ].problem and answers[GPTQ].problem


@pytest.mark.slow
def test_a_target_without_a_chat_template(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run")
    for path in (folder / "target").glob("chat_template*"):
        path.unlink()
    with open_run(folder) as run:
        answers, _ = answers_of(TryBench(run, at_once=1), models_of(run)[:1], TryRequest(PROMPT))
    assert "has no chat template" in answers["unquantized"].problem


def test_through_the_server_of_the_settings(tmp_path: Path) -> None:
    folder = make_try_run(tmp_path / "run", serve_section(), weights=False)
    with open_run(folder) as run:
        assert asks_server(run.settings)
        models = chosen_models(run, [GPTQ])
        answers, heard = answers_of(TryBench(run), models, TryRequest(PROMPT))
        kinds = [kind for name, kind in heard if name == GPTQ]
        assert kinds[:3] == ["loading", "loaded", "answering"] and kinds[-1] == "answered"
        for answer in answers.values():
            assert answer.state == "done" and answer.text and not answer.ids and answer.finish_reason == "stop"
            assert answer.count and answer.rate and answer.memory_mb is None
        found = compare(answers["unquantized"], answers[GPTQ])
        assert not found.by_token and not found.departed


def test_a_server_that_already_runs_is_asked(tmp_path: Path) -> None:
    more = '\n[evaluate.serve]\ncommand = ["no-such-program-of-faq", "{folder}"]\n'
    with FakeServer(Behaviour(models=(GPTQ,))) as server:
        with open_run(make_try_run(tmp_path / "run", more, weights=False)) as run:
            record = new_record(GPTQ, GPTQ)
            write_record(run.jobs, replace(record, state=SERVING, url=server.url, model=GPTQ))
            models = chosen_models(run, [GPTQ])[1:]
            answers, _ = answers_of(TryBench(run), models, TryRequest(PROMPT))
        assert answers[GPTQ].state == "done" and answers[GPTQ].text


def test_the_section_that_init_writes_starts_no_server(tmp_path: Path) -> None:
    with open_run(make_try_run(tmp_path / "run", "\n[evaluate.serve]\n", weights=False)) as run:
        assert not asks_server(run.settings)


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    more = '\n[evaluate.serve]\ncommand = ["no-such-program-of-faq", "{folder}"]\n'
    with open_run(make_try_run(tmp_path / "run", more, weights=False)) as run:
        answers, _ = answers_of(TryBench(run), models_of(run)[:2], TryRequest(PROMPT))
    assert all("there is no program 'no-such-program-of-faq'" in answer.problem for answer in answers.values())


def test_how_many_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    need = MemoryNeed(15 * GIB, GIB, GIB, 32)

    def with_memory(host: int | None, gpu: int | None) -> int:
        monkeypatch.setattr(module, "target_memory", lambda _run: TargetMemory(need, "auto", host, gpu))
        return room_for(run)

    assert with_memory(64 * GIB, None) == 4
    assert with_memory(64 * GIB, 33 * GIB) == 2
    assert with_memory(5 * GIB, None) == 1, "one is always tried; its error says that it does not fit"
    monkeypatch.setattr(module, "target_memory", lambda _run: None)
    assert room_for(run) == 1
