"""What the spikes pane shows, as files: channel maxima and layers as CSV, two landscapes as SVG and PNG."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from faq_tui.core.activations.places import Place
from faq_tui.core.activations.statistics import METRICS
from faq_tui.core.activations.view import Overview, absmax, landscape
from faq_tui.core.errors import FaqError
from faq_tui.core.files import atomic_text, whole_file
from faq_tui.core.plots import picture
from faq_tui.core.plots.landscape import PEAK
from faq_tui.core.run import Run


def export(run: Run, seen: Overview, place: Place, names: Sequence[str]) -> list[Path]:
    """Write the sets' files of one place under reports/spikes/ and return their paths. Raises FaqError."""
    maxima = {name: found for name in names if (found := absmax(run, name, place)) is not None}
    maps = {name: found for name in names if (found := landscape(run, name, place)) is not None}
    if not maxima or not maps:
        raise FaqError(f"no activations of layer {place.layer} {place.module} are there to export")
    stem = re.sub(r"[^\w.-]", "_", f"layer{place.layer}-{place.module}-{'-'.join(maxima)}")
    folder = run.reports / "spikes"
    channels, layers = folder / f"{stem}-channels.csv", folder / f"{stem}-layers.csv"
    svg, png = folder / f"{stem}.svg", folder / f"{stem}.png"
    width = max(map(len, maxima.values()))
    rows = ([channel, *(float(one[channel]) for one in maxima.values())] for channel in range(width))
    _table(channels, ["channel", *(f"absmax {name}" for name in maxima)], rows)
    _table(layers, ["set", "layer", *METRICS], _by_layer(seen, place.module, list(maxima)))
    top = max(float(one.max()) for one in maps.values())
    titles = [f"{name}: highest {maps[name].max():.4g}" for name in maps]
    note = f"layer {place.layer} {place.module}: |x|, tokens down, channels across, one scale to {top:.4g}; "
    with atomic_text(svg) as file:
        file.write(picture.svg(titles, list(maps.values()), top, f"{note}red from {PEAK * top:.4g}"))
    with whole_file(png) as image:
        image.write(picture.png(list(maps.values()), top))
    return [svg, png, channels, layers]


def _by_layer(seen: Overview, module: str, names: Sequence[str]) -> Iterable[list[object]]:
    for name in names:
        for place in seen.sets[name].summary["places"]:
            if place["module"] == module:
                yield [name, place["layer"], *(place[metric] for metric in METRICS)]


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
