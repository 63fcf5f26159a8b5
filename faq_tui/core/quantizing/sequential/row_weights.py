"""The weights of a calibration set's tokens, from the recipe's `sink_share` and `token_weights`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.token_kinds import KindsSearch, read_kinds
from faq_tui.core.quantizing.job import QuantizationJob
from faq_tui.core.settings.weights import is_weighted, kind_weights_of, sink_share_of

if TYPE_CHECKING:
    from faq_tui.core.quantizing.sequential.weights import TokenWeights

LOSS = "the losses are weighted means with the same weights as the Hessians"


def weights_of(job: QuantizationJob, target: Path, rows: Sequence[Sequence[int]]) -> TokenWeights | None:
    """The weights of the tokens of `rows`; None if the recipe sets no weights. `target` is the target's folder."""
    from faq_tui.core.quantizing.sequential.weights import token_weights

    if not is_weighted(job.recipe):
        return None
    by_kind = kind_weights_of(job.recipe)
    kinds = None if by_kind is None else _kinds(job, target, rows)
    return token_weights([len(row) for row in rows], sink_share_of(job.recipe), by_kind, kinds)


def facts_of(weights: TokenWeights | None, why_not: str) -> dict[str, Any]:
    """The manifest's entry `weights`; empty if the recipe sets no weights.

    `why_not` is the reason why the model's tokens cannot be weighted; "" if they can be.
    """
    if why_not:
        return {"weights": {"not_used": why_not}}
    if weights is None:
        return {}
    body: Mapping[str, Any] = {"first_token": weights.first, "sink_share": weights.sink_share, "loss": LOSS}
    return {"weights": body}


def _kinds(job: QuantizationJob, target: Path, rows: Sequence[Sequence[int]]) -> list[bytes]:
    """The kinds of all tokens. Sets of older versions record no kinds, so the kinds are found in the text."""
    recorded = None if job.kinds is None else read_kinds(job.kinds, job.ids_hash, [len(row) for row in rows])
    if recorded is not None:
        return recorded
    from faq_tui.core.models.tokenizer import tokenizer_of

    search = KindsSearch.of(tokenizer_of(target, job.trust_remote_code))
    with job.rows.open(encoding="utf-8") as lines:
        texts = [json.loads(line).get("text") for line in lines]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{job.rows} has no texts, so token_weights cannot find the kinds of its tokens")
    return [bytes(search.kinds(text, row)) for text, row in zip(texts, rows, strict=True)]
