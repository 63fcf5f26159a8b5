"""Sets made from several sources, and the seeds that sets have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from faq_tui.core.assembly.sample import Sample
from faq_tui.core.store.hashing import digest


def shared_seeds(sets: Iterable[Sequence[Sample]]) -> set[str]:
    """Ids of the seeds that every set has a sample of."""
    return set.intersection(*({sample.seed_id for sample in samples} for samples in sets))


def only(samples: Iterable[Sample], seeds: set[str]) -> list[Sample]:
    return [sample for sample in samples if sample.seed_id in seeds]


def mix(parts: Mapping[str, Sequence[Sample]], shares: Mapping[str, float], key: object) -> list[Sample]:
    """One sample a seed, from the parts by their shares of the samples; in the order of the first part's seeds.

    The seeds are dealt out in an order that `key` alone decides, each to the part that is furthest behind its
    share among those that have a sample of it. So the shares hold to within one sample where every part has
    every seed.
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
