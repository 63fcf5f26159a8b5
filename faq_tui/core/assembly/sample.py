"""A sample of a calibration set. Samples are cut to `max_tokens` tokens.

A file of samples has one line of JSON for each sample.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import LongList, digest
from faq_tui.core.chat.render import Rendered
from faq_tui.core.chat.template import NotAssembledError


@dataclass(frozen=True)
class Truncated:
    """The part of a rendered conversation that remains after the cut to the token limit."""

    ids: tuple[int, ...]
    kinds: bytes  # kind of each kept token
    answer_end: int  # number of tokens up to the end of the answer; 0 if there is no answer, or if it was cut


def truncate(rendered: Rendered, max_tokens: int, overflow: str) -> Truncated:
    """Keep at most `max_tokens` tokens of the conversation. Raises NotAssembledError if no token can be kept.

    `overflow` says what to do with a longer conversation. `keep_answer` cuts the middle of the reasoning. If the
    conversation has no answer, `keep_answer` keeps the beginning, as is usual for calibration sets. `head` keeps the
    beginning, `tail` keeps the end, and `drop` refuses the sample.
    """
    first, second = _kept(rendered, max_tokens, overflow)
    ids, (start, end) = rendered.ids, rendered.answer
    whole = 0
    for part, before in ((first, 0), (second, len(first))):
        if start < end and part.start <= start and end <= part.stop:
            whole = before + end - part.start
    kinds = rendered.kinds
    return Truncated(
        ids[first.start : first.stop] + ids[second.start : second.stop],
        kinds[first.start : first.stop] + kinds[second.start : second.stop],
        whole,
    )


def cut_to_budget(rendered: Rendered, max_tokens: int) -> Truncated:
    """Keep the first `max_tokens` tokens of the conversation: the question and the beginning of the reply.

    The token that ends the turn is cut off, because a truncated answer does not end its turn. Raises
    NotAssembledError if the question alone has `max_tokens` tokens or more.
    """
    reply_start = min((span[0] for span in (rendered.reasoning, rendered.answer) if span != (0, 0)), default=0)
    if reply_start >= max_tokens:
        raise NotAssembledError("the question alone is longer than tokens_per_sample")
    return truncate(rendered, max_tokens, "head")


def answer_cut(rendered: Rendered, most: int) -> Rendered:
    """The conversation, cut after the first `most` tokens of its last reply.

    Only tokens of the reasoning and of the answer are counted, not the template's tokens between reasoning and
    answer. If the reply has at most `most` tokens, the result is `rendered` itself. If the reply is cut, the token
    that ends the turn is removed, too, because a cut answer does not end its turn.
    """
    spans = (rendered.reasoning, rendered.answer)
    reply = sorted({position for start, end in spans for position in range(start, end)})
    if len(reply) <= most:
        return rendered
    stop = reply[most - 1] + 1
    reasoning, answer = ((start, min(end, stop)) if start < stop else (0, 0) for start, end in spans)
    return replace(rendered, ids=rendered.ids[:stop], kinds=rendered.kinds[:stop], reasoning=reasoning, answer=answer)


def _kept(rendered: Rendered, max_tokens: int, overflow: str) -> tuple[range, range]:
    """The positions of the kept tokens, as two ranges. The tokens between the two ranges are left out."""
    total = len(rendered.ids)
    over = total - max_tokens
    nothing = range(total, total)
    if over <= 0:
        return range(total), nothing
    if overflow == "drop":
        raise NotAssembledError("conversation longer than max_tokens")
    if overflow == "tail":
        return range(over, total), nothing
    start, end = rendered.reasoning
    if overflow == "head" or rendered.answer == (0, 0):
        return range(max_tokens), nothing
    if over > end - start:
        raise NotAssembledError("question and answer alone are longer than max_tokens")
    first = start + (end - start - over) // 2
    return range(first), range(first + over, total)


MIN_TOKENS = 11  # gptqmodel silently drops rows with fewer tokens

FIELDS = ("seed_id", "candidate_id", "source", "text", "input_ids", "n_tokens", "n_tokens_full", "picked_by")


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a set. The JSONL file has exactly the fields in `FIELDS`.

    Other programs read these fields, so the names must not change. `spool.StoredSample` keeps the long fields in a
    file.
    """

    seed_id: str
    candidate_id: int | None  # None if the sample is the seed itself
    source: str  # a source's name, or `baseline`
    text: str
    input_ids: tuple[int, ...]
    n_tokens: int
    n_tokens_full: int  # number of tokens before the sample was cut to max_tokens
    picked_by: str | None  # "judge" or "person"; None if the sample is the seed itself
    answered: bool = False  # True if the conversation has an answer, even if the answer was cut
    answer_end: int = 0  # number of tokens up to the end of the answer; 0 if there is no answer, or if it was cut
    way: str = "template"  # how the text was made: "template", "generation_prompt", "inline", "raw" or "prose"
    kinds: bytes = b""  # for each token, its index in token_kinds.KINDS

    @property
    def holds_answer(self) -> bool:
        return 0 < self.answer_end <= self.n_tokens


def write_set(path: Path, samples: Sequence[Sample]) -> None:
    """Write one JSON object per line. The file is written atomically."""
    with atomic_text(path) as file:
        for sample in samples:
            line = {name: getattr(sample, name) for name in FIELDS}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def ids_hash(samples: Sequence[Sample]) -> str:
    """A hash of the token ids. Sets with equal token ids have equal hashes."""
    return digest(LongList(lambda: (sample.input_ids for sample in samples), batch=1))


def shortened(sample: Sample, n_tokens: int, decode: Callable[[tuple[int, ...]], str]) -> Sample:
    """A copy of the sample with only its first `n_tokens` token ids. `decode` returns the text of token ids."""
    ids, kinds = sample.input_ids[:n_tokens], sample.kinds[:n_tokens]
    return Sample(
        seed_id=sample.seed_id,
        candidate_id=sample.candidate_id,
        source=sample.source,
        text=decode(ids),
        input_ids=ids,
        n_tokens=n_tokens,
        n_tokens_full=sample.n_tokens_full,
        picked_by=sample.picked_by,
        answered=sample.answered,
        answer_end=sample.answer_end,
        way=sample.way,
        kinds=kinds,
    )


_SEED = re.compile(rb'\{"seed_id": "([^"]*)"')
_TOKENS = re.compile(rb'"n_tokens": (\d+)')
TAIL_BYTES = 400  # the last TAIL_BYTES bytes of a line always contain its token counts


@dataclass(frozen=True)
class SampleOffset:
    """The byte offset of a sample's line in the file of its set, and the number of tokens of the sample."""

    offset: int
    n_tokens: int


class SampleIndex:
    """The byte offset of each seed's line in the file of a set. `refresh` reads the file again if the file has
    changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offsets: dict[str, SampleOffset] = {}
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> bool:
        """Read the file if it has changed since the last call. Returns True if the file has changed."""
        state = self._state()
        if state == self._seen:
            return False
        offsets: dict[str, SampleOffset] = {}
        if state is not None:
            with self.path.open("rb") as file:
                offset = 0
                for line in file:
                    if seed := _SEED.match(line):
                        counts = _TOKENS.search(line, max(0, len(line) - TAIL_BYTES))
                        offsets[seed[1].decode()] = SampleOffset(offset, int(counts[1]) if counts else 0)
                    offset += len(line)
        self.offsets, self._seen = offsets, state
        return True

    def text(self, seed_id: str) -> str | None:
        """The text of the seed's sample, decoded from its ids.

        The result is None if the set has no sample of this seed.
        """
        sample_offset = self.offsets.get(seed_id)
        if sample_offset is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(sample_offset.offset)
                sample = json.loads(file.readline())
        except (OSError, ValueError):
            return None  # another process is rewriting the set now
        return str(sample["text"]) if sample.get("seed_id") == seed_id else None

    def _state(self) -> tuple[int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size
