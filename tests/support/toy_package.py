"""The package of toy extensions (tests/fixtures/extension_package), visible to this process or to a child."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from faq_tui.core import extensions
from faq_tui.core.extensions import Registry
from tests.support.paths import EXTENSION_PACKAGE


def python_path() -> str:
    """PYTHONPATH of a child that finds the package."""
    return os.pathsep.join(filter(None, (str(EXTENSION_PACKAGE), os.environ.get("PYTHONPATH"))))


def forget_packages() -> None:
    """Forget what all registries have found. Otherwise, a later test would see the package of an earlier one."""
    for registry in vars(extensions).values():
        if isinstance(registry, Registry):
            vars(registry).pop("_found", None)
            registry._loaded.clear()


@contextmanager
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is found in this process, and forgotten afterwards."""
    monkeypatch.syspath_prepend(str(EXTENSION_PACKAGE))
    forget_packages()
    try:
        yield
    finally:
        monkeypatch.undo()
        forget_packages()
