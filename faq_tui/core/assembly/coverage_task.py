"""The worker child's task `coverage`: which outlier channels each sample drives, and the order that covers them.

Messages: `order` (indexes of the rows, and how many outlier channels there are).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.activations.capture import measure
from faq_tui.core.activations.outliers import outlier_channels, reference, threshold
from faq_tui.core.assembly.coverage import greedy_cover
from faq_tui.core.cancel import CancelToken


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """spec: model, trust_remote_code, device, dtype, modules, and rows (a file with one JSON list of ids a line)."""
    import numpy as np
    import torch

    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.devices import device_of, dtype_name
    from faq_tui.core.models.hub import local_folder

    with Path(spec["rows"]).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    folder, device, trusted = local_folder(spec["model"]), device_of(spec["device"]), spec["trust_remote_code"]
    dtype = dtype_name(spec["dtype"], device, folder, trusted)
    model = load_dense(folder, getattr(torch, dtype), device, trusted)
    measured = measure(model, rows, spec["modules"], per_row=True, cancel=cancel)
    parts = []
    for place in measured.places:
        empty = np.zeros_like(measured.places[place].absmax)
        absmaxes = [row[place][1] if place in row else empty for row in measured.rows]
        whole = reference(absmaxes)
        outliers = outlier_channels(whole)
        parts.append(np.stack(absmaxes)[:, outliers] > threshold(whole))
    driven = np.concatenate(parts, axis=1)
    send("order", order=greedy_cover(driven), outliers=driven.shape[1])
