"""A run whose measurements are made up: what the evidence and the report say must follow from them alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from faq_tui.core.base.hashing import digest
from faq_tui.core.benchmarking.plan import BenchmarkRequest
from faq_tui.core.evaluation.identity import UNQUANTIZED, measurement_signature, subjects
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.benchmarks import Result
from faq_tui.core.store.measurements import Measurement, add_measurement

TOML = """
[target]
model = "./target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://elder:8000/v1"
model = "Big-8B"
[[recipes]]
group_size = 64
[evaluate]
perplexity = ["pydoc"]
bootstrap = 400
"""
SETS = ("baseline", "elder", "baseline-tokens", "elder-tokens")
TEXTS = ("pydoc", "answers")


@contextmanager
def made_up_run(folder: Path, toml: str = TOML, sets: tuple[str, ...] = SETS) -> Iterator[Run]:
    """A run with one artefact a set, and nothing measured."""
    target = folder / "target"
    target.mkdir(parents=True, exist_ok=True)
    (target / "config.json").write_text("{}")
    (folder / "faq.toml").write_text(toml)
    with open_run(folder) as run:
        for number, set_name in enumerate(sets):
            add_made_up_artefact(run, set_name, samples=10 + number)
        yield run


def add_made_up_artefact(run: Run, set_name: str, samples: int = 10, same_as: str | None = None) -> str:
    name = run.settings.recipes[0].folder(set_name)
    artefact = Artefact(name, digest(same_as or name), {}, set_name, same_as, samples, samples * 100, 4.3125, 1.0)
    add_artefact(run.store, artefact)
    return name


def add_made_up_measurement(
    run: Run,
    subject: str,
    kl: float = 0.0,
    agree: float = 1.0,
    items: int = 32,
    noise: float = 0.01,
    texts: tuple[str, ...] = TEXTS,
    tail: str = "float32",
) -> None:
    """Per-item means around `kl` nats above an entropy of 2, with an independent wobble of `noise`."""
    dice = np.random.default_rng(int(digest(subject, kl), 16))
    shared = np.random.default_rng(1)  # an item is hard for every model alike
    tokens = shared.integers(50, 200, items)
    hardness = 2.0 + 0.5 * shared.standard_normal(items)
    for text in texts:
        extra = 0.0 if subject == UNQUANTIZED else kl + noise * dice.standard_normal(items)
        sums = {
            "tokens": tokens,
            "nll": tokens * (hardness + extra),
            "kl": tokens * extra,
            "agree": np.round(tokens * agree),
        }
        values = {name: json.loads(json.dumps(np.asarray(v, dtype=float).tolist())) for name, v in sums.items()}
        signature = measurement_signature(subjects(run)[subject], digest(text, items), tail, "cpu")
        add_measurement(run.store, Measurement(subject, text, signature, values))


def measure_all(run: Run, kls: dict[str, float]) -> None:
    """`kls`: set name to KL; the unquantized target is always measured."""
    add_made_up_measurement(run, UNQUANTIZED)
    for set_name, kl in kls.items():
        add_made_up_measurement(run, run.settings.recipes[0].folder(set_name), kl, agree=1.0 - kl)


def made_up_result(request: BenchmarkRequest, items: tuple[float, ...], stderr: float = 0.1) -> Result:
    """What a benchmark would have said of `request`, had its items come out so."""
    return Result(
        *(request.subject, request.engine, request.task, request.task, "acc", "none"),
        value=sum(items) / len(items),
        stderr=stderr,
        n=len(items),
        repeats=1,
        num_fewshot=0,
        version="1.0",
        engine_version="0.4.13",
        higher_is_better=True,
        items=items,
        signature=request.signature,
    )
