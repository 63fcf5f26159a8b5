"""Two runs with evidence and picks, made straight in the database, to compare them."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.run.run import Run
from faq_tui.core.source_views import views_of
from faq_tui.core.store import candidates, picks, seeds
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from tests.support.evidence_run import SETS, TOML, evidence_run

CANDIDATES = 3


def two_runs(
    here: Path,
    toml: str = "",
    sets: dict[str, float] = SETS,
    hostile: str = "",
    model: str = "./target",
    shift: int = 1,
    count: int = 6,
) -> tuple[Path, Path]:
    """Runs `one` and `other` below `here`, with the same seeds and candidates.

    `toml` is appended to the settings of the second run, and `sets` and `model` are its own. In the first run, the
    judge picks candidate 1 of each seed; in the second, it picks candidate 1 + `shift` of each second seed.
    """
    for name, own, own_sets, own_model, move in (
        ("one", "", SETS, "./target", 0),
        ("other", toml, sets, model, shift),
    ):
        folder = here / name
        if own_model != "./target":
            (folder / own_model).mkdir(parents=True)
            (folder / own_model / "config.json").write_text('{"model_type": "other"}')
        with evidence_run(folder, own_sets, TOML.replace("{model}", own_model) + own) as run:
            add_picks(run, [1 + move * (n % 2) for n in range(count)], hostile)
    return here / "one", here / "other"


def add_picks(run: Run, picked: list[int | None], hostile: str = "", first: int = 1) -> list[str]:
    """Seeds from number `first`, their candidates of `elder`, and the judge's picks. Returns the ids of the seeds."""
    made = [
        Seed(({"role": "user", "content": f"Question {n}: what is {n} squared?{hostile}"},), None, f"s:{n}")
        for n in range(first, first + len(picked))
    ]
    seeds.replace_all(run.store, made)
    seeds.assign_roles(run.store, [seed.id for seed in made], [])
    view = views_of(run)[0]
    for seed, chosen in zip(made, picked, strict=True):
        ids = [_candidate(run, seed.id, view.source_hash, number, hostile) for number in range(1, CANDIDATES + 1)]
        action, candidate = ("reject", None) if chosen is None else ("pick", ids[chosen - 1])
        picks.add_picks(run.store, [(seed.id, view.source, action, candidate)], "judge", view.judge, "")
    return [seed.id for seed in made]


def _candidate(run: Run, seed_id: str, source_hash: str, number: int, hostile: str) -> int:
    texts = f"I think of way {number}.{hostile}", f"Way {number} leads to the answer.{hostile}"
    made = Candidate(
        seed_id, "elder", number, source_hash, "Big-8B", "none", *texts, "stop", (), 9, 100, 12.0, "field"
    )
    return candidates.add(run.store, made)
