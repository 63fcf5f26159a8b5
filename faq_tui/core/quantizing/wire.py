"""The worker's messages as events."""

from __future__ import annotations

from typing import Any

from faq_tui.core.events import ArtefactStarted, Event, LayerDone, LayerStarted, ModuleQuantized, Note


def event_of(artefact: str, message: dict[str, Any]) -> Event | None:
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
