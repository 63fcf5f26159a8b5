"""The screen Try it, by its keys: asking, streaming, the marks, the models, stopping, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from faq_tui.core.trying.models import TriedModel
from faq_tui.core.trying.request import TryRequest
from faq_tui.tui.config import Config
from faq_tui.tui.panes.quantize.pane import QuantizePane
from faq_tui.tui.shell import ShellApp
from faq_tui.tui.try_it.column import AnswerColumn, AnswerText
from faq_tui.tui.try_it.runner import Message, TryRunner
from faq_tui.tui.try_it.screen import TryScreen
from faq_tui.tui.widgets.text import LiteralText
from tests.support.app_host import app_on, text_of, until
from tests.support.quantize_bench import children
from tests.support.try_run import EQUAL, make_try_run

SIZES = [(80, 24), (120, 36), (200, 60)]
THEMES = ("textual-dark", "textual-light")
Snap = Callable[..., bool]
MODELS = [
    TriedModel("unquantized", None),
    TriedModel("gptq-w4g64-elder", Path("/run/models/gptq-w4g64-elder")),
    TriedModel("awq-w3g128-baseline", Path("/run/models/awq-w3g128-baseline")),
    TriedModel("w8a8-w8gc-elder", Path("/run/models/w8a8-w8gc-elder")),
]
HOSTILE = "[red]no[/] \x1b]52;c;aGk=\x07 \x1b[2J \u202eleft\u202c nul\x00 end"


class ScriptedSource:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.busy = False
        self.asked: list[tuple[list[str], TryRequest]] = []
        self.stops = 0
        self.closed = False
        self._messages: list[Message] = []

    def ask(self, models: Sequence[TriedModel], request: TryRequest) -> None:
        self.busy = True
        self.asked.append(([model.name for model in models], request))

    def stop(self) -> None:
        self.stops += 1
        self.busy = False

    def close(self) -> None:
        self.closed = True

    def drain(self) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages

    def say(self, name: str, kind: str, **body: Any) -> None:
        self._messages.append((name, {"kind": kind, **body}))

    def words(self, name: str, words: str, seconds: float, vocabulary: dict[str, int]) -> None:
        """One token for each word."""
        texts = [f" {word}" for word in words.split(" ")]
        ids = [vocabulary.setdefault(text, len(vocabulary)) for text in texts]
        self.say(name, "tokens", ids=ids, texts=texts, seconds=seconds)

    def loaded(self, name: str, memory_mb: float = 15_300.0) -> None:
        self.say(name, "loading")
        self.say(name, "loaded", seconds=4.2, memory_mb=memory_mb)
        self.say(name, "answering", opened="", prompt_tokens=12)

    def done(self, name: str, seconds: float, tokens: int, memory_mb: float = 15_400.0) -> None:
        self.say(name, "answered", rest="", finish_reason="stop", seconds=seconds, tokens=tokens, memory_mb=memory_mb)


class TryHost(ShellApp):
    """An app with only the screen."""

    CSS = "Screen { overflow: hidden; }"

    def __init__(self, models: Sequence[TriedModel] = MODELS[:3], theme: str = "textual-dark") -> None:
        super().__init__(Config(theme=theme))
        self.source = ScriptedSource()
        self.screen_of_try = TryScreen(self.source, MODELS, models)
        self.results: list[str | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.screen_of_try, self.results.append)


SKY = "The sky is blue because air scatters short waves of light more than long ones , so blue reaches us all day"
OTHER = "The sky is blue because molecules of the air scatter blue light much more than red light"
EARLY = "The sky is blue because air scatters short waves of light more than long ones"


def answer_all(source: ScriptedSource, end: bool = True) -> None:
    vocabulary: dict[str, int] = {}
    for model, words, seconds in zip(MODELS, (SKY, OTHER, EARLY), (0.9, 0.5, 0.6), strict=False):
        name = model.name
        source.loaded(name)
        source.words(name, words, seconds, vocabulary)
        if end:
            source.done(name, seconds, len(words.split(" ")))
    source.busy = not end


async def ask(pilot: Pilot[None], words: str = "Why?") -> None:
    await pilot.press(*["space" if char == " " else "question_mark" if char == "?" else char for char in words])
    await pilot.press("enter")


def told(app: App[Any]) -> list[str]:
    return [notification.message for notification in app._notifications]


def words_of(app: TryHost, number: int) -> Any:
    return app.screen_of_try.query_one(f"#answer-{number}", AnswerColumn).query_one(AnswerText)._shown


def figures_of(app: TryHost, number: int) -> str:
    column = app.screen_of_try.query_one(f"#answer-{number}", AnswerColumn)
    return column.query_one(".figures", LiteralText)._shown.plain.replace("\n", " · ")


async def test_a_prompt_is_asked_and_the_departure_is_marked() -> None:
    app = TryHost()
    async with app.run_test(size=(120, 36)) as pilot:
        await ask(pilot)
        assert app.source.asked == [([m.name for m in MODELS[:3]], TryRequest("Why?"))]
        answer_all(app.source)
        await until(pilot, lambda: "3 of 3 answers done" in text_of(app))
        assert figures_of(app, 1) == "22 tokens · 24.4 tokens/s · 15.4 GB · loaded in 4.2 s"
        assert figures_of(app, 2).startswith("5 equal tokens · 17 tokens · 34.0 tokens/s")
        assert figures_of(app, 3).startswith("15 equal tokens, then it ends · 15 tokens")
        marked = words_of(app, 2)
        first, later = (span for span in marked.spans)
        assert marked.plain[: first.start] == " The sky is blue because"
        assert marked.plain[first.start : first.end] == " molecules" and first.style.reverse
        assert marked.plain[later.start :].startswith(" of the air") and later.style.color == first.style.color
        assert words_of(app, 3).plain.endswith("than long ones ■")
        assert not words_of(app, 1).spans, "the unquantized answer has no marks"


async def test_tokens_that_the_unquantized_model_has_not_written_yet_are_no_departure() -> None:
    app = TryHost(MODELS[:2])
    async with app.run_test(size=(120, 36)) as pilot:
        await ask(pilot)
        vocabulary: dict[str, int] = {}
        for name in (MODELS[0].name, MODELS[1].name):
            app.source.loaded(name)
        app.source.words(MODELS[1].name, "The sky is blue", 0.2, vocabulary)
        app.source.words(MODELS[0].name, "The sky", 0.2, vocabulary)
        await until(pilot, lambda: "2 equal tokens" in text_of(app))
        (span,) = words_of(app, 2).spans
        assert words_of(app, 2).plain[span.start :] == " is blue" and span.style.dim and not span.style.reverse
        app.source.words(MODELS[0].name, "is", 0.3, vocabulary)
        await until(pilot, lambda: "3 equal tokens" in text_of(app))
        app.source.words(MODELS[0].name, "grey", 0.4, vocabulary)
        await until(pilot, lambda: any(span.style.reverse for span in words_of(app, 2).spans))
        assert "3 equal tokens" in text_of(app)


async def test_a_small_terminal_shows_one_model_and_digits_switch() -> None:
    app = TryHost()
    async with app.run_test(size=(80, 24)) as pilot:
        await ask(pilot)
        answer_all(app.source)
        await until(pilot, lambda: "3 of 3 answers done" in text_of(app))
        assert "reaches us" in text_of(app) and "molecules" not in text_of(app)
        assert "gptq-w4g64-elder ≠5" in text_of(app)
        await pilot.press("2")
        await until(pilot, lambda: "molecules" in text_of(app))
        assert "5 equal tokens · 17 tokens" in text_of(app) and "reaches us" not in text_of(app)
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: "molecules" in text_of(app) and "reaches" in text_of(app))
        await pilot.resize_terminal(60, 60)
        columns = app.screen_of_try.query(AnswerColumn)
        await until(pilot, lambda: len({column.region.y for column in columns}) == 3)  # one below the other
        assert "molecules" in text_of(app) and "reaches" in text_of(app)


async def test_stop_and_the_next_prompt() -> None:
    app = TryHost()
    async with app.run_test(size=(120, 36)) as pilot:
        await ask(pilot)
        answer_all(app.source, end=False)
        await until(pilot, lambda: "x Stop" in text_of(app) and "molecules" in text_of(app))
        await pilot.press("x")
        assert app.source.stops == 1
        app.source.busy = True
        await pilot.press("i", "2", "enter")
        assert app.source.stops == 2, "answers that still run are stopped first"
        await until(pilot, lambda: len(app.source.asked) == 2)
        assert app.source.asked[1][1].prompt == "2" and "molecules" not in text_of(app)


async def test_an_empty_prompt_is_refused() -> None:
    app = TryHost()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("space", "enter")
        assert told(app) == ["the prompt is empty: write a question"] and not app.source.asked


async def test_models_and_sampling_are_chosen() -> None:
    app = TryHost(MODELS[:2])
    async with app.run_test(size=(120, 36)) as pilot:
        await ask(pilot)
        answer_all(app.source)
        await until(pilot, lambda: not app.source.busy)
        await pilot.press("m")
        await until(pilot, lambda: "third column" in text_of(app))
        await pilot.press("end", "up", "enter")
        await until(pilot, lambda: len(app.source.asked) == 2)
        assert app.source.asked[1][0] == ["unquantized", "gptq-w4g64-elder", "w8a8-w8gc-elder"]
        app.source.busy = False
        await pilot.press("s")
        await until(pilot, lambda: "longest answer" in text_of(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: len(app.source.asked) == 3)
        assert app.source.asked[2][1].max_tokens == 4096
        app.source.busy = False
        await pilot.press("s")
        await until(pilot, lambda: "longest answer" in text_of(app))
        await pilot.press("home", "down", "enter")
        await until(pilot, lambda: len(app.source.asked) == 4)
        assert app.source.asked[3][1].temperature == 0.3 and "temperature 0.3" in text_of(app)


async def test_a_model_that_fails_says_why_and_the_others_answer() -> None:
    app = TryHost()
    async with app.run_test(size=(120, 36)) as pilot:
        await ask(pilot)
        app.source.say(MODELS[1].name, "failed", message="try ran out of memory" + HOSTILE)
        app.source.loaded(MODELS[0].name)
        app.source.words(MODELS[0].name, HOSTILE, 0.3, {})
        await until(pilot, lambda: "try ran out of memory" in text_of(app))
        await until(pilot, lambda: text_of(app).count("[red]no[/]") == 2)
        assert not set("\x1b\x07\x00\u202e") & set(text_of(app))


async def test_leaving_closes_the_models_and_keeps_the_prompt() -> None:
    app = TryHost()
    async with app.run_test(size=(80, 24)) as pilot:
        await ask(pilot)
        await pilot.press("i", "escape")
        assert not app.results, "the first esc leaves the prompt"
        await pilot.press("escape")
        await until(pilot, lambda: app.results == ["Why?"])
        assert app.source.closed


async def test_copy_takes_all_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    def copy_text(_app: App[Any], text: str) -> str:
        copied.append(text)
        return "copied"

    monkeypatch.setattr("faq_tui.tui.try_it.screen.copy_text", copy_text)
    app = TryHost()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ask(pilot)
        answer_all(app.source)
        await until(pilot, lambda: "3 of 3" in text_of(app))
        await pilot.press("y")
        assert copied[0].startswith("Why?\n\nunquantized\n\n The sky") and OTHER in copied[0]


async def test_a_long_answer_scrolls_and_follows_its_end() -> None:
    app = TryHost(MODELS[:1])
    async with app.run_test(size=(80, 24)) as pilot:
        await ask(pilot)
        app.source.loaded(MODELS[0].name)
        app.source.words(MODELS[0].name, " ".join(f"word{n}" for n in range(400)), 2.0, {})
        await until(pilot, lambda: "word399" in text_of(app))
        await pilot.press("g")
        await until(pilot, lambda: "word0 " in text_of(app))
        app.source.words(MODELS[0].name, "last", 2.1, {})
        await pilot.pause(0.3)
        assert "word0 " in text_of(app), "a person who reads the beginning stays there"
        await pilot.press("G")
        await until(pilot, lambda: "last" in text_of(app))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "size",
    [SIZES[0], *(pytest.param(size, marks=pytest.mark.slow) for size in SIZES[1:])],
    ids=["size0", "size1", "size2"],
)
@pytest.mark.parametrize("moment", ["streaming", "done"])
def test_picture(snap_compare: Snap, size: tuple[int, int], theme: str, moment: str) -> None:
    app = TryHost(theme=theme)

    async def settle(pilot: Pilot[None]) -> None:
        await ask(pilot, "Why is the sky blue?")
        if moment == "done":
            answer_all(app.source)
            await until(pilot, lambda: "3 of 3 answers done" in text_of(app))
            if size[0] == 80:
                await pilot.press("2")
        else:
            vocabulary: dict[str, int] = {}
            for model in MODELS[:2]:
                app.source.loaded(model.name)
            app.source.say(MODELS[2].name, "loading")
            app.source.words(MODELS[0].name, SKY[:60], 0.5, vocabulary)
            app.source.words(MODELS[1].name, OTHER, 0.5, vocabulary)
            await until(pilot, lambda: "equal tokens" in text_of(app) or size[0] == 80)
        for field in app.screen_of_try.query(Input):
            field.cursor_blink = False
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=settle)


@pytest.mark.slow
async def test_real_models_by_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: from the Quantize pane to the answers of a real target and its artefacts, and back."""
    monkeypatch.setattr(QuantizePane, "make_source", staticmethod(lambda run: TryRunner(run, at_once=1)))
    app = app_on(make_try_run(tmp_path / "run"))
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: EQUAL in text_of(app))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TryScreen))
        await pilot.press("h", "i", "enter")
        await until(pilot, lambda: "3 of 3 answers done" in text_of(app), 300)
        figures = [
            column.query_one(".figures", LiteralText)._shown.plain for column in app.screen.query(AnswerColumn)
        ]
        assert all("tokens/s" in words and " MB" in words for words in figures)
        assert "equal, all" in figures[1] and "equal token" in figures[2]
        words = [column.query_one(AnswerText)._shown for column in app.screen.query(AnswerColumn)]
        assert words[0].plain == words[1].plain and "reverse" in str([span.style for span in words[2].spans])
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, TryScreen))
        await until(pilot, lambda: children() == [])
