"""Make large runs as the stages would leave them: seeds in a file, candidates, scores and picks in the database.

The rows go straight into the store by its public functions, so that a run of 300,000 candidates takes minutes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faq_tui.core.base.cancel import CancelToken  # noqa: E402
from faq_tui.core.base.hashing import digest  # noqa: E402
from faq_tui.core.evaluation.identity import UNQUANTIZED, measurement_signature, subjects  # noqa: E402
from faq_tui.core.judging.identity import judge_id, usable_groups  # noqa: E402
from faq_tui.core.regenerating import source_hash_of  # noqa: E402
from faq_tui.core.run.events import (  # noqa: E402
    CandidateDelta,
    CandidateDone,
    CandidateStarted,
    Event,
    StageFailed,
    StageProgress,
    StageStarted,
    to_json,
)
from faq_tui.core.run.job_record import write_job  # noqa: E402
from faq_tui.core.run.run import Run, open_run  # noqa: E402
from faq_tui.core.stages import regenerate  # noqa: E402
from faq_tui.core.stages.pipeline import run_pipeline  # noqa: E402
from faq_tui.core.store import candidates, picks, seeds, stages  # noqa: E402
from faq_tui.core.store.artefacts import Artefact, add_artefact  # noqa: E402
from faq_tui.core.store.candidates import Candidate  # noqa: E402
from faq_tui.core.store.measurements import Measurement, add_measurement  # noqa: E402
from faq_tui.core.store.picks import ScoreRow  # noqa: E402

SOURCE, CANDIDATES = "elder", 3
RARE = "xylograph"  # a word of one seed in the middle of the file
NOWHERE = 'base_url = "http://127.0.0.1:9/v1"'  # no stage that is measured here asks a server
TOML = f"""
[target]
model = "{{target}}"
[seeds]
path = "seeds.jsonl"
count = {{count}}
heldout = 0
[sources.{SOURCE}]
{NOWHERE}
model = "Big-32B"
candidates = {CANDIDATES}
[judge]
kind = "llm"
{NOWHERE}
model = "judge"
probe = 0
[assemble]
max_tokens = 512
[evaluate]
perplexity = ["pydoc"]
bootstrap = 400
"""
RECIPE = """
[[recipes]]
method = "{method}"
bits = [4, 8]
group_size = [32, 64, 128, -1]
sets = {sets}
"""
WORDS = [
    f"{a}{b}{c}" for a in ("ka", "lo", "mi", "re", "su") for b in ("ban", "dor", "fel") for c in ("ta", "ne", "")
]


def text_of(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(WORDS, k=words))


def write_seeds(path: Path, count: int) -> None:
    """`count` seeds: a question of 20 words, an answer of 30 words, a category, and a label."""
    dice = random.Random(count)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            rare = f" {RARE}" if number == count // 2 else ""
            row = {
                "id": f"q{number}",
                "question": f"Question {number}: {text_of(dice, 20)}{rare}?",
                "answer": text_of(dice, 30),
                "category": dice.choice(("code", "maths", "prose")),
            }
            file.write(json.dumps(row) + "\n")


def prepare(folder: Path, target: Path, count: int, chosen: int) -> None:
    """A run that has no database yet. `chosen` is the number of seeds to regenerate."""
    folder.mkdir(parents=True)
    write_seeds(folder / "seeds.jsonl", count)
    (folder / "faq.toml").write_text(TOML.format(target=target, count=chosen))


def fill(folder: Path) -> None:
    """Import the seeds, and store three candidates with scores and a pick for each chosen seed."""
    with open_run(folder) as run:
        run_pipeline(run, lambda _event: None, CancelToken(), only="seeds")
        run.store.db.execute("PRAGMA synchronous = OFF")
        for candidate in _candidates(run):
            candidates.add(run.store, candidate)
        judge = judge_id(run)
        groups = usable_groups(run)
        picks.put_derived(run.store, judge, _scores(judge, groups))
        ids = seeds.ids_by_role(run.store, "chosen")
        rows = [(seed_id, SOURCE, "pick", group[0]) for seed_id, group in zip(ids, groups, strict=True)]
        picks.add_picks(run.store, rows, "judge", judge, "best score")
        stages.begin(run.store, "regenerate", regenerate.signature(run), "made")
        stages.end(run.store, "regenerate", "done", "made for a measurement")
        _measure(run, [UNQUANTIZED])


def _candidates(run: Run) -> Iterator[Candidate]:
    """Candidates with a reasoning of 60 words and an answer of 40 words."""
    dice, source_hash = random.Random(1), source_hash_of(run.settings.sources[SOURCE])
    for seed_id in seeds.ids_by_role(run.store, "chosen"):
        for number in range(1, CANDIDATES + 1):
            yield Candidate(
                seed_id=seed_id,
                source=SOURCE,
                number=number,
                source_hash=source_hash,
                model="Big-32B",
                prompt_version="none",
                reasoning=text_of(dice, 60),
                answer=text_of(dice, 40),
                finish_reason="stop",
                flags=(),
                prompt_tokens=40,
                completion_tokens=200,
                seconds=2.0,
                dialect="reasoning_content",
            )


def _scores(judge: str, groups: list[list[int]]) -> Iterator[ScoreRow]:
    """Scores as the judge `llm` stores them: the first candidate of each seed has the best score."""
    parts = {"correctness": 8.0, "soundness": 8.0, "completeness": 7.0, "form": 9.0}
    for number, group in enumerate(groups):
        for place, candidate_id in enumerate(group):
            score = 9.0 - place
            last = len(group) - 1
            details = {
                "group": f"group {number}",
                "mode": "listwise",
                "orders": [[place, score], [last - place, score]],
                "parts": parts,
            }
            yield ScoreRow(candidate_id, judge, "llm", score, "It is right, and it says why.", details)


def add_artefacts(folder: Path, count: int) -> int:
    """Recipes with about `count` artefacts, and a row in the database for each of them. Returns their number."""
    methods = ("gptq", "gptaq")
    names = [f"s{number}" for number in range(1, count // 16 + 2)]  # each set has 16 artefacts
    with (folder / "faq.toml").open("a") as file:
        for name in names:
            file.write(f'[sets.{name}]\nfrom = "elder"\ncount = 100\n')
        for method in methods:
            file.write(RECIPE.format(method=method, sets=json.dumps(names)))
    with open_run(folder) as run:
        run.store.db.execute("PRAGMA synchronous = OFF")
        rows = 0
        for recipe in run.settings.recipes:
            for name in run.settings.sets_of(recipe):
                row = Artefact(recipe.folder(name), "made", recipe.identity(), name, None, 100, 20_000, 4.2, 60.0)
                add_artefact(run.store, row)
                rows += 1
        _measure(run, list(subjects(run)))
        return rows


def _measure(run: Run, names: Sequence[str]) -> None:
    """Store a perplexity and a KL divergence of each model on a text of 32 items."""
    dice, known = random.Random(2), subjects(run)
    tokens = [float(dice.randrange(50, 200)) for _ in range(32)]
    for name in names:
        extra = [0.0 if name == UNQUANTIZED else abs(dice.gauss(0.05, 0.02)) for _ in tokens]
        values = {
            "tokens": tokens,
            "nll": [count * (2.0 + more) for count, more in zip(tokens, extra, strict=True)],
            "kl": [count * more for count, more in zip(tokens, extra, strict=True)],
            "agree": [float(round(count * (1.0 - more))) for count, more in zip(tokens, extra, strict=True)],
        }
        signature = measurement_signature(known[name], digest("pydoc", 32), "float32", "cpu")
        add_measurement(run.store, Measurement(name, "pydoc", signature, values))


def write_history(folder: Path, most_bytes: int) -> None:
    """The events of a job that ended, as versions up to 0.1.0 kept them: the text of every candidate."""
    place = folder / "jobs" / "20261130-000000-made"
    place.mkdir(parents=True)
    write_job(place, None, "regenerate", ("seeds", "regenerate"))
    dice, at, number, written = random.Random(3), 1_796_000_000.0, 0, 0
    with (place / "events.jsonl").open("w") as file:

        def add(event: Event) -> None:
            nonlocal at, written
            at += 0.001
            written += file.write(to_json(event, at) + "\n")

        add(StageStarted("regenerate", 300_000, "candidates"))
        while written < most_bytes:
            who = (f"{number // 3:012x}", SOURCE, number % 3 + 1)
            add(CandidateStarted(*who))
            for _ in range(20):
                add(CandidateDelta(*who, text_of(dice, 8), ""))
            add(CandidateDone(*who, number, 200, 2.0, ()))
            number += 1
            add(StageProgress("regenerate", number, 300_000))
        add(StageFailed("regenerate", "stopped by request", 4))


def make_target(folder: Path) -> None:
    from tests.support.tiny import make_tiny_model

    make_tiny_model(folder)
