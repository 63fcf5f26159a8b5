"""Words, last words, choices and a source's answers: against plain computations, and against lm_eval's own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from faq_tui.core.base.errors import UsageError
from faq_tui.core.evaluation import labelled
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.metrics import (
    ACCURACY,
    ACCURACY_NORM,
    BYTE_PERPLEXITY,
    FLIPS,
    KL,
    LAST_PERPLEXITY,
    PERPLEXITY,
    WORD_PERPLEXITY,
)
from faq_tui.core.evidence import collect
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.target import TargetModel
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.run.events import Event, MeasurementReady, Note
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import evaluate
from faq_tui.core.stats.bootstrap import of_metric
from faq_tui.core.stats.sums import Sums
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.measurements import all_items, all_measurements
from faq_tui.core.store.seeds import Seed, assign_roles, replace_all
from tests.core.stages.test_evaluate import FOLDERS, TOML, WINDOW, Done
from tests.support.evaluate_bench import context_of, make_noisy
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.tiny import make_tiny_model

ROLLED = 40  # tokens of a rolling window
PAGES = [
    "The calm dog answers a question; the quick fox reasons about the grid. " * 7,
    "Each weight is rounded.\nSo?",
]
PASSAGES = [f"The quick brown fox number {n} jumps over the lazy dog and the dog does not mind" for n in range(9)]
CASES: list[dict[str, Any]] = [
    {
        "question": f"What is {n} and one?",
        "choices": [f"it is {n + 1}", "a dog", "the grid of weights"],
        "answer": n % 3,
    }
    for n in range(12)
]
WORDS, LAST, CHOICES, ELDER = "words:pages.jsonl", "last_word:passages.jsonl", "choices:cases.jsonl", "answers:elder"


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The stage, run once on every kind of text, a source's answers included."""
    folder = tmp_path_factory.mktemp("kinds")
    make_tiny_model(folder / "target", hidden=64, layers=2, dtype="float32")
    for name, rows in (
        ("pages", [{"text": page} for page in PAGES]),
        ("passages", [{"text": passage} for passage in PASSAGES]),
        ("cases", CASES),
    ):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "prose.txt").write_text("The calm dog answers a question. " * 20)
    said = "Because the dog does not mind it at all."
    # The window is smaller than max_tokens, so the whole of these cannot be asked for.
    with FakeServer(Behaviour(models=("Big",), reply=lambda asked: said, max_model_len=4096)) as server:
        # Nobody answers at the first of the source's servers.
        toml = TOML.replace('"http://localhost:1/v1"', f'["http://127.0.0.1:1/v1", "{server.url}"]')
        toml = toml.replace("last_word = []", 'last_word = ["passages.jsonl"]')
        toml = toml.replace("multiple_choice = []", 'multiple_choice = ["cases.jsonl"]')
        toml += f'word_perplexity = ["pages.jsonl"]\nword_window = {ROLLED}\nanswers = ["target", "elder"]\n'
        (folder / "faq.toml").write_text(toml)
        with open_run(folder) as run:
            seeds = [Seed(({"role": "user", "content": f"Question {n}?"},), None, f"x:{n}") for n in range(5)]
            replace_all(run.store, seeds)
            assign_roles(run.store, [], [seed.id for seed in seeds])
            make_noisy(folder / "target", run.models / FOLDERS[0], 0.05)
            add_artefact(run.store, Artefact(FOLDERS[0], "s1", {}, "baseline", None, 5, 99, 4.5, 1.0))
            events: list[Event] = []
            evaluate.execute(context_of(run, events.append))
            assert any(
                isinstance(event, Note) and "going on with the other servers" in event.message for event in events
            )
            assert len({asked.question for asked in server.requests} & {f"Question {n}?" for n in range(5)}) == 5
            yield Done(run, events)


def tokenizer_of(run: Run) -> Any:
    return load_tokenizer(TargetModel("t", str(run.folder / "target"), False, "cpu", "auto"))


def log_probabilities(folder: Path, ids: list[int]) -> Any:
    with torch.no_grad():
        return load_dense(folder, torch.float32, "cpu")(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def folder_of(run: Run, subject: str) -> Path:
    return run.folder / "target" if subject == UNQUANTIZED else run.models / subject


def sums_of(run: Run, subject: str, text: str) -> Sums:
    return Sums.of(all_measurements(run.store)[subject, text].items)


def likelihood(run: Run, subject: str, context: str, continuation: str) -> tuple[float, bool]:
    """(log-likelihood of the continuation, whether it is what greedy decoding gives)."""
    tokenizer = tokenizer_of(run)
    before, whole = (tokenizer(t)["input_ids"] for t in (context, context + continuation))
    found = log_probabilities(folder_of(run, subject), whole)[len(before) - 1 : -1]
    wanted = whole[len(before) :]
    return float(found[range(len(wanted)), wanted].sum()), found.argmax(-1).tolist() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("subject", [UNQUANTIZED, FOLDERS[0]])
def test_words_last_words_and_choices_equal_plain_computations(kinds: Done, subject: str) -> None:
    run = kinds.run
    nll, words, size = 0.0, 0, 0
    for page in PAGES:
        ids = tokenizer_of(run)(page)["input_ids"]
        prefix = tokenizer_of(run).bos_token_id
        for start in range(0, len(ids), ROLLED):
            end = min(start + ROLLED, len(ids))
            read = [prefix, *ids[:end]] if start == 0 else ids[end - ROLLED - 1 : end]
            q = log_probabilities(folder_of(run, subject), read[:-1])[-(end - start) :]
            nll -= float(q[range(end - start), ids[start:end]].sum())
        words, size = words + len(re.split(r"\s+", page)), size + len(page.encode())
    sums = sums_of(run, subject, WORDS)
    assert WORD_PERPLEXITY.value_of(sums) == pytest.approx(math.exp(nll / words), rel=1e-4)
    assert BYTE_PERPLEXITY.value_of(sums) == pytest.approx(math.exp(nll / size), rel=1e-4)

    found = [likelihood(run, subject, *(p.rpartition(" ")[0], f" {p.rpartition(' ')[2]}")) for p in PASSAGES]
    sums = sums_of(run, subject, LAST)
    expected = math.exp(-sum(ll for ll, _ in found) / len(found))
    assert LAST_PERPLEXITY.value_of(sums) == pytest.approx(expected, rel=1e-4)
    assert sums.columns["correct"].tolist() == [float(greedy) for _, greedy in found]

    right = right_norm = 0
    for case in CASES:
        context, answers = f"Question: {case['question']}\nAnswer:", list(case["choices"])
        lls = [likelihood(run, subject, context, f" {choice}")[0] for choice in answers]
        norm = [ll / len(choice) for ll, choice in zip(lls, answers, strict=True)]
        right += lls.index(max(lls)) == case["answer"]
        right_norm += norm.index(max(norm)) == case["answer"]
    sums = sums_of(run, subject, CHOICES)
    assert ACCURACY.value_of(sums) == right / 12 and ACCURACY_NORM.value_of(sums) == right_norm / 12


@pytest.mark.slow
def test_flips_are_items_whose_correctness_changed(kinds: Done) -> None:
    run = kinds.run
    before, after = (sums_of(run, s, CHOICES).columns for s in (UNQUANTIZED, FOLDERS[0]))
    changed = [n for n in range(12) if before["correct"][n] != after["correct"][n]]
    evidence = collect(run)
    (flips,) = [f for f in evidence.flips if f.text == CHOICES]
    assert sorted((*flips.lost, *flips.won)) == changed
    assert all(before["correct"][n] for n in flips.lost) and all(after["correct"][n] for n in flips.won)
    assert all(flips.choices[n] == (before["choice"][n], after["choice"][n]) for n in changed)
    row = next(row for row in evidence.rows if row.name == FOLDERS[0])
    assert row.texts[CHOICES][FLIPS.name].value == len(changed) / 12
    assert all_items(run.store, CHOICES) == CASES
    assert [item["passage"] for item in all_items(run.store, LAST)] == PASSAGES


@pytest.mark.slow
def test_a_sources_held_out_answers_are_asked_once_and_measured(kinds: Done) -> None:
    run = kinds.run
    events: list[Event] = []
    sums = sums_of(run, FOLDERS[0], ELDER)
    assert len(sums) == 5 and KL.value_of(sums) > 0
    assert set(sums.columns["tokens"]) == {10.0}  # cut at evaluate.answer_tokens
    evaluate.execute(context_of(run, events.append))  # its server is gone: nothing is asked again
    assert not [event for event in events if isinstance(event, MeasurementReady)]


def local_task(folder: Path, name: str, rows: list[dict[str, Any]], **config: Any) -> dict[str, Any]:
    path = folder / f"lm_eval_{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"data_files": {"test": str(path)}, "cache_dir": str(folder / "datasets")}
    return {"task": name, "dataset_path": "json", "dataset_kwargs": files, "test_split": "test", **config}


@pytest.mark.slow
def test_figures_equal_lm_evals_own_on_the_same_local_text(kinds: Done, tmp_path: Path) -> None:
    lm_eval = pytest.importorskip("lm_eval")
    HFLM = pytest.importorskip("lm_eval.models.huggingface").HFLM
    run = kinds.run
    model = HFLM(
        pretrained=str(run.folder / "target"), device="cpu", dtype="float32", max_length=ROLLED, batch_size=1
    )
    tasks = [
        local_task(
            *(tmp_path, "pages", [{"text": page} for page in PAGES]),
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target="text",
            metric_list=[{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}],
        )
    ]
    words = lm_eval.simple_evaluate(model=model, tasks=tasks)["results"]["pages"]
    sums = sums_of(run, UNQUANTIZED, WORDS)
    assert WORD_PERPLEXITY.value_of(sums) == pytest.approx(words["word_perplexity,none"], rel=1e-4)
    assert BYTE_PERPLEXITY.value_of(sums) == pytest.approx(words["byte_perplexity,none"], rel=1e-4)

    ids = tokenizer_of(run)((run.folder / "prose.txt").read_text(), add_special_tokens=False)["input_ids"][:150]
    windows = [ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW)]
    asked = [(("", ""), window[:1], window[1:]) for window in windows if len(window) > 1]
    total = sum(ll for ll, _ in model._loglikelihood_tokens(asked, disable_tqdm=True))
    expected = math.exp(-total / sum(len(continuation) for _, _, continuation in asked))
    assert PERPLEXITY.value_of(sums_of(run, UNQUANTIZED, "prose.txt")) == pytest.approx(expected, rel=1e-4)

    model = HFLM(pretrained=str(run.folder / "target"), device="cpu", dtype="float32", batch_size=1)
    tasks = [
        local_task(
            *(tmp_path, "last", [{"text": passage} for passage in PASSAGES]),
            output_type="loglikelihood",
            doc_to_text="{{text.split(' ')[:-1]|join(' ')}}",
            doc_to_target="{{' '+text.split(' ')[-1]}}",
            metric_list=[{"metric": "perplexity", "aggregation": "perplexity"}, {"metric": "acc"}],
        ),
        local_task(
            *(tmp_path, "cases", CASES),
            output_type="multiple_choice",
            doc_to_text="Question: {{question}}\nAnswer:",
            doc_to_choice="choices",
            doc_to_target="answer",
            metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}],
        ),
    ]
    results = lm_eval.simple_evaluate(model=model, tasks=tasks)["results"]
    for metric, text, task, name in (
        (LAST_PERPLEXITY, LAST, "last", "perplexity"),
        (ACCURACY, LAST, "last", "acc"),
        (ACCURACY, CHOICES, "cases", "acc"),
        (ACCURACY_NORM, CHOICES, "cases", "acc_norm"),
    ):
        found = metric.value_of(sums_of(run, UNQUANTIZED, text))
        assert found == pytest.approx(results[task][f"{name},none"], rel=1e-4)


@pytest.mark.slow
def test_a_few_items_of_our_own_ship_with_it(kinds: Done) -> None:
    run, tokenizer = kinds.run, tokenizer_of(kinds.run)
    cases, passages = labelled.load_questions(run, "starter"), labelled.load_passages(run, "starter")
    assert len(cases) == len(passages) == 40
    assert {case.answer for case in cases} == {0, 1, 2, 3} and len({case.question for case in cases}) == 40
    assert all(passage[-1].isalpha() for passage in passages)
    assert len(labelled.heldout_questions(cases, tokenizer, 1024)[0]) == 40
    assert of_metric(ACCURACY, Sums.of({"correct": [1.0] * 30 + [0.0] * 10}), 200).value == 0.75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 1 of evaluate.multiple_choice is not JSON"),
        ("[1]", "is not a JSON object"),
        ('{"choices": ["a", "b"], "answer": 0}', 'has no text "question"'),
        ('{"question": "q", "choices": ["a"], "answer": 0}', 'has no list "choices"'),
        ('{"question": "q", "choices": ["a", "b"], "answer": 2}', '"answer" is not the index'),
        ('{"question": "q", "choices": ["a", "b"], "answer": "c"}', '"answer" is not the index'),
        ('{"question": "q", "choices": ["a", "b"], "answer": "ß"}', '"answer" is not the index'),
        ("", "is empty"),
    ],
)
def test_a_broken_file_of_questions_says_where(kinds: Done, line: str, words: str) -> None:
    (kinds.run.folder / "broken.jsonl").write_text(f"{line}\n")
    with pytest.raises(UsageError, match=words):
        labelled.load_questions(kinds.run, "broken.jsonl")


@pytest.mark.slow
def test_the_right_choice_is_an_index_a_letter_or_its_text(kinds: Done) -> None:
    rows = [{"question": "q", "choices": ["x", "y"], "answer": answer} for answer in (1, "B", "b", "y")]
    (kinds.run.folder / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {case.answer for case in labelled.load_questions(kinds.run, "good.jsonl")} == {1}
