"""The grid of losses: layers from left to right, modules from top to bottom. Each loss has a bar and a colour."""

from __future__ import annotations

import math

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from faq_tui.core.base.text import sanitize
from faq_tui.core.quantizing.loss_table import LossTable, level_of

RAMP = "▁▂▃▄▅▆▇█"  # bars of rising height; they show the loss even on terminals without colours
HOT = ("#3b7dd8", "#2f9fb8", "#38a878", "#7fb04a", "#c2b03a", "#e0912f", "#e8662c", "#f03e3e")
HOT_16 = ("blue", "cyan", "cyan", "green", "green", "yellow", "red", "bright_red")
WAITING, WORKING, ROUNDED = "·", "○", "×"
MOST_CELL = 5
LABEL = 20


class LossGrid(Widget):
    """Draws any number of layers. If not all layers fit, each column shows the largest loss of several layers."""

    grid: reactive[LossTable] = reactive(LossTable)
    few_colours: reactive[bool] = reactive(False)  # True if the terminal has only 16 colours

    def render(self) -> Text:
        width, height = self.size.width, self.size.height
        grid = self.grid
        if not grid.modules or not grid.layers:
            return Text("No layer has been quantized yet.", style="dim")
        legend = self._legend(width)
        room = max(1, height - 1 - legend.plain.count("\n") - 1)
        modules = grid.modules if len(grid.modules) <= room else grid.modules[: max(1, room - 1)]
        label = min(LABEL, max(map(len, grid.modules)) + 1)
        columns, cell = layout(grid.layers, width - label - 1)
        lines = [self._row(module, label, columns, cell) for module in modules]
        if len(modules) < len(grid.modules):
            lines.append(Text(f"and {len(grid.modules) - len(modules)} more modules", style="dim"))
        lines.append(Text(f"{'layer':>{label - 1}} {axis(grid.layers, columns, cell)}", style="dim"))
        lines.append(legend)
        return Text("\n", no_wrap=True, end="").join(lines)

    def _row(self, module: str, label: int, columns: int, cell: int) -> Text:
        name = sanitize(module)
        name = name if len(name) < label else "…" + name[-(label - 2) :]
        line = Text(f"{name:>{label - 1}} ", no_wrap=True, end="")
        span = self.grid.scale()
        gap = " " if cell > 2 else ""
        for column in range(columns):
            mark, style = self._cell(module, self._stretch(column, columns), span)
            wide = mark * (cell - len(gap)) + gap if mark in RAMP else f"{mark:<{cell}}"
            line.append(wide, style=style)
        return line

    def _stretch(self, column: int, columns: int) -> range:
        layers = self.grid.layers
        return range(math.ceil(column * layers / columns), math.ceil((column + 1) * layers / columns))

    def _cell(self, module: str, layers: range, span: tuple[float, float] | None) -> tuple[str, str]:
        modules = [(layer, module) for layer in layers]
        known = [self.grid.losses[key] for key in modules if key in self.grid.losses]
        losses = [loss for loss in known if loss is not None]
        if losses and span is not None:
            level = level_of(max(losses), *span, len(RAMP))
            return RAMP[level], (HOT_16 if self.few_colours else HOT)[level]
        if known:
            return ROUNDED, "bold" if not losses else "dim"
        if any(key in self.grid.working for key in modules):
            return WORKING, "bold cyan"
        return (" " if self.grid.complete else WAITING), "dim"

    def _legend(self, width: int) -> Text:
        span = self.grid.scale()
        text = Text(no_wrap=True, end="")
        if span is not None:
            text.append(f"loss per token: {span[0]:.1e} or less ")
            for mark, style in zip(RAMP, HOT_16 if self.few_colours else HOT, strict=True):
                text.append(mark, style=style)
            text.append(f" {span[1]:.1e} or more")
        others = []
        if not self.grid.complete:
            others += [f"{WAITING} waiting", f"{WORKING} working"]
        if any(loss is None for loss in self.grid.losses.values()):
            others.append(f"{ROUNDED} rounded without calibration")
        worst = self.grid.worst()
        if worst is not None:
            (layer, module), loss = worst
            others.insert(0, f"largest {loss:.1e}: layer {layer} {sanitize(module)}")
        line = text.cell_len
        for words in others:
            fits = line + len(words) + 3 <= width
            text.append(("   " if fits else "\n") if text else "", style="dim")
            text.append(words, style="dim")
            line = (line + 3 if fits else 0) + len(words)
        return text


def layout(layers: int, width: int) -> tuple[int, int]:
    """Return (number of columns, cells per column) for a grid with `layers` layers in `width` cells."""
    width = max(1, width)
    if layers > width:
        return width, 1
    return layers, max(1, min(MOST_CELL, width // layers))


def axis(layers: int, columns: int, cell: int) -> str:
    """The line under the columns, with as many layer numbers as fit."""
    text = [" "] * (columns * cell + 4)
    free = 0
    for column in range(columns):
        number = str(math.ceil(column * layers / columns))
        offset = column * cell
        labelled = column == 0 or column == columns - 1 or int(number) % 5 == 0
        ahead = (columns - 1) * cell - 2 if column not in (0, columns - 1) else len(text)
        if labelled and offset >= free and offset + len(number) <= ahead:
            text[offset : offset + len(number)] = number
            free = offset + len(number) + 1
    return "".join(text).rstrip()
