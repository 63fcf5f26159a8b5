"""Write the requests of missing candidates into batch files: one JSON object per line, one model per file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import is_stream, private_folder, whole_file
from faq_tui.core.endpoints.capabilities import UNKNOWN, Capabilities
from faq_tui.core.endpoints.remembered import known_capabilities
from faq_tui.core.endpoints.request_body import chat_body
from faq_tui.core.endpoints.window import room
from faq_tui.core.regenerating.batch.custom_id import CustomId, plain_name
from faq_tui.core.regenerating.candidate_requests import (
    PendingCandidate,
    first_request,
    pending_candidates,
    question_for,
    source_hash_of,
)
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.settings.source import OFF

MOST_REQUESTS = 50_000  # maximum number of requests in one file, set by OpenAI
MOST_BYTES = 200_000_000  # maximum size of one file in bytes; OpenAI allows 200 MB
FOLDER = "batch"  # name of a folder inside the run's folder
ENDPOINT = "/v1/chat/completions"


@dataclass(frozen=True)
class BatchFile:
    """A batch file that faq-tui has written."""

    path: Path
    source: str
    model: str
    requests: int
    size: int  # size of the file in bytes


def write_batch(
    run: Run,
    names: Sequence[str] = (),
    output: Path | None = None,
    limit: int = MOST_REQUESTS,
    max_model_len: int | None = None,
) -> list[BatchFile]:
    """Write a request for each missing candidate of the sources `names`.

    Without `names`, the requests of all sources with a server are written. The requests of a source are written into
    `batch/SOURCE.jsonl` in the run's folder, or in the folder `output`. If `output` is a file, the requests are
    written into it; with several sources, each source's name is added to the file's name. A file has at most `limit`
    requests and `MOST_BYTES` bytes. If a source needs several files, they are numbered from 1: `SOURCE.1.jsonl`. No
    file is written for a source without missing candidates. `max_model_len` is the model's window, as in `body_of`.

    Raises UsageError if the run has no such source. If several files are needed, but `output` is a device or a pipe,
    UsageError is raised, too.
    """
    sources = _sources(run, names)
    pending = {name: pending_candidates(run, source) for name, source in sources.items()}
    several = sum(map(bool, pending.values())) > 1
    files = []
    for name, source in sources.items():
        if pending[name]:
            path, own = _place(run, name, output, several)
            known = known_capabilities(run.store, source.base_url, source.model)
            lines = _lines(name, source, pending[name], max_model_len, known)
            written = list(_write(lines, path, limit, name, source))
            if own:
                _remove_earlier(path, {file.path for file in written})
            files += written
    return files


def _sources(run: Run, names: Sequence[str]) -> dict[str, Source]:
    known = run.settings.sources
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"the sources are {', '.join(known) or '(none)'}"
            raise UsageError(f"no source {name!r} in {run.folder / 'faq.toml'}; {hint}")
        if known[name].is_local:
            raise UsageError(
                f'the source {name} has base_url = "local", so it has no batch file: set its '
                "`base_url` to the URL of a server, and its `model` to the name of the model on that server"
            )
    chosen = {name: known[name] for name in (names or known) if not known[name].is_local}
    if not chosen:
        raise UsageError(f"{run.folder / 'faq.toml'} has no source with a server: set base_url of a source to a URL")
    return chosen


def _place(run: Run, name: str, output: Path | None, several: bool) -> tuple[Path, bool]:
    """Returns (path of the source's file, True if only faq-tui writes into the folder of this file)."""
    if output is None:
        return run.folder / FOLDER / f"{plain_name(name)}.jsonl", True
    if output.is_dir():
        return output / f"{plain_name(name)}.jsonl", False
    return (_numbered(output, plain_name(name)) if several else output), False


def _numbered(path: Path, part: str | int) -> Path:
    """Return `out.PART.jsonl` for the path `out.jsonl`. Raises UsageError if the path is a device or a pipe."""
    if is_stream(path):
        raise UsageError(f"{path} is not a file, but several files are needed: give --output a folder or a new file")
    return path.with_name(f"{path.stem}.{part}{path.suffix}")


def _lines(
    name: str,
    source: Source,
    pending: Sequence[PendingCandidate],
    max_model_len: int | None,
    capabilities: Capabilities,
) -> Iterator[bytes]:
    source_hash, plain = source_hash_of(source), plain_name(name)
    for one in pending:
        line = {
            "custom_id": str(CustomId(plain, one.seed.id, one.number, source_hash)),
            "method": "POST",
            "url": ENDPOINT,
            "body": body_of(source, one, max_model_len, capabilities),
        }
        yield json.dumps(line, ensure_ascii=True).encode() + b"\n"


def body_of(
    source: Source, pending: PendingCandidate, max_model_len: int | None, capabilities: Capabilities = UNKNOWN
) -> dict[str, Any]:
    """The body of the first request that a live run would send to the source, but without streaming.

    If prompt and answer together may be longer than `max_model_len`, max_tokens is left out of the body. A server
    refuses a request if prompt and max_tokens do not fit into the server's window. `capabilities` says what the
    source's server supports.
    """
    question, policy = question_for(pending.seed, source), first_request(source, pending.number)
    sampling = source.sampling.model_copy(update={"max_tokens": policy.max_tokens})
    left = room(max_model_len, question.messages)
    return chat_body(
        *(source.model, question.messages, sampling, policy.sampling_seed, question.extra),
        endpoint=source,
        capabilities=capabilities,
        limited=source.sampling.max_tokens != OFF and (left is None or left >= policy.max_tokens),
    )


def _write(lines: Iterator[bytes], path: Path, limit: int, name: str, source: Source) -> Iterator[BatchFile]:
    """Write the lines into one file, or into numbered files if they do not fit into one."""
    part: list[bytes] = []
    number = size = 0
    for line in lines:
        if part and (len(part) >= limit or size + len(line) > MOST_BYTES):
            number += 1
            yield _write_file(_numbered(path, number), part, name, source)
            part, size = [], 0
        part.append(line)
        size += len(line)
    yield _write_file(_numbered(path, number + 1) if number else path, part, name, source)


def _write_file(path: Path, lines: list[bytes], name: str, source: Source) -> BatchFile:
    private_folder(path.parent)
    with whole_file(path) as file:
        file.writelines(lines)
    return BatchFile(path, name, source.model, len(lines), sum(map(len, lines)))


def _remove_earlier(path: Path, written: set[Path]) -> None:
    """Remove the requests that an earlier call wrote for the source, so that nobody sends them a second time.

    A file is removed only if it begins with a request. Therefore an output file of a batch is never removed, even if
    it has the name of a request file.
    """
    numbered = re.compile(re.escape(path.stem) + r"(\.[0-9]+)?" + re.escape(path.suffix))
    for old in path.parent.iterdir():
        if numbered.fullmatch(old.name) and old not in written and old.is_file() and _begins_with_request(old):
            old.unlink()


def _begins_with_request(path: Path) -> bool:
    with path.open("rb") as file:
        return re.match(rb'\{"custom_id": "faq-[^"]+", "method": ', file.read(200)) is not None
