"""Cut sets to equal token counts, and mix sets.

Sets are compared at equal token counts, because a model improves with more calibration tokens of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from faq_tui.core.assembly.sample import MIN_TOKENS, Sample, shortened
from faq_tui.core.base.hashing import digest

Decode = Callable[[tuple[int, ...]], str]
Keep = Callable[[Sample], Sample]  # stores the long parts of a sample elsewhere, see `spool`


def cut_to_tokens(samples: Sequence[Sample], budget: int, decode: Decode) -> list[Sample]:
    """Keep the first `budget` tokens of the samples, in order. The last kept sample may be cut.

    No kept sample is shorter than MIN_TOKENS. If the last sample would be shorter, it gets MIN_TOKENS tokens, and the
    second-last sample gets correspondingly fewer tokens. If the second-last sample would become too short, the last
    sample is dropped. Without the last sample, the total is below the budget by at most MIN_TOKENS - 1 tokens.
    """
    out: list[Sample] = []
    left = budget
    for sample in samples:
        if sample.n_tokens <= left:
            out.append(sample)
            left -= sample.n_tokens
            continue
        missing = MIN_TOKENS - left
        if left > 0 and missing > 0 and out and out[-1].n_tokens - missing >= MIN_TOKENS:
            out[-1] = shortened(out[-1], out[-1].n_tokens - missing, decode)
            left = MIN_TOKENS
        if left >= MIN_TOKENS:
            out.append(shortened(sample, left, decode))
        break
    return out


def cut_evenly(
    samples: Sequence[Sample], budget: int, decode: Decode, keep: Keep = lambda sample: sample
) -> list[Sample]:
    """Keep every sample, but cut the longest samples to a common length, so that `budget` tokens remain in total.

    Use this function for sets that need equal numbers of samples and also equal numbers of tokens. If the budget is
    less than MIN_TOKENS for each sample, each sample keeps MIN_TOKENS tokens, and the total exceeds the budget.
    """
    lengths = sorted(sample.n_tokens for sample in samples)
    left, longer = budget, len(lengths)
    for length in lengths:  # samples that are shorter than the common length are not cut
        if length * longer > left:
            break
        left -= length
        longer -= 1
    if not longer:
        return list(samples)
    cap, spare = divmod(max(0, left), longer)
    if cap < MIN_TOKENS:
        cap, spare = MIN_TOKENS, 0
    out = []
    for sample in samples:
        n_tokens = min(sample.n_tokens, cap)
        if sample.n_tokens > cap and spare:
            n_tokens, spare = n_tokens + 1, spare - 1
        out.append(sample if n_tokens == sample.n_tokens else keep(shortened(sample, n_tokens, decode)))
    return out


def shared_seeds(sets: Iterable[Sequence[Sample]]) -> set[str]:
    """Ids of the seeds that have a sample in every set."""
    return set.intersection(*({sample.seed_id for sample in samples} for samples in sets))


def only(samples: Iterable[Sample], seeds: set[str]) -> list[Sample]:
    return [sample for sample in samples if sample.seed_id in seeds]


def mix(parts: Mapping[str, Sequence[Sample]], shares: Mapping[str, float], key: object) -> list[Sample]:
    """Choose one sample for each seed. `parts` maps the name of a source or of the baseline to its samples.

    `shares` says which share of the result comes from each part. The samples are returned in the order of the first
    part's seeds. Seeds are assigned to parts in an order that depends only on `key`. Each seed goes to a part that
    has a sample of it. If several parts have a sample of the seed, the seed goes to the part that is furthest below
    its share. If every part has every seed, the shares are exact to within one sample.
    """
    of_part = {name: {sample.seed_id: sample for sample in samples} for name, samples in parts.items()}
    order = list(dict.fromkeys(sample.seed_id for samples in parts.values() for sample in samples))
    dealt, chosen = dict.fromkeys(parts, 0), dict[str, Sample]()
    for seed_id in sorted(order, key=lambda seed_id: digest(key, seed_id)):
        able = [name for name in parts if seed_id in of_part[name]]
        name = max(able, key=lambda name: shares[name] * (len(chosen) + 1) - dealt[name])
        chosen[seed_id] = of_part[name][seed_id]
        dealt[name] += 1
    return [chosen[seed_id] for seed_id in order]
