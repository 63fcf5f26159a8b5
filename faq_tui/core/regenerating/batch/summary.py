"""The counts of lines that `batch read` has read, as JSON and in words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faq_tui.core.base.shell import command_line
from faq_tui.core.endpoints.window import is_about_room
from faq_tui.core.regenerating.flags import counts_in_words

SCHEMA = 1
SHOWN = 5  # the command prints at most this many reasons and lines; its JSON output has all reasons
MOST_REASONS = 100  # maximum number of reasons that are kept; all others are counted as "other reasons"
LONGEST_NAME = 100  # maximum number of characters of a model's name that are shown
OTHER_REASONS = "other reasons"
_VARYING_WORDS = re.compile(r"\S*\d\S*")  # words with digits, such as numbers of tokens and ids of requests


@dataclass
class SourceCounts:
    """The counts of one source's lines. Each line is counted in exactly one of the first four fields."""

    stored: int = 0
    already: int = 0  # answers that were already stored before
    failed: int = 0  # requests that failed at the server, or whose answer is incomplete
    left: int = 0  # unusable answers that were not stored, so that the command `run` requests them again
    unusable: int = 0  # stored answers with a flag
    flags: Counter[str] = field(default_factory=Counter)  # flags of the stored answers
    reasons: Counter[str] = field(default_factory=Counter)  # reasons of the failures
    other_models: Counter[str] = field(default_factory=Counter)  # stored answers that name another model
    missing: int = 0  # candidates that are still to be generated
    # maps each reason, without its numbers, to the text of the first failure with this reason
    _kinds: dict[str, str] = field(default_factory=dict)

    def add_failure(self, reason: str) -> None:
        """Count a failure. Reasons that differ only in numbers are counted together."""
        self.failed += 1
        kind = _VARYING_WORDS.sub("#", reason)
        if kind not in self._kinds and len(self._kinds) >= MOST_REASONS:
            kind = reason = OTHER_REASONS
        self.reasons[self._kinds.setdefault(kind, reason)] += 1


@dataclass(frozen=True)
class UnreadableLine:
    path: str
    line: int  # 1-based
    reason: str


@dataclass
class BatchSummary:
    """The counts of all lines of all files. Empty lines are not counted."""

    run: Path
    sources: dict[str, SourceCounts]
    lines: int = 0
    other_settings: int = 0  # answers to requests that were written before the settings changed
    foreign: int = 0  # lines whose custom_id belongs to no candidate of this run
    unreadable: int = 0
    first_unreadable: list[UnreadableLine] = field(default_factory=list)

    def add_unreadable(self, path: Path, line: int, reason: str) -> None:
        self.lines += 1
        self.unreadable += 1
        if len(self.first_unreadable) < SHOWN:
            self.first_unreadable.append(UnreadableLine(str(path), line, reason))

    @property
    def useful(self) -> bool:
        """True if at least one line belongs to a candidate of this run."""
        return self.lines > self.other_settings + self.foreign + self.unreadable

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "run": str(self.run),
            "lines": self.lines,
            "sources": {name: _source_json(counts) for name, counts in self.sources.items()},
            "other_settings": self.other_settings,
            "foreign": self.foreign,
            "unreadable": self.unreadable,
            "first_unreadable": [vars(line) for line in self.first_unreadable],
        }

    def in_words(self) -> list[str]:
        """The lines that the command prints.

        The lines contain texts from servers, so the caller must pass each line through `sanitize`.
        """
        lines = [line for name, counts in self.sources.items() for line in _source_lines(name, counts)]
        if self.other_settings:
            lines.append(
                f"{_answers(self.other_settings)} not stored, because the settings differ: the model, prompt, "
                "reasoning or sampling of the source has changed since the requests were written"
            )
        if self.foreign:
            lines.append(f"{_answers(self.foreign)} not stored, because no candidate of this run has such an id")
        if self.unreadable:
            lines.append(f"{self.unreadable:,} unreadable {'line' if self.unreadable == 1 else 'lines'}:")
            lines += [f"  {one.path} line {one.line}: {one.reason}" for one in self.first_unreadable]
            if self.unreadable > len(self.first_unreadable):
                lines.append(f"  and {self.unreadable - len(self.first_unreadable):,} more")
        return [*lines, self._next()] if self.useful else lines

    def _next(self) -> str:
        if any(counts.missing for counts in self.sources.values()):
            return (
                f"Next: {command_line('run', self.run)} generates the missing candidates; "
                f"{command_line('batch', 'write', self.run)} writes their requests into new files"
            )
        return f"Next: {command_line('run', self.run)}"


def _source_json(counts: SourceCounts) -> dict[str, Any]:
    names = ("stored", "already", "failed", "left", "unusable", "missing")
    reasons = dict(counts.reasons.most_common())
    return {name: getattr(counts, name) for name in names} | {"flags": dict(counts.flags), "reasons": reasons}


def _source_lines(name: str, counts: SourceCounts) -> list[str]:
    unusable = f" ({counts.unusable:,} unusable: {counts_in_words(counts.flags)})" if counts.unusable else ""
    parts = [f"{counts.stored:,} stored{unusable}"]
    if counts.already:
        parts.append(f"{counts.already:,} already there")
    if counts.left:
        parts.append(f"{counts.left:,} unusable and not stored")
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    parts.append(f"{counts.missing:,} still missing" if counts.missing else "none missing")
    lines = [f"{name}: {', '.join(parts)}"]
    ranked = counts.reasons.most_common()
    lines += [f"  {count:,} failed: {reason}" for reason, count in ranked[:SHOWN]]
    rest = sum(count for _, count in ranked[SHOWN:])
    if rest:
        lines.append(f"  {rest:,} failed for other reasons")
    for model, count in counts.other_models.most_common(SHOWN):
        lines.append(
            f"  warning: {count:,} of the stored answers name the model {model[:LONGEST_NAME]}: if the batch was "
            "sent to a wrong model, set the model of the source and write the requests again"
        )
    if any(map(is_about_room, counts.reasons)):
        lines.append(
            "  if max_tokens does not fit into the model's window: write these requests with --max-model-len TOKENS, "
            "or run vLLM with a larger --max-model-len"
        )
    return lines


def _answers(count: int) -> str:
    return f"{count:,} {'answer' if count == 1 else 'answers'}"
