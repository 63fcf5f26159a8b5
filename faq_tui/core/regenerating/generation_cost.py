"""Estimate what the pending candidates of a source will cost: tokens, time and money."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from faq_tui.core.base.text import counted, duration
from faq_tui.core.regenerating.candidate_requests import (
    SAMPLE,
    PendingCandidate,
    each_pending,
    question_for,
    source_hash_of,
)
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.store import Store
from faq_tui.core.store.candidates import Tally, tally, tally_before

# until a server has reported token counts, the length of a prompt is estimated with these two numbers
CHARACTERS_PER_TOKEN, TEMPLATE_TOKENS = 4.0, 30

MEASURED, EARLIER, BOUND = "measured", "earlier settings", "at most"


@dataclass(frozen=True)
class GenerationCost:
    """The expected cost of one source's pending candidates."""

    source: str
    candidates: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None  # None if too few candidates have finished
    cost: float | None  # in the currency of the settings' price; None if the settings have no price
    # How the cost was estimated: MEASURED means from candidates with the same settings, EARLIER means from candidates
    # with earlier settings, and BOUND means from max_tokens.
    basis: str

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def sentence(self) -> str:
        about = "at most" if self.basis == BOUND else "about"
        parts = [f"{about} {_count(self.tokens)} tokens ({_count(self.completion_tokens)} of them generated)"]
        if self.seconds is not None:
            parts.append(duration(self.seconds))
        if self.cost is not None:
            parts.append(f"a cost of {_money(self.cost)} at the price in the settings")
        how = {
            MEASURED: "based on its candidates so far",
            EARLIER: "based on its candidates under earlier settings",
            BOUND: "if each candidate uses all of max_tokens",
        }[self.basis]
        return f"{self.source}: {counted(self.candidates, 'candidate')} to come, {', '.join(parts)}, {how}"


def estimate_cost(
    store: Store, name: str, source: Source, pending: Iterable[PendingCandidate], made: Tally | None = None
) -> GenerationCost:
    """Estimate the cost from the seeds' lengths and from finished candidates.

    If at least `SAMPLE` candidates were finished with the present settings, the estimate is based on these
    candidates. If there are fewer, the estimate is based on candidates that were generated with earlier settings. If
    there are also fewer than `SAMPLE` of the latter, the result is an upper bound, computed from max_tokens. `made`
    is the tally of the source's candidates, if it is known.
    """
    counts, basis = made or tally(store, source_hash_of(source), source.candidates), MEASURED
    if counts.counted < SAMPLE:
        counts, basis = tally_before(store, name, source_hash_of(source)), EARLIER
    if counts.counted < SAMPLE:
        counts, basis = Tally(), BOUND
    number = characters = 0
    for one in pending:
        number += 1
        if not counts.prompt_tokens:
            characters += sum(len(m["content"]) for m in question_for(one.seed, source).messages)
    prompt = round(characters / CHARACTERS_PER_TOKEN) + TEMPLATE_TOKENS * number
    if counts.prompt_tokens:
        prompt = round(counts.prompt_tokens / counts.candidates * number)
    each = counts.completion_tokens / counts.counted if counts.counted else float(source.sampling.most_tokens)
    written = round(each * number)
    at_once = source.concurrency * len(source.urls)
    seconds = None
    if counts.timed and number:
        each_s = counts.seconds / counts.timed
        seconds = each_s * max(1.0, number / at_once)
    cost = None
    if source.price is not None:
        cost = (prompt * source.price.input + written * source.price.output) / 1e6
    return GenerationCost(name, number, prompt, written, seconds, cost, basis)


def needs_consent(source: Source, expected: GenerationCost) -> bool:
    """True if a person must agree before the generation starts.

    A person must agree if the generation costs money, or if it takes more tokens than `confirm_over_tokens`.
    """
    over = 0 < source.confirm_over_tokens < expected.tokens
    return bool(expected.candidates) and (expected.cost is not None or over)


def _count(tokens: int) -> str:
    return f"{tokens / 1e6:,.1f} M" if tokens >= 1e6 else f"{tokens:,}"


def _money(cost: float) -> str:
    return f"{cost:,.2f}" if cost >= 0.1 or cost == 0 else f"{cost:.4f}"


def consent_sentences(run: Run) -> list[str]:
    """One sentence for each source whose cost a person must accept before its candidates are generated."""
    sentences = []
    for name, source in run.settings.sources.items():
        if source.price is None and not source.confirm_over_tokens:
            continue
        expected = estimate_cost(run.store, name, source, each_pending(run, source))
        if needs_consent(source, expected):
            sentences.append(expected.sentence())
    return sentences
