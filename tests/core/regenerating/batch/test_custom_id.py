"""The custom_id of a request: short, plain, and the parts come back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.hashing import digest
from faq_tui.core.regenerating.batch.custom_id import LONGEST, CustomId, parse_custom_id, plain_name

SEED, HASH = digest("seed", length=12), digest("settings")


@given(st.text(max_size=80), st.integers(1, 64))
def test_the_parts_come_back(source: str, number: int) -> None:
    one = CustomId(plain_name(source), SEED, number, HASH)
    assert parse_custom_id(str(one)) == one
    assert len(str(one)) <= LONGEST and re.fullmatch(r"[A-Za-z0-9_-]+", str(one))


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_two_sources_have_two_names(one: str, other: str) -> None:
    assert (plain_name(one) == plain_name(other)) == (one == other)


def test_a_plain_name_stays() -> None:
    assert plain_name("elder-2_b") == "elder-2_b"
    assert plain_name("")
    assert plain_name("большой") != "_______" and plain_name("a/../b").startswith("a____b-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "request-1",
        f"faq-elder-{SEED}-0-{HASH}",
        f"faq-elder-{SEED}-100-{HASH}",
        f"faq-elder-{SEED}-1-{HASH}\n",
        f"faq-elder-{SEED.upper()}X-1-{HASH}",
        f"faq-élder-{SEED}-1-{HASH}",
        f"faq-elder-{SEED}-１-{HASH}",
        "faq-" * 10_000,
    ],
)
def test_an_id_of_somebody_else(text: str) -> None:
    assert parse_custom_id(text) is None
