"""A batch whose requests are answered by llama.cpp's real server: write, answer, read, run, status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.embedded import EmbeddedServer
from tests.support.batch_runner import FORMS, posted_to, run_batch
from tests.support.schemas import valid
from tests.support.shell import faq_tui, make_run, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SOURCE = """
candidates = 3
concurrency = 8
reasoning = "prompted"
sampling = { temperature = 0.7, top_p = 0.9, top_k = 40, min_p = 0.05, max_tokens = 32 }
on_truncated = "drop"
on_flagged = "drop"
"""


def test_four_seeds_by_three_through_files(embedded_server: EmbeddedServer, tmp_path: Path) -> None:
    """Each form of output brings a third of the answers; the live server generates the last candidates."""
    run = make_run(tmp_path / "run", embedded_server.base_url, seeds=4, source=SOURCE)
    settings = run / "faq.toml"
    settings.write_text(settings.read_text().replace('"fake-8b"', f'"{embedded_server.model}"'))
    assert faq_tui("run", run, "--only", "seeds").code == ExitCode.DONE
    files = [Path(line) for line in faq_tui("batch", "write", run, "--limit", "3").out.splitlines()]
    assert len(files) == 4
    answer = posted_to(embedded_server.base_url)
    outputs = [
        run_batch([file], tmp_path / f"out-{form}.jsonl", answer, form)
        for file, form in zip(files[:3], FORMS, strict=False)
    ]
    body = json.loads(faq_tui("batch", "read", run, *outputs, "--json").out)
    valid("batch-read", body)
    counts = body["sources"]["elder"]
    assert (counts["stored"], counts["failed"], counts["missing"]) == (9, 0, 3)
    result = faq_tui("run", run, "--until", "regenerate", "--json")
    assert result.code == ExitCode.DONE, result.err
    done = [json.loads(line) for line in result.out.splitlines() if '"CandidateDone"' in line]
    assert len(done) == 3
    kept = rows(run, "SELECT answer, prompt_tokens, completion_tokens, sampling_seed, seconds FROM candidates")
    assert len(kept) == 12 and sum(seconds == 0 for *_, seconds in kept) == 9
    for text, prompt, written, seed, _ in kept:
        assert text and prompt > 20 and 0 < written <= 32 and seed in (0, 1, 2)
    status = json.loads(faq_tui("status", run, "--json").out)
    source = status["sources"]["elder"]
    assert (source["candidates"], source["failed"], source["to_come"]["candidates"]) == (12, 0, 0)
    assert {stage["stage"]: stage["state"] for stage in status["stages"]}["regenerate"] == "done"
