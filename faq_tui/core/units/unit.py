"""A unit of work, its state and its needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["done", "running", "waiting", "failed", "stale", "ready"]

GENERATE, ACTIVATIONS, QUANTIZE = "generate", "activations", "quantize"
EVALUATE, BENCHMARKS = "evaluate", "benchmark"
# Maps each kind of unit to the stage that does the same work.
STAGES = {
    GENERATE: "regenerate",
    ACTIVATIONS: "activations",
    QUANTIZE: "quantize",
    EVALUATE: "evaluate",
    BENCHMARKS: "evaluate",
}


@dataclass(frozen=True)
class Needs:
    """The resources of a unit. A number is None if no estimate is possible yet.

    `gpu_bytes` is the memory that the unit needs on each of its GPUs.
    """

    gpus: int = 0
    gpu_bytes: int | None = None
    host_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Unit:
    """One unit of work. Its name is "KIND/SUBJECT".

    `subject` is the name of an artefact or of a set, "unquantized", or the name of a source with the number of the
    draw. `inputs` is a hash of everything that the result depends on; "" if the inputs do not exist yet.

    The states "ready", "stale" and "failed" mean that the unit can be done now. A stale unit was done with other
    inputs. The last attempt at a failed unit had the present inputs, and `message` says why it failed. A waiting unit
    needs what `waits_for` names: other units, or stages.
    """

    kind: str
    subject: str
    state: State
    inputs: str = ""
    waits_for: tuple[str, ...] = ()
    needs: Needs = field(default_factory=Needs)
    message: str = ""
    folder: str = ""  # for an evaluation or benchmarks: the subject of the measurements

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.subject}"

    @property
    def stage(self) -> str:
        """The stage that does the same work."""
        return STAGES[self.kind]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "stage": self.stage,
            "state": self.state,
            "waits_for": list(self.waits_for),
            "inputs": self.inputs,
            "needs": {
                "gpus": self.needs.gpus,
                "gpu_bytes": self.needs.gpu_bytes,
                "host_bytes": self.needs.host_bytes,
                "seconds": self.needs.seconds,
            },
            "message": self.message,
        }
