"""Keep the messages about finished layers on disk, so that a resumed quantization can send them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faq_tui.core.base.files import atomic_text
from faq_tui.core.quantizing.progress import QuantizationProgress, Send

KINDS = ("layer_started", "module", "layer_done")


class LayerMessages:
    """The messages about layers in the file `path`. The file may hold messages of an earlier attempt."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def noting(self, send: Send) -> Send:
        """Return a function that calls `send` and also appends messages about layers to the file."""

        def noted(kind: str, **body: Any) -> None:
            if kind in KINDS:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"kind": kind, **body}) + "\n")
            send(kind, **body)

        return noted

    def resume_at(self, layer: int, progress: QuantizationProgress, send: Send) -> None:
        """Send the recorded messages of all layers before `layer`.

        `layer` is the next layer to compute. The messages of other layers are deleted from the file.
        """
        kept = [message for message in self._read() if message["layer"] < layer]
        with atomic_text(self._path) as file:
            file.writelines(json.dumps(message) + "\n" for message in kept)
        if layer:
            send("resumed", layer=layer)
            progress.again(kept, send)

    def _read(self) -> list[dict[str, Any]]:
        """The recorded messages, sorted by layer and kind.

        Repeated messages and an incomplete last line are left out.
        """
        messages: dict[tuple[int, str, str], dict[str, Any]] = {}
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    message = json.loads(line)
                    messages[message["layer"], message["kind"], message.get("module", "")] = message
                except (ValueError, KeyError, TypeError):
                    continue
        return sorted(messages.values(), key=lambda message: (message["layer"], KINDS.index(message["kind"])))
