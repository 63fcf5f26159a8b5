"""Attempts at units: the newest one is kept."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.store import Store
from faq_tui.core.store.units import UnitRow, all_units, put_unit


def test_the_newest_attempt_replaces_the_earlier_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "faq.db")
    put_unit(store, UnitRow("quantize/a", "1", "failed", "no memory\x00", "box1", 3.0))
    put_unit(store, UnitRow("quantize/b", "1", "done", "", "box2", 4.0))
    put_unit(store, UnitRow("quantize/a", "2", "done", "4.50 bits", "box2", 5.0))
    store.close()
    again = Store(tmp_path / "faq.db", read_only=True)
    rows = all_units(again)
    again.close()
    assert rows.keys() == {"quantize/a", "quantize/b"}
    assert rows["quantize/a"] == UnitRow("quantize/a", "2", "done", "4.50 bits", "box2", 5.0)
