"""Facts about servers are stored by URL and model, and nothing secret of the URL is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.store import Store
from faq_tui.core.store import server_capabilities as rows


def test_facts_come_back_for_their_server_and_model(tmp_path: Path) -> None:
    store = Store(tmp_path / "faq.db")
    rows.put(store, "http://a/v1", "m", {"left_out": ["seed"]})
    rows.put(store, "http://a/v1", "m", {"left_out": ["top_k"]})
    rows.put(store, "http://b/v1", "m", {})
    assert rows.facts_of(store, "http://a/v1", "m") == {"left_out": ["top_k"]}
    assert rows.facts_of(store, "http://a/v1", "other") == {}
    assert [(row.url, row.model) for row in rows.all_rows(store)] == [("http://a/v1", "m"), ("http://b/v1", "m")]
    store.close()


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://user:hush@host:8000/v1", "https://host:8000/v1"),
        ("https://host/v1?key=hush&api-version=1", "https://host/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("embedded", "embedded"),
    ],
)
def test_no_secret_of_a_url_is_stored(tmp_path: Path, base_url: str, shown: str) -> None:
    store = Store(tmp_path / "faq.db")
    rows.put(store, base_url, "m", {})
    assert [row.url for row in rows.all_rows(store)] == [shown]
    store.close()
    assert b"hush" not in (tmp_path / "faq.db").read_bytes()
