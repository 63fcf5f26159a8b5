"""The order of one quantization, as it comes over the wire to the worker child."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.errors import UsageError


@dataclass(frozen=True)
class Job:
    artefact: str  # its name, for messages only
    model: str  # local folder or hub id of the unquantized target
    method: str
    bits: int
    group_size: int  # -1: one group a row
    rows: Path  # calibration JSONL, each line has `input_ids`
    out: Path  # a new folder; whole once it holds faq_manifest.json
    sym: bool = True
    desc_act: bool = False
    damp_percent: float | None = None  # None: the quantizer's own default
    device: str = "auto"  # cpu | cuda | auto
    backend: str = "auto"
    trust_remote_code: bool = False

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Job:
        """Raises UsageError naming what is missing. Paths become absolute: the engine changes directory."""
        known = {name: spec[name] for name in cls.__dataclass_fields__ if name in spec}
        missing = [
            name for name in ("artefact", "model", "method", "bits", "group_size", "rows", "out") if name not in known
        ]
        if missing:
            raise UsageError(f"the quantize task lacks {', '.join(missing)} in its spec")
        model = known["model"]
        if Path(model).is_dir():
            model = str(Path(model).resolve())
        return cls(
            **{
                **known,
                "model": model,
                "rows": Path(known["rows"]).resolve(),
                "out": Path(known["out"]).resolve(),
            }
        )

    def recipe(self) -> dict[str, Any]:
        """What makes the artefact what it is, for the manifest."""
        names = ("method", "bits", "group_size", "sym", "desc_act", "damp_percent")
        return {name: getattr(self, name) for name in names}
