"""Hashes of seed files: the content counts, and a hash is kept until its file changes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from unittest import mock

from faq_tui.core.base.kept import Kept
from faq_tui.core.seeds import content
from faq_tui.core.seeds.content import content_of

OLD_NS = 1_700_000_000_000_000_000


def hashed(folder: Path, name: str) -> list[list[str]] | None:
    return content_of(folder / name, name, Kept(folder / ".cache" / "hashes.json"))


def test_the_content_counts_and_not_the_time(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("one")
    first = hashed(tmp_path, "s.txt")
    os.utime(tmp_path / "s.txt", ns=(OLD_NS, OLD_NS))
    assert hashed(tmp_path, "s.txt") == first
    (tmp_path / "s.txt").write_text("two")
    os.utime(tmp_path / "s.txt", ns=(OLD_NS, OLD_NS))
    assert hashed(tmp_path, "s.txt") != first, "the size and the time are the same"
    assert hashed(tmp_path, "user/data-set") is None


def test_a_folder_may_be_moved_and_a_renamed_file_counts(tmp_path: Path) -> None:
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / "here" / "seeds" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / "seeds" / name).write_text(name)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    first = hashed(tmp_path / "here", "seeds")
    assert first is not None and [name for name, _ in first] == ["a.txt", "sub/b.txt"]
    assert hashed(tmp_path / "there", "seeds") == first
    assert hashed(tmp_path / "here", "seeds/*.txt") == hashed(tmp_path / "there", "seeds/*.txt") != None  # noqa: E711
    (tmp_path / "there/seeds/a.txt").rename(tmp_path / "there/seeds/c.txt")
    assert hashed(tmp_path / "there", "seeds") != first


def test_a_hash_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("one")
    with mock.patch.object(content, "SETTLED_S", -1.0):
        first = hashed(tmp_path, "s.txt")
        with mock.patch("hashlib.sha256", side_effect=AssertionError("hashed again")):
            assert hashed(tmp_path, "s.txt") == first
        (tmp_path / "s.txt").write_text("two")
        assert hashed(tmp_path, "s.txt") != first


def test_a_hash_of_a_file_that_has_just_changed_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("one")
    hashed(tmp_path, "s.txt")
    assert not (tmp_path / ".cache").exists()


def test_a_damaged_or_unwritable_cache_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("one")
    first = hashed(tmp_path, "s.txt")
    with mock.patch.object(content, "SETTLED_S", -1.0):
        for damaged in ("{", "[]", json.dumps({str(tmp_path / "s.txt"): 5})):
            (tmp_path / ".cache").mkdir(exist_ok=True)
            (tmp_path / ".cache" / "hashes.json").write_text(damaged)
            assert hashed(tmp_path, "s.txt") == first
        shutil.rmtree(tmp_path / ".cache")
        (tmp_path / ".cache").write_text("a file")
        assert hashed(tmp_path, "s.txt") == first
