"""Make a run for tests of the panes Seeds and Judge. It has two sources, scores of a judge, and assembled sets.

No server and no weights are needed: the rows are stored in the same form in which the stages store them.
"""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.assembly.sample import Sample, write_set
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.source_views import views_of
from faq_tui.core.store import candidates, picks, seeds
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed

ENDPOINT = 'base_url = "http://127.0.0.1:9/v1"'
TOML = f"""
[target]
model = "./target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
{ENDPOINT}
model = "Big-32B"
[sources.teacher]
{ENDPOINT}
model = "Teacher-8B"
[judge]
kind = "llm"
{ENDPOINT}
model = "judge"
"""
HOSTILE = "[red]x[/red] \x1b]52;c;aGFoYQ==\x07 \x1b[2J \u202egnp.exe\x00 [/] end"
LONG_THOUGHT = "First I weigh the flour, then the water, and see how they mix. " * 20
QUESTIONS = (
    "Why does my bread not rise?",
    "How do I prove that the square root of two is irrational?",
    "What does `git rebase` do, and when is it wrong?",
    "How far away is the moon, and how do we know?",
    "A held-out question about tea.",
    "A reserve question about Möbius strips.",
)
# Of candidates 1, 2, 3 of each chosen seed: score, or a flag.
MARKS: tuple[tuple[float | str, ...], ...] = (
    (8.0, 5.0, "truncated"),
    (7.0, 7.0, 3.0),
    (2.0, 4.0, 9.0),
    ("loop",) * 3,
)


def make_judged_run(folder: Path, toml: str = TOML, hostile: str = "", reserve: int = 0) -> Path:
    """Four chosen seeds, one held out, one in reserve and `reserve` more. `hostile` goes into every text of the
    first seed."""
    target = folder / "target"
    target.mkdir(parents=True)
    (target / "config.json").write_text("{}")
    (folder / "faq.toml").write_text(toml)
    with open_run(folder) as run:
        listed = _seeds(hostile, reserve)
        seeds.replace_all(run.store, listed)
        seeds.assign_roles(run.store, [seed.id for seed in listed[:4]], [listed[4].id])
        for source in run.settings.sources:
            _candidates(run, source, listed[:4], hostile)
        _sets(run, listed[:3], hostile)
    return folder


def seed_ids(folder: Path) -> list[str]:
    with open_run(folder) as run:
        return seeds.ids(run.store)


def _seeds(hostile: str, reserve: int) -> list[Seed]:
    texts = [QUESTIONS[0] + hostile, *QUESTIONS[1:], *(f"Reserve {n}: what is {n} squared?" for n in range(reserve))]
    kinds = ("cooking", "maths", "code")
    return [
        Seed(({"role": "user", "content": text},), None, f"seeds.jsonl:{n + 1}", f"q{n + 1}", kinds[n % 3], "en")
        for n, text in enumerate(texts)
    ]


def _candidates(run: Run, source: str, chosen: list[Seed], hostile: str) -> None:
    view = next(view for view in views_of(run) if view.source == source)
    for row, (seed, marks) in enumerate(zip(chosen, MARKS, strict=True)):
        ids: list[tuple[float, int]] = []
        for number, mark in enumerate(marks, 1):
            flags = (mark,) if isinstance(mark, str) else ()
            bad = hostile if row == 0 else ""
            thought = LONG_THOUGHT if number == 1 else "A short thought."
            answer = f"Answer {number} of {source}: {seed.question[:20]}{bad}"
            finish = "length" if "truncated" in flags else "stop"
            made = Candidate(
                *(seed.id, source, number, view.source_hash, "m", "v", thought + bad, answer, finish, flags),
                *(10, 20, 1.0, "native"),
            )
            candidate_id = candidates.add(run.store, made)
            if not isinstance(mark, str):
                score_row = picks.ScoreRow(candidate_id, view.judge, "llm", mark, f"reason {number}{bad}")
                picks.add_score(run.store, score_row)
                ids.append((mark, -candidate_id))
        best = -max(ids)[1] if ids else None
        action = "pick" if best else "reject"
        picks.add_picks(run.store, [(seed.id, source, action, best)], "judge", view.judge, "best score")


def _sets(run: Run, listed: list[Seed], hostile: str) -> None:
    for name in ("baseline", "elder"):
        samples = []
        for number, seed in enumerate(listed):
            said = "" if name == "baseline" else "<|im_start|>assistant\nYes.<|im_end|>\n"
            text = f"<|im_start|>user\n{seed.question}<|im_end|>\n{said}"
            samples.append(Sample(seed.id, None, name, text, (1, 2, 3), 40 + number, 40 + number, None))
        write_set(run.calibration / f"{name}.jsonl", samples)


def make_review_run(folder: Path, count: int = 100, candidates_: int = 3, unusable: int = 0) -> Path:
    """`count` judged seeds of one source. The judge picks candidate 1, 2, 3, 1 … and leads by 0.5, 1.5, 2.5 …
    points. Every answer to the last `unusable` seeds is a loop."""
    target = folder / "target"
    target.mkdir(parents=True)
    (target / "config.json").write_text("{}")
    toml = TOML.split("[sources.teacher]")[0]
    judge = "[judge]" + TOML.split("[judge]")[1]
    (folder / "faq.toml").write_text(f"{toml}candidates = {candidates_}\n{judge}")
    with open_run(folder) as run:
        listed = [
            Seed(({"role": "user", "content": f"Question {n}: what is {n} times {n}?"},), None, f"s:{n}")
            for n in range(1, count + 1)
        ]
        seeds.replace_all(run.store, listed)
        seeds.assign_roles(run.store, [seed.id for seed in listed], [])
        view = views_of(run)[0]
        made: list[tuple[str, str, str, int | None]] = []
        for row, seed in enumerate(listed):
            flags = ("loop",) if row >= count - unusable else ()
            best, picked = row % candidates_ + 1, None
            for number in range(1, candidates_ + 1):
                words = f"To square {row + 1}, way {number} counts the small squares. " * 12
                answer = Candidate(
                    *(seed.id, "elder", number, view.source_hash, "m", "v", "A thought. " + words, words, "stop"),
                    *(flags, 10, 20, 1.0, "native"),
                )
                candidate_id = candidates.add(run.store, answer)
                if not flags:
                    score = 5.0 + (row % 4 + 0.5 if number == best else 0)
                    picks.add_score(run.store, picks.ScoreRow(candidate_id, view.judge, "llm", score, "because"))
                    picked = candidate_id if number == best else picked
            made.append((seed.id, "elder", "pick" if picked else "reject", picked))
        picks.add_picks(run.store, made, "judge", view.judge, "best score")
    return folder
