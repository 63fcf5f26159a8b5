"""The FAQ paper's own figures for this model and these recipes, one small table a recipe."""

from __future__ import annotations

from faq_tui.core.paper.tables import AVERAGE, UNQUANTIZED, Cell
from faq_tui.core.report.numbers import MISSING
from faq_tui.core.report.paper import ARXIV
from faq_tui.tui.panes.evidence_found import Found

Part = tuple[str, str] | None
NAME, COLUMN = 20, 10
NOTE = (
    "As printed: word ppl is lm_eval's perplexity by word, all else accuracy in percent. The paper gives no "
    "intervals, and not its seeds, prompts or sampling: compare a difference's direction, not its size."
)


def parts(found: Found) -> list[Part]:
    """(text, style), None a gap."""
    cells = [cell for cell in found.paper if cell.bits not in (UNQUANTIZED, AVERAGE)]
    if not cells:
        what = "these methods at these bits" if found.paper_known else f"the model {found.model}"
        return [(f"The FAQ paper ({ARXIV}) has no table for {what}.", "")]
    out: list[Part] = [(f"FAQ paper, {ARXIV}", "bold")]
    for number in dict.fromkeys(cell.table for cell in cells):
        of_table = [cell for cell in found.paper if cell.table == number]
        for method, bits in dict.fromkeys((cell.method, cell.bits) for cell in cells if cell.table == number):
            out += _block(number, method, bits, of_table)
    return [*out, (f"\n{NOTE}", "dim")]


def _block(number: int, method: str, bits: str, cells: list[Cell]) -> list[Part]:
    ours = [cell for cell in cells if (cell.method, cell.bits) == (method, bits)]
    plain = {cell.metric: cell.value for cell in cells if cell.bits == UNQUANTIZED}
    sets = list(dict.fromkeys(cell.calibration for cell in ours))
    values = {(cell.metric, cell.calibration): cell for cell in ours}
    head = f"{'':<{NAME}}{UNQUANTIZED:>{COLUMN}}" + "".join(f"{name:>{COLUMN}}" for name in sets)
    lines = []
    for metric in dict.fromkeys(cell.metric for cell in ours):
        row = [_number(plain.get(metric))] + [_number(_value(values.get((metric, name)))) for name in sets]
        said = _said([values[metric, name] for name in sets if (metric, name) in values])
        lines.append(f"{_name(metric):<{NAME}}" + "".join(f"{cell:>{COLUMN}}" for cell in row) + f"  {said}".rstrip())
    return [(f"\nTable {number} · {method} {bits}", "bold"), (head, "italic"), ("\n".join(lines), "")]


def _said(cells: list[Cell]) -> str:
    """How the last set compares with the baseline, in words."""
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
