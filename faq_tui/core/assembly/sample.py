"""One line of a calibration set, and writing a set whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from faq_tui.core.files import atomic_text
from faq_tui.core.store.hashing import digest

MIN_TOKENS = 16  # quantizers drop shorter rows without a word


@dataclass(frozen=True)
class Sample:
    """The contract's fields: other programs read them."""

    seed_id: str
    candidate_id: int | None  # None: the seed itself
    source: str  # a source's name, or `baseline`
    text: str
    input_ids: tuple[int, ...]
    n_tokens: int
    n_tokens_full: int  # before max_tokens cut it
    picked_by: str | None  # judge | person; None: the seed itself


def write_set(path: Path, samples: Sequence[Sample]) -> None:
    """One JSON object a line; the file appears whole or not at all."""
    with atomic_text(path) as file:
        for sample in samples:
            file.write(json.dumps(asdict(sample), ensure_ascii=False) + "\n")


def ids_hash(samples: Sequence[Sample]) -> str:
    """The same for two sets that a quantizer cannot tell apart."""
    return digest([sample.input_ids for sample in samples])


def shortened(sample: Sample, n_tokens: int, text: str) -> Sample:
    """The sample's first `n_tokens` ids, which read as `text`."""
    return replace(sample, input_ids=sample.input_ids[:n_tokens], n_tokens=n_tokens, text=text)
