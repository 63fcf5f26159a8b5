"""What can be seen of a run's activations: for panes and reports, read with numpy alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faq_tui.core.activations import files
from faq_tui.core.activations.compare import Comparison, compare
from faq_tui.core.activations.outliers import coverage, outlier_channels, reference
from faq_tui.core.activations.places import Place
from faq_tui.core.evaluation.identity import wanted_artefacts
from faq_tui.core.run import Run
from faq_tui.core.settings import BASELINE, TOKENS_SUFFIX
from faq_tui.core.store.activations import ActivationsRow, all_activations, all_layer_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Overview:
    """Every measured set, in the settings' order, and the places that they share."""

    sets: dict[str, ActivationsRow] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)  # artefact's folder to error of each layer

    @property
    def modules(self) -> list[str]:
        found = (place["module"] for row in self.sets.values() for place in row.summary["places"])
        return list(dict.fromkeys(found))

    def layers(self, module: str) -> list[int]:
        found = {p["layer"] for row in self.sets.values() for p in row.summary["places"] if p["module"] == module}
        return sorted(found)

    def values(self, set_name: str, module: str, metric: str) -> dict[int, float | None]:
        """Layer to the metric's value."""
        places = self.sets[set_name].summary["places"]
        return {place["layer"]: place[metric] for place in places if place["module"] == module}

    def pairs(self) -> list[tuple[str, str]]:
        """(ours, theirs): each set with the baseline of its own size, the sets at equal tokens first."""
        found = []
        for name in sorted(self.sets, key=lambda name: not name.endswith(TOKENS_SUFFIX)):
            base = f"{BASELINE}{TOKENS_SUFFIX}" if name.endswith(TOKENS_SUFFIX) else BASELINE
            if name != base and base in self.sets:
                found.append((name, base))
        return found


def overview(run: Run) -> Overview:
    rows = all_activations(run.store)
    names = [name for name in run.settings.set_names() if name in rows]
    known = {artefact.folder for artefact in wanted_artefacts(run)}
    errors = {name: row.errors for name, row in all_layer_errors(run.store).items() if name in known}
    return Overview({name: rows[name] for name in names}, errors)


def compare_sets(seen: Overview, ours: str, theirs: str, module: str, resamples: int) -> Comparison:
    """Two measured sets over all layers of a module."""
    return compare(_told(seen.sets[ours]), _told(seen.sets[theirs]), module, resamples)


def _told(row: ActivationsRow) -> dict[str, Any]:
    return {"set_name": row.set_name, "tokens": row.tokens, "places": row.summary["places"]}


def absmax(run: Run, set_name: str, place: Place) -> Floats | None:
    """[channels]: the largest |x| of each channel; None where the file is gone or lacks the place."""
    return files.read(files.path_of(run, set_name), files.ABSMAX, place)


def landscape(run: Run, set_name: str, place: Place) -> Floats | None:
    """[slices, columns], likewise."""
    return files.read(files.path_of(run, set_name), files.LANDSCAPE, place)


def covered(run: Run, names: list[str], place: Place) -> dict[str, tuple[int, int]]:
    """Of the outlier channels that any of these sets shows: (how many each one drives, how many there are)."""
    arrays = {name: found for name in names if (found := absmax(run, name, place)) is not None}
    if not arrays:
        return {}
    union = reference(arrays.values())
    count = int(outlier_channels(union).sum())
    return {name: (round((coverage(own, union) or 0.0) * count), count) for name, own in arrays.items()}
