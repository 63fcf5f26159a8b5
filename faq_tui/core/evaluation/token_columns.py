"""Compute columns from the stored values of single tokens. The columns are computed when evidence is collected.

The stage `evaluate` stores the KL of every token, whether the top-1 tokens of the two models differ, and the entropy
of the unquantized model's predictions. Older versions of faq-tui stored only a part of these values. Runs that such a
version measured lack some columns; these runs are not measured again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from faq_tui.core.chat.dialects import closing_tags, tag_pattern
from faq_tui.core.chat.token_kinds import ANSWER, REASONING, TEMPLATE
from faq_tui.core.evaluation.compare import DTYPE, unpacked_token_kl
from faq_tui.core.evaluation.heldout import starts
from faq_tui.core.evaluation.metrics import TOKENS
from faq_tui.core.stats.sums import Sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# name of the stored KL values of single tokens; a measurement with these values also has a column of this name
TOKEN_KL = "token_kl"
DEPARTURE = "departure"
UNSURE = 0.2  # the model counts as unsure at this share of the tokens: those with the largest entropy


def encode_entropies(items: dict[int, list[float]]) -> bytes:
    """Pack the entropies, in nats, of each item's predicted tokens, in the order of the items."""
    import numpy as np

    values = np.concatenate([np.zeros(0), *(np.asarray(items[number], dtype=np.float64) for number in sorted(items))])
    return bytes(values.astype(DTYPE).tobytes())


def with_token_columns(
    sums: Sums, token_kl: bytes | None, token_entropy: bytes | None, bodies: Sequence[dict[str, Any]]
) -> Sums:
    """Add the columns that can be computed for one model on one text.

    `token_kl` is the stored value of a quantized model. None stands for the unquantized model itself: each KL is 0,
    and no top-1 token differs. `token_entropy` is the stored value of the unquantized model. `bodies` are the text's
    stored items. If the stored items hold the text of each token, and a reply has reasoning, the tokens are divided
    into reasoning and answer.

    If the number of stored values is not the number of predicted tokens, `sums` is returned unchanged.
    """
    import numpy as np

    lengths = sums.columns[TOKENS].astype(np.int64)
    total = int(lengths.sum())
    kl, differs = np.zeros(total), np.zeros(total, dtype=bool)
    if token_kl is not None:
        kl, differs = unpacked_token_kl(token_kl)
    if len(kl) != total or not total:
        return sums
    bounds = starts(lengths.tolist())
    columns = {TOKEN_KL: lengths.astype(np.float64), DEPARTURE: _departures(differs, bounds)}
    entropy = None if token_entropy is None else np.frombuffer(token_entropy, dtype=DTYPE).astype(np.float64)
    if entropy is not None and len(entropy) == total:
        unsure = entropy > np.quantile(entropy, 1.0 - UNSURE)
        columns |= _of_part("unsure", unsure, kl, bounds) | _of_part("sure", ~unsure, kl, bounds)
    kinds = [kind for body in bodies for kind in reply_kinds(body.get("pieces", ()))]
    counts = [len(body.get("pieces", ())) for body in bodies]
    if REASONING in kinds and counts == lengths.tolist():
        for kind in (REASONING, ANSWER):
            columns |= _of_part(kind, np.array([own == kind for own in kinds]), kl, bounds)
    return replace(sums, columns={**sums.columns, **columns}, tokens={**sums.tokens, TOKEN_KL: kl})


def _departures(differs: NDArray[np.bool_], bounds: Sequence[int]) -> NDArray[np.float64]:
    """For each item, the number of tokens before the first difference of the top-1 tokens.

    If no top-1 token differs, this is the number of all tokens.
    """
    import numpy as np

    items = [differs[start:end] for start, end in pairwise(bounds)]
    return np.array([float(item.argmax() if item.any() else len(item)) for item in items])


def _of_part(
    name: str, part: NDArray[np.bool_], kl: NDArray[np.float64], bounds: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """The columns `kl_NAME` and `tokens_NAME`: sums over the tokens in `part`.

    The result is empty if `part` has no token.
    """
    import numpy as np

    if not part.any():
        return {}
    spans = list(pairwise(bounds))
    sums = np.array([float(kl[start:end][part[start:end]].sum()) for start, end in spans])
    return {f"kl_{name}": sums, f"tokens_{name}": np.array([float(part[start:end].sum()) for start, end in spans])}


def reply_kinds(pieces: Sequence[str]) -> list[str]:
    """The kind of each token of a reply: reasoning, answer or template. `pieces` holds the text of each token.

    Reasoning lies between the tags of any dialect. If the first tag is a closing tag, the reply begins with
    reasoning, because the prompt contained the opening tag. A reply without tags has no reasoning.
    """
    text = "".join(pieces)
    spans = [(0, ANSWER)]
    for number, tag in enumerate(tag_pattern().finditer(text)):
        closes = tag[0] in closing_tags()
        if number == 0 and closes:
            spans = [(0, REASONING)]
        spans += [(tag.start(), TEMPLATE), (tag.end(), ANSWER if closes else REASONING)]
    kinds, place, offset = [], 0, 0
    for piece in pieces:
        while place + 1 < len(spans) and spans[place + 1][0] <= offset:
            place += 1
        kinds.append(spans[place][1])
        offset += len(piece)
    return kinds
