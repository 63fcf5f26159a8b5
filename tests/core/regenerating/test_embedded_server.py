"""The client against llama.cpp's real server: eight seeds, three candidates each, and its own ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.embedded import EmbeddedServer as Served
from faq_tui.core.endpoints import Client, Reply, look, stream_choices
from faq_tui.core.settings import Endpoint, Sampling
from tests.support.shell import events, faq_tui, make_run, rows

pytestmark = pytest.mark.slow

SOURCE = """
candidates = 3
concurrency = 8
reasoning = "prompted"
sampling = { temperature = 0.7, top_p = 0.9, top_k = 40, min_p = 0.05, max_tokens = 24 }
on_truncated = "drop"
on_flagged = "drop"
"""


def endpoint_of(served: Served) -> Endpoint:
    return Endpoint(base_url=served.base_url, model=served.model)


def test_eight_seeds_by_three_from_a_real_server(embedded_server: Served, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", embedded_server.base_url, seeds=8, source=SOURCE)
    settings = folder / "faq.toml"
    settings.write_text(settings.read_text().replace('"fake-8b"', f'"{embedded_server.model}"'))
    assert faq_tui("run", folder, "--only", "seeds").code == ExitCode.DONE
    result = faq_tui("run", folder, "--only", "regenerate", "--json")
    assert result.code == ExitCode.DONE, result.err
    kept = rows(
        folder,
        "SELECT seed_id, number, answer, finish_reason, flags, prompt_tokens, completion_tokens, dialect"
        " FROM candidates",
    )
    assert len({row[:2] for row in kept}) == len(kept) == 24
    for _, _, answer, finish_reason, flags, prompt, written, dialect in kept:
        assert answer and dialect == "none" and prompt > 20 and 0 < written <= 24
        assert finish_reason in ("stop", "length") and ("truncated" in json.loads(flags)) == (
            finish_reason == "length"
        )
    per_seed = {seed: {row[2] for row in kept if row[0] == seed} for seed in {row[0] for row in kept}}
    assert any(len(answers) == 3 for answers in per_seed.values()), "other sampling seeds, other answers"
    assert not any(e["event"] in ("CandidateRetried", "CandidateFailed") for e in events(result))
    source = json.loads(faq_tui("status", folder, "--json").out)["sources"]["elder"]
    assert (source["candidates"], source["failed"], source["to_come"]["candidates"]) == (24, 0, 0)


async def test_several_choices_of_one_request_from_a_real_server(embedded_server: Served) -> None:
    messages = [{"role": "user", "content": "Name a river."}]
    sampling = Sampling(temperature=1.0, max_tokens=12)
    async with Client(endpoint_of(embedded_server)) as client:
        found = await stream_choices(client, embedded_server.model, messages, sampling, 1, {"n": 3})
    assert list(found) == [0, 1, 2]
    assert all(isinstance(reply, Reply) and reply.answer for reply in found.values())


async def test_a_real_server_lists_its_model(embedded_server: Served) -> None:
    endpoint = endpoint_of(embedded_server)
    async with Client(endpoint) as client:
        assert embedded_server.model in (await look(client, endpoint)).names
