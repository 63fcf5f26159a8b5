"""A run whose measurements are made up: four artefacts on five texts of four kinds, in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from textual.pilot import Pilot

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.compare import encode_token_kl
from faq_tui.core.evaluation.identity import UNQUANTIZED, measurement_signature, subjects
from faq_tui.core.evaluation.kinds import CHOICES, LAST_WORD, kind_of
from faq_tui.core.evaluation.token_columns import encode_entropies
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store import Store
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.measurements import Measurement, add_measurement, all_measurements, replace_items
from faq_tui.tui.panes.evidence.pane import EvidencePane
from tests.support.app_host import until

TOML = """
[target]
model = "{model}"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://elder:8000/v1"
model = "Big-8B"
[[recipes]]
group_size = 128
[evaluate]
perplexity = ["pydoc"]
word_perplexity = ["pydoc"]
bootstrap = 200
"""
SETS = {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.297}  # to KL
TEXTS = ("pydoc", "answers", "words:pydoc", "last_word:starter", "choices:starter")
ITEMS = 40
QUESTIONS = [
    {
        "question": f"Question {n}: what do people use to open a locked door?",
        "choices": ["a key", "a spoon", "a pillow", "a candle"],
        "answer": n % 4,
    }
    for n in range(ITEMS)
]
PASSAGES = [{"passage": f"Passage {n} goes on for a while, and at last it comes to its end"} for n in range(ITEMS)]


@contextmanager
def evidence_run(
    folder: Path,
    sets: dict[str, float] = SETS,
    toml: str = TOML,
    model: str = "./target",
    bad: str = "",
    texts: tuple[str, ...] = TEXTS,
    entropies: bool = False,
) -> Iterator[Run]:
    """`bad` goes into every text that a file gave. With `entropies`, the newest version measured everything."""
    (folder / "target").mkdir(parents=True)
    (folder / "target" / "config.json").write_text("{}")
    (folder / "faq.toml").write_text(toml.format(model=model))
    with open_run(folder) as run:
        add_items(run.store, bad)
        for number, (name, kl) in enumerate(sets.items()):
            folder_name = run.settings.recipes[0].folder(name)
            samples = 10 if "tokens" in name else 10 + number
            row = Artefact(folder_name, digest(name), {}, name, None, samples, 1000 + 100 * number, 4.3125, 1.0)
            add_artefact(run.store, row)
            measure(run, folder_name, kl, texts)
        measure(run, UNQUANTIZED, 0.0, texts)
        if entropies:
            add_entropies(run)
        yield run


def add_items(store: Store, bad: str = "") -> None:
    """What a person reads of the labelled items."""
    questions = [{**q, "question": f"{bad}{q['question']}"} for q in QUESTIONS]
    passages = [{"passage": f"{bad}{p['passage']}"} for p in PASSAGES]
    for text, bodies in (("choices:starter", questions), ("last_word:starter", passages)):
        replace_items(store, text, digest(text), bodies)


def add_entropies(run: Run) -> None:
    """How sure the unquantized model is of each token of the texts without labels."""
    for (subject, text), measured in all_measurements(run.store).items():
        if subject == UNQUANTIZED and kind_of(text) not in (LAST_WORD, CHOICES):
            dice = np.random.default_rng(1)
            values = {n: dice.random(int(tokens)).tolist() for n, tokens in enumerate(measured.items["tokens"])}
            add_measurement(run.store, replace(measured, token_entropy=encode_entropies(values)))


def add_words(run: Run) -> None:
    """The words of the texts without labels, and how far each token is from the unquantized model's."""
    for text in ("pydoc", "answers"):
        tokens = [int(count) for count in all_measurements(run.store)[UNQUANTIZED, text].items["tokens"]]
        bodies = [
            {"question": f"Question {n} of {text}?", "pieces": [f" word{t}" for t in range(count)]}
            for n, count in enumerate(tokens)
        ]
        replace_items(run.store, text, digest(text), bodies)
        for (subject, name), measured in all_measurements(run.store).items():
            if name == text and subject != UNQUANTIZED:
                # The third token is far off, and another one is the likeliest there.
                kl = {n: [2.0 if t == 2 else 0.001 * t for t in range(count)] for n, count in enumerate(tokens)}
                differs = {n: [t == 2 for t in range(count)] for n, count in enumerate(tokens)}
                add_measurement(run.store, replace(measured, token_kl=encode_token_kl(kl, differs)))


def measure(run: Run, subject: str, kl: float, texts: tuple[str, ...] = TEXTS) -> None:
    dice = np.random.default_rng(int(digest(subject), 16) % 2**32)
    for text in texts:
        shared = np.random.default_rng(7)  # an item is hard for every model alike
        tokens = shared.integers(60, 200, ITEMS).astype(float)
        hardness = 2.0 + 0.4 * shared.standard_normal(ITEMS)
        extra = np.abs(kl + 0.02 * dice.standard_normal(ITEMS)) if kl else np.zeros(ITEMS)
        items = {"tokens": tokens, "nll": tokens * (hardness + extra), "kl": tokens * extra}
        items["agree"] = np.round(tokens * (1 - extra / 2))
        if text.startswith("words"):
            items |= {"words": tokens * 0.75, "bytes": tokens * 4}
        if kind_of(text) in (LAST_WORD, CHOICES):
            right = (np.arange(ITEMS) % 5 > 0) & ~((np.arange(ITEMS) % 7 == 1) & (dice.random(ITEMS) < 4 * kl))
            items["correct"] = right.astype(float)
        if kind_of(text) == CHOICES:
            answers = np.array([q["answer"] for q in QUESTIONS], dtype=float)
            chosen = np.where(items["correct"] > 0, answers, (answers + 1) % 4)
            items = {"choice": chosen, "choice_norm": chosen, "correct": items["correct"]}
            items["correct_norm"] = items["correct"]
        signature = measurement_signature(subjects(run)[subject], digest(text), "float32", "cpu")
        values = {name: [float(value) for value in column] for name, column in items.items()}
        add_measurement(run.store, Measurement(subject, text, signature, values))


async def settled(pane: EvidencePane, pilot: Pilot[Any]) -> None:
    """What threads find out is found out, and on the screen."""
    for _ in range(2):
        await pilot.pause()
        await until(pilot, lambda: not pane.busy)
    await pilot.pause()


async def in_table(pane: EvidencePane, pilot: Pilot[Any]) -> None:
    """The table of all comparisons is on the screen."""
    await settled(pane, pilot)
    if pane.view_state.view == "overview":
        await pilot.press("v")
    while pane.view_state.match != "both":
        await pilot.press("m")
    await settled(pane, pilot)


def line_of(text: str, start: str, number: int = 0) -> str:
    """The line whose first words are these, as often as it comes."""
    return [line for line in text.splitlines() if line.strip().startswith(start)][number]
