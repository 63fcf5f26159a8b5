"""A stage of the pipeline, and the context that it runs in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.run.events import Emit
from faq_tui.core.run.run import Run


@dataclass(frozen=True)
class Context:
    """The inputs of a stage. At the end of the stage, `resources` closes the servers that it started."""

    run: Run
    emit: Emit
    cancel: CancelToken
    job: str
    selected: tuple[str, ...] = ()  # names of the stages of this run of the pipeline
    resources: ExitStack = field(default_factory=ExitStack)
    servers: dict[str, str] = field(default_factory=dict)  # URLs of servers started for this stage
    confirmed: bool = False  # a person agreed to the cost


@dataclass(frozen=True)
class Stage:
    """`execute` does the missing work and returns a one-line summary; `signature` hashes settings and inputs.

    `intact` returns False if files of the stage are missing.
    """

    name: str
    execute: Callable[[Context], str]
    signature: Callable[[Run], str]
    intact: Callable[[Run], bool] = lambda _run: True
