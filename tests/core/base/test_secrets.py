"""Secrets are masked in texts, in JSON, in texts that grow, and in files of other programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.secrets import MASK, NO_SECRETS, Secrets, without_credentials

KEY, LONGER = "sk-planted-1234", "sk-planted-1234-and-more"
SECRETS = Secrets([KEY, LONGER, "EMPTY", ""])


def test_a_placeholder_is_no_secret_and_the_longest_secret_is_masked_whole() -> None:
    assert SECRETS.masked(f"{KEY} EMPTY {LONGER}!") == f"{MASK} EMPTY {MASK}!"
    assert NO_SECRETS.masked(KEY) == KEY


def test_json_is_masked_in_texts_and_in_keys() -> None:
    assert SECRETS.masked_in({KEY: [1, None, {"a": f"x{KEY}y"}], "b": True}) == {
        MASK: [1, None, {"a": f"x{MASK}y"}],
        "b": True,
    }


@given(st.text("sk-planted1234 x", max_size=20), st.text("sk-planted1234 x", max_size=20), st.data())
def test_a_text_that_grows_never_shows_a_secret(before: str, after: str, data: st.DataObject) -> None:
    whole, secrets = f"{before}{KEY}{after}{KEY}", Secrets([KEY])
    shown, pending, rest = "", "", whole
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        ready, pending = secrets.split(pending + rest[:size])
        shown, rest = shown + ready, rest[size:]
        assert len(pending) < len(KEY)
    assert shown + secrets.masked(pending) == secrets.masked(whole)


def test_files_keep_their_length_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text(KEY)
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "log.txt").write_bytes(b"\xff" + f"a {KEY} b {KEY}".encode())
    (folder / "link").symlink_to(outside)
    SECRETS.scrub(folder)
    stars = "*" * len(KEY)
    assert (folder / "deep" / "log.txt").read_bytes() == b"\xff" + f"a {stars} b {stars}".encode()
    assert outside.read_text() == KEY
    SECRETS.scrub(outside)
    assert outside.read_text() == stars
    SECRETS.scrub(tmp_path / "missing")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:p4ss@host:8000/v1?key=a#b", "https://host:8000/v1"),
        ("http://host/v1", "http://host/v1"),
        ("embedded", "embedded"),
        ("http://[x/v1", "(a URL that cannot be read)"),
    ],
)
def test_the_shown_url_has_no_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
