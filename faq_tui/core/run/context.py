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
    """What a stage works with. `resources` closes the servers that the stage started, at its end."""

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

    `intact` is false if files that the stage made are gone.
    """

    name: str
    execute: Callable[[Context], str]
    signature: Callable[[Run], str]
    intact: Callable[[Run], bool] = lambda _run: True
