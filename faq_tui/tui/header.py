"""The two lines at the top of the screen: the run with its models, and the tabs of the panes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.worker import get_current_worker

from faq_tui.core.base.text import sanitize
from faq_tui.core.family import badges, is_quick
from faq_tui.core.run.run import Run
from faq_tui.tui.gpu import MachineSample, describe
from faq_tui.tui.stage_marks import Mark
from faq_tui.tui.widgets.text import LiteralText

INVALID = "faq.toml is invalid"  # this badge is shown while the settings are invalid


class Header(LiteralText):
    """Shows the run, its target and its sources.

    The header shows how each source is related to the target. `badge` is a mark for an unusual session, such as a
    replay.
    """

    kin: reactive[dict[str, str]] = reactive(dict, repaint=False)  # maps a source to its relation to the target

    def __init__(self, run: Run, badge: str = "") -> None:
        super().__init__(id="header")
        self._run, self._badge = run, badge

    def use_run(self, run: Run, refused: bool = False) -> None:
        """Show the settings of `run`. `refused` is true while `faq.toml` is invalid."""
        other = run.settings != self._run.settings
        self._run, self._badge = run, INVALID if refused else ""
        if other:
            self._find_badges()
        self.watch_kin()

    def on_mount(self) -> None:
        self._find_badges()

    def _find_badges(self) -> None:
        if is_quick(self._run):
            self.kin = badges(self._run)
        else:
            self.run_worker(self._read_badges, thread=True)

    def _read_badges(self) -> None:
        kin = badges(self._run)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(setattr, self, "kin", kin)

    def watch_kin(self) -> None:
        self.show(self._line(self.size.width))

    def on_resize(self) -> None:
        self.watch_kin()

    def _line(self, width: int) -> Text:
        settings = self._run.settings
        sources = settings.sources.items()
        kin = {name: f" ({word})" for name, word in self.kin.items() if word}
        long = ", ".join(f"{name} {source.model}{kin.get(name, '')}" for name, source in sources)
        short = ", ".join(f"{name}{kin.get(name, '')}" for name, _ in sources)
        target = settings.target.model
        versions = [(target, long), (target, short), (target.rpartition("/")[2], short)]
        lines = [self._parts(target, sources) for target, sources in versions]
        line = next((line for line in lines if line.cell_len <= width), lines[-1])
        line.truncate(width, overflow="ellipsis")
        return line

    def _parts(self, target: str, sources: str) -> Text:
        line = Text.assemble(
            (sanitize(self._run.folder.name), "bold"),
            ("  target ", "dim"),
            sanitize(target),
            ("  sources " if len(self._run.settings.sources) != 1 else "  source ", "dim"),
            sanitize(sources or "none"),
        )
        return Text.assemble((f"{self._badge}  ", "bold reverse"), line) if self._badge else line


class PaneTab(LiteralText):
    """The tab of a pane. A click shows the pane."""

    @dataclass
    class PaneChosen(Message):
        scope: str

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def on_click(self) -> None:
        self.post_message(self.PaneChosen(self.scope))


class TabLine(Horizontal):
    """The tabs of the panes with their keys, and the load of the machine."""

    def __init__(self, scopes: tuple[str, ...], machine: Machine) -> None:
        super().__init__(id="tabs")
        self._scopes, self._machine = scopes, machine
        self._shown: tuple[object, ...] = ()
        self._labels: dict[str, tuple[str, str]] = {}
        self._switch = ""
        self._marks: Mapping[str, Mark] = {}

    def compose(self) -> ComposeResult:
        yield from map(PaneTab, self._scopes)
        yield LiteralText(id="switch-keys")
        yield self._machine

    def show(self, current: str, labels: dict[str, tuple[str, str]], switch: str) -> None:
        """`labels` maps a scope to (key, name). The key is "" if no key shows the pane."""
        if self._shown == (current, labels, switch) or not self.is_mounted:
            return
        self._shown = current, labels, switch
        self._labels, self._switch = labels, switch
        self._draw()
        for tab in self.query(PaneTab):
            tab.set_class(tab.scope == current, "-current")

    def show_marks(self, marks: Mapping[str, Mark]) -> None:
        """Show the state of each pane's stages beside the pane's name. `marks` maps a scope to (sign, style)."""
        self._marks = marks
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        for tab in self.query(PaneTab):
            key, name = self._labels.get(tab.scope, ("", ""))
            marks = [self._marks.get(tab.scope, (" ", ""))] if self._marks else []
            tab.show(Text.assemble((f"{key} " if key else "", "dim"), name, *marks))
            tab.set_class(bool(marks), "-marked")  # a tab with a mark has no space after its name
        self.query_one("#switch-keys", LiteralText).show(f"{' ' if self._marks else ''}{self._switch}")


class Machine(LiteralText):
    """The load of the machine, in the space beside the tabs."""

    sample: reactive[MachineSample | None] = reactive(None, repaint=False)

    def watch_sample(self) -> None:
        self.show(describe(self.sample, self.size.width))

    def on_resize(self) -> None:
        self.watch_sample()
