"""`faq-tui batch`: requests into files, answers out of files, and the same candidates as from a live server."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.batch_runner import FORMS, Body, completion, made_up, posted_to, refusal, requests_of, run_batch
from tests.support.fake_server import Asked, Behaviour, FakeServer
from tests.support.schemas import valid
from tests.support.shell import (
    faq_tui,
    faq_tui_process,
    make_run,
    question,
    refused,
    rows,
    started,
    stored,
    write_seeds,
)

SECOND = '\n[sources.teacher]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "teacher-70b"\ncandidates = 2\n'
CONTENTS = (
    "SELECT key, seed_id, source, number, generation, model, prompt_version, reasoning, answer, finish_reason, flags,"
    " prompt_tokens, completion_tokens, dialect, max_tokens, sampling_seed, requests, why"
    " FROM candidates ORDER BY key"
)


def seeded(folder: Path, **how: Any) -> Path:
    run = make_run(folder, **how)
    assert faq_tui("run", run, "--only", "seeds").code == ExitCode.DONE
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Four seeds, of which no candidate is made yet."""
    return seeded(tmp_path / "run")


def write(run: Path, *options: str | Path) -> list[Path]:
    """The files that `batch write` prints."""
    result = faq_tui("batch", "write", run, *options)
    assert result.code == ExitCode.DONE, result
    return [Path(line) for line in result.out.splitlines()]


def read(run: Path, *files: Path, code: ExitCode = ExitCode.DONE) -> dict[str, Any]:
    """The counts of `batch read --json`."""
    result = faq_tui("batch", "read", run, *files, "--json")
    assert result.code == code, result
    body: dict[str, Any] = json.loads(result.out)
    valid("batch-read", body)
    return body


def counts(body: dict[str, Any], source: str = "elder") -> tuple[int, int, int, int]:
    """(stored, already, failed, missing)"""
    of = body["sources"][source]
    return of["stored"], of["already"], of["failed"], of["missing"]


def set_key(run: Path, old: str, new: str) -> None:
    settings = run / "faq.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new, 1))


# --- write, answer, read, run ---


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_the_whole_stage(run: Path, tmp_path: Path, form: str) -> None:
    output = run_batch(write(run), tmp_path / "out.jsonl", form=form)
    assert counts(read(run, output)) == (12, 0, 0, 0)
    assert stored(run) == {(question(seed), number) for seed in range(4) for number in range(3)}
    source = json.loads(faq_tui("status", run, "--json").out)["sources"]["elder"]
    assert (source["candidates"], source["failed"], source["unfit"], source["tokens"]) == (12, 0, 0, 252)
    assert source["to_come"]["candidates"] == 0
    result = faq_tui("run", run, "--until", "regenerate")  # no server listens at its URL
    assert result.code == ExitCode.DONE and "12 candidates, 252 tokens, 0 unusable" in result.err


def test_run_requests_only_what_the_batch_left(tmp_path: Path) -> None:
    with FakeServer() as server:
        run = seeded(tmp_path / "run", url=server.url)
        output = run_batch(write(run), tmp_path / "out.jsonl", most=7)
        assert counts(read(run, output)) == (7, 0, 0, 5)
        assert faq_tui("run", run, "--until", "regenerate").code == ExitCode.DONE
        assert server.stats().asked.total() == 5
    assert len(stored(run)) == 12
    assert write(run) == []


def odd_replies(asked: Asked) -> str:
    """Some answers with reasoning, some empty, some that repeat themselves."""
    kinds = ("<think>\nwell\n</think>\n\nIt is a river.", "", "again and again " * 60, "I can't help with that.")
    return kinds[int(re.findall(r"\d+", asked.question)[0])]


@pytest.mark.parametrize("reasoning", ["native", "prompted", "off"])
def test_the_same_requests_and_the_same_candidates_as_live(tmp_path: Path, reasoning: str) -> None:
    """The bodies are equal except for streaming, and the stored rows are equal except for the time."""
    sampling = "{ temperature = 0.3, top_p = 0.8, top_k = 7, min_p = 0.1, max_tokens = 77, seed = 5 }"
    source = f'reasoning = "{reasoning}"\nsampling = {sampling}\non_truncated = "drop"\non_flagged = "drop"'
    behaviour = Behaviour(streams=False, reply=odd_replies, finish=lambda a: "length" if a.number == 6 else "stop")
    with FakeServer(behaviour) as server:
        live = make_run(tmp_path / "live", server.url, source=source)
        assert faq_tui("run", live, "--until", "regenerate").code == ExitCode.DONE
        sent = [dict(asked.body) for asked in server.requests]
        batch = seeded(tmp_path / "batch", url=server.url, source=source)
        files = write(batch)
        read(batch, run_batch(files, tmp_path / "out.jsonl", posted_to(server.url)))
    for body in sent:
        assert body.pop("stream") is True and body.pop("stream_options")
    in_order = [sorted(map(json.dumps, map(sorted_keys, bodies))) for bodies in (sent, bodies_of(files))]
    assert in_order[0] == in_order[1] and len(sent) == 12
    assert rows(live, CONTENTS) == rows(batch, CONTENTS)
    assert {flag for (flags,) in rows(batch, "SELECT flags FROM candidates") for flag in json.loads(flags)} >= {
        "empty",
        "truncated",
        "loop",
        "refusal",
    }


def sorted_keys(body: Body) -> Body:
    return dict(sorted(body.items()))


def bodies_of(files: list[Path]) -> list[Body]:
    return [row["body"] for row in requests_of(files)]


# --- files of requests ---


def test_the_lines_of_a_file(run: Path) -> None:
    (file,) = write(run)
    assert file == run.resolve() / "batch" / "elder.jsonl"
    lines = requests_of([file])
    assert all(list(line) == ["custom_id", "method", "url", "body"] for line in lines)
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    ids = {line["custom_id"] for line in lines}
    assert len(ids) == 12 and all(len(one) <= 64 for one in ids)
    assert "stream" not in lines[0]["body"] and lines[0]["body"]["max_tokens"] == 8192


def test_a_source_has_separate_files_of_at_most_so_many_requests(tmp_path: Path) -> None:
    run = seeded(tmp_path / "run", rest=SECOND)
    files = write(run, "--limit", "5")
    assert [file.name for file in files] == [
        *("elder.1.jsonl", "elder.2.jsonl", "elder.3.jsonl"),
        *("teacher.1.jsonl", "teacher.2.jsonl"),
    ]
    assert [len(requests_of([file])) for file in files] == [5, 5, 2, 5, 3]
    assert {body["model"] for body in bodies_of(files[:3])} == {"fake-8b"}
    assert {body["model"] for body in bodies_of(files[3:])} == {"teacher-70b"}
    output = run_batch(files, tmp_path / "out.jsonl")
    body = read(run, output)
    assert (counts(body), counts(body, "teacher")) == ((12, 0, 0, 0), (8, 0, 0, 0))


def test_requests_of_an_earlier_call_go_and_outputs_stay(run: Path) -> None:
    parts = write(run, "--limit", "4")
    output = parts[0].with_name("elder.7.jsonl")
    run_batch(parts[:1], output)
    read(run, output)
    assert [file.name for file in write(run)] == ["elder.jsonl"]
    assert sorted(file.name for file in parts[0].parent.iterdir()) == ["elder.7.jsonl", "elder.jsonl"]
    assert len(requests_of([parts[0].with_name("elder.jsonl")])) == 8


def test_a_file_or_a_folder_as_output(tmp_path: Path) -> None:
    run, folder = seeded(tmp_path / "run", rest=SECOND), tmp_path / "folder"
    folder.mkdir()
    assert write(run, "--source", "teacher", "-o", tmp_path / "in.jsonl") == [tmp_path / "in.jsonl"]
    assert write(run, "-o", tmp_path / "in.jsonl") == [tmp_path / "in.elder.jsonl", tmp_path / "in.teacher.jsonl"]
    assert write(run, "-o", folder) == [folder / "elder.jsonl", folder / "teacher.jsonl"]
    for several in ((), ("--source", "elder", "--limit", "5")):
        said = refused(ExitCode.USAGE, "batch", "write", run, "-o", "/dev/stdout", *several)
        assert said == "/dev/stdout is not a file, but several files are needed: give --output a folder or a new file"


def test_requests_on_standard_output(run: Path) -> None:
    piped = faq_tui_process("batch", "write", run, "-o", "/dev/stdout").out
    assert len([json.loads(line) for line in piped.splitlines()]) == 12


def test_the_files_as_json(run: Path) -> None:
    body = json.loads(faq_tui("batch", "write", run, "--json").out)
    valid("batch-write", body)
    (file,) = body["files"]
    path = Path(file.pop("path"))
    assert file == {"source": "elder", "model": "fake-8b", "requests": 12, "size": path.stat().st_size}
    assert (body["schema"], body["run"]) == (1, str(run.resolve()))


def test_a_file_is_never_larger_than_200_mb(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faq_tui.core.regenerating.batch.requests.MOST_BYTES", 1000)
    files = write(run)
    assert len(files) == 6 and all(file.stat().st_size <= 1000 for file in files)


@pytest.mark.parametrize(("window", "sent"), [("8000", False), ("9000", True)])
def test_max_tokens_is_left_out_if_the_window_has_no_room(run: Path, tmp_path: Path, window: str, sent: bool) -> None:
    """As in a live request to a server that reports its window."""
    files = write(run, "--max-model-len", window)
    assert {"max_tokens" in body for body in bodies_of(files)} == {sent}
    with FakeServer(Behaviour(max_model_len=int(window))) as server:
        live = make_run(tmp_path / "live", server.url)
        assert faq_tui("run", live, "--until", "regenerate").code == ExitCode.DONE
        assert {"max_tokens" in asked.body for asked in server.requests} == {sent}
    assert counts(read(run, run_batch(files, tmp_path / "out.jsonl"))) == (12, 0, 0, 0)


def test_a_window_that_is_too_small_has_its_advice(run: Path, tmp_path: Path) -> None:
    said = "max_tokens=8192 cannot be greater than max_model_len=4096."
    output = run_batch(write(run), tmp_path / "out.jsonl", lambda _body: refusal(said), "vllm")
    assert "write these requests with --max-model-len TOKENS" in faq_tui("batch", "read", run, output).out
    output = run_batch(write(run), tmp_path / "out.jsonl", lambda _body: refusal("no such model"), "vllm")
    assert "--max-model-len" not in faq_tui("batch", "read", run, output).out


def test_before_the_seeds_are_up_to_date(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    said = refused(ExitCode.USAGE, "batch", "write", run)
    assert said == f"the seeds are not up to date: first run `faq-tui run {run.resolve()} --only seeds`"
    assert faq_tui("run", run, "--only", "seeds").code == ExitCode.DONE
    write_seeds(run / "seeds.jsonl", 5)
    assert "the seeds are not up to date" in refused(ExitCode.USAGE, "batch", "write", run)


def test_sources_that_cannot_be_written(tmp_path: Path) -> None:
    local = '\n[sources.self]\nbase_url = "local"\nmodel = "target"\n'
    run = seeded(tmp_path / "run", rest=local)
    assert [file.name for file in write(run)] == ["elder.jsonl"]
    said = [refused(ExitCode.USAGE, "batch", "write", run, "--source", name) for name in ("eldr", "self")]
    assert said[0].endswith("faq.toml; did you mean elder?")
    assert said[1].startswith('the source self has base_url = "local", so it has no batch file')
    set_key(run, 'base_url = "http://127.0.0.1:9/v1"\nmodel = "fake-8b"', 'base_url = "local"\nmodel = "target"')
    assert "has no source with a server" in refused(ExitCode.USAGE, "batch", "write", run)


# --- answers ---


def test_a_file_that_grows_is_read_again_and_again(run: Path, tmp_path: Path) -> None:
    whole = run_batch(write(run), tmp_path / "whole.jsonl").read_bytes()
    lines, output = whole.splitlines(keepends=True), tmp_path / "out.jsonl"
    output.write_bytes(b"".join(lines[:5]) + lines[5][:200])
    body = read(run, output)
    assert counts(body) == (5, 0, 0, 7) and body["unreadable"] == 1
    assert body["first_unreadable"] == [{"path": str(output), "line": 6, "reason": "cut off, or not JSON"}]
    output.write_bytes(whole)
    assert counts(read(run, output)) == (7, 5, 0, 0)
    before = rows(run, "SELECT * FROM candidates")
    assert counts(read(run, output, output)) == (0, 24, 0, 0)
    assert rows(run, "SELECT * FROM candidates") == before


def test_answers_for_other_settings_are_refused(run: Path, tmp_path: Path) -> None:
    files = write(run)
    old = run_batch(files, tmp_path / "old.jsonl")
    set_key(run, 'model = "fake-8b"', 'model = "fake-8b"\nsampling = { temperature = 0.1 }')
    said = refused(ExitCode.USAGE, "batch", "read", run, old)
    assert said.startswith(f"no line of {old} answers a request of this run")
    assert read(run, old, code=ExitCode.USAGE)["other_settings"] == 12
    new = run_batch(write(run), tmp_path / "new.jsonl", most=2)
    result = faq_tui("batch", "read", run, old, new)
    assert result.code == ExitCode.DONE and len(stored(run)) == 2
    assert (
        "12 answers not stored, because the settings differ: the model, prompt, reasoning or sampling" in result.out
    )
    set_key(run, "sampling = { temperature = 0.1 }", "")
    assert counts(read(run, old)) == (12, 0, 0, 0)


def test_a_renamed_source_and_a_smaller_number_of_candidates(run: Path, tmp_path: Path) -> None:
    output = run_batch(write(run), tmp_path / "out.jsonl")
    set_key(run, "[sources.elder]", "[sources.big]\ncandidates = 2")
    body = read(run, output)
    assert counts(body, "big") == (8, 0, 0, 0) and body["foreign"] == 4


def test_answers_of_another_run(run: Path, tmp_path: Path) -> None:
    other = seeded(tmp_path / "other", seeds=6)
    output = run_batch(write(other), tmp_path / "out.jsonl")
    assert (counts(body := read(run, output)), body["foreign"]) == ((12, 0, 0, 0), 6)


def failing(reason: Callable[[int], str]) -> Callable[[Body], Body]:
    """Requests for candidate 1 (seed 0) succeed, others fail."""
    return lambda body: made_up(body) if body["seed"] == 0 else refusal(reason(body["seed"]))


@pytest.mark.parametrize("form", FORMS)
def test_failures_are_counted_by_reason_and_requested_by_run(tmp_path: Path, form: str) -> None:
    with FakeServer() as server:
        run = seeded(tmp_path / "run", url=server.url)
        answer = failing(lambda number: f"maximum context length is 4096, not {9000 + number}\x1b[31m")
        output = run_batch(write(run), tmp_path / "out.jsonl", answer, form)
        body = read(run, output)
        assert counts(body) == (4, 0, 8, 8)
        ((reason, count),) = body["sources"]["elder"]["reasons"].items()
        assert count == 8 and reason.endswith("maximum context length is 4096, not 9001\x1b[31m")
        assert reason.startswith("HTTP 400 ") == (form != "bare")
        status = json.loads(faq_tui("status", run, "--json").out)["sources"]["elder"]
        assert (status["failed"], status["to_come"]["candidates"]) == (8, 8)
        kept = rows(run, "SELECT * FROM failed_candidates")
        again = faq_tui("batch", "read", run, output)
        assert rows(run, "SELECT * FROM failed_candidates") == kept
        assert "elder: 0 stored, 4 already there, 8 failed, 8 still missing" in again.out and "\x1b" not in again.out
        assert f"faq-tui run {run.resolve()} generates the missing candidates" in again.out
        assert faq_tui("run", run, "--until", "regenerate").code == ExitCode.DONE
        assert len(stored(run)) == 12 and rows(run, "SELECT * FROM failed_candidates") == []
        assert counts(read(run, output)) == (0, 12, 0, 0)
        assert rows(run, "SELECT * FROM failed_candidates") == []


def test_an_expired_batch_and_its_second_try(run: Path, tmp_path: Path) -> None:
    """OpenAI writes the requests that it did not begin into a file of errors."""
    lines = requests_of(write(run))
    error = {"code": "batch_expired", "message": "This request could not be executed before the window expired."}
    errors = tmp_path / "errors.jsonl"
    rows_of = ({"id": "b", "custom_id": row["custom_id"], "response": None, "error": error} for row in lines)
    errors.write_text("".join(json.dumps(row) + "\n" for row in rows_of))
    body = read(run, errors)
    assert counts(body) == (0, 0, 12, 12)
    assert body["sources"]["elder"]["reasons"] == {str(error["message"]): 12}
    output = run_batch(write(run), tmp_path / "out.jsonl")
    assert counts(read(run, errors, output)) == (12, 0, 12, 0)
    assert rows(run, "SELECT * FROM failed_candidates") == []


def test_unusable_answers_are_stored_or_left_to_run(run: Path, tmp_path: Path) -> None:
    def answer(body: Body) -> Body:
        return completion("cut", finish="length") if body["seed"] == 2 else made_up(body)

    output, copy = run_batch(write(run), tmp_path / "out.jsonl", answer), tmp_path / "copy"
    shutil.copytree(run, copy)
    result = faq_tui("batch", "read", copy, output)
    assert "elder: 12 stored (4 unusable: 4 cut off), none missing" in result.out
    result = faq_tui("batch", "read", run, output, "--skip-unusable")
    assert "elder: 8 stored, 4 unusable and not stored, 4 still missing" in result.out
    assert rows(run, "SELECT count(*) FROM candidates WHERE flags <> '[]'") == [(0,)]
    set_key(run, 'model = "fake-8b"', 'model = "fake-8b"\non_truncated = "drop"')
    assert (
        "4 stored (4 unusable: 4 cut off), 8 already" in faq_tui("batch", "read", run, output, "--skip-unusable").out
    )


def test_packed_files_a_mark_and_utf_16(run: Path, tmp_path: Path) -> None:
    lines = run_batch(write(run), tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    packed, marked, wide, cut = (tmp_path / name for name in ("a.jsonl.gz", "b.jsonl", "c.jsonl", "d.gz"))
    packed.write_bytes(gzip.compress(b"".join(lines[:3])))
    marked.write_bytes(b"\xef\xbb\xbf" + lines[3] + b"\r\n\n" + lines[4])
    wide.write_bytes(b"".join(lines[5:8]).decode().encode("utf-16"))
    assert counts(read(run, packed, marked, wide)) == (8, 0, 0, 4)
    cut.write_bytes(gzip.compress(b"".join(lines[8:]))[:-9])
    body = read(run, cut, code=ExitCode.USAGE)
    assert "not a complete gzip file" in body["first_unreadable"][0]["reason"]


def test_files_that_are_no_output(run: Path, tmp_path: Path) -> None:
    (requests,) = write(run)
    body = read(run, requests, code=ExitCode.USAGE)
    assert body["unreadable"] == 12 and len(body["first_unreadable"]) == 5
    assert body["first_unreadable"][0]["reason"].startswith("a request, not an answer")
    nowhere, empty = tmp_path / "no.jsonl", tmp_path / "empty.jsonl"
    assert refused(ExitCode.USAGE, "batch", "read", run, nowhere) == f"{nowhere} does not exist: check its name"
    assert refused(ExitCode.USAGE, "batch", "read", run, tmp_path) == f"{tmp_path} is not a file: check its name"
    empty.touch()
    assert "answers a request of this run" in refused(ExitCode.USAGE, "batch", "read", run, empty)


# --- beside a job ---


def test_beside_a_running_job(tmp_path: Path) -> None:
    """Requests can be written; answers wait until the job has ended, because both store candidates."""
    with FakeServer(Behaviour(pieces_per_s=2)) as server:
        run = seeded(tmp_path / "run", url=server.url, source="concurrency = 1")
        with started("run", run, "--until", "regenerate"):
            server.wait_for(lambda stats: stats.asked.total() > 0)
            result = faq_tui("batch", "write", run)
            assert result.code == ExitCode.DONE and "another faq-tui is working on" in result.err
            output = run_batch([Path(result.out.strip())], tmp_path / "out.jsonl")
            said = refused(ExitCode.FAILED, "batch", "read", run, output)
            assert said.startswith("another faq-tui (process ") and "wait until it ends" in said
    assert counts(read(run, output))[3] == 0


def test_the_estimate_of_the_time_leaves_batches_out(tmp_path: Path) -> None:
    run = seeded(tmp_path / "run")
    read(run, run_batch(write(run), tmp_path / "out.jsonl", most=6))
    to_come = json.loads(faq_tui("status", run, "--json").out)["sources"]["elder"]["to_come"]
    assert (to_come["candidates"], to_come["basis"], to_come["tokens"]) == (6, "measured", 192)
    assert to_come["seconds"] is None and " s," not in to_come["sentence"]
