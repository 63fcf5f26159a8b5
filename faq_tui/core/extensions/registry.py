"""A registry finds the extensions of one kind by their names. A registry loads each extension at its first use.

A table lists the names and import paths of faq-tui's extensions. Other packages add extensions with an entry point
(https://packaging.python.org/specifications/entry-points/) in the registry's group:

    [project.entry-points."faq_tui.methods"]
    rtn = "my_package.rtn:METHOD"
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from faq_tui.core.base.errors import FaqError, UsageError


class Extension:
    """Base class of all extensions.

    `name` is the value in `faq.toml`. `title` is a short name for the screen. `help` is one sentence that describes
    the extension.
    """

    name: str
    title: str
    help: str


class Registry:
    """The extensions of one kind.

    `group` is the entry point group. `kind` is what error messages call an extension of this registry, for example
    "quantization method". `builtin` maps names to "module:attribute". `base` is the import path of the base class of
    these extensions.
    """

    def __init__(self, group: str, kind: str, base: str, builtin: Mapping[str, str]) -> None:
        self.group, self.kind, self.base, self.builtin = group, kind, base, dict(builtin)
        self._loaded: dict[str, Any] = {}

    @cached_property
    def _found(self) -> dict[str, EntryPoint]:
        """Map names to the entry points of other packages. Raises FaqError if two packages use the same name."""
        points: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: (point.name, point.value)):
            if points.get(point.name, point).value != point.value or point.name in self.builtin:
                raise FaqError(
                    f"two packages define the {self.kind} {point.name!r}: uninstall one of them, for example "
                    f"{_package(point)}"
                )
            points[point.name] = point
        return points

    def names(self) -> tuple[str, ...]:
        """All names: faq-tui's own extensions in table order, then extensions of other packages from A to Z."""
        return (*self.builtin, *self._found)

    def outside(self) -> tuple[str, ...]:
        """The names of other packages' extensions."""
        return tuple(self._found)

    def outside_loaded(self) -> bool:
        """True if this process has loaded an extension of another package."""
        return not self._loaded.keys() <= self.builtin.keys()

    def __contains__(self, name: object) -> bool:
        return name in self.builtin or name in self._found

    def get(self, name: str) -> Any:
        """The extension `name`.

        Raises UsageError if there is no extension `name`, and FaqError if the extension cannot be loaded.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def all(self) -> tuple[Any, ...]:
        """Every extension, in the order of `names`."""
        return tuple(self.get(name) for name in self.names())

    def unknown(self, name: object) -> str:
        """The error sentence for an unknown name."""
        near = get_close_matches(str(name), self.names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"no {self.kind} {str(name)!r}: {hint}available: {', '.join(self.names())}"

    def failure(self, name: str, error: Exception) -> FaqError:
        """The error to raise after the extension's code failed with `error`."""
        reason = " ".join(str(error).split())[:300]
        return FaqError(
            f"the {self.kind} {name!r} failed ({type(error).__name__}: {reason}): update or uninstall its package"
        )

    def _load(self, name: str) -> Any:
        if name in self.builtin:
            return load_object(self.builtin[name])
        if name not in self._found:
            raise UsageError(self.unknown(name))
        point = self._found[name]
        where = f"the {self.kind} {name!r} of the package {_package(point)}"
        try:
            extension = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  foreign code can raise any error
            reason = " ".join(str(error).split())[:300]
            raise FaqError(
                f"{where} cannot be loaded ({type(error).__name__}: {reason}): update or uninstall it"
            ) from None
        if not isinstance(extension, load_object(self.base)):
            raise FaqError(f"{where} is not a {self.base.partition(':')[2]}: update or uninstall the package")
        if getattr(extension, "name", None) != name:
            raise FaqError(
                f"{where} has the name {getattr(extension, 'name', None)!r} in its code: "
                "its entry point needs the same name"
            )
        return extension


def load_object(path: str) -> Any:
    """The object at "module:attribute"."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
