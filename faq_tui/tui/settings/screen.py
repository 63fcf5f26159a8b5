"""The screen with the settings of a run: the sections of `faq.toml`, and a form for the keys of one section."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Input, OptionList, Select
from textual.widgets.option_list import Option

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.text import sanitize
from faq_tui.core.run_plan import Effect
from faq_tui.core.settings import Settings
from faq_tui.core.settings.catalog import SettingGroup, SettingKey
from faq_tui.core.settings.change import save_changes
from faq_tui.tui.screens.choice import Answer, ChoiceScreen
from faq_tui.tui.settings.draft import SettingsDraft, field_id, field_of
from faq_tui.tui.settings.effect import effect_of_changes
from faq_tui.tui.settings.words import effect_in_words, sentence
from faq_tui.tui.widgets.ask import Ask
from faq_tui.tui.widgets.form import FieldRow, Form, Values
from faq_tui.tui.widgets.menu import Group, Menu
from faq_tui.tui.widgets.text import LiteralText

MOVE_PAUSE_S = 0.1  # a section is shown when the cursor has stayed on it for this long
PAUSE_S = 0.4  # the effect of a change is computed when the person has not typed for this long
SAVE, DISCARD, STAY = "save", "discard", "stay"
LIST_KEYS = "↓ ↑ section · enter keys · / search · E editor · ctrl+s save · esc leave"
FORM_KEYS = "↓ ↑ key · enter choose · ctrl+z undo · ctrl+r reset · ctrl+s save · esc back"
CHECKING = "Looking at what this makes out of date …"
READ_ONLY = "this is a replay, which cannot change faq.toml"


class SettingsScreen(ModalScreen[None]):
    """Shows the settings, and saves the changes of the person."""

    DEFAULT_CSS = (Path(__file__).parent / "settings.tcss").read_text(encoding="utf-8")
    AUTO_FOCUS = "#sections"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (70, "-middle"), (100, "-wide")]  # noqa: RUF012  as in Textual
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-high")]  # noqa: RUF012  as in Textual
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("ctrl+r", "reset", "Reset", priority=True),
        Binding("down", "field(1)", show=False, priority=True),
        Binding("up", "field(-1)", show=False, priority=True),
        Binding("escape", "back", "Back"),
        Binding("E", "editor", "Editor"),
        Binding("slash", "search", "Search"),
        Binding("j", "section('cursor_down')", show=False),
        Binding("k", "section('cursor_up')", show=False),
        Binding("g", "section('first')", show=False),
        Binding("G", "section('last')", show=False),
        Binding("l,right", "into_form", show=False),
        Binding("q", "back", show=False),
    ]

    @dataclass
    class Saved(Message):
        """The file has been changed."""

        settings: Settings

    @dataclass
    class EditorWanted(Message):
        """The person wants to edit the file in an editor."""

    @dataclass
    class Computed(Message):
        """A thread has computed the effect of the changes, or found the reason why they cannot be saved."""

        number: int
        effect: Effect | str

    def __init__(
        self, folder: Path, is_busy: Callable[[], bool], read_only: bool = False, pause_s: float = PAUSE_S
    ) -> None:
        """`is_busy` returns True while a job runs. Tests make `pause_s` shorter.

        Raises UsageError if `faq.toml` is not TOML.
        """
        super().__init__()
        self._folder, self._is_busy, self._read_only, self._pause_s = folder, is_busy, read_only, pause_s
        self.draft = SettingsDraft(folder / "faq.toml")
        self.draft.read()
        self.index = -1  # index of the shown section; -1 before the first one is shown
        self.effect: Effect | str | None = None  # None without changes, and while the effect is being computed
        self.broken = ""  # why the file on disk cannot be read; "" if the file was read
        self._ids: dict[str, SettingKey] = {}  # the keys of the shown section
        self._computed = 0  # number of computations that began; only the last one is shown
        self._timer: Timer | None = None
        self._moved: Timer | None = None
        self._showing = asyncio.Lock()

    def compose(self) -> ComposeResult:
        with Vertical(id="settings"):
            yield LiteralText(id="settings-title")
            with Horizontal(id="settings-main"):
                yield OptionList(*self._sections(), id="sections", compact=True, markup=False)
                with VerticalScroll(id="group", can_focus=False):
                    yield LiteralText(id="group-help")
                    yield Form([], self._check)
            with Vertical(id="below"):
                yield LiteralText(id="key-help")
                yield LiteralText(id="problem")
                yield LiteralText(id="effect")
            yield LiteralText(LIST_KEYS, id="settings-hint")

    async def on_mount(self) -> None:
        self._list.highlighted = 0
        await self._show_section(0)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#sections", OptionList)

    @property
    def _form(self) -> Form:
        return self.query_one(Form)

    @property
    def _group(self) -> SettingGroup:
        return self.draft.groups[self.index]

    def _sections(self) -> list[Option]:
        """The list of sections. A section with changes has a mark."""
        return [Option(self._section_line(group)) for group in self.draft.groups]

    def _section_line(self, group: SettingGroup) -> Text:
        changed = any(key.path in self.draft.typed for key in group.keys)
        style = "" if group.keys else "dim"
        return Text.assemble(("● " if changed else "  "), (sanitize(group.title), style), no_wrap=True)

    # Showing.

    @on(OptionList.OptionHighlighted, "#sections")
    def _section_chosen(self) -> None:
        if self._moved is not None:
            self._moved.stop()
        self._moved = self.set_timer(MOVE_PAUSE_S, self._show_chosen)

    async def _show_chosen(self) -> None:
        if self._list.highlighted is not None:
            await self._show_section(self._list.highlighted)

    async def _show_section(self, index: int, again: bool = False) -> None:
        async with self._showing:
            if index == self.index and not again:
                return
            if index != self.index:
                await self._form.show_fields([])
            self.index = index
            group = self._group
            self._ids = {field_id(key): key for key in group.keys}
            await self._form.show_fields([field_of(key, self.draft) for key in group.keys])
            text = f"[{group.title}]  {group.help}"
            self.query_one("#group-help", LiteralText).show(f"{text}\n\n{group.note}" if group.note else text)
            for row in self._form.rows:
                if isinstance(row.control, Input):
                    row.control.cursor_position = 0  # show the beginning of a long value
            self.query_one("#group", VerticalScroll).scroll_home(animate=False)
            self._draw()

    def _draw(self) -> None:
        count = len(self.draft.typed)
        changes = f"{count} {'change' if count == 1 else 'changes'} not saved" if count else ""
        title = Text.assemble(("Settings of ", ""), (sanitize(self._folder.name), "bold"), ("   faq.toml   ", ""))
        self.query_one("#settings-title", LiteralText).show(title.append(changes, "bold"))
        for index, group in enumerate(self.draft.groups):
            self._list.replace_option_prompt_at_index(index, self._section_line(group))
        # The form itself shows the problems of these keys.
        beside = {key.path for key in self._ids.values() if key.path in self.draft.typed}
        others = [why for path, why in self.draft.problems.items() if path not in beside]
        self._show_below("problem", sentence(self.broken or next(iter(others), "")))
        self._show_below("effect", "" if self.broken or self.draft.problems else self._effect_text())

    def _show_below(self, name: str, text: str) -> None:
        widget = self.query_one(f"#{name}", LiteralText)
        widget.show(text)
        widget.set_class(not text, "-empty")

    def _effect_text(self) -> str:
        if not self.draft.typed:
            return ""
        busy = " The running job keeps its settings." if self._is_busy() else ""
        if self.effect is None:
            return CHECKING
        if isinstance(self.effect, str):
            return sentence(self.effect)
        return effect_in_words(self.effect) + busy

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        row = next((one for one in event.widget.ancestors_with_self if isinstance(one, FieldRow)), None)
        self.query_one("#key-help", LiteralText).show(row.help if row is not None else "")
        self.query_one("#settings-hint", LiteralText).show(LIST_KEYS if row is None else FORM_KEYS)

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        if isinstance(event.widget, Input):
            event.widget.cursor_position = 0

    # Checking.

    def _check(self, values: Values) -> dict[str, str]:
        """Put the values of the form into the draft. Returns the reason for each refused value."""
        before = dict(self.draft.typed)
        for name, value in values.items():
            if name in self._ids:
                self.draft.type(self._ids[name], value)
        if self.draft.typed != before:
            self.draft.check()
            self._compute_soon()
            self._draw()
        known = {key.path: name for name, key in self._ids.items()}
        return {known[path]: sentence(why) for path, why in self.draft.problems.items() if path in known}

    def _compute_soon(self) -> None:
        self.effect = None
        self._computed += 1  # the result of a computation with an older number is ignored
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.draft.typed and not self.draft.problems:
            self._timer = self.set_timer(self._pause_s, self._compute_now)

    def _compute_now(self) -> None:
        if self.draft.settings is None:
            return
        arguments = (self._computed, self.draft.text, self.draft.raw, self.draft.changes, self.draft.settings)
        threading.Thread(target=self._compute, args=arguments, name="effect", daemon=True).start()

    def _compute(self, number: int, *arguments: Any) -> None:
        self.post_message(self.Computed(number, effect_of_changes(self._folder, *arguments)))

    def on_settings_screen_computed(self, message: Computed) -> None:
        if message.number == self._computed and self.is_attached:
            self.effect = message.effect
            self._draw()

    # The file on disk.

    async def read_again(self) -> None:
        """Read the file again after it has changed. Unsaved changes in the form are kept."""
        if not self.query("#settings-title"):  # the screen is not composed yet, or is being closed
            return
        try:
            news = self.draft.read()
        except UsageError as error:
            self.broken = str(error)
            self._draw()
            return
        self.broken = ""
        if news:
            await self._show_again()
        else:
            self._draw()

    async def _show_again(self) -> None:
        """Show the sections and the keys again. The same key keeps the focus."""
        focused = self.focused.id if self.focused is not None else None
        index = min(self.index, len(self.draft.groups) - 1)
        async with self._showing:
            with self._list.prevent(OptionList.OptionHighlighted):
                self._list.clear_options()
                self._list.add_options(self._sections())
                self._list.highlighted = index
        await self._show_section(index, again=True)
        self._compute_soon()
        if focused is not None and (rows := self.query(f"#{focused}")):
            rows.first().focus()

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "field":  # in a list of sections or choices, these keys move its cursor
            return isinstance(self.focused, Input) or (isinstance(self.focused, Select) and not self.focused.expanded)
        if action in ("section", "into_form"):
            return self.focused is self._list
        return True

    def action_field(self, by: int) -> None:
        (self.focus_next if by > 0 else self.focus_previous)()

    def action_reset(self) -> None:
        """Set the focused field back to the value in the file."""
        row = next((one for one in self._form.rows if one.control is self.focused), None)
        if row is not None:
            row.control.value = (row.field.value or "") if isinstance(row.control, Input) else row.field.value

    def action_section(self, name: str) -> None:
        getattr(self._list, f"action_{name}")()

    @on(OptionList.OptionSelected, "#sections")
    async def action_into_form(self) -> None:
        await self._show_chosen()
        if rows := self._form.rows:
            rows[0].control.focus()

    @on(Input.Submitted)
    def _next_field(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_next()

    def action_editor(self) -> None:
        if self._read_only:
            raise UsageError(READ_ONLY)
        self.post_message(self.EditorWanted())

    def action_search(self) -> None:
        self.app.push_screen(Ask("Part of a key's name or help"), self._found)

    def _found(self, text: str | None) -> None:
        wanted = (text or "").strip().lower()
        if not wanted:
            return
        places = [
            (index, key)
            for index, group in enumerate(self.draft.groups)
            for key in group.keys
            if wanted in f"{group.title}.{key.label} {key.help}".lower()
        ]
        if not places:
            self.app.notify(f"No key has the text {sanitize(wanted, 40)!r}.", markup=False)
        elif len(places) == 1:
            self._chosen(places, ("", "0"))
        else:
            options = {
                str(i): f"{self.draft.groups[index].title}.{key.label}" for i, (index, key) in enumerate(places)
            }
            self.app.push_screen(Menu("Keys", [Group("", options, "")]), lambda answer: self._chosen(places, answer))

    def _chosen(self, places: list[tuple[int, SettingKey]], answer: tuple[str, str] | None) -> None:
        if answer is not None:
            self.run_worker(self._go_to(*places[int(answer[1])]), exclusive=True)

    async def _go_to(self, index: int, key: SettingKey) -> None:
        with self._list.prevent(OptionList.OptionHighlighted):
            self._list.highlighted = index
        await self._show_section(index)
        self.query_one(f"#{field_id(key)}").focus()

    async def action_save(self) -> None:
        await self._save()

    async def _save(self) -> bool:
        """Save the changes. If the changes cannot be saved, show the reason and return False."""
        if not self.draft.typed:
            self.app.notify("Nothing is changed.")
            return True
        try:
            if self._read_only:
                raise UsageError(READ_ONLY)
            if self.draft.problem:
                raise UsageError(self.draft.problem)
            settings = save_changes(self.draft.path, self.draft.changes)
        except FaqError as error:
            self.app.notify(sentence(str(error)), severity="error", markup=False)
            return False
        later = (
            "The running job keeps its settings. Press r after it has ended, and the new settings apply."
            if self._is_busy()
            else effect_in_words(self.effect, saved=True)
            if isinstance(self.effect, Effect)
            else ""
        )
        self.app.notify(f"Saved. {later}".strip(), markup=False)
        self.post_message(self.Saved(settings))
        await self.read_again()
        return True

    def action_back(self) -> None:
        if self.focused is not self._list:
            self._list.focus()
        elif not self.draft.typed:
            self.dismiss(None)
        else:
            count = len(self.draft.typed)
            question = f"{count} {'change is' if count == 1 else 'changes are'} not saved."
            answers = (
                Answer("s", SAVE, "Save and leave"),
                Answer("d", DISCARD, "Leave without saving"),
                Answer("escape", STAY, "Stay here"),
            )
            self.app.push_screen(ChoiceScreen(question, answers), self._leave)

    async def _leave(self, answer: str | None) -> None:
        if answer == DISCARD or (answer == SAVE and await self._save()):
            self.dismiss(None)
