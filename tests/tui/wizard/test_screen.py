"""The wizard, by its keys: from nothing to a run, and every answer that it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from faq_tui.core import jobs
from faq_tui.core.settings import load_settings
from faq_tui.core.setup import Line, plan_step
from faq_tui.core.setup.plan_step import PlanReport
from faq_tui.core.setup.recipe_step import RecipeReport
from faq_tui.core.setup.seeds_step import SeedsReport
from faq_tui.core.setup.server_step import ServerReport
from faq_tui.core.setup.target_step import TargetReport
from faq_tui.tui.home.app import Choice, HomeApp
from faq_tui.tui.widgets.form import FieldRow
from faq_tui.tui.wizard import steps
from faq_tui.tui.wizard.screen import NewRun, WizardScreen
from tests.support.app_host import app_on, text_of, until
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import rows

SIZES = [(80, 24), (120, 36), (200, 60)]
THEMES = ("textual-dark", "textual-light")
Snap = Callable[..., bool]


class WizardHost(App[None]):
    """An app with only the wizard."""

    CSS = "Screen { overflow: hidden; }"

    def __init__(self, here: Path, theme: str = "textual-dark") -> None:
        super().__init__()
        self.theme = theme
        self.wizard = WizardScreen(here, pause_s=0.05)
        self.result: list[NewRun | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.wizard, self.result.append)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "mine.txt").write_text("".join(f"Why is number {n} odd?\n" for n in range(20)))
    return folder


def shown(app: App[Any]) -> str:
    """The text on the screen in one line, without borders."""
    return " ".join(text_of(app).split())


async def type_in(pilot: Pilot[None], text: str) -> None:
    """Replace the text of the focused field."""
    await until(pilot, lambda: isinstance(pilot.app.focused, Input))
    field = pilot.app.focused
    assert isinstance(field, Input), field
    field.value = text
    await pilot.pause()


async def go_to(pilot: Pilot[None], step: int) -> None:
    """Press ctrl+s, and wait for the next step with its check."""
    wizard = pilot.app.screen
    assert isinstance(wizard, WizardScreen)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: wizard.index == step - 1 and wizard.report is not None)


async def embedded_to_the_plan(pilot: Pilot[None]) -> None:
    """Answer the first four questions for the embedded model and the user's own file."""
    await type_in(pilot, "embedded")
    await go_to(pilot, 2)
    await type_in(pilot, "mine.txt")
    await go_to(pilot, 3)
    await go_to(pilot, 4)
    await go_to(pilot, 5)


@pytest.mark.slow
async def test_from_nothing_to_a_running_run(here: Path, embedded_model: object) -> None:
    """On one's own 20 lines and the embedded server, in the app, without an editor."""
    home = HomeApp(here)
    async with home.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "There is no run in this folder yet" in text_of(home))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(home.screen, WizardScreen) and home.focused is not None)
        await pilot.press(*"embedded", "enter")
        wizard = home.screen
        assert isinstance(wizard, WizardScreen)
        await until(pilot, lambda: wizard.index == 1 and wizard.report is not None)
        await pilot.press(*"mine.txt")
        await until(pilot, lambda: "20 usable questions" in shown(home) and "Why is number 2 odd?" in shown(home))
        await go_to(pilot, 3)
        await go_to(pilot, 4)
        await go_to(pilot, 5)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: home.choice is not None)
    folder = here / "my-run"
    assert home.choice == Choice(folder, start=True)
    assert (folder / "faq.toml").read_text().count("#") > 50, "every key has its comment"
    app = app_on(folder)
    app._start_at_once = True
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.session.phase == "running", 60)
            await until(pilot, lambda: app.session.live.is_running("regenerate"), 240)
            await until(pilot, lambda: "regenerate" in text_of(app).splitlines()[2])
    finally:
        job = jobs.find_live(folder)
        while job is not None and jobs.kill(job):
            time.sleep(0.02)
    assert rows(folder, "SELECT count(*) FROM seeds") == [(20,)]


async def test_the_answers_become_the_settings(here: Path) -> None:
    app = WizardHost(here)
    async with app.run_test(size=(120, 36)) as pilot:
        await embedded_to_the_plan(pilot)
        text = shown(app)
        assert "regenerate 16 and hold out 4" in text and "Create and start (ctrl+s)" in text
        await type_in(pilot, "sub/first")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.result)
    assert app.result == [NewRun(here / "sub" / "first", start=False)]
    settings = load_settings(here / "sub" / "first" / "faq.toml")
    assert (settings.target.model, settings.seeds.path) == ("embedded", str(here / "mine.txt"))
    assert (settings.seeds.count, settings.seeds.heldout) == (16, 4)
    assert settings.sources["self"].base_url == "embedded"


async def test_the_number_of_questions(here: Path) -> None:
    """The defaults fit the size of the file; other numbers are checked, and become the settings."""
    app = WizardHost(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await type_in(pilot, "embedded")
        await go_to(pilot, 2)
        await type_in(pilot, "mine.txt")
        await until(pilot, lambda: "16 (default)" in shown(app) and "4 (default)" in shown(app))
        await pilot.press("tab", *"30")
        await until(pilot, lambda: "These are fewer than you ask for (30 and 4)" in shown(app))
        await pilot.press("ctrl+u", *"1.5")
        await until(pilot, lambda: "The number of questions to regenerate must be a whole number" in shown(app))
        await pilot.press("ctrl+s")
        assert app.wizard.index == 1
        await pilot.press("ctrl+u", *"9", "tab", "2")
        await until(pilot, lambda: "regenerates 9 and holds out 2" in shown(app))
        await go_to(pilot, 3)
        await pilot.press("escape")
        await until(pilot, lambda: app.wizard.index == 1)
        assert app.wizard.state.answers["count"] == 9, "the way back keeps the numbers"
        for step in (3, 4, 5):
            await go_to(pilot, step)
        assert "regenerate 9 and hold out 2" in shown(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.result)
    seeds = load_settings(here / "my-run" / "faq.toml").seeds
    assert (seeds.count, seeds.heldout) == (9, 2)


async def test_a_server_is_probed_while_one_types(here: Path) -> None:
    app = WizardHost(here)
    with FakeServer(Behaviour()) as server:
        async with app.run_test(size=(120, 36)) as pilot:
            await type_in(pilot, "Qwen/Qwen3-8B")
            await go_to(pilot, 2)
            await type_in(pilot, "starter")
            await go_to(pilot, 3)
            await type_in(pilot, "http://127.0.0.1:9/v1")
            await until(pilot, lambda: "(Connection refused): is the server running" in shown(app))
            assert 'choose "no model for now"' in shown(app)
            await pilot.press("ctrl+s")
            assert app.wizard.index == 2, "a server that does not answer is refused"
            await type_in(pilot, server.url)
            await until(pilot, lambda: f"{server.url} serves fake-8b" in shown(app))
            text = shown(app)
            assert "Context window" in text and "has its reasoning in" in text and "Family unknown: fake-8b" in text
            assert isinstance(app.focused, Input) and app.focused.value == server.url, "the focus stays"
            await go_to(pilot, 4)
            await go_to(pilot, 5)
            assert f"3 answers per question from fake-8b at {server.url}" in shown(app)
            assert "! Family unknown: fake-8b" in shown(app), "the last screen repeats the warnings"
            await pilot.press("ctrl+s")
            await until(pilot, lambda: app.result)
    settings = load_settings(here / "qwen3-8b" / "faq.toml")
    assert (settings.sources["elder"].base_url, settings.sources["elder"].model) == (server.url, "fake-8b")


async def test_of_several_models_the_family_comes_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look(draft: Any) -> ServerReport:
        asked.append(draft.model)
        models = ("a-7b", "b\x1b-9b", "qwen3-32b")
        if not draft.model:
            return ServerReport(problem="choose the larger model", url=draft.url, models=models)
        return ServerReport((Line(f"serves {draft.model}"),), url=draft.url, model=draft.model, models=models)

    monkeypatch.setattr(steps, "look_at_source", look)
    monkeypatch.setattr(
        steps, "look_at_target", lambda *_: TargetReport(name="Qwen/Qwen3-8B", elders=("Qwen/Qwen3-32B",))
    )
    app = WizardHost(here)
    async with app.run_test(size=(120, 36)) as pilot:
        await go_to(pilot, 2)
        await type_in(pilot, "starter")
        await go_to(pilot, 3)
        await type_in(pilot, "http://elder:8000/v1")
        await until(pilot, lambda: "serves qwen3-32b" in shown(app))
        assert asked[-1] == "qwen3-32b" and app.wizard.state.answers["model"] == "qwen3-32b"
        await type_in(pilot, "http://other:8000/v1")
        await until(pilot, lambda: asked[-3:] == ["qwen3-32b", "", "qwen3-32b"])
        await until(pilot, lambda: app.wizard.report is not None and not app.wizard.report.problem)
        assert not set("\x1b") & set(text_of(app))


def test_later_steps_know_the_window_and_the_speed_of_the_server(here: Path) -> None:
    state = steps.WizardState(here, server=ServerReport(url="http://x/v1", model="Big", window=1024, rate=30.0))
    draft = state.draft()
    assert (draft.window, draft.rate) == (1024, 30.0)


async def test_a_refused_answer_says_why_and_enter_does_not_go_on(here: Path) -> None:
    app = WizardHost(here)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "Type a hub id" not in shown(app), "nothing is red before the user has typed"
        await pilot.press("enter")
        await until(pilot, lambda: "Type a hub id such as Qwen/Qwen3-8B" in shown(app))
        await pilot.press(*"Qwen3", "enter")
        await until(pilot, lambda: "'Qwen3' is neither a folder nor a hub id" in shown(app))
        assert app.wizard.index == 0
        await type_in(pilot, "embedded")
        await go_to(pilot, 2)
        await type_in(pilot, "theirs.txt")
        await pilot.press("enter")
        await until(pilot, lambda: "No seed file at" in shown(app))
        assert app.wizard.index == 1


async def test_back_keeps_the_answers_and_leaves_at_the_first_step(here: Path) -> None:
    app = WizardHost(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await embedded_to_the_plan(pilot)
        for index in (3, 2, 1, 0):
            await pilot.press("escape")
            await until(pilot, lambda index=index: app.wizard.index == index)  # type: ignore[misc]
        assert isinstance(app.focused, Input) and app.focused.value == "embedded"
        await go_to(pilot, 2)
        assert isinstance(app.focused, Input) and app.focused.value == "mine.txt"
        await pilot.press("escape")
        await until(pilot, lambda: app.wizard.index == 0)
        await pilot.press("escape")
        await until(pilot, lambda: app.result)
    assert app.result == [None] and sorted(path.name for path in here.iterdir()) == ["mine.txt"]


async def test_the_method_decides_the_further_fields(here: Path) -> None:
    app = WizardHost(here)
    async with app.run_test(size=(120, 36)) as pilot:
        await embedded_to_the_plan(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: app.wizard.index == 3 and app.wizard.report is not None)
        assert "Bits per weight" in shown(app) and "Group size" in shown(app)
        app.focused.value = "w8a8"  # type: ignore[union-attr]
        await until(pilot, lambda: "Bits per weight" not in shown(app))
        assert "Group size" not in shown(app)
        await go_to(pilot, 5)
        assert "w8a8 with 8 bits" in shown(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.result)
    assert load_settings(here / "my-run" / "faq.toml").recipes[0].method == "w8a8"


async def test_a_folder_that_is_a_run_already_is_refused(here: Path) -> None:
    (here / "my-run").mkdir()
    (here / "my-run" / "faq.toml").touch()
    app = WizardHost(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await embedded_to_the_plan(pilot)
        assert isinstance(app.focused, Input) and app.focused.value == "my-run-2", "a free name is proposed"
        await type_in(pilot, "my-run")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is a run already: choose another folder" in shown(app))
        await type_in(pilot, "/proc/no")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "cannot be written" in shown(app))
        assert not app.result


async def test_a_check_that_breaks_is_one_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> TargetReport:
        raise RuntimeError("boom \x1b[2J [red]")

    monkeypatch.setattr(steps, "look_at_target", broken)
    app = WizardHost(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("x")
        await until(pilot, lambda: "The check failed with RuntimeError: boom \ufffd[2J [red]" in shown(app))


async def test_only_the_last_answer_counts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow check of an older answer does not replace the result of a newer one."""

    def look(answer: str, _here: Path) -> TargetReport:
        time.sleep(0.4 if answer == "slow" else 0)
        return TargetReport((Line(f"looked at {answer}"),), name=answer)

    monkeypatch.setattr(steps, "look_at_target", look)
    app = WizardHost(here)
    async with app.run_test(size=(80, 24)) as pilot:
        await type_in(pilot, "slow")
        await pilot.pause(0.15)
        await type_in(pilot, "quick")
        await until(pilot, lambda: "looked at quick" in shown(app))
        await pilot.pause(0.5)
        assert "looked at quick" in shown(app) and "looked at slow" not in shown(app)


def canned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that do not depend on this machine."""
    url = "http://elder:8000/v1"
    target = TargetReport(
        (
            Line("The hub has the model Qwen/Qwen3-8B, 16.4 GB. It is downloaded when the run needs it.", "good"),
            Line("Family Qwen3. Larger members: Qwen/Qwen3-235B-A22B, Qwen/Qwen3-32B, Qwen/Qwen3-30B-A3B"),
        ),
        name="Qwen/Qwen3-8B",
        elders=("Qwen/Qwen3-32B",),
    )
    seeds = SeedsReport(
        (
            Line("1,024 usable questions, 1,024 with an answer", "good"),
            Line('Form: question in the field "question", answer in the field "answer"'),
            Line("Skipped: 3 empty, 1 broken; the first problem: line 17 is empty", "warning"),
            Line("The run regenerates 256 and holds out 32 for the comparison."),
        ),
        name="/data/questions.jsonl",
        usable=1024,
        samples=("Why does ice float?", "How do I cancel order 4711?", "Which form do I need for VAT?"),
    )
    server = ServerReport(
        (
            Line(f"{url} serves Qwen/Qwen3-32B", "good"),
            Line("Context window: 32,768 tokens"),
            Line("The reply to a short question has its reasoning in the field reasoning_content."),
            Line("Speed: 61 tokens per second for one request; the run sends 32 at the same time."),
            Line("Family: Qwen3-32B; Qwen3-8B is a name of the Qwen3 family", "good"),
        ),
        url=url,
        model="Qwen/Qwen3-32B",
        models=("Qwen/Qwen3-32B", "other-7b"),
    )
    recipe = RecipeReport(
        (
            Line("About 12 min each for 4 sets, 14.1 GiB of GPU memory, 6.0 GiB of host memory"),
            Line("Disk: 4 quantized models, one for each calibration set, need about 35.2 GB.", "good"),
        )
    )
    for name, report in (("target", target), ("seeds", seeds), ("source", server), ("recipe", recipe)):
        monkeypatch.setattr(steps, f"look_at_{name}", lambda *_, report=report: report)

    def look_at_plan(draft: Any, _name: str, _here: Path) -> PlanReport:
        return plan_step.look_at_plan(draft, "/nowhere/qwen3-8b", Path("/nowhere"))

    monkeypatch.setattr(steps, "look_at_plan", look_at_plan)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "size",
    [SIZES[0], *(pytest.param(size, marks=pytest.mark.slow) for size in SIZES[1:])],
    ids=["size0", "size1", "size2"],
)
def test_picture_of_a_step(
    snap_compare: Snap, size: tuple[int, int], theme: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    canned(monkeypatch)
    app = WizardHost(Path("/nowhere"), theme)
    state = app.wizard.state
    state.answers |= {"target": "Qwen/Qwen3-8B", "seeds": "questions.jsonl", "url": "http://elder:8000/v1"}
    for earlier in app.wizard.steps[: step - 1]:
        earlier.keep(state, earlier.look(state))

    async def settle(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.wizard.report is not None)
        await app.wizard._enter(step - 1)
        await until(pilot, lambda: app.wizard.report is not None)
        for field in app.wizard.query(Input):
            field.cursor_blink = False
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=size, run_before=settle)


def test_a_refused_answer_in_a_picture(snap_compare: Snap, here: Path) -> None:
    app = WizardHost(Path("/nowhere"))

    async def settle(pilot: Pilot[None]) -> None:
        await type_in(pilot, "Qwen3-8B")
        await until(pilot, lambda: app.wizard.report is not None and "neither" in shown(app))
        for field in app.wizard.query(Input):
            field.cursor_blink = False
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


async def test_each_field_is_there_once(here: Path) -> None:
    """New fields report their first values while they are mounted, which must not add fields again."""
    app = WizardHost(here)
    async with app.run_test(size=(120, 36)) as pilot:
        await type_in(pilot, "Qwen/Qwen3-8B")
        await go_to(pilot, 2)
        await type_in(pilot, "starter")
        await go_to(pilot, 3)
        await pilot.pause(0.3)
        for expected in (["origin", "url", "key_env", "model"], ["origin"]):
            assert [row.field.key for row in app.wizard.query(FieldRow)] == expected
            assert "URL is missing" not in shown(app), "nothing is red before the user has typed"
            app.wizard.query_one(FieldRow).control.value = "self"
            await until(pilot, lambda: len(app.wizard.query(FieldRow)) == 1)
