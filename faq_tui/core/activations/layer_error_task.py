"""The worker child's task `layer_error`: compare each artefact's layers with those of the unquantized model.

The task sends one message `layer_errors` for each artefact, with the artefact's name and the error of each layer.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.activations.layer_error import layer_errors, write_reference
from faq_tui.core.base.cancel import CancelToken


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Compare the layer outputs of every artefact in `subjects` with those of the unquantized model.

    `spec` has the keys `model`, `trust_remote_code`, `device`, `dtype`, `read`, `rows`, `out` and `subjects`. `rows`
    is a JSON file of token ids, `out` is a scratch file, and `subjects` maps each artefact's name to its folder.
    """
    import torch

    from faq_tui.core.models.opening import opening_of

    opening, folder = opening_of(spec, cancel.check)
    rows = json.loads(Path(spec["rows"]).read_text(encoding="utf-8"))
    reference = Path(spec["out"])
    try:
        write_reference(opening.open(folder), rows, reference, cancel)
        for name, artefact in spec["subjects"].items():
            cancel.check()
            gc.collect()  # let Python free the previous model
            if opening.device == "cuda":
                torch.cuda.empty_cache()
            model = opening.open(Path(artefact))
            send("layer_errors", subject=name, errors=layer_errors(model, rows, reference, cancel))
            del model
    finally:
        reference.unlink(missing_ok=True)
