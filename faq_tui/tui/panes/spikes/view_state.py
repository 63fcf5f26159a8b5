"""The user's choices in the Spikes pane: layer, module, sets, view and zoom."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.activations.statistics import METRICS
from faq_tui.core.activations.view import Overview

VIEWS = ("landscape", "layers", "channels", "table", "errors")
MOST_ZOOM = 16


@dataclass(frozen=True)
class SpikesViewState:
    """`left` and `right` are names of sets. If there is only one set, `left` and `right` are equal.

    Until the user chooses sets, the pane compares the last pair of the overview. Until the user chooses a layer or a
    module, the pane shows the place where the two sets differ most.
    """

    module: str = ""
    layer: int = 0
    left: str = ""
    right: str = ""
    view: str = VIEWS[0]
    metric: str = METRICS[0]
    zoom: int = 1
    chose_sets: bool = False
    chose_place: bool = False
    colours: bool = False  # True if the terminal shows enough colours for a map of pixels
    width: int = 0
    height: int = 0

    @property
    def module_ref(self) -> ModuleRef:
        return ModuleRef(self.layer, self.module)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.left, self.right)))

    def fitted(self, seen: Overview) -> SpikesViewState:
        """A copy of this state, adapted to the measured activations `seen`.

        If `seen` lacks the layer, the module or a set of this state, another one from `seen` replaces it.
        """
        if not seen.sets:
            return self
        names = list(seen.sets)
        ours, theirs = next(iter(reversed(seen.pairs())), (names[-1], names[0]))
        left = self.left if self.chose_sets and self.left in names else theirs
        right = self.right if self.chose_sets and self.right in names else ours
        fitted = replace(self, left=left, right=right)
        if not self.chose_place:
            return fitted._at(seen, seen.place_of_difference(left, right))
        module = self.module if self.module in seen.modules else seen.modules[0]
        layer = min(seen.layers(module), key=lambda layer: (abs(layer - self.layer), layer))
        return replace(fitted, module=module, layer=layer)

    def _at(self, seen: Overview, place: tuple[str, int] | None) -> SpikesViewState:
        """A copy of this state with the module and layer `place`; the first module and its first layer if `place` is
        None.
        """
        module, layer = place or (seen.modules[0], seen.layers(seen.modules[0])[0])
        return replace(self, module=module, layer=layer)

    def at_difference(self, seen: Overview) -> SpikesViewState:
        """A copy of this state with the module and layer where the two sets differ most."""
        return replace(self, chose_place=False).fitted(seen)

    def other_layer(self, seen: Overview, by: int) -> SpikesViewState:
        layers = seen.layers(self.module)
        index = max(0, min(layers.index(self.layer) + by, len(layers) - 1))
        return replace(self, layer=layers[index], chose_place=True)

    def other_module(self, seen: Overview, by: int) -> SpikesViewState:
        modules = seen.modules
        index = max(0, min(modules.index(self.module) + by, len(modules) - 1))
        return replace(self, module=modules[index], chose_place=True).fitted(seen)

    def next_set(self, seen: Overview, side: str) -> SpikesViewState:
        names = list(seen.sets)
        shown = self.left if side == "left" else self.right
        chosen = names[(names.index(shown) + 1) % len(names)]
        state = replace(self, chose_sets=True, chose_place=True)
        return replace(state, left=chosen) if side == "left" else replace(state, right=chosen)

    def highest_layer(self, seen: Overview) -> SpikesViewState:
        peaks = [
            (value or 0.0, -layer)
            for name in self.names
            for layer, value in seen.values(name, self.module, "max").items()
        ]
        return replace(self, layer=-max(peaks)[1], chose_place=True) if peaks else self

    def zoomed(self, by: float) -> SpikesViewState:
        return replace(self, zoom=max(1, min(MOST_ZOOM, round(self.zoom * by))))
