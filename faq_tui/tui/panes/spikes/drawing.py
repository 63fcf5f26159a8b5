"""Draw the Spikes pane as ANSI text from max-pooled data. The pane calls these functions on a thread."""

from __future__ import annotations

from faq_tui.core.activations.compare import SetComparison
from faq_tui.core.activations.view import Overview, absmax
from faq_tui.core.base.text import sanitize
from faq_tui.core.plots.cells import line, max_pool
from faq_tui.core.plots.overlay import SHARED, mark_of, overlay, style_of
from faq_tui.core.run.run import Run
from faq_tui.tui.panes.spikes.landscape import drawn as landscapes
from faq_tui.tui.panes.spikes.tables import NAMES, details, table
from faq_tui.tui.panes.spikes.view_state import SpikesViewState

BOTH_HEIGHT = 27  # minimum height in lines for showing the landscape and another view together
TABLE_WIDTH = 92


def drawing(run: Run, seen: Overview, view_state: SpikesViewState, compared: SetComparison | None) -> str:
    """The drawing: `view_state.height` lines of at most `view_state.width` cells."""
    width, height = view_state.width, view_state.height
    if height < BOTH_HEIGHT:
        return _joined(_view(view_state.view, run, seen, view_state, compared, width, height), height)
    upper = height * 11 // 20
    lower = height - upper - 1
    view = "layers" if view_state.view == "landscape" else view_state.view
    rows = landscapes(run, view_state, width, upper)
    rows = [*rows[:upper], *[""] * (upper - len(rows)), ""]
    beside = "layers" if view == "table" else "table"
    if width >= TABLE_WIDTH + 60:
        left = width - TABLE_WIDTH - 2
        pair = (view, beside) if view != "table" else (beside, view)
        first = _view(pair[0], run, seen, view_state, compared, left, lower)
        second = _view(pair[1], run, seen, view_state, compared, TABLE_WIDTH, lower)
        rows += _side_by_side(first, second, left + 2, lower)
    else:
        rows += _view(view, run, seen, view_state, compared, width, lower)
    return _joined(rows, height)


def _view(
    view: str,
    run: Run,
    seen: Overview,
    view_state: SpikesViewState,
    compared: SetComparison | None,
    width: int,
    height: int,
) -> list[str]:
    if view == "landscape":
        return landscapes(run, view_state, width, height)
    if view == "layers":
        values = {name: _by_layer(seen, name, view_state) for name in view_state.names}
        return _curves(f"{NAMES[view_state.metric]} of {view_state.module}, by layer", values, width, height)
    if view == "channels":
        return _channels(run, view_state, width, height)
    if view == "errors":
        return _errors(seen, width, height)
    rows = table(compared, width) if compared else ["There is only one set, so there is no comparison."]
    return [*rows, "", *details(run, seen, view_state, width)][:height]


def _by_layer(seen: Overview, name: str, view_state: SpikesViewState) -> list[float | None]:
    """The values of the layers. The value of layer i has the index i in the list."""
    values = seen.values(name, view_state.module, view_state.metric)
    return [values.get(layer) for layer in range(max(values, default=-1) + 1)]


def _channels(run: Run, view_state: SpikesViewState, width: int, height: int) -> list[str]:
    series: dict[str, list[float | None]] = {}
    channels = 0
    for name in view_state.names:
        values = absmax(run, name, view_state.module_ref)
        if values is not None:
            channels = len(values)
            ordered = sorted(values.tolist(), reverse=True)
            series[name] = [value for _, value in max_pool(ordered, max(16, width - 8))]
    last = max(1, *(len(values) - 1 for values in series.values())) if series else 1
    ticks = [(share * last // 4, str(share * (channels - 1) // 4)) for share in range(5)]
    title = f"highest |x| of each channel, sorted: layer {view_state.layer} {view_state.module}"
    return _curves(title, series, width, height, ticks)


def _errors(seen: Overview, width: int, height: int) -> list[str]:
    if not seen.errors:
        return ["Not measured yet. The stage evaluate measures the errors of the layer outputs for every artefact."]
    errors: dict[str, list[float | None]] = {name: list(values) for name, values in seen.errors.items()}
    return _curves("relative error of each layer's output", errors, width, height)


def _curves(
    title: str,
    series: dict[str, list[float | None]],
    width: int,
    height: int,
    ticks: list[tuple[int, str]] | None = None,
) -> list[str]:
    """A title, a legend, and the plot below them."""
    names = [f"{mark_of(index)[0]} {sanitize(name)}" for index, name in enumerate(series)]
    if len(series) > 1:
        names.append(f"{SHARED} {'both' if len(series) == 2 else 'several'}")
    below = len(title) + sum(len(name) + 2 for name in names) > width
    legend, room = "", width - (0 if below else len(title))
    for index, name in enumerate(names):
        room -= len(name) + 2
        if room < 0:
            break
        style = style_of(index) if index < len(series) else ""
        legend += "  " + line((c, style) for c in name)
    head = line((c, "bold") for c in sanitize(title)[:width])
    heads = [head, legend] if below else [head + legend]
    plot = overlay(series, width, height - len(heads), ticks)
    return [*heads, *plot.split("\n")] if plot else [*heads, "no finite values to draw, or no space"]


def _side_by_side(left: list[str], right: list[str], width: int, height: int) -> list[str]:
    from rich.text import Text

    rows = []
    for index in range(height):
        first = left[index] if index < len(left) else ""
        second = right[index] if index < len(right) else ""
        rows.append(first + " " * max(0, width - Text.from_ansi(first).cell_len) + second)
    return rows


def _joined(rows: list[str], height: int) -> str:
    return "\n".join(rows[:height])
