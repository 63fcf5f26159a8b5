"""The stage on a tiny random Llama: its numbers against ten plain lines, and what it does twice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped, UsageError
from faq_tui.core.evaluation import compare, texts
from faq_tui.core.evaluation.answers import generate
from faq_tui.core.evaluation.heldout import Item
from faq_tui.core.evaluation.identity import UNQUANTIZED, evaluation_hash
from faq_tui.core.evaluation.kinds import ANSWERS
from faq_tui.core.evaluation.metrics import KL, PERPLEXITY, TOP1, Metric
from faq_tui.core.evaluation.reference import open_reference, writing
from faq_tui.core.evaluation.texts import pydoc_prose
from faq_tui.core.models.backbone import Backbone, LmHead
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.target import TargetModel
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, MeasurementReady, StageProgress
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import evaluate
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.artefacts import Artefact, add_artefact, all_artefacts
from faq_tui.core.store.measurements import all_measurements, heldout
from faq_tui.core.store.seeds import Seed, assign_roles, replace_all
from tests.support.evaluate_bench import context_of, make_noisy
from tests.support.tiny import make_tiny_model

WINDOW, ANSWER_TOKENS = 24, 10
TOML = f"""
[target]
model = "./target"
device = "cpu"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://localhost:1/v1"
model = "Big"
[[recipes]]
group_size = 32
sets = ["baseline", "elder", "elder-tokens"]
[activations]
layer_error_tokens = 0
[evaluate]
perplexity = ["prose.txt"]
window = {WINDOW}
prose_tokens = 150
answer_tokens = {ANSWER_TOKENS}
batch_size = 2
last_word = []
multiple_choice = []
"""
FOLDERS = ("gptq-w4g32-baseline", "gptq-w4g32-elder")
ALL = {(subject, text) for subject in (UNQUANTIZED, *FOLDERS) for text in ("prose.txt", ANSWERS)}


@contextmanager
def tiny_run(folder: Path) -> Iterator[Run]:
    """A tiny target, two artefacts that are the target with noise, and a third that shares the second's folder."""
    make_tiny_model(folder / "target", hidden=64, layers=2, dtype="float32")
    (folder / "faq.toml").write_text(TOML)
    (folder / "prose.txt").write_text("The calm dog answers a question; the quick fox reasons about the grid. " * 9)
    with open_run(folder) as run:
        seeds = [
            Seed(({"role": "user", "content": f"Question {n}: " + "why? " * n},), None, f"x:{n}") for n in range(5)
        ]
        replace_all(run.store, seeds)
        assign_roles(run.store, [], [seed.id for seed in seeds])
        for number, name in enumerate(FOLDERS, 1):
            make_noisy(folder / "target", run.models / name, 0.02 * number)
            add_artefact(run.store, Artefact(name, f"s{number}", {}, name[11:], None, 5, 99, 4.5, 1.0))
        add_artefact(
            run.store, Artefact(f"{FOLDERS[1]}-tokens", "s2", {}, "elder-tokens", FOLDERS[1], 5, 99, 4.5, 0.0)
        )
        yield run


@dataclass
class Done:
    run: Run
    events: list[Event]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The stage, run once."""
    with tiny_run(tmp_path_factory.mktemp("evaluate")) as run:
        events: list[Event] = []
        evaluate.execute(context_of(run, events.append))
        yield Done(run, events)


def items_of(run: Run, text: str) -> list[tuple[list[int], int]]:
    """(token ids, index of the first predicted one) of every item, without the stage's own code."""
    if text == ANSWERS:
        answers = heldout(run.store, evaluation_hash(run)).values()
        return [([*a.prompt_ids, *a.answer_ids], len(a.prompt_ids)) for a in answers]
    tokenizer = load_tokenizer(TargetModel("t", str(run.folder / "target"), False, "cpu", "auto"))
    ids = tokenizer((run.folder / text).read_text(), add_special_tokens=False)["input_ids"][:150]
    return [(ids[start : start + WINDOW], 1) for start in range(0, len(ids), WINDOW)]


def by_hand(run: Run, folder: Path, text: str) -> dict[Metric, float]:
    target, model = (load_dense(f, torch.float32, "cpu") for f in (run.folder / "target", folder))
    nll = kl = agree = tokens = 0.0
    for ids, first in items_of(run, text):
        with torch.no_grad():
            q = model(torch.tensor([ids])).logits[0, first - 1 : -1].double().log_softmax(-1)
            p = target(torch.tensor([ids])).logits[0, first - 1 : -1].double().log_softmax(-1)
        nll -= float(q[range(len(q)), ids[first:]].sum())
        kl += float((p.exp() * (p - q)).sum())
        agree += float((p.argmax(-1) == q.argmax(-1)).sum())
        tokens += len(q)
    return {PERPLEXITY: math.exp(nll / tokens), KL: kl / tokens, TOP1: agree / tokens}


@pytest.mark.slow
@pytest.mark.parametrize("text", ["prose.txt", ANSWERS])
def test_the_stage_equals_a_plain_computation(done: Done, text: str) -> None:
    found = all_measurements(done.run.store)
    for subject in (UNQUANTIZED, *FOLDERS):
        folder = done.run.folder / "target" if subject == UNQUANTIZED else done.run.models / subject
        sums = Sums.of(found[subject, text].items)
        for metric, expected in by_hand(done.run, folder, text).items():
            assert metric.value_of(sums) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    near, far = (KL.value_of(Sums.of(found[folder, text].items)) for folder in FOLDERS)
    assert far > near > 0.01


@pytest.mark.slow
def test_everything_is_measured_and_told(done: Done) -> None:
    assert set(all_measurements(done.run.store)) == ALL
    told = {(e.subject, e.text) for e in done.events if isinstance(e, MeasurementReady)}
    assert told == ALL | {(f"{FOLDERS[1]}-tokens", text) for text in ("prose.txt", ANSWERS)}
    progress = [e for e in done.events if isinstance(e, StageProgress)]
    assert [e.done for e in progress] == sorted(e.done for e in progress)
    assert progress[-1].done == progress[-1].total


@pytest.mark.slow
def test_answers_are_the_targets_own_and_of_bounded_length(done: Done) -> None:
    answers = heldout(done.run.store, evaluation_hash(done.run))
    assert len(answers) == 5
    assert all(1 <= len(answer.answer_ids) <= ANSWER_TOKENS for answer in answers.values())
    tokenizer = load_tokenizer(TargetModel("t", str(done.run.folder / "target"), False, "cpu", "auto"))
    for answer in answers.values():
        prompt = tokenizer.decode(answer.prompt_ids)
        assert prompt.startswith("<|im_start|>user\nQuestion") and prompt.endswith("<|im_start|>assistant\n")


@pytest.mark.slow
def test_a_second_run_measures_nothing(done: Done) -> None:
    events: list[Event] = []
    signature = evaluate.signature(done.run)
    evaluate.execute(context_of(done.run, events.append))
    assert not [e for e in events if isinstance(e, MeasurementReady | StageProgress)]
    assert evaluate.signature(done.run) == signature


@pytest.mark.slow
def test_another_artefact_under_the_name_is_measured_alone_and_a_spoilt_reference_is_made_again(done: Done) -> None:
    run, before = done.run, all_measurements(done.run.store)
    add_artefact(run.store, replace(all_artefacts(run.store)[FOLDERS[0]], signature="other"))
    for path in (run.cache / "reference").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    events: list[Event] = []
    evaluate.execute(context_of(run, events.append))
    told = {(e.subject, e.text) for e in events if isinstance(e, MeasurementReady)}
    assert told == {(FOLDERS[0], "prose.txt"), (FOLDERS[0], ANSWERS)}
    for key, measurement in all_measurements(run.store).items():
        assert measurement.items["kl"] == pytest.approx(before[key].items["kl"], rel=1e-5)


@pytest.mark.slow
def test_a_run_that_died_or_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    rounds: list[list[Event]] = [[], [], []]
    cancel = CancelToken()

    def die(event: Event) -> None:
        rounds[0].append(event)
        if isinstance(event, MeasurementReady) and event.metric == TOP1.name:
            raise KilledError

    def stop(event: Event) -> None:
        rounds[1].append(event)
        if isinstance(event, MeasurementReady):
            cancel.set()

    def measured(events: list[Event]) -> set[tuple[str, str]]:
        return {(e.subject, e.text) for e in events if isinstance(e, MeasurementReady)}

    with tiny_run(tmp_path) as run:
        with pytest.raises(KilledError):
            evaluate.execute(context_of(run, die))
        assert len(measured(rounds[0])) == 1 and set(all_measurements(run.store)) == measured(rounds[0])
        answers = heldout(run.store, evaluation_hash(run))
        with pytest.raises(Stopped):
            evaluate.execute(Context(run, stop, cancel, "job"))
        assert measured(rounds[1])
        evaluate.execute(context_of(run, rounds[2].append))
        assert set(all_measurements(run.store)) == ALL
        told = [pair for events in rounds for pair in measured(events) if not pair[0].endswith("-tokens")]
        assert len(told) == len(set(told)) == len(ALL)
        details = {e.detail for events in rounds[1:] for e in events if isinstance(e, StageProgress)}
        assert "held-out answers" not in details and heldout(run.store, evaluation_hash(run)) == answers


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = tmp_path_factory.mktemp("models")
    make_tiny_model(folder / "a", hidden=64, layers=2, dtype="float32", tied=False)
    make_noisy(folder / "a", folder / "b", 0.05)
    return tuple(load_dense(folder / name, torch.float32, "cpu") for name in "ab")


def test_batches_and_chunks_do_not_show(models: tuple[Any, Any], tmp_path: Path, monkeypatch: Any) -> None:
    dice = torch.Generator().manual_seed(0)
    lengths = (40, 3, 17, 2, 29, 17, 8)
    ids = [tuple(torch.randint(0, 512, (length,), generator=dice).tolist()) for length in lengths]
    items = [Item(row, 1 + number % max(1, len(row) - 1)) for number, row in enumerate(ids)]
    target, other = (Backbone(model) for model in models)
    results = []
    for batch_size, chunk in [(1, 1 << 26), (3, 1 << 26), (7, 5 * 4 * 512)]:
        monkeypatch.setattr(compare, "LOGIT_BYTES", chunk)
        path = tmp_path / f"{batch_size}.safetensors"
        with writing(path, items, target.head) as keep:
            compare.measure(target, items, batch_size, CancelToken(), lambda tokens: None, keep=keep)
        reference = open_reference(path, items, "cpu")
        assert reference is not None
        results.append(compare.measure(other, items, batch_size, CancelToken(), lambda tokens: None, reference))
    for sums in results[1:]:
        for name in ("tokens", "nll", "kl", "agree"):
            assert sums[name] == pytest.approx(results[0][name], rel=1e-5)


def test_a_model_equals_itself(models: tuple[Any, Any], tmp_path: Path) -> None:
    cut, items = Backbone(models[0]), [Item(tuple(range(1, 30)), 1)]
    with writing(tmp_path / "r.safetensors", items, cut.head) as keep:
        compare.measure(cut, items, 1, CancelToken(), lambda tokens: None, keep=keep)
    reference = open_reference(tmp_path / "r.safetensors", items, "cpu")
    sums = compare.measure(cut, items, 1, CancelToken(), lambda tokens: None, reference)
    assert sums["kl"][0] == pytest.approx(0, abs=1e-5) and sums["agree"] == [28.0]


def small(config: Any, **more: Any) -> Any:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "pad_token_id": 0}
    return AutoModelForCausalLM.from_config(config(**sizes, **heads, **more)).float().eval()


def test_logits_that_are_scaled_or_capped_are_the_models_own() -> None:
    from transformers import CohereConfig, Gemma2Config, GraniteConfig

    ids = torch.arange(1, 20)[None]
    for model in (
        small(Gemma2Config, head_dim=16, final_logit_softcapping=0.5, query_pre_attn_scalar=16),
        small(CohereConfig, logit_scale=3.0),
        small(GraniteConfig, logits_scaling=0.25),
    ):
        with torch.no_grad():
            expected = model(ids).logits[0]
        cut = Backbone(model)
        assert torch.allclose(cut.head.logits(cut.states(ids.tolist())[0]), expected, atol=1e-4)


def test_logits_changed_in_an_unknown_way_are_refused(models: tuple[Any, Any]) -> None:
    cut = Backbone(models[0])
    cut.head = LmHead(cut.head.weight, scale=2.0)
    with pytest.raises(FaqError, match="unknown to faq-tui"):
        cut.states([[1, 2, 3]])


def test_answers_end_with_the_end_token_and_a_stop_ends_decoding(
    models: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ends = models[0], set(range(100, 130))
    config = GenerationConfig(eos_token_id=sorted(ends), pad_token_id=3)
    monkeypatch.setattr(model, "generation_config", config)
    found: dict[int, list[int]] = {}
    ticks: list[int] = []
    prompts = [(1, 5, 6), (1, 7), tuple(range(1, 12))]

    generate(model, prompts, 40, 1, CancelToken(), found.update, ticks.append)
    assert set(found) == {0, 1, 2} and sum(ticks) == 3 * 40
    assert all(not ends & set(ids[:-1]) and 1 <= len(ids) <= 40 for ids in found.values())
    assert len({len(ids) for ids in found.values()}) > 1 and any(ids[-1] in ends for ids in found.values())
    first = dict(found)
    generate(model, prompts, 40, 1, CancelToken(), found.update, ticks.append)
    assert found == first
    cancel, steps = CancelToken(), 0

    def stop(tokens: int) -> None:
        nonlocal steps
        steps += 1
        cancel.set()

    with pytest.raises(Stopped):
        generate(model, prompts, 40, 1, cancel, found.update, stop)
    assert steps == 1


def test_left_padding_does_not_change_what_is_likely(models: tuple[Any, Any]) -> None:
    """Greedy answers in one batch equal those one by one."""
    model = models[0]
    together: dict[int, list[int]] = {}
    alone: dict[int, list[int]] = {}

    prompts = [tuple(range(3, 3 + length)) for length in (2, 9, 5)]
    generate(model, prompts, 12, 1, CancelToken(), together.update, lambda tokens: None, greedy=True)
    for index, prompt in enumerate(prompts):
        answer: dict[int, list[int]] = {}
        generate(model, [prompt], 12, 1, CancelToken(), answer.update, lambda tokens: None, greedy=True)
        alone[index] = answer[0]
    assert together == alone


def run_at(folder: Path, limit: int = 100) -> Run:
    (folder / "faq.toml").write_text(TOML.replace("prose_tokens = 150", f"prose_tokens = {limit}"))
    with open_run(folder) as run:
        return run


def test_texts_that_cannot_be_used_say_why(tmp_path: Path, monkeypatch: Any) -> None:
    run = run_at(tmp_path, 1)
    for content, words in [(None, "no text file"), (b" \n", "is empty"), (b"ok \xff no", "not UTF-8 text .byte 3.")]:
        if content is not None:
            (tmp_path / "t.txt").write_bytes(content)
        with pytest.raises(UsageError, match=words):
            texts.load_head(run, "t.txt")
    (tmp_path / "t.txt").write_text("é" * 100)  # 64 bytes of it: the limit cuts no character
    assert texts.load_head(run, "t.txt") == "é" * 32
    (tmp_path / "t.txt").write_text("x" + "é" * 100)
    assert texts.load_head(run, "t.txt") == "x" + "é" * 31
    (tmp_path / "t.txt").write_bytes(b"x" * 63 + b"\xff" * 9)
    with pytest.raises(UsageError, match="not UTF-8"):
        texts.load_head(run, "t.txt")

    def no_network(*args: Any, **options: Any) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr("datasets.load_dataset", no_network)
    with pytest.raises(FaqError, match=r"wikitext2 could not be fetched .*Couldn't reach the Hub.*check the network"):
        texts.load_head(run, "wikitext2")


def test_pydoc_prose_is_prose_and_enough() -> None:
    text = pydoc_prose()
    assert text == pydoc_prose() and len(text) > 100_000
    paragraphs = text.split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)
    assert not any(mark in text for mark in ("::=", ">>>", "****", "===="))


@pytest.mark.slow
def test_an_artefact_that_cannot_be_read_does_not_end_the_evaluation_of_the_others(tmp_path: Path) -> None:
    with tiny_run(tmp_path) as run:
        config = run.models / FOLDERS[0] / "config.json"
        config.write_text(config.read_text().replace('"llama"', '"no-such-architecture"'))
        with pytest.raises(FaqError, match=rf"{FOLDERS[0]} cannot be read .*all others are evaluated"):
            evaluate.execute(context_of(run))
        assert set(all_measurements(run.store)) == {pair for pair in ALL if pair[0] != FOLDERS[0]}
