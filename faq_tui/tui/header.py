"""The two lines on top: what is open, and where one is."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from faq_tui.core.literal import literal
from faq_tui.core.run import Run
from faq_tui.tui.gpu import Sample, describe
from faq_tui.tui.widgets.text import LiteralText


class Header(LiteralText):
    """Run, target, sources; `badge` says what is unusual about this session."""

    def __init__(self, run: Run, badge: str = "") -> None:
        super().__init__(id="header")
        self._run, self._badge = run, badge

    def on_resize(self) -> None:
        self.show(self._line(self.size.width))

    def _line(self, width: int) -> Text:
        settings = self._run.settings
        sources = settings.sources.items()
        long = ", ".join(f"{name} {source.model}" for name, source in sources)
        short = ", ".join(name for name, _ in sources)
        target = settings.target.model
        versions = [(target, long), (target, short), (target.rpartition("/")[2], short)]
        lines = [self._parts(target, sources) for target, sources in versions]
        line = next((line for line in lines if line.cell_len <= width), lines[-1])
        line.truncate(width, overflow="ellipsis")
        return line

    def _parts(self, target: str, sources: str) -> Text:
        line = Text.assemble(
            (literal(self._run.folder.name), "bold"),
            ("  target ", "dim"),
            literal(target),
            ("  sources " if len(self._run.settings.sources) != 1 else "  source ", "dim"),
            literal(sources or "none"),
        )
        return Text.assemble((f"{self._badge}  ", "bold reverse"), line) if self._badge else line


class PaneTab(Static):
    class Chosen(Message):
        def __init__(self, scope: str) -> None:
            super().__init__()
            self.scope = scope

    def __init__(self, scope: str) -> None:
        super().__init__(markup=False)
        self.scope = scope

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.scope))


class TabLine(Horizontal):
    """The panes with their keys, and what the machine does."""

    sample: reactive[Sample | None] = reactive(None, layout=False)

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__(id="tabs")
        self._scopes = scopes

    def compose(self) -> ComposeResult:
        yield from map(PaneTab, self._scopes)
        yield Static(id="switch-keys", markup=False)
        yield LiteralText(id="machine")

    def show(self, current: str, labels: dict[str, tuple[str, str]], switch: str) -> None:
        """`labels`: scope to (key or nothing, name)."""
        for tab in self.query(PaneTab):
            key, name = labels[tab.scope]
            tab.update(Text.assemble((f"{key} " if key else "", "dim"), name))
            tab.set_class(tab.scope == current, "-current")
        self.query_one("#switch-keys", Static).update(switch)

    def watch_sample(self) -> None:
        self._show_machine()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_machine)

    def _show_machine(self) -> None:
        machine = self.query_one("#machine", LiteralText)
        machine.show(describe(self.sample, machine.size.width))
