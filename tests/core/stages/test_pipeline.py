"""What is stale and what is not, who may run, and how a stage ends when it ends badly."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import EndpointError, ExitCode, FaqError, Stopped, UsageError
from faq_tui.core.embedded import EmbeddedModel
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.judging.judges.base import Judge, OnScore, Score
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.context import Context, Stage
from faq_tui.core.run.events import Event, StageDone, StageFailed, StageSkipped
from faq_tui.core.run.run import Run, locked, open_run
from faq_tui.core.settings import parse_settings
from faq_tui.core.stages.pipeline import all_stages, is_current, run_pipeline, select
from faq_tui.core.status import status_of
from faq_tui.core.store import candidates, picks, seeds
from faq_tui.core.store import stages as stage_rows
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import all_sets

TOML = """
[target]
model = {target}
[seeds]
path = "seeds.jsonl"
count = 20
heldout = 4
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "Big"
candidates = 2
[assemble]
max_tokens = 256
"""


@pytest.fixture
def run(tmp_path: Path, embedded_model: EmbeddedModel) -> Iterator[Run]:
    """A run whose 25 seeds have a short answer of their own; nothing is done yet."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "faq.toml").write_text(TOML.format(target=json.dumps(str(embedded_model.folder))))
    lines = [{"question": f"Question {n}: what is {n} times {n}?", "answer": f"It is {n * n}."} for n in range(25)]
    (folder / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with open_run(folder) as made:
        yield made


def changed(run: Run, *replacements: tuple[str, str]) -> Run:
    """The same run under edited settings."""
    text = (run.folder / "faq.toml").read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return Run(run.folder, parse_settings(text), run.store)


def answer_all(run: Run) -> None:
    """What `regenerate` would store: two candidates a seed, of different length."""
    source = run.settings.sources["elder"]
    for seed in seeds.by_role(run.store, "chosen"):
        for number in (1, 2):
            candidates.add(
                run.store,
                Candidate(
                    seed_id=seed.id,
                    source="elder",
                    number=number,
                    source_hash=source_hash_of(source),
                    model=source.model,
                    prompt_version="none",
                    reasoning=" ".join(["I multiply, then check the product."] * (5 + number)),
                    answer=f"{seed.answer} That is the product, number {number}.",
                    finish_reason="stop",
                    flags=(),
                    prompt_tokens=9,
                    completion_tokens=40,
                    seconds=0.1,
                    dialect="reasoning_content",
                ),
            )


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stands in for the likelihood judge; holds the ids that were marked, in order."""
    marked: list[int] = []

    def score_all(_judge: Judge, _context: Context, items: list[tuple[Seed, Candidate]], on_score: OnScore) -> None:
        for _, candidate in items:
            marked.append(candidate.id)
            on_score(candidate, Score(float(candidate.number), "", ""))

    monkeypatch.setattr("faq_tui.core.judging.judges.likelihood.LikelihoodJudge.score_all", score_all)
    return marked


def go(run: Run, only: str | None = None, until: str | None = None) -> list[Event]:
    events: list[Event] = []
    run_pipeline(run, events.append, CancelToken(), only, until)
    return events


def ran(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, StageDone)]


def skipped(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, StageSkipped)]


@pytest.fixture
def assembled(run: Run, marks: list[int], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run, up to its assembled sets."""
    go(run, until="seeds")
    answer_all(run)
    assert ran(go(run, until="assemble")) == ["regenerate", "judge", "assemble"]
    # As if the rest had run, and left its files.
    stages = tuple(replace(stage, intact=lambda _run: True) for stage in all_stages())
    monkeypatch.setattr("faq_tui.core.stages.STAGES", stages)
    for stage in stages[4:]:
        stage_rows.begin(run.store, stage.name, stage.signature(run), "job")
        stage_rows.end(run.store, stage.name, "done")
    assert stale(run) == []
    return run


def stale(run: Run) -> list[str]:
    return [stage.name for stage in all_stages() if not is_current(run, stage)]


def lines(run: Run, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.calibration / f"{name}.jsonl").read_text("utf-8").splitlines()]


def test_sets_of_a_run(assembled: Run) -> None:
    sets = all_sets(assembled.store)
    assert list(sets) == ["baseline", "elder", "baseline-tokens", "elder-tokens"]
    assert [line["seed_id"] for line in lines(assembled, "elder")] == [
        line["seed_id"] for line in lines(assembled, "baseline")
    ]
    assert sets["elder"].samples == 20 and sets["elder"].tokens > sets["baseline"].tokens
    for name, row in sets.items():
        body = lines(assembled, name)
        assert sum(len(line["input_ids"]) for line in body) == row.tokens
        assert {line["source"] for line in body} == {name.removesuffix("-tokens")}
    twins = [sets[f"{name}-tokens"].tokens for name in ("baseline", "elder")]
    assert abs(twins[0] - twins[1]) < 16
    heldout = {seed.id for seed in seeds.by_role(assembled.store, "heldout")}
    assert heldout and not heldout & {line["seed_id"] for name in sets for line in lines(assembled, name)}


def test_nothing_is_done_twice(assembled: Run, marks: list[int]) -> None:
    before = list(marks)
    events = go(assembled, until="assemble")
    assert ran(events) == [] and skipped(events) == ["seeds", "regenerate", "judge", "assemble"]
    assert marks == before


def test_assemble_settings_make_the_sets_stale_and_no_candidate(assembled: Run, marks: list[int]) -> None:
    before = list(marks)
    run = changed(assembled, ("max_tokens = 256", "max_tokens = 60"))
    assert "assemble" in stale(run) and not {"seeds", "regenerate", "judge"} & set(stale(run))
    assert ran(go(run, until="assemble")) == ["assemble"]
    assert marks == before
    assert "quantize" in stale(run)  # its ids are others now; evaluate follows when the artefacts have changed


def test_the_same_ids_again_make_nothing_stale(assembled: Run) -> None:
    run = changed(assembled, ("max_tokens = 256", "max_tokens = 255"))
    assert ran(go(run, until="assemble")) == ["assemble"]
    assert not {"quantize", "evaluate"} & set(stale(run))


def test_another_judge_marks_anew_and_regenerates_nothing(
    assembled: Run, marks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = changed(
        assembled, ("[assemble]", '[judge]\nkind = "llm"\nbase_url = "http://j/v1"\nmodel = "J"\n[assemble]')
    )
    assert judge_id(run) != judge_id(assembled)
    assert "judge" in stale(run) and not {"seeds", "regenerate"} & set(stale(run))
    asked: list[int] = []

    def score_all(_judge: Judge, _context: Context, items: list[tuple[Seed, Candidate]], on_score: OnScore) -> None:
        for _, candidate in items:
            asked.append(candidate.id)
            on_score(candidate, Score(10.0 - candidate.number, "", ""))

    monkeypatch.setattr("faq_tui.core.judging.judges.llm.LlmJudge.score_all", score_all)
    before = {line["candidate_id"] for line in lines(run, "elder")}
    events = go(run, until="assemble")
    assert ran(events) == ["judge", "assemble"] and sorted(asked) == sorted(marks)
    assert not before & {line["candidate_id"] for line in lines(run, "elder")}
    # And back: the first judge's marks are still there.
    assert ran(go(assembled, until="assemble")) == ["judge", "assemble"] and len(marks) == len(asked)
    assert before == {line["candidate_id"] for line in lines(run, "elder")}


def test_an_override_makes_the_sets_stale_and_stays(assembled: Run) -> None:
    seed_id = str(lines(assembled, "elder")[0]["seed_id"])
    first = candidates.current(assembled.store, "elder", source_hash_of(assembled.settings.sources["elder"]))
    other = next(c.id for c in first if c.seed_id == seed_id and c.number == 1)
    picks.add_picks(assembled.store, [(seed_id, "elder", "pick", other)], "person", "me", "")
    assert "assemble" in stale(assembled) and not {"seeds", "regenerate", "judge"} & set(stale(assembled))
    go(assembled, until="assemble")
    line = next(line for line in lines(assembled, "elder") if line["seed_id"] == seed_id)
    assert (line["candidate_id"], line["picked_by"]) == (other, "person")


@pytest.mark.parametrize(
    ("edit", "first"),
    [
        (("count = 20", "count = 19"), "seeds"),
        (("candidates = 2", "candidates = 3"), "regenerate"),
        (('model = "Big"', 'model = "Bigger"'), "regenerate"),
        (("max_tokens = 256", 'max_tokens = 256\noverflow = "drop"'), "assemble"),
        (("[assemble]", "[[recipes]]\nbits = 8\n[assemble]"), "quantize"),
        (("[assemble]", "[evaluate]\nwindow = 64\n[assemble]"), "evaluate"),
        (("[assemble]", "[activations]\nlayer_error_tokens = 64\n[assemble]"), "evaluate"),
        (("candidates = 2", "candidates = 2\nconcurrency = 3\nretries = 0"), ""),
        (("http://127.0.0.1:9/v1", "http://elsewhere/v1"), ""),
    ],
)
def test_the_first_stage_that_an_edit_makes_stale(assembled: Run, edit: tuple[str, str], first: str) -> None:
    found = [name for name in stale(changed(assembled, edit)) if name != "report"]
    assert (found or [""])[0] == first


def test_changed_seed_file_makes_seeds_stale(assembled: Run) -> None:
    with (assembled.folder / "seeds.jsonl").open("a") as file:
        file.write('{"question": "One more?"}\n')
    assert stale(assembled)[0] == "seeds"


# ---- stages that are ours to break


def staged(monkeypatch: pytest.MonkeyPatch, *executes: Callable[[Context], str]) -> None:
    stages = tuple(Stage(f"s{n}", execute, lambda _run: "same") for n, execute in enumerate(executes, 1))
    monkeypatch.setattr("faq_tui.core.stages.STAGES", stages)


def fine(_context: Context) -> str:
    return "done"


def raising(error: BaseException) -> Callable[[Context], str]:
    def execute(_context: Context) -> str:
        raise error

    return execute


def failure(run: Run) -> tuple[FaqError, list[Event]]:
    events: list[Event] = []
    with pytest.raises(FaqError) as caught:
        run_pipeline(run, events.append, CancelToken())
    return caught.value, events


def test_an_unexpected_error_is_one_sentence_and_its_traceback_in_the_log(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged(monkeypatch, fine, raising(ZeroDivisionError("a\nlong \ud800 story " + "x" * 5000)), fine)
    error, events = failure(run)
    assert type(error) is FaqError and error.exit_code == ExitCode.FAILED
    assert str(error).startswith("s2 failed with ZeroDivisionError: a long") and "\n" not in str(error)
    assert len(str(error)) < 600
    (job,) = run.jobs.iterdir()
    log = (job / "log.txt").read_text(encoding="utf-8")
    assert str(job / "log.txt") in str(error) and "Traceback" in log and "ZeroDivisionError" in log
    states = {name: row.state for name, row in stage_rows.all_rows(run.store).items()}
    assert states == {"s1": "done", "s2": "failed"}
    assert isinstance(events[-1], StageFailed) and events[-1].exit_code == 1
    recorded = [json.loads(line)["event"] for line in (job / "events.jsonl").read_text("utf-8").splitlines()]
    assert recorded == [type(event).__name__ for event in events]


def test_an_unexpected_error_in_a_signature_is_one_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def signature(_run: Run) -> str:
        raise PermissionError(13, "Permission denied", "config.json")

    monkeypatch.setattr("faq_tui.core.stages.STAGES", (Stage("s1", fine, signature),))
    error, _ = failure(run)
    assert "s1 failed with PermissionError" in str(error)


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (UsageError("no"), ExitCode.USAGE, "failed"),
        (EndpointError("no"), ExitCode.UNREACHABLE, "failed"),
        (Stopped("no"), ExitCode.STOPPED, "stopped"),
        (KeyboardInterrupt(), ExitCode.STOPPED, "stopped"),
        (OSError(28, "No space left on device"), ExitCode.FAILED, "failed"),
        (SystemExit(3), ExitCode.FAILED, "failed"),
        (MemoryError(), ExitCode.FAILED, "failed"),
    ],
)
def test_how_stages_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: ExitCode, state: str
) -> None:
    staged(monkeypatch, raising(error), fine)
    caught, _ = failure(run)
    assert caught.exit_code == code
    rows = stage_rows.all_rows(run.store)
    assert list(rows) == ["s1"] and rows["s1"].state == state
    if isinstance(error, OSError):
        assert "no space left" in str(caught)
    staged(monkeypatch, fine, fine)  # the same command again goes on
    assert ran(go(run)) == ["s1", "s2"]
    assert skipped(go(run)) == ["s1", "s2"]


def test_a_stop_before_a_stage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = CancelToken()

    def stops(_context: Context) -> str:
        cancel.set()
        return "done"

    staged(monkeypatch, stops, fine)
    with pytest.raises(Stopped):
        run_pipeline(run, lambda _event: None, cancel)
    assert [row.state for row in stage_rows.all_rows(run.store).values()] == ["done", "stopped"]


def test_only_and_until(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(monkeypatch, fine, fine, fine)
    with pytest.raises(UsageError, match="s1 must be up to date before s3: use `--until s3`"):
        go(run, only="s3")
    assert stage_rows.all_rows(run.store) == {}
    assert ran(go(run, until="s2")) == ["s1", "s2"]
    assert ran(go(run, only="s3")) == ["s3"]
    stage_rows.end(run.store, "s1", "failed")
    with pytest.raises(UsageError, match="s1 must be up to date before s2"):
        go(run, only="s2")
    for wrong in ({"only": "s9"}, {"until": "s9"}):
        with pytest.raises(UsageError, match="no stage 's9'; the stages are s1, s2, s3"):
            select(wrong.get("only"), wrong.get("until"))


def test_the_stages_of_the_contract() -> None:
    assert [stage.name for stage in all_stages()] == [
        *("seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate", "report")
    ]


HOLDER = """
import sys, time
from pathlib import Path
from faq_tui.core.run.run import locked, open_run
with open_run(Path(sys.argv[1])) as run, locked(run):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_refuses_a_second_runner_and_frees_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(monkeypatch, fine)
    command = [sys.executable, "-c", HOLDER, str(run.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(FaqError, match=f"another faq-tui \\(process {child.pid}\\)"):
            go(run)
        assert not run.jobs.exists() and stage_rows.all_rows(run.store) == {}
        os.kill(child.pid, signal.SIGKILL)
    assert ran(go(run)) == ["s1"]
    with locked(run), pytest.raises(FaqError, match="another faq-tui"):
        go(run)
    assert skipped(go(run)) == ["s1"]


# ---- what a signature costs


@contextmanager
def texts_forbidden(run: Run) -> Iterator[None]:
    """No statement may read a candidate's reasoning or answer."""

    def allow(action: int, table: str | None, column: str | None, *_: object) -> int:
        reads_text = action == sqlite3.SQLITE_READ and table == "candidates" and column in ("reasoning", "answer")
        return sqlite3.SQLITE_DENY if reads_text else sqlite3.SQLITE_OK

    run.store.db.set_authorizer(allow)
    try:
        yield
    finally:
        run.store.db.set_authorizer(None)


def test_status_and_signatures_read_no_text_of_a_candidate(assembled: Run) -> None:
    with texts_forbidden(assembled):
        body = status_of(assembled)
        assert [stage["state"] for stage in body["stages"]] == ["done"] * 8
        assert stale(assembled) == []
        with pytest.raises(sqlite3.DatabaseError, match=r"reasoning|answer"):
            candidates.by_ids(assembled.store, [1])
    source = body["sources"]["elder"]
    assert (source["candidates"], source["tokens"], source["scored"], source["unfit"]) == (40, 1600, 40, 0)


def test_a_judge_stage_with_nothing_to_score_reads_no_text(assembled: Run) -> None:
    row = stage_rows.all_rows(assembled.store)["judge"]
    stage_rows.begin(assembled.store, "judge", "other", row.job)
    with texts_forbidden(assembled):
        assert ran(go(assembled, until="judge")) == ["judge"]


def test_the_pipeline_computes_each_signature_once(assembled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stage that is done, and of one that is stale; an earlier stage has run by then."""
    counted: Counter[str] = Counter()

    def counting(stage: Stage) -> Stage:
        def signature(run: Run) -> str:
            counted[stage.name] += 1
            return stage.signature(run)

        return replace(stage, signature=signature)

    stages = tuple(counting(stage) for stage in all_stages())
    monkeypatch.setattr("faq_tui.core.stages.STAGES", stages)
    names = ["seeds", "regenerate", "judge", "assemble"]
    assert skipped(go(assembled, until="assemble")) == names
    assert counted == Counter(names)
    counted.clear()
    seed_id = lines(assembled, "elder")[0]["seed_id"]
    picks.add_picks(assembled.store, [(seed_id, "elder", "reject", None)], "person", "me", "")
    assert ran(go(assembled, until="assemble")) == ["assemble"]
    assert counted == Counter(names)
    assert is_current(assembled, stages[3]), "the signature was not of what the earlier stages left"
