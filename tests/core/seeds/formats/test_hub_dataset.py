"""Seeds from the `datasets` library: the rows of the split, or one sentence where they cannot be fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.seeds import Record, read_records
from faq_tui.core.settings import Seeds

SETTINGS = Seeds(path="owner/questions", split="test")
ROWS = [{"question": "Why?"}, {"question": "How?"}]


def read(rows: Iterator[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked = []

    def load_dataset(*arguments: Any, **options: Any) -> Iterator[Any]:
        asked.append((arguments, options))
        return rows

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = list(read_records(Path("no-such-folder/owner/questions"), SETTINGS))
    assert asked == [(("owner/questions",), {"split": "test", "streaming": True})]
    return found


def test_rows_of_the_split_are_numbered_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(iter(ROWS), monkeypatch) == [Record(1, ROWS[0]), Record(2, ROWS[1])]


def test_a_fetch_that_breaks_off_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Any]:
        yield ROWS[0]
        raise ConnectionError("the hub\nis gone")

    with pytest.raises(
        FaqError, match=r"no data set 'owner/questions' \(split 'test'\) could be read: .*hub.is gone"
    ):
        read(broken(), monkeypatch)
