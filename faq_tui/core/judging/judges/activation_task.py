"""The worker's task `judge_activations`: for each row, count the model's outlier channels that the row covers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from faq_tui.core.activations.capture import measure
from faq_tui.core.activations.compare import coverage, outlier_channels
from faq_tui.core.activations.module_refs import ModuleRef
from faq_tui.core.activations.statistics import Moments
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.layer_stream import LayerStream

MODULES = ("o_proj",)
TOGETHER = 16  # number of rows that are measured together and share one set of histograms
# the same number if the model is loaded layer by layer; it is larger, because each group of rows loads all layers
TOGETHER_BY_LAYERS = 512
# The outlier layers are the layers with the highest crest on the reference. OUTLIER_LAYERS is the share of outlier
# layers among all layers. Even for a small model, there is at least one outlier layer.
OUTLIER_LAYERS = 0.25
Absmax = Any  # numpy array [channels]: the largest |x| of each channel


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Measure every item. The keys of `spec` are model, trust_remote_code, device, dtype, read, items and reference.

    `items` and `reference` are paths of JSONL files. A line of `items` has id, input_ids and spans. A line of
    `reference` has input_ids. The task sends one `score` message for each item. The message has the item's id. The
    field `tokens` is the number of tokens in the item's spans. The field `outliers` is the number of outlier channels
    of all layers. The field `covered` is the number of outlier channels that the item covers. The field `layers`
    lists the outlier layers. The fields `crest` and `kurtosis` are means over the outlier layers; they are null if
    they are not finite.
    """
    from faq_tui.core.models.opening import opening_of

    items, reference = _read(spec["items"]), _read(spec["reference"])
    if not items:
        return
    opening, folder = opening_of(spec, cancel.check)
    model = opening.open(folder)
    measured = measure(model, [row["input_ids"] for row in reference], MODULES, cancel=cancel).places
    absmax = {module: at.absmax for module, at in measured.items()}
    layers = outlier_layers({module: at.statistics.crest for module, at in measured.items()})
    outliers = sum(int(outlier_channels(channels).sum()) for channels in absmax.values())
    for item, row in _rows(model, items, cancel):
        crest, kurtosis = ([getattr(row[module][0], name) for module in layers] for name in ("crest", "kurtosis"))
        send(
            "score",
            id=item["id"],
            tokens=sum(end - start for start, end in item["spans"].values()),
            covered=covered({module: channels for module, (_, channels) in row.items()}, absmax),
            outliers=outliers,
            crest=_mean(crest),
            kurtosis=_mean(kurtosis),
            layers=sorted({module.layer for module in layers}),
        )


def _rows(
    model: Any, items: Sequence[dict[str, Any]], cancel: CancelToken
) -> Iterator[tuple[dict[str, Any], dict[ModuleRef, tuple[Moments, Absmax]]]]:
    """Yield each item with the measurements of its row.

    If the task stops or crashes, only the rows that were being measured together are lost.
    """
    together = TOGETHER_BY_LAYERS if isinstance(model, LayerStream) else TOGETHER
    for start in range(0, len(items), together):
        some = items[start : start + together]
        measured = measure(model, [item["input_ids"] for item in some], MODULES, per_row=True, cancel=cancel)
        yield from zip(some, measured.rows, strict=True)


def outlier_layers(crests: Mapping[ModuleRef, float | None]) -> list[ModuleRef]:
    """The modules with the highest crest (largest |x| over the root of the mean square) on the reference."""
    known = sorted(((crest, module) for module, crest in crests.items() if crest is not None), reverse=True)
    return [module for _, module in known[: max(1, round(OUTLIER_LAYERS * len(known)))]]


def covered(absmax: Mapping[ModuleRef, Absmax], reference: Mapping[ModuleRef, Absmax]) -> int:
    """Number of the reference's outlier channels in which the row's `absmax` is above the outlier threshold."""
    total = 0
    for module, channels in reference.items():
        share = coverage(absmax[module], channels)
        total += round((share or 0.0) * int(outlier_channels(channels).sum()))
    return total


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None


def _read(path: str) -> list[dict[str, Any]]:
    with Path(path).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
