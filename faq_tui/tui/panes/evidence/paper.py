"""The results in the FAQ paper for this model and these recipes: one small table per recipe."""

from __future__ import annotations

from textual.reactive import reactive

from faq_tui.core.paper.tables import AVERAGE, UNQUANTIZED, Cell
from faq_tui.core.report.formatting import MISSING
from faq_tui.core.report.paper import ARXIV
from faq_tui.tui.panes.evidence.data import LoadedEvidence
from faq_tui.tui.widgets.flow import BAR, FlowView
from faq_tui.tui.widgets.short import middle
from faq_tui.tui.widgets.table import Column, head, row

Part = tuple[str, str] | None
NAME, COLUMN, LEAST_COLUMN = 20, 10, 7
WORDS = 14  # width in cells of a text such as ` better +10.00`
NOTE = (
    "Copied from the paper: word ppl is lm_eval's perplexity per word; all other values are accuracy in percent. "
    "The paper reports no intervals, seeds, prompts or sampling. "
    "Use these figures only to see which value is better, not by how much."
)


class PaperView(FlowView):
    """The tables of the paper. When the width changes, the tables are arranged again."""

    loaded: reactive[LoadedEvidence] = reactive(LoadedEvidence, repaint=False)
    _shown: tuple[LoadedEvidence, int] | None = None

    def watch_loaded(self) -> None:
        shown = self.loaded, self.size.width - BAR
        if shown[1] > 0 and shown != self._shown:
            self._shown = shown
            self.show(list(parts(*shown)))

    def on_resize(self) -> None:
        self.watch_loaded()


def parts(loaded: LoadedEvidence, width: int) -> list[Part]:
    """The tables, as parts (text, style).

    None stands for a gap between two parts. Rows have at most `width` cells if possible.
    """
    cells = [cell for cell in loaded.paper if cell.bits not in (UNQUANTIZED, AVERAGE)]
    if not cells:
        what = "these methods at these bit widths" if loaded.paper_known else f"the model {loaded.model}"
        return [(f"The FAQ paper ({ARXIV}) has no table for {what}.", "")]
    out: list[Part] = [(f"FAQ paper, {ARXIV}", "bold")]
    for number in dict.fromkeys(cell.table for cell in cells):
        of_table = [cell for cell in loaded.paper if cell.table == number]
        for method, bits in dict.fromkeys((cell.method, cell.bits) for cell in cells if cell.table == number):
            out += _block(number, method, bits, of_table, width)
    return [*out, (f"\n{NOTE}", "dim")]


def _block(number: int, method: str, bits: str, cells: list[Cell], width: int) -> list[Part]:
    ours = [cell for cell in cells if (cell.method, cell.bits) == (method, bits)]
    plain = {cell.metric: cell.value for cell in cells if cell.bits == UNQUANTIZED}
    sets = list(dict.fromkeys(cell.calibration for cell in ours))
    values = {(cell.metric, cell.calibration): cell for cell in ours}
    metrics = list(dict.fromkeys(cell.metric for cell in ours))
    names = max(map(len, map(_name, metrics)))
    heads = (UNQUANTIZED, *sets)
    # If the comparison in words does not fit beside the figures, it is shown below them.
    beside = width >= names + len(heads) * max(LEAST_COLUMN, 1 + max(map(len, heads))) + WORDS
    room = width - (WORDS if beside else 0)
    names = min(NAME, max(names, room - len(heads) * COLUMN))
    column = max(LEAST_COLUMN, min(COLUMN, (room - names) // len(heads)))
    columns = [Column(width=names), *(Column(middle(name, column - 1), column, right=True) for name in heads)]
    lines = []
    for metric in metrics:
        numbers = [plain.get(metric), *(_value(values.get((metric, name))) for name in sets)]
        words = _comparison([values[metric, name] for name in sets if (metric, name) in values])
        figures = row(columns, [(_name(metric), ""), *((_number(number), "") for number in numbers)]).plain
        lines.append(f"{figures} {words}".rstrip() if beside else f"{figures}\n{'':<{names}} {words}".rstrip())
    return [
        (f"\nTable {number} · {method} {bits}", "bold"),
        (head(columns).plain, "italic"),
        ("\n".join(lines), ""),
    ]


def _comparison(cells: list[Cell]) -> str:
    """Say in words how much better or worse the last set is than the baseline."""
    base = next((cell for cell in cells if cell.calibration == "baseline"), None)
    others = [cell for cell in cells if cell.calibration != "baseline"]
    if base is None or not others:
        return ""
    difference = others[-1].value - base.value
    if not difference:
        return "the same"
    better = (difference > 0) == base.higher_is_better
    return f"{'better' if better else 'worse'} {difference:+.2f}"


def _name(metric: str) -> str:
    return metric.replace("_ppl", " word ppl")


def _value(cell: Cell | None) -> float | None:
    return cell.value if cell else None


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"
