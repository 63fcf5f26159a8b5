"""The settings of a run, by keys: values and defaults, what is refused, what becomes stale, and the saved file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Select

from faq_tui.core.settings import load_settings
from faq_tui.core.settings.write import Choices, init_text
from faq_tui.tui.app import FaqApp
from faq_tui.tui.config import Config
from faq_tui.tui.player import Player, recording
from faq_tui.tui.screens.choice import ChoiceScreen
from faq_tui.tui.settings.screen import SettingsScreen
from tests.support.app_host import app_on, text_of, until
from tests.support.run_of_0ebf15d import copy_of_stored

pytestmark = pytest.mark.slow
SIZES = [(80, 24), (120, 36), (200, 60)]
THEMES = ("textual-dark", "textual-light")
Snap = Callable[..., bool]


@pytest.fixture
def mine(folder: Path) -> Path:
    """A run whose file has all comments of a new one, and one of the person."""
    text = init_text(Choices("nobody/knows-it", "starter", elder_url="http://elder/v1", elder_model="big"))
    (folder / "faq.toml").write_text(text.replace("count = 256  ", "count = 9  ") + "# my last line\n")
    return folder


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All messages, also those that are no longer on the screen."""
    messages: list[str] = []
    notify = FaqApp.notify

    def record(self: FaqApp, message: str, **others: Any) -> None:
        messages.append(message)
        notify(self, message, **others)

    monkeypatch.setattr(FaqApp, "notify", record)
    return messages


async def opened(pilot: Pilot[None]) -> SettingsScreen:
    """Open the settings, and wait for the first section."""
    await pilot.press("comma")
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and app.screen.index == 0)
    screen = app.screen
    assert isinstance(screen, SettingsScreen)
    screen._pause_s = 0.05
    return screen


def without_blinking(screen: SettingsScreen) -> None:
    """A picture must not depend on the moment in which it was taken."""
    assert isinstance(screen.focused, Input)
    screen.focused.cursor_blink = False


async def to_section(pilot: Pilot[None], screen: SettingsScreen, title: str) -> None:
    """Go to a section with the keys of the list."""
    titles = [group.title for group in screen.draft.groups]
    for _ in range(titles.index(title) - screen.index):
        await pilot.press("j")
    await until(pilot, lambda: screen._group.title == title and screen._form.rows)


async def to_key(pilot: Pilot[None], screen: SettingsScreen, title: str, label: str) -> None:
    """Go to the key, as after a search."""
    groups = [group.title for group in screen.draft.groups]
    key = next(key for key in screen.draft.groups[groups.index(title)].keys if key.label == label)
    await screen._go_to(groups.index(title), key)
    name = f"key-{label.replace('.', '-')}"
    await until(pilot, lambda: screen.focused is not None and screen.focused.id == name)


def seen(app: FaqApp) -> str:
    return " ".join(text_of(app).split())


async def test_values_defaults_and_help_are_shown(mine: Path) -> None:
    app = app_on(mine)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        assert "[target] the model that is quantized" in seen(app)
        await to_section(pilot, screen, "seeds")
        await pilot.press("enter", "down")
        text = seen(app)
        assert "count 9" in text and "split train (default)" in text and "shape auto (default)" in text
        assert "Number of seeds that are regenerated. Default: 256" in text
        await pilot.press("escape", "escape")
        assert app.screen is not screen, "the second escape leaves"


async def test_a_change_is_saved_and_every_comment_stays(mine: Path, said: list[str]) -> None:
    before = (mine / "faq.toml").read_text()
    app = app_on(mine)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        await pilot.press("1", "2")
        assert "1 change not saved" in seen(app) and "● seeds" in seen(app)
        await to_key_by_escape(pilot, screen, "sources.elder", "sampling.top_p")
        await pilot.press("0", ".", "5")
        await to_key_by_escape(pilot, screen, "target", "device")
        await pilot.press("enter", "down", "enter")
        assert isinstance(screen.focused, Select) and screen.focused.value == "cpu"
        assert "3 changes not saved" in seen(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any(one.startswith("Saved.") for one in said))
        assert "not saved" not in seen(app)
        assert app.opened.settings.seeds.count == 12, "the app uses the new settings"
        assert all(pane.run.settings.seeds.count == 12 for pane in app.panes.values())
    settings = load_settings(mine / "faq.toml")
    assert (settings.seeds.count, settings.target.device) == (12, "cpu")
    assert settings.sources["elder"].sampling.top_p == 0.5
    after = (mine / "faq.toml").read_text().splitlines()
    lost = [line for line in before.splitlines() if line not in after]
    assert all(line.startswith(("count = 9", "sampling = ")) for line in lost), lost
    assert after[-1] == "# my last line"


async def to_key_by_escape(pilot: Pilot[None], screen: SettingsScreen, title: str, label: str) -> None:
    await pilot.press("escape")
    await to_key(pilot, screen, title, label)


async def test_an_emptied_value_has_its_default_again(mine: Path, said: list[str]) -> None:
    app = app_on(mine)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        await pilot.press("backspace")
        assert "256 (default)" in seen(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any(one.startswith("Saved.") for one in said))
    assert load_settings(mine / "faq.toml").seeds.count == 256
    assert "# count = 9  " in (mine / "faq.toml").read_text()


async def test_ctrl_r_takes_a_change_back(mine: Path) -> None:
    app = app_on(mine)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "path")
        await pilot.press("backspace")
        assert "`seeds.path` is missing." in seen(app)
        await pilot.press("ctrl+r")
        assert not screen.draft.typed and "starter" in seen(app)
        await to_key_by_escape(pilot, screen, "target", "device")
        await pilot.press("enter", "down", "enter")
        assert "1 change not saved" in seen(app)
        await pilot.press("ctrl+r")
        assert not screen.draft.typed and "not saved" not in seen(app)


async def test_a_refused_value_has_the_sentence_of_the_loader(mine: Path, said: list[str]) -> None:
    before = (mine / "faq.toml").read_bytes()
    app = app_on(mine)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        await pilot.press("0")
        sentence = "`seeds.count`: input should be greater than or equal to 1, not 0."
        assert sentence in seen(app)
        await pilot.press("ctrl+s")
        assert said == [sentence]
        # Two keys that do not fit: the sentence stands below the form.
        await pilot.press("backspace", "9")
        assert not screen.draft.typed and sentence not in text_of(app)
        await to_key_by_escape(pilot, screen, "evaluate.lm_eval", "mode")
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: 'mode "endpoint" needs the key `base_url`' in seen(app))
        await to_key_by_escape(pilot, screen, "judge", "pick_by")
        await pilot.press("x")
        assert "Write a table in braces" in seen(app) or "write a table in braces" in seen(app)
    assert (mine / "faq.toml").read_bytes() == before


async def test_unsaved_changes_are_asked_about(mine: Path) -> None:
    before = (mine / "faq.toml").read_bytes()
    app = app_on(mine)
    async with app.run_test(size=(80, 24)) as pilot:
        for answer, stays in (("escape", True), ("d", False), ("s", False)):
            screen = app.screen if isinstance(app.screen, SettingsScreen) else await opened(pilot)
            await to_key(pilot, screen, "seeds", "heldout")
            await pilot.press("7", "escape", "escape")
            await until(pilot, lambda: isinstance(app.screen, ChoiceScreen))
            assert "1 change is not saved." in seen(app)
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(app.screen, ChoiceScreen))
            await pilot.pause()
            assert isinstance(app.screen, SettingsScreen) is stays, answer
            if answer != "s":
                assert (mine / "faq.toml").read_bytes() == before
            if stays:
                await to_key(pilot, screen, "seeds", "heldout")
                await pilot.press("escape")
    assert load_settings(mine / "faq.toml").seeds.heldout == 7


async def test_what_a_change_makes_stale_is_said_before_saving(tmp_path: Path, said: list[str]) -> None:
    run = copy_of_stored(tmp_path / "run")
    app = app_on(run)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "assemble", "max_tokens")
        await pilot.press("7", "0")
        await until(pilot, lambda: "Out of date after saving: sets, spikes, 18 artefacts, evidence" in seen(app))
        before = (run / "faq.toml").read_bytes()
        await pilot.press("backspace", "backspace")
        await pilot.press(*str(app.opened.settings.assemble.max_tokens))
        if screen.draft.typed:  # the file does not have the key
            await pilot.press("ctrl+u")
        await until(pilot, lambda: "Out of date" not in seen(app))
        await to_key_by_escape(pilot, screen, "judge", "patience_s")
        await pilot.press("7")
        await until(pilot, lambda: "This makes nothing out of date." in seen(app))
        assert (run / "faq.toml").read_bytes() == before
        await until(pilot, lambda: app.session.phase == "idle")
        app.session.phase = "running"
        await pilot.press("8")
        await until(pilot, lambda: "The running job keeps its settings." in seen(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any("Press r after it has ended" in one for one in said))
        app.session.phase = "idle"


async def test_a_change_on_disk_keeps_what_is_typed(mine: Path, said: list[str]) -> None:
    app = app_on(mine)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        await pilot.press("1", "2")
        path = mine / "faq.toml"
        path.write_text(path.read_text().replace("heldout = 32", "heldout = 5"))
        app.settings_watch.look()
        await until(pilot, lambda: "heldout 5" in seen(app))
        assert "count 12" in seen(app) and "1 change not saved" in seen(app)
        await until(pilot, lambda: screen.focused is not None and screen.focused.id == "key-count")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any(one.startswith("Saved.") for one in said))
        path.write_text("[target\n")
        app.settings_watch.look()
        await until(pilot, lambda: "is not valid TOML" in seen(app))
    assert path.read_text() == "[target\n"


async def test_a_list_with_comments_is_left_to_the_editor(mine: Path, said: list[str]) -> None:
    path = mine / "faq.toml"
    text = path.read_text()
    line = next(one for one in text.splitlines() if one.startswith("perplexity = "))
    path.write_text(text.replace(line, 'perplexity = [\n  "pydoc",  # no network\n]'))
    app = app_on(mine)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "evaluate", "perplexity")
        await pilot.press("a")
        await until(pilot, lambda: "a comment would be lost: change it in your editor" in seen(app))
        await pilot.press("ctrl+s")
        assert "a comment would be lost" in said[-1]
    assert "# no network" in path.read_text()


async def test_a_section_that_cannot_be_edited_says_so(mine: Path) -> None:
    app = app_on(mine)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        titles = [group.title for group in screen.draft.groups]
        for _ in range(titles.index("sets")):
            await pilot.press("j")
        await until(pilot, lambda: "[sets.NAME]" in seen(app))
        await pilot.press("enter")
        assert screen.focused is screen._list, "there is no key to go to"


async def test_search_lists_the_keys_that_match(mine: Path, said: list[str]) -> None:
    app = app_on(mine)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("slash", *"api key", "enter")
        await until(pilot, lambda: "judge.api_key_env" in seen(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(screen.focused, Input) and screen._group.title == "judge")
        await pilot.press("escape", "slash", *"nothing has this", "enter")
        await until(pilot, lambda: any("No key has" in one for one in said))


async def test_hostile_text_in_the_file_is_only_text(mine: Path) -> None:
    path = mine / "faq.toml"
    hostile = "[red]x\\u001b]0;EVIL\\u0007"
    path.write_text(path.read_text().replace('model = "nobody/knows-it"', f'model = "{hostile}"'))
    app = app_on(mine)
    async with app.run_test(size=(120, 36)) as pilot:
        screen = await opened(pilot)
        assert "model [red]x" in seen(app) and "\x1b" not in text_of(app) and "\x07" not in text_of(app)
        assert not screen.draft.typed, "it is no change"


async def test_a_small_terminal_still_shows_keys(mine: Path) -> None:
    app = app_on(mine)
    async with app.run_test(size=(40, 10)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        await until(pilot, lambda: "count" in text_of(app) and "Number of seeds" in text_of(app))


async def test_a_replay_shows_the_settings_and_changes_nothing(tmp_path: Path, said: list[str]) -> None:
    run = copy_of_stored(tmp_path / "run")
    before = (run / "faq.toml").read_bytes()
    app = app_on(run, player=Player(recording(run, None), 10.0))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        await pilot.press("1", "ctrl+s")
        await until(pilot, lambda: said and "a replay, which cannot change faq.toml" in said[-1])
        await pilot.press("escape", "escape", "d")
        await until(pilot, lambda: app.screen is not screen)
        await pilot.press("E")
        await until(pilot, lambda: len(said) > 1 and "a replay" in said[-1])
    assert (run / "faq.toml").read_bytes() == before


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_screen(tmp_path: Path, snap_compare: Snap, size: tuple[int, int], theme: str) -> None:
    run = copy_of_stored(tmp_path / "my-run")

    async def edit(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, FaqApp)
        screen = await opened(pilot)
        await to_key(pilot, screen, "assemble", "max_tokens")
        without_blinking(screen)
        await pilot.press("7", "0")
        await until(pilot, lambda: "Out of date after saving" in seen(app))

    assert snap_compare(app_on(run, Config(theme=theme)), terminal_size=size, run_before=edit)
    shutil.rmtree(run)


@pytest.mark.parametrize("theme", THEMES)
def test_the_screen_with_a_refused_value(mine: Path, snap_compare: Snap, theme: str) -> None:
    async def edit(pilot: Pilot[None]) -> None:
        screen = await opened(pilot)
        await to_key(pilot, screen, "seeds", "count")
        without_blinking(screen)
        await pilot.press("0")
        await pilot.pause()

    assert snap_compare(app_on(mine, Config(theme=theme)), terminal_size=(80, 24), run_before=edit)
