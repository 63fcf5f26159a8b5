"""Samples in a spool are equal to the samples that were put in, and take little memory, however long they are."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faq_tui.core.assembly.matching import cut_evenly
from faq_tui.core.assembly.sample import Sample, ids_hash, write_set
from faq_tui.core.assembly.spool import FACTS, SampleSpool

TEXTS = st.text(st.characters(codec=None), max_size=30)  # with lone surrogates


def sample(number: int, text: str = "x", ids: tuple[int, ...] = (1, 2), kinds: bytes = b"\0\1") -> Sample:
    return Sample(f"s{number}", number, "elder", text, ids, len(ids), 900, "judge", True, 7, "inline", kinds)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, st.lists(st.integers(0, 2**32 - 1)).map(tuple), st.binary(max_size=9)), max_size=8))
def test_what_comes_out_is_what_went_in(tmp_path: Path, parts: list[tuple[str, tuple[int, ...], bytes]]) -> None:
    given = [sample(number, *part) for number, part in enumerate(parts)]
    with closing(SampleSpool(tmp_path)) as spool:
        kept = []
        for one in given:  # reading between two writes
            kept.append(spool.keep(one))
            assert kept[0].text == given[0].text
        for one, stored in zip(given, kept, strict=True):
            assert (stored.text, stored.input_ids, stored.kinds) == (one.text, one.input_ids, one.kinds)
            assert [getattr(stored, name) for name in FACTS] == [getattr(one, name) for name in FACTS]
        assert ids_hash(kept) == ids_hash(given)
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_cut_and_written_from_the_spool(tmp_path: Path) -> None:
    with closing(SampleSpool(tmp_path)) as spool:
        kept = [spool.keep(sample(n, "x" * 30, tuple(range(30 + n)), bytes(30 + n))) for n in range(4)]
        cut = cut_evenly(kept, 80, lambda ids: f"{len(ids)} tokens", spool.keep)
        assert [type(one) for one in cut] == [type(kept[0])] * 4
        write_set(tmp_path / "set.jsonl", cut)
    lines = [json.loads(line) for line in (tmp_path / "set.jsonl").read_text().splitlines()]
    assert [(line["n_tokens"], line["text"]) for line in lines] == [(20, "20 tokens")] * 4
    assert [line["input_ids"] for line in lines] == [list(range(20))] * 4


@pytest.mark.parametrize("tokens", [100, 3000])
def test_the_memory_of_a_kept_sample_does_not_depend_on_its_length(tmp_path: Path, tokens: int) -> None:
    count = 40
    with closing(SampleSpool(tmp_path)) as spool:
        spool.keep(sample(0))
        tracemalloc.start()
        try:
            kept = [spool.keep(sample(n, "x" * tokens, tuple(range(tokens)), bytes(tokens))) for n in range(count)]
            write_set(tmp_path / "set.jsonl", kept)
            ids_hash(kept)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 1000 * count
    assert peak < 600_000 + 400 * tokens  # the 40 samples in memory would have 1,500 bytes a token
