"""Write the file `events.jsonl` of a job, and keep it small.

Most lines of the file are the text of candidates. As soon as a candidate is settled, the database holds its text. So
when the file has grown to `MOST_BYTES`, the file is replaced by a short one: the text of settled candidates is left
out, and counts take the place of their other events. A line `Compacted` at the beginning says where the short form of
the earlier events ends. A program that follows the file continues there.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from faq_tui.core.base.files import private
from faq_tui.core.run import events as e
from faq_tui.core.run.events import DELTA_LINE, candidate_of_line, from_json, line_start, to_json

MOST_BYTES = 64 << 20
CHUNK = 1 << 20  # larger pieces do not fit into the processor's cache
MOST_REREAD = 64 << 20  # text that is older than this is not shown again; the database holds it later
KEPT_NOTES = 500
KEPT_FAILURES = 1000
COMPACTED = b'{"event": "Compacted"'
_FOLDED = re.compile(b'"stage": "(?:regenerate|judge|seeds)"')
_TEXT = re.escape(DELTA_LINE) + rb"[^\n]*\n"
_TEXTS = re.compile(rb"%b(?:%b)*" % (_TEXT, _TEXT))  # neighbouring lines with text of candidates
_TOKENS = re.compile(rb'"completion_tokens": (\d+)')
_USABLE = b'"flags": []'
_STARTED, _DONE, _RETRIED, _FAILED = (
    line_start(kind) for kind in (e.CandidateStarted, e.CandidateDone, e.CandidateRetried, e.CandidateFailed)
)
_STAGE_STARTED, _STAGE_SKIPPED = line_start(e.StageStarted), line_start(e.StageSkipped)
_CANDIDATE = b'{"event": "Candidate'
_DROPPED = tuple(map(line_start, (e.ScoreReady, e.SeedSkipped, e.LoopEnded)))
_PROGRESS, _NOTE, _TOTALS = line_start(e.StageProgress), line_start(e.Note), line_start(e.CandidateTotals)
_PASSING = tuple(map(line_start, (e.Preparing, e.ServerWaiting, e.ServerBack)))  # only the newest of each counts


class EventFile:
    """The open file of one job. Each line is written at once."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._most = path, most_bytes
        self._file = self._opened()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: e.Event) -> None:
        self.write_line(to_json(event))

    def write_line(self, line: str) -> None:
        """Write an event that is already a line of JSON, without a line break."""
        self._size += self._file.write(f"{line}\n".encode(errors="replace"))
        self._file.flush()
        if self._size > self._most:
            self._compact()

    def _opened(self) -> IO[bytes]:
        file = open(self._path, "ab", opener=private)  # noqa: SIM115  `close` closes the file
        self._size = file.tell()
        return file

    def _compact(self) -> None:
        half = self._path.with_name(f".{self._path.name}.{os.getpid()}.half")
        try:
            with self._path.open("rb") as file, open(half, "wb", opener=private) as short:
                _write_compacted(file, short)
            half.replace(self._path)
        except OSError:  # for example, the disk is full; the file stays as it is
            half.unlink(missing_ok=True)
        else:
            self._file.close()
            self._file = self._opened()
        self._most = max(self._most, 2 * self._size)  # there is nothing more to leave out


def _write_compacted(file: IO[bytes], out: IO[bytes]) -> None:
    at = time.time()
    out.write(_head(0, at))
    for line in short_form(file):
        out.write(line)
    end = out.tell()
    out.seek(0)
    out.write(_head(end, at))


def _head(end: int, at: float) -> bytes:
    return f'{COMPACTED.decode()}, "time": {at:.3f}, "bytes": {end:>12}}}\n'.encode()


def end_of_short_form(line: bytes) -> int:
    """The offset in the file at which the short form of earlier events ends. `line` is the file's first line."""
    if not line.startswith(COMPACTED):
        return 0
    try:
        return int(json.loads(line)["bytes"])
    except (ValueError, KeyError, TypeError):
        return 0


def short_form(file: IO[bytes], check: Callable[[], bool] = lambda: True) -> Iterator[bytes]:
    """Yield fewer lines than `file` has, which give the same state of the job. Then, `file` is after its last line.

    An incomplete line at the end is left to the next read. If `check` returns False, the reading ends early.

    The file is read twice, because most of its lines are text of settled candidates. The first reading skips all text
    without looking at its lines one by one. The second reading begins where the oldest unsettled candidate began, and
    takes the text of the unsettled candidates.
    """
    whole = Compactor()
    began: dict[bytes, int] = {}  # for each unsettled candidate, an offset before its first line
    offset = end = file.seek(0)
    for chunk in _chunks(file):
        for line in _without_text(chunk):
            whole.add(line)
        began = {key: began.get(key, offset) for key in whole.unsettled}
        offset = end = offset + len(chunk)
        if not check():
            return
    if began:
        start = max(min(began.values()), end - MOST_REREAD)
        file.seek(start)
        rest = Compactor()
        for chunk in _chunks(file, end - start):
            for line in chunk.splitlines(keepends=True):
                rest.add(line)
        whole.take_texts(rest)
    file.seek(end)
    yield from whole.lines()


def _chunks(file: IO[bytes], most: int = sys.maxsize) -> Iterator[bytes]:
    """Whole lines, in pieces of about `CHUNK` bytes, with `most` bytes in total. A very long line is one piece."""
    while block := file.read(min(CHUNK, most)):
        if not block.endswith(b"\n"):
            block += file.readline()
        whole = block if block.endswith(b"\n") else block[: block.rfind(b"\n") + 1]
        if whole:
            yield whole
        if len(whole) < len(block):  # the last line is incomplete
            return
        most -= len(block)


def _without_text(chunk: bytes) -> Iterator[bytes]:
    """The lines that hold no text of a candidate. The other lines are skipped by a fast search."""
    for piece in _TEXTS.split(chunk):
        yield from piece.splitlines(keepends=True)


class Compactor:
    """Turns the lines of a job's events into fewer lines from which the app shows the same state of the job."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._notes: deque[bytes] = deque(maxlen=KEPT_NOTES)
        self._progress: list[bytes] = []  # the first and the last line about the current stage
        self._passing: dict[tuple[bytes, str], bytes] = {}
        self._forget_candidates()

    def take_texts(self, rest: Compactor) -> None:
        """Take the text of the unsettled candidates from a compactor that read the end of the file with all text."""
        for key, known in self.unsettled.items():
            lines = rest.unsettled.get(key, [])
            begun = [line for line in known if line not in lines]
            self.unsettled[key] = [*begun, *lines]
        for key, lines in rest.unsettled.items():
            self.unsettled.setdefault(key, lines)

    def lines(self) -> Iterator[bytes]:
        yield from self._notes
        yield from self._kept
        yield from self._progress
        yield from self._passing.values()
        yield from self._failures.values()
        failed = self._failed - len(self._failures)
        totals = e.CandidateTotals(
            self._settled, failed, 0, self._retried, self._tokens, self._retries, self._unusable
        )
        if any(vars(totals).values()):
            yield f"{to_json(totals)}\n".encode()
        for unsettled in self.unsettled.values():
            yield from unsettled

    def _forget_candidates(self) -> None:
        self.unsettled: dict[bytes, list[bytes]] = {}  # the lines of each candidate that is being generated
        self._failures: dict[bytes, bytes] = {}  # the newest failures of candidates that are not requested again
        self._settled = self._failed = self._unusable = self._retried = self._tokens = 0
        self._retries: dict[str, int] = {}  # number of retries by reason

    def add(self, line: bytes) -> None:
        if line.startswith(_CANDIDATE):
            if line.startswith(DELTA_LINE):
                self.unsettled.setdefault(candidate_of_line(line), []).append(line)
            elif line.startswith(_TOTALS):
                self._add_totals(line)
            else:
                self._candidate(line)
        elif line.startswith(_PROGRESS) and _FOLDED.search(line):
            self._progress[1:] = [line]  # after the first line, or as the first line
        elif line.startswith(_NOTE):
            self._notes.append(line)
        elif line.startswith(_PASSING):
            self._pass(line)
        elif not line.startswith((*_DROPPED, COMPACTED)):
            if line.startswith((_PROGRESS, *e.STAGE_LINES)):
                self._kept += self._progress
                self._progress = []
            self._stage(line)
            self._kept.append(line)

    def _stage(self, line: bytes) -> None:
        """Forget what the start or the end of a stage makes obsolete."""
        if not line.startswith(e.STAGE_LINES) or line.startswith(_STAGE_SKIPPED):
            return
        self._passing.clear()
        if line.startswith(_STAGE_STARTED):
            if b'"stage": "regenerate"' in line:
                self._forget_candidates()
        else:  # candidates that are not settled at the end of a stage never will be
            for lines in self.unsettled.values():
                self._count_retries([one for one in lines if one.startswith(_RETRIED)])
            self.unsettled.clear()

    def _candidate(self, line: bytes) -> None:
        key = candidate_of_line(line)
        before = self.unsettled.pop(key, ())
        retried = [one for one in before if one.startswith(_RETRIED)] if before else []
        if line.startswith(_STARTED):
            if self._failures:
                self._failures.pop(key, None)
            self.unsettled[key] = [*retried, line]
            return
        self._count_retries(retried)
        if line.startswith(_RETRIED):
            self.unsettled[key] = [line]
        elif line.startswith(_DONE):
            self._settled += 1
            self._unusable += _USABLE not in line
            tokens = _TOKENS.search(line)
            self._tokens += int(tokens[1]) if tokens else 0
        elif line.startswith(_FAILED):
            self._failed += 1
            self._failures[key] = line
            if len(self._failures) > KEPT_FAILURES:
                del self._failures[next(iter(self._failures))]

    def _count_retries(self, lines: list[bytes]) -> None:
        self._retried += len(lines)
        for line in lines:
            try:
                event, _ = from_json(line)
            except ValueError:
                continue
            if isinstance(event, e.CandidateRetried):
                e.count_reason(self._retries, event.reason)

    def _add_totals(self, line: bytes) -> None:
        try:
            event, _ = from_json(line)
        except ValueError:
            return
        if isinstance(event, e.CandidateTotals):
            self._settled, self._failed = self._settled + event.settled, self._failed + event.failed
            self._unusable += event.unusable or event.truncated
            self._retried += event.retried
            self._tokens += event.tokens
            for reason, count in event.retries.items():
                e.count_reason(self._retries, reason, count)

    def _pass(self, line: bytes) -> None:
        try:
            event, _ = from_json(line)
        except ValueError:
            return
        if isinstance(event, e.Preparing):
            key, over = (b"step", event.what), event.ended
        elif isinstance(event, e.ServerWaiting):
            key, over = (b"server", event.url), False
        else:
            key, over = (b"server", getattr(event, "url", "")), True
        if over:
            self._passing.pop(key, None)
        else:
            self._passing[key] = line
