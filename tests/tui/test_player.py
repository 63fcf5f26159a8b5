"""A recorded job, played: its pace, its clock, and a run that stays as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.run.events import Note, StageDone, StageProgress, StageStarted, to_json
from faq_tui.core.run.run import open_run
from faq_tui.core.store import seeds
from faq_tui.tui.player import Player, recording
from tests.support.app_host import app_on, said, text_of, until
from tests.support.shell import faq_tui, refused


@pytest.fixture
def recorded(folder: Path) -> Path:
    """Seeds read, and a job of ten seconds in 1970."""
    assert faq_tui("run", folder, "--only", "seeds").code == 0
    job = folder / "jobs" / "20990101-000000-zzzz"
    job.mkdir()
    events = [
        to_json(StageStarted("regenerate", 12, "candidates"), 100.0),
        *(to_json(StageProgress("regenerate", n, 12), 100.0 + n) for n in range(1, 10)),
        "no event at all",
        to_json(Note("[red] \x1b[2J"), 109.5),
        to_json(StageDone("regenerate", 10.0, "12 candidates"), 110.0),
    ]
    (job / "events.jsonl").write_text("".join(f"{line}\n" for line in events))
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Of every file that a replay could have changed."""
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
        if not path.name.endswith(("-shm", "-wal"))
    }


def test_events_come_at_their_pace(recorded: Path) -> None:
    now = 0.0
    player = Player(recording(recorded, None), 2.0, lambda: now)
    assert player.badge == "replay ×2"
    assert [at for _, at in player.drain_timed()] == [100.0] and player.clock() == 100.0
    now = 1.0
    assert [at for _, at in player.drain_timed()] == [101.0, 102.0]
    now = 1.25
    assert player.drain_timed() == [] and player.clock() == 102.5
    now = 60.0
    assert player.drain_timed()[-1][1] == 110.0
    assert player.ended and player.clock() == 110.0


def test_speed_0_plays_all_at_once(recorded: Path) -> None:
    player = Player(recording(recorded, None), 0)
    assert len(player.drain_timed()) == 12 and player.ended


async def test_it_is_shown_and_changes_nothing(recorded: Path) -> None:
    before = contents(recorded)
    now = 0.0
    app = app_on(recorded, player=Player(recording(recorded, None), 1.0, lambda: now))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "0 of 12 candidates" in text_of(app))
        now = 6.0
        await until(pilot, lambda: "6 of 12 candidates" in text_of(app))
        assert "0:06 left" in text_of(app).splitlines()[2], "the time is the recording's"
        assert "replay ×1" in text_of(app).splitlines()[0]
        await pilot.press("r")
        assert said(app) == ["this is a replay, which cannot start jobs"]
        with pytest.raises(FaqError, match="is open only for reading"):
            seeds.assign_roles(app.opened.store, [], [])
        now = 20.0
        await until(pilot, lambda: "regenerate done" in text_of(app))
        await pilot.press("q")
        assert app._exit, "nothing is asked"
    assert contents(recorded) == before


def test_an_older_database_is_brought_up_to_date_in_memory_only(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    from faq_tui.core.store import migrate

    before = contents(recorded)
    later = migrate.Migration("9999_later", "ALTER TABLE seeds ADD COLUMN later TEXT;")
    known = (*migrate.all_migrations(), later)
    monkeypatch.setattr(migrate, "all_migrations", lambda: known)
    with open_run(recorded, read_only=True) as run:
        assert run.store.db.execute("SELECT count(later), count(*) FROM seeds").fetchone()[1] == 4
        with pytest.raises(sqlite3.OperationalError):
            run.store.db.execute("UPDATE seeds SET later = 'x'")
    assert contents(recorded) == before


def test_what_cannot_be_played_is_said_in_one_sentence(folder: Path, recorded: Path) -> None:
    with pytest.raises(UsageError, match="no recorded job 'x'"):
        recording(folder, "x")
    (folder / "jobs" / "20990101-000000-zzzz" / "events.jsonl").write_text("nothing\n")
    with pytest.raises(UsageError, match="contains no events that can be played"):
        Player(recording(folder, None))
    assert "no run folder at" in refused(ExitCode.USAGE, "replay", folder / "none")
    assert "needs a terminal" not in refused(ExitCode.USAGE, "replay", folder, "--speed", "-1")


async def test_the_time_left_knows_nothing_of_the_time_that_loading_took(recorded: Path) -> None:
    job = recorded / "jobs" / "20990101-000001-zzzz"
    job.mkdir()
    events = [
        to_json(StageStarted("evaluate", 2000, "tokens"), 0.0),
        *(to_json(StageProgress("evaluate", 10 * n, 2000), 60.0 + n) for n in range(1, 50)),
    ]
    (job / "events.jsonl").write_text("".join(f"{line}\n" for line in events))
    now = 0.0
    app = app_on(recorded, player=Player(recording(recorded, None), 1.0, lambda: now))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "0 of 2,000 tokens" in text_of(app))
        now = 61.0
        await until(pilot, lambda: "10 of 2,000 tokens" in text_of(app))
        assert "left" not in text_of(app).splitlines()[2], "one report tells no pace"
        now = 100.0
        await until(pilot, lambda: "400 of 2,000 tokens" in text_of(app))
        assert "2:40 left" in text_of(app).splitlines()[2]
