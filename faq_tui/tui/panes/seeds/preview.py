"""The preview of the selected seed: its sample in a calibration set, or its text in the seed file."""

from __future__ import annotations

import re

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from faq_tui.core.assembly.sample import SampleIndex
from faq_tui.core.models.tokenizer import special_tokens
from faq_tui.core.run.run import Run
from faq_tui.core.store.seed_pages import SeedListRow
from faq_tui.core.store.seeds import Seed
from faq_tui.tui.widgets.marked import LIMIT, marked, rest, spelled
from faq_tui.tui.widgets.text import LiteralText, plain

ROLE_STYLE = "bold cyan"


class SampleSets:
    """The assembled sets of a run, and a pattern for special tokens. Call `refresh` on a thread, because it reads
    files."""

    def __init__(self, run: Run) -> None:
        self._run = run
        names = run.settings.set_names()
        self.indexes = {name: SampleIndex(run.calibration / f"{name}.jsonl") for name in names}
        self.special: re.Pattern[str] | None = None
        self._asked = False

    def refresh(self) -> bool:
        """Read the indexes of the sets again. Returns True if any index has changed."""
        if not self._asked:
            self._asked = True
            self.special = spelled(special_tokens(self._run))
        # A generator inside `any` would stop at the first changed set, but every set must be refreshed.
        changed = [index.refresh() for index in self.indexes.values()]
        return any(changed)

    def holding(self, seed_id: str) -> list[str]:
        """Names of the sets that contain a sample of this seed."""
        return [name for name, index in self.indexes.items() if seed_id in index.offsets]

    def tokens(self, name: str) -> dict[str, int]:
        """Maps the id of each seed in a set to the number of tokens of its sample."""
        index = self.indexes.get(name)
        return {seed_id: offset.n_tokens for seed_id, offset in index.offsets.items()} if index else {}


class SeedPreview(Vertical):
    """The whole text of one seed, below a title line."""

    whole = ""  # the whole text of the seed; a long text is cut on the screen
    _shown_title = ""

    def compose(self) -> ComposeResult:
        yield LiteralText(id="seed-title")
        yield LiteralText(id="seed-shown")
        with VerticalScroll(id="seed-scroll", can_focus=False):
            yield LiteralText(id="seed-text")

    def show(self, row: SeedListRow | None, seed: Seed | None, sets: SampleSets, set_name: str) -> None:
        """Show a seed. If the set `set_name` contains this seed, show the seed's sample in the set."""
        if row is None or seed is None:
            self._fill("", "", "", Text())
            return
        holding = sets.holding(row.id)
        name = set_name if set_name in holding else next(iter(holding), "")
        text = sets.indexes[name].text(row.id) if name else None
        if text is None:
            shown = f"from the seed file (in no calibration set yet): {row.length:,} characters"
            body = conversation(seed)
            self._fill(_title(row), shown, "\n\n".join(text for _, text in turns(seed)), body)
            return
        others = [other for other in holding if other != name]
        also = f"; press v to see {', '.join(others)}" if others else ""
        tokens = sets.indexes[name].offsets[row.id].n_tokens
        self._fill(_title(row), f"as in set {name}: {tokens:,} tokens{also}", text, marked(text, sets.special))

    def scroll_text(self, pages: float = 0, lines: int = 0) -> None:
        box = self.query_one(VerticalScroll)
        box.scroll_relative(y=lines + int(pages * (box.size.height - 1)), animate=False)

    def _fill(self, title: str, shown: str, whole: str, body: Text) -> None:
        moved = title != self._shown_title
        self._shown_title, self.whole = title, whole
        self.query_one("#seed-title", LiteralText).show(title)
        self.query_one("#seed-shown", LiteralText).show(shown)
        self.query_one("#seed-text", LiteralText).show(body)
        if moved:
            self.query_one(VerticalScroll).scroll_home(animate=False)


def turns(seed: Seed) -> list[tuple[str, str]]:
    """The pairs (role, text) of all messages, and at the end of the original answer."""
    messages = [(message["role"], message["content"]) for message in seed.messages]
    return [*messages, ("original answer", seed.answer)] if seed.answer else messages


def conversation(seed: Seed) -> Text:
    """The whole conversation. Each message has its role above it."""
    parts = [
        Text.assemble(plain(role, ROLE_STYLE), "\n", plain(text[:LIMIT]), (rest(text), "italic"))
        for role, text in turns(seed)
    ]
    return Text("\n\n").join(parts)


def _title(row: SeedListRow) -> str:
    named = [f"seed {row.id}", row.label, row.origin, row.category, row.language, row.state]
    return "  ".join([*(part for part in named if part), *(f"#{tag}" for tag in row.tags)])
