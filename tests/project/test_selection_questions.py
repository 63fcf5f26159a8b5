"""benchmarks/selection_questions.py: the changes in its tables are those of the results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def test_each_cell_has_the_change_of_its_text(tmp_path: Path) -> None:
    lines = []
    for draw in range(3):
        for name, chat, prose in (
            ("self-64", 1.0, 2.0),
            ("self-32", 1.1, 1.0),
            ("random", 4.0, 1.0),
            ("best", 2.0, 3.0),
        ):
            cell = {"method": "gptq", "bits": 4, "group_size": 64, "budget": 16_000, "set": name, "weights": "off"}
            lines.append({**cell, "draw": draw, "rows": 1, "tokens": 9, "chat": chat, "prose": prose})
        for name, budget, chat in (("seeds", 4_000, 2.0), ("self-64", 4_000, 1.0), ("seeds", 64_000, 4.0)):
            cell = {"method": "spqr", "bits": 4, "group_size": 64, "budget": budget, "set": name, "weights": "off"}
            lines.append({**cell, "draw": draw, "rows": 1, "tokens": 9, "chat": chat, "prose": chat})
    (tmp_path / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    command = [sys.executable, str(ROOT / "benchmarks" / "selection_questions.py"), str(tmp_path / "results.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = {
        row[1].strip(): [cell.strip() for cell in row[2:-1]]
        for row in (line.split("|") for line in done.stdout.splitlines())
        if len(row) > 4
    }
    assert table["answers cut to 32 tokens"] == ["3", "+10.0% [+10.0, +10.0]", "−50.0% [−50.0, −50.0]"]
    assert table["the pick of the likelihood judge"] == ["3", "−50.0% [−50.0, −50.0]", "+200.0% [+200.0, +200.0]"]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| SpQR ") and "64,000" in line]
    assert [cell.strip() for cell in rows[0].split("|")[2:6]] == ["64,000", "0", "4.0000", "–"]
    assert "| SpQR   | 4,000  | 3     | 2.0000          | 1.0000 " in done.stdout
    assert "A share of 0.03" not in done.stdout  # a table without rows is left out
    assert "answers cut to 128" not in table  # a row without a change, too
