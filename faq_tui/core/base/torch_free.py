"""Keep torch out of a process that needs only tokenizers of transformers.

transformers imports torch whenever torch is installed. This takes seconds and 500 MB, and no tokenizer needs torch.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

QUIET = "TRANSFORMERS_NO_ADVISORY_WARNINGS"  # transformers warns that torch is missing, unless this variable is set

_declared = False


def declare() -> None:
    """Say that this process never uses a model of transformers. The processes of commands and of jobs say so.

    Their models run in worker processes.
    """
    global _declared
    _declared = True


def is_declared() -> bool:
    return _declared


@contextmanager
def hidden_torch() -> Iterator[None]:
    """In this block, transformers finds that torch is not installed, and keeps this answer until the process ends.

    After the block, other code can import torch as usual. The block has no effect if torch is imported already.
    """
    if "torch" in sys.modules:
        yield
        return
    find, finder, quiet = importlib.util.find_spec, _NoTorch(), os.environ.get(QUIET)

    def without_torch(name: str, package: str | None = None) -> Any:
        return None if name.partition(".")[0] == "torch" else find(name, package)

    sys.meta_path.insert(0, finder)
    importlib.util.find_spec = without_torch
    os.environ[QUIET] = "1"
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        importlib.util.find_spec = find
        if quiet is None:
            del os.environ[QUIET]
        else:
            os.environ[QUIET] = quiet


class _NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("torch is not loaded here", name=name)
