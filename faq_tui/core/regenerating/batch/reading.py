"""Read the output files of batches, and store each answer as if the source's server had sent it to a live run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import full_disk_is_clear
from faq_tui.core.base.text import counted
from faq_tui.core.endpoints.chunks import BrokenStreamError
from faq_tui.core.endpoints.client import StatusError
from faq_tui.core.endpoints.faults import explain
from faq_tui.core.regenerating.batch.answers import BatchResult, UnreadableLineError, is_same_model, result_of
from faq_tui.core.regenerating.batch.custom_id import parse_custom_id, plain_name
from faq_tui.core.regenerating.batch.summary import BatchSummary, SourceCounts
from faq_tui.core.regenerating.candidate_requests import (
    PendingCandidate,
    first_request,
    next_request,
    pending_candidates,
)
from faq_tui.core.regenerating.recorder import CandidateRecorder, RegenerationProgress
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import Run, locked
from faq_tui.core.seeds.formats.opening import first_bytes, opened
from faq_tui.core.store import candidates as rows
from faq_tui.core.store import seeds as seed_rows

LONGEST_LINE = 1 << 25  # limit in bytes; longer lines are skipped
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # PowerShell writes files in UTF-16
SAY_EVERY = 1000  # number of lines between two messages about the progress
# Matches the advice about `seeds.encoding` in the errors of `opened`. For batch files, this advice is wrong, so it is
# removed.
ADVICE = re.compile(r"[;:] set (another )?seeds\.encoding.*")


def read_batch(
    run: Run,
    files: Sequence[Path],
    cancel: CancelToken,
    say: Callable[[str], None] = lambda _: None,
    skip_unusable: bool = False,
) -> BatchSummary:
    """Store the answers in the files, and return the counts of all lines.

    Reading a file again changes nothing. Each answer is stored as soon as it is read, so a stop loses nothing. With
    `skip_unusable`, an unusable answer is not stored if the command `run` would request the candidate again. `say` is
    called with a sentence about the progress.

    Raises UsageError if a file does not exist, FaqError if another process works on the run, and Stopped if a stop
    was requested.
    """
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} {'is not a file' if path.exists() else 'does not exist'}: check its name")
    with locked(run), full_disk_is_clear(run.folder):
        reader = _Reader(run, cancel, skip_unusable)
        for path in files:
            for count in reader.read(path):
                if count % SAY_EVERY == 0:
                    say(f"{path}: {counted(count, 'line')} read")
        for name, source in run.settings.sources.items():
            reader.summary.sources[name].missing = len(pending_candidates(run, source))
        return reader.summary


class _Reader:
    def __init__(self, run: Run, cancel: CancelToken, skip_unusable: bool) -> None:
        self._run, self._cancel, self._skip_unusable = run, cancel, skip_unusable
        self.summary = BatchSummary(run.folder, {name: SourceCounts() for name in run.settings.sources})
        context = Context(run, lambda _event: None, cancel, "")
        self._recorders = [
            CandidateRecorder(context, name, source, RegenerationProgress(0), [])
            for name, source in run.settings.sources.items()
        ]

    def read(self, path: Path) -> Iterator[int]:
        """Read all lines of the file. Yields the number of each line after the line is processed."""
        number = 0
        try:
            for number, line in _lines_of(path):
                self._cancel.check()
                self._line(path, number, line)
                yield number
        except UsageError as error:  # the compressed file is cut off; the lines before the cut are stored
            reason = ADVICE.sub("; save it as UTF-8", str(error).removeprefix(f"{path} "))
            self.summary.add_unreadable(path, number + 1, reason)

    def _line(self, path: Path, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise UnreadableLineError(f"longer than {LONGEST_LINE >> 20} MiB")
            text = line.decode("utf-8").strip()
            if not text:
                return
            result = result_of(text)
        except UnicodeDecodeError:
            self.summary.add_unreadable(path, number, "not UTF-8 text")
        except UnreadableLineError as error:
            self.summary.add_unreadable(path, number, str(error))
        else:
            self.summary.lines += 1
            self._result(result)

    def _result(self, result: BatchResult) -> None:
        key = parse_custom_id(result.custom_id)
        seed = seed_rows.get(self._run.store, key.seed_id) if key else None
        if key is None or seed is None:
            self.summary.foreign += 1
            return
        same = [recorder for recorder in self._recorders if recorder.source_hash == key.source_hash]
        if not same:
            self.summary.other_settings += 1
            return
        recorder = next((r for r in same if plain_name(r.name) == key.name), same[0])
        if key.number > recorder.source.candidates:
            self.summary.foreign += 1
            return
        self._answer(recorder, PendingCandidate(seed, key.number, 0), result)

    def _answer(self, recorder: CandidateRecorder, pending: PendingCandidate, result: BatchResult) -> None:
        """Store the answer, or the reason for the failure."""
        counts, source = self.summary.sources[recorder.name], recorder.source
        if rows.is_stored(self._run.store, pending.seed.id, recorder.source_hash, pending.number):
            counts.already += 1
            return
        policy = first_request(source, pending.number)
        try:
            reply = result.reply(policy.max_tokens)
        except (StatusError, BrokenStreamError) as error:
            fault = explain(error, source)
            assert fault is not None
            counts.add_failure(fault.reason)
            self._fail(recorder, pending, fault.reason, fault.of_request)
            return
        candidate = recorder.candidate(pending, reply, policy, policy.max_tokens, 1)
        if self._skip_unusable and next_request(source, policy, candidate) is not None:
            counts.left += 1
            return
        recorder.keep(candidate)
        counts.stored += 1
        model = result.completion and result.completion.get("model")
        if not is_same_model(source.model, model):
            counts.other_models[str(model)] += 1
        counts.unusable += bool(candidate.flags)
        counts.flags.update(candidate.flags)

    def _fail(self, recorder: CandidateRecorder, pending: PendingCandidate, reason: str, refused: bool) -> None:
        """Store the failure, unless it is stored already."""
        before = rows.failures_of_seed(self._run.store, recorder.source_hash, pending.seed.id)
        if before.get(pending.number) != reason:
            recorder.fail(pending, reason, 1, refused)


def _lines_of(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yields (line number, line) for each line of the file. For a line longer than `LONGEST_LINE`, None is yielded
    instead of the line.

    Raises UsageError as `opened` does.
    """
    encoding = None
    with suppress(UsageError):  # if `first_bytes` fails here, `opened` raises the same error below
        encoding = "utf-16" if first_bytes(path, 2) in UTF_16 else None
    with opened(path, encoding) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if len(line) < LONGEST_LINE:
                yield number, line
                continue
            while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
            yield number, None
