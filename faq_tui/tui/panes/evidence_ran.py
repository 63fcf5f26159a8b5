"""What was run with which data, and how spiky it is: the report's own lines, read in the pane."""

from __future__ import annotations

import re
from typing import Any

from faq_tui.core.report.run_section import run_lines

Part = tuple[str, str] | None
NO_SPIKES = "Nothing yet: the stage activations measures the target under each set."


def parts(body: dict[str, Any]) -> list[Part]:
    """(text, style), None a gap; `body` is the report as data. Empty without one."""
    if not body:
        return []
    said = [one["sentence"] for one in body["spikes"]["comparisons"]]
    lines = [_plain(line) for line in run_lines(body) if line.startswith(("-", "  -"))]
    return [
        ("How spiky the activations are (pane 4 draws them)", "bold"),
        ("\n" + "\n".join(said or [NO_SPIKES]), ""),
        None,
        ("What was run", "bold"),
        ("\n" + "\n".join(lines), ""),
    ]


def _plain(line: str) -> str:
    """A line of the report without its markup."""
    return re.sub(r"\\(.)", r"\1", line.replace("**", ""))
