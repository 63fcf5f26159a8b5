"""The watched faq.toml: read again after each change of its content, and never after anything else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faq_tui.core.settings import Settings
from faq_tui.tui.settings.watch import SettingsWatch
from tests.support.app_host import app_on, text_of, until


class Heard:
    def __init__(self, path: Path) -> None:
        self.settings: list[Settings] = []
        self.refused: list[str] = []
        self.watch = SettingsWatch(path, self.settings.append, self.refused.append, every_s=0.02)

    def wait(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not true():
            assert time.monotonic() < deadline, (self.settings, self.refused)
            time.sleep(0.01)


@pytest.fixture
def heard(folder: Path) -> Iterator[Heard]:
    heard = Heard(folder / "faq.toml")
    heard.watch.open()
    yield heard
    heard.watch.close()


def test_each_change_of_the_content_is_heard(folder: Path, heard: Heard) -> None:
    path = folder / "faq.toml"
    heard.wait(lambda: len(heard.settings) == 1)
    text, stat = path.read_text(), path.stat()
    path.write_text(text.replace("nobody/knows-it", "nobody/knows-me"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the same size and the same time
    heard.wait(lambda: heard.settings[-1].target.model == "nobody/knows-me")
    other = folder / "other.toml"
    other.write_text(text)
    other.replace(path)  # as editors save
    heard.wait(lambda: heard.settings[-1].target.model == "nobody/knows-it")
    count = len(heard.settings)
    path.touch()
    time.sleep(0.2)
    assert len(heard.settings) == count and not heard.refused, "only the time has changed"


def test_a_mistake_is_a_sentence_once_and_a_gone_file_too(folder: Path, heard: Heard) -> None:
    path = folder / "faq.toml"
    heard.wait(lambda: heard.settings)
    text = path.read_text()
    path.write_text(text + "\n[seedz]\n")
    heard.wait(lambda: heard.refused)
    assert "unknown key `seedz`; did you mean `seeds`?" in heard.refused[0]
    time.sleep(0.2)
    assert len(heard.refused) == 1
    path.unlink()
    heard.wait(lambda: len(heard.refused) == 2)
    assert "no settings at" in heard.refused[1]
    path.write_bytes(b"\xff")
    heard.wait(lambda: len(heard.refused) == 3)
    assert "is not UTF-8 text" in heard.refused[2]
    count = len(heard.settings)
    path.write_text(text)
    heard.wait(lambda: len(heard.settings) > count)


def test_a_file_that_is_written_in_two_steps_is_no_mistake(folder: Path, heard: Heard) -> None:
    path = folder / "faq.toml"
    heard.wait(lambda: heard.settings)
    text = path.read_text()
    path.write_text("[tar")
    time.sleep(0.1)
    path.write_text(text + "# more\n")
    heard.wait(lambda: len(heard.settings) > 1)
    assert not heard.refused


async def test_the_app_uses_the_changed_settings(folder: Path) -> None:
    path = folder / "faq.toml"
    text = path.read_text()
    app = app_on(folder)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        path.write_text(text.replace("nobody/knows-it", "somebody/else"))
        app.settings_watch.look()
        await until(pilot, lambda: "faq.toml changed: read again" in text_of(app))
        assert "target somebody/else" in text_of(app)
        assert all(pane.run.settings.target.model == "somebody/else" for pane in app.panes.values())
        path.write_text("[target")
        app.settings_watch.look()
        await until(pilot, lambda: "faq.toml is invalid" in text_of(app).splitlines()[0])
        assert app.opened.settings.target.model == "somebody/else", "the last valid settings stay"
        await pilot.press("r")
        await until(pilot, lambda: "press E to correct the file" in app.errors[0])
        assert len(app.screen_stack) == 1, "the plan of an invalid file is not offered"
        path.write_text(text)
        app.settings_watch.look()
        await until(pilot, lambda: "faq.toml is invalid" not in text_of(app).splitlines()[0])
        assert app.opened.settings.target.model == "nobody/knows-it" and not app.settings_problem


async def test_a_pane_that_changes_the_file_is_not_news(folder: Path) -> None:
    """Pane 5 adds a recipe, and the queue of all panes has it."""
    app = app_on(folder)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await pilot.press("f5", "n")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        before = len(app.panes["quantize"].run.settings.recipes)
        app.settings_watch.look()
        await until(pilot, lambda: len(app.opened.settings.recipes) == before)
        assert "read again" not in text_of(app)


async def test_the_queue_has_the_sets_of_the_changed_file(folder: Path) -> None:
    """`recipes.sets` is edited while the app is open, and the queue counts the new artefacts at once."""
    path = folder / "faq.toml"
    app = app_on(folder)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: " artefacts done" in text_of(app))
        path.write_text(path.read_text() + '\n[[recipes]]\nbits = 8\nsets = ["baseline"]\n')
        app.settings_watch.look()
        await until(pilot, lambda: "0 of 1 artefacts done" in text_of(app))
