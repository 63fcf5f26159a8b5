"""Two classes: a stage of the pipeline, and the inputs that each stage gets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.run.events import Emit
from faq_tui.core.run.run import Run
from faq_tui.core.store.stages import StageRow


@dataclass(frozen=True)
class Context:
    """The inputs of a stage.

    When the stage ends, `resources` is closed, which stops all servers that the stage started.
    """

    run: Run
    emit: Emit
    cancel: CancelToken
    job: str
    selected: tuple[str, ...] = ()  # names of all stages that the present call of the pipeline runs
    resources: ExitStack = field(default_factory=ExitStack)
    # names and URLs of the servers that were started for this stage
    servers: dict[str, str] = field(default_factory=dict)
    confirmed: bool = False  # True if a person agreed to the cost
    retry_unusable: bool = False  # True if a person asked to request stored but unusable candidates again


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    `execute` does the missing work and returns a one-line summary. `signature` returns a hash of the stage's settings
    and inputs. `intact` returns False if files of the stage are missing. `holds` returns True if the stored signature
    differs only because an earlier version of faq-tui computed it in another way.
    """

    name: str
    execute: Callable[[Context], str]
    signature: Callable[[Run], str]
    intact: Callable[[Run], bool] = lambda _run: True
    holds: Callable[[Run, StageRow], bool] = lambda _run, _row: False
