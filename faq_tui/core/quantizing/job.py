"""The order of one quantization, as it comes over the wire to the worker child."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.run.events import ArtefactStarted, Event, LayerDone, LayerStarted, ModuleQuantized, Note
from faq_tui.core.settings.method_keys import METHOD_KEYS


@dataclass(frozen=True)
class QuantizationJob:
    artefact: str  # its name, for messages only
    model: str  # local folder or hub id of the unquantized target
    method: str
    bits: int
    group_size: int  # -1: one group a row
    rows: Path  # calibration JSONL, each line has `input_ids`
    out: Path  # a new folder; whole once it holds faq_manifest.json
    # A method's own keys, as the recipe has them (keys.py); None: its usual value.
    sym: bool | None = None
    desc_act: bool | None = None
    damp_percent: float | None = None
    experts: str | None = None
    alpha: float | None = None
    outlier_threshold: float | None = None
    scale_bits: int | None = None
    scale_group: int | None = None
    device: str = "auto"  # cpu | cuda | auto
    backend: str = "auto"
    trust_remote_code: bool = False
    checkpoints: Path | None = None  # a folder for this artefact alone; None: there are none
    checkpoint_s: float = 600.0  # at least so long from one to the next, and none for a job that takes less

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> QuantizationJob:
        """Raises UsageError naming what is missing. Paths become absolute: the engine changes directory."""
        usual = METHOD_KEYS[spec["method"]].defaults if spec.get("method") in METHOD_KEYS else {}
        given = {name: spec[name] for name in cls.__dataclass_fields__ if spec.get(name) is not None}
        known = {**usual, **given}
        missing = [
            name for name in ("artefact", "model", "method", "bits", "group_size", "rows", "out") if name not in known
        ]
        if missing:
            raise UsageError(f"the quantize task lacks {', '.join(missing)} in its spec")
        model = known["model"]
        if Path(model).is_dir():
            model = str(Path(model).resolve())
        if "checkpoints" in known:
            known["checkpoints"] = Path(known["checkpoints"]).resolve()
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
        names = ("method", "bits", "group_size", *METHOD_KEYS[self.method].defaults)
        return {name: getattr(self, name) for name in names}


def worker_event(artefact: str, message: dict[str, Any]) -> Event | None:
    """None for messages that no one watches."""
    match message["kind"]:
        case "quantize_started":
            return ArtefactStarted(artefact, message["layers"], message["samples"], message["tokens"])
        case "layer_started":
            return LayerStarted(artefact, message["layer"], tuple(message["modules"]))
        case "module":
            loss, seconds, note = message["loss"], message["seconds"], message["note"]
            return ModuleQuantized(artefact, message["layer"], message["module"], loss, seconds, note)
        case "layer_done":
            return LayerDone(artefact, message["layer"])
        case "resumed":
            return Note(f"{artefact} goes on at layer {message['layer']}: those before it were solved already")
    return None
