"""The table of metrics fits its width, and every column stands under its heading."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.text import Text

from faq_tui.core.activations.view import compare_sets, overview
from faq_tui.tui.panes.spikes.tables import table
from tests.support.spikes_run import MODULES, spiky_run


@pytest.mark.parametrize("width", [78, 98])
def test_the_verdict_is_not_cut(tmp_path: Path, width: int) -> None:
    with spiky_run(tmp_path / "run") as run:
        compared = compare_sets(overview(run), "elder-tokens", "baseline", MODULES[1], 200)
    head, *rows = [Text.from_ansi(line).plain for line in table(compared, width)]
    assert len(rows) == len(compared.metrics) and all(len(line) <= width for line in (head, *rows))
    assert "baseline" in head and "…" in head
    for line, metric in zip(rows, compared.metrics, strict=True):
        assert line.endswith(metric.verdict) and line.index(metric.verdict) == head.index("verdict")
        assert line.index(f"{metric.higher} of ") == head.index("higher in")
