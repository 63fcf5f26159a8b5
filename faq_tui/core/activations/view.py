"""Read the measured activations of a run for panes, reports and exports. This module needs only numpy."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations import files
from faq_tui.core.activations.compare import SetComparison, compare, coverage, outlier_channels, reference
from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.activations.statistics import METRICS
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.files import atomic_text, whole_file
from faq_tui.core.base.text import csv_cell, sanitize
from faq_tui.core.evaluation.identity import wanted_artefacts
from faq_tui.core.plots import figure
from faq_tui.core.plots.figure import Figure
from faq_tui.core.plots.landscape_figure import Panel, heat_figure, surface_figure
from faq_tui.core.run.run import Run
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.store.activations import ActivationsRow, all_activations, all_layer_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Overview:
    """The measured sets in the order of the settings, and the errors of the artefacts' layers."""

    sets: dict[str, ActivationsRow] = field(default_factory=dict)
    # Maps each artefact's folder name to the errors of its layers.
    errors: dict[str, list[float]] = field(default_factory=dict)

    @property
    def modules(self) -> list[str]:
        names = (entry["module"] for row in self.sets.values() for entry in row.summary["places"])
        return list(dict.fromkeys(names))

    def layers(self, module: str) -> list[int]:
        layers = {p["layer"] for row in self.sets.values() for p in row.summary["places"] if p["module"] == module}
        return sorted(layers)

    def values(self, set_name: str, module: str, metric: str) -> dict[int, float | None]:
        """The value of `metric` in each layer, keyed by the layer's number."""
        places = self.sets[set_name].summary["places"]
        return {entry["layer"]: entry[metric] for entry in places if entry["module"] == module}

    def place_of_difference(self, one: str, other: str) -> tuple[str, int] | None:
        """(module, layer) where the peaks of two sets differ most; None if no layer has a peak for both sets.

        The difference between two peaks is measured by their ratio. If the ratios of several places are about equal,
        the place with the highest peak is returned.
        """
        found = []
        for number, module in enumerate(self.modules):
            ours, theirs = (self.values(name, module, "max") for name in (one, other))
            for layer in ours.keys() & theirs.keys():
                low, high = sorted((ours[layer] or 0.0, theirs[layer] or 0.0))
                if low > 0:
                    found.append((round(math.log(high / low), 2), high, -number, -layer))
        if not found:
            return None
        _, _, number, layer = max(found)
        return self.modules[-number], -layer

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of a set and the baseline with which it is compared.

        Sets that were cut to equal token counts come first. Each of these sets is paired with the baseline that was
        cut to the same token count.
        """
        pairs = []
        for name in sorted(self.sets, key=lambda name: not name.endswith(TOKENS_SUFFIX)):
            base = f"{BASELINE}{TOKENS_SUFFIX}" if name.endswith(TOKENS_SUFFIX) else BASELINE
            if name != base and base in self.sets:
                pairs.append((name, base))
        return pairs


def overview(run: Run) -> Overview:
    rows = all_activations(run.store)
    names = [name for name in run.settings.set_names() if name in rows]
    known = {artefact.folder for artefact in wanted_artefacts(run)}
    errors = {name: row.errors for name, row in all_layer_errors(run.store).items() if name in known}
    return Overview({name: rows[name] for name in names}, errors)


def compare_sets(seen: Overview, ours: str, theirs: str, module: str, resamples: int) -> SetComparison:
    """Compare two measured sets over all layers of a module."""
    return compare(_summary(seen.sets[ours]), _summary(seen.sets[theirs]), module, resamples)


def _summary(row: ActivationsRow) -> dict[str, Any]:
    return {"set_name": row.set_name, "tokens": row.tokens, "places": row.summary["places"]}


def absmax(run: Run, set_name: str, ref: ModuleRef) -> Floats | None:
    """The largest |x| of each channel, [channels].

    Returns None if the file is missing or does not have the module.
    """
    return files.read(files.path_of(run, set_name), files.ABSMAX, ref)


def landscape(run: Run, set_name: str, ref: ModuleRef) -> Floats | None:
    """The landscape, [slices, columns]. Returns None if the file is missing or does not have the module."""
    return files.read(files.path_of(run, set_name), files.LANDSCAPE, ref)


def covered(run: Run, names: list[str], ref: ModuleRef) -> dict[str, tuple[int, int]]:
    """Maps each set to (number of outlier channels in which the set has an outlier, number of all outlier channels).

    A set has an outlier in a channel if its largest |x| in this channel exceeds the threshold. The outlier
    channels and the threshold are computed from all sets together.
    """
    arrays = {name: array for name in names if (array := absmax(run, name, ref)) is not None}
    if not arrays:
        return {}
    union = reference(arrays.values())
    count = int(outlier_channels(union).sum())
    return {name: (round((coverage(own, union) or 0.0) * count), count) for name, own in arrays.items()}


def export(run: Run, seen: Overview, ref: ModuleRef, names: Sequence[str]) -> list[Path]:
    """Write the files for one module into reports/spikes/, and return their paths.

    The files are two figures, each as SVG and as PNG: a heat map, and a surface in three dimensions like figure 4 of
    the FAQ paper. Two tables as CSV hold the numbers of channels and layers.

    Raises FaqError if there is no activation data of this module.
    """
    maxima = {name: array for name in names if (array := absmax(run, name, ref)) is not None}
    maps = {name: array for name in maxima if (array := landscape(run, name, ref)) is not None}
    if not maxima or not maps:
        raise FaqError(
            f"there are no activations of layer {ref.layer} {ref.module} to export: run the stage activations first"
        )
    stem = re.sub(r"[^\w.-]", "_", f"layer{ref.layer}-{ref.module}-{'-'.join(maxima)}")
    folder = run.reports / "spikes"
    channels, layers = folder / f"{stem}-channels.csv", folder / f"{stem}-layers.csv"
    width = max(map(len, maxima.values()))
    rows = ([channel, *(float(one[channel]) for one in maxima.values())] for channel in range(width))
    _table(channels, ["channel", *(f"absmax {name}" for name in maxima)], rows)
    _table(layers, ["set", "layer", *METRICS], _by_layer(seen, ref.module, list(maxima)))
    top = max(float(one.max()) for one in maps.values())
    panels = [Panel(sanitize(name), cells, seen.sets[name].tokens, len(maxima[name])) for name, cells in maps.items()]
    title = f"Inputs of {sanitize(ref.module)} in layer {ref.layer}: largest |x| of each token and channel"
    paths = _pictures(folder / stem, heat_figure(title, panels, top))
    return [*paths, *_pictures(folder / f"{stem}-3d", surface_figure(title, panels, top)), channels, layers]


def _pictures(stem: Path, drawn: Figure) -> list[Path]:
    """Write the figure as SVG and as PNG."""
    svg, png = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    with atomic_text(svg) as file:
        file.write(figure.svg(drawn))
    with whole_file(png) as image:
        image.write(figure.png(drawn))
    return [svg, png]


def _by_layer(seen: Overview, module: str, names: Sequence[str]) -> Iterable[list[object]]:
    for name in names:
        for entry in seen.sets[name].summary["places"]:
            if entry["module"] == module:
                yield [name, entry["layer"], *(entry[metric] for metric in METRICS)]


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(csv_cell, head))
        writer.writerows(map(csv_cell, row) for row in rows)
