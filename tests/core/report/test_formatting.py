"""Text from models, files and servers is one inert line in the report, and ordinary names stay readable."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.report.formatting import escape
from tests.support.report_text import assert_inert


@given(st.text() | st.text(alphabet="\\|`*_<>[]()!#~&@:/w.a\n\t\u202e\u0085$"))
def test_escaped_text_is_one_inert_line(text: str) -> None:
    out = escape(text)
    assert_inert(f"x {out}")
    assert "\n" not in out and not re.search(r"(?<!\\)(?:\\\\)*[|*\[\]@]", out)


def test_escaping_leaves_ordinary_names_readable() -> None:
    assert escape("gptq-w4g64-elder_2 (Qwen3-8B), 1.5e-3: ok") == "gptq-w4g64-elder_2 (Qwen3-8B), 1.5e-3: ok"
