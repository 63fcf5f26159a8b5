"""Columns that hold one number for each item. Statistics are computed from weighted sums of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ITEMS = "items"  # the name of the column whose values are all 1


@dataclass(frozen=True)
class Sums:
    """Columns by name; a column has the shape [items].

    The column named `items` always exists, and its values are all 1.
    """

    columns: dict[str, Array]
    # Maps a name to the values of single tokens, in the order of the items. The column `tokens` says how many values
    # each item has.
    tokens: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Mapping[str, Sequence[float] | Array]) -> Sums:
        import numpy as np

        return cls({name: np.asarray(values, dtype=np.float64) for name, values in items.items()})

    def at(self, numbers: Sequence[int]) -> Sums:
        """The columns of the items with these numbers, from 0. The values of single tokens are left out."""
        return Sums({name: values[list(numbers)] for name, values in self.columns.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Array:
        """The column `name`. Raises KeyError if there is no such column."""
        import numpy as np

        return np.ones(len(self)) if name == ITEMS else self.columns[name]
