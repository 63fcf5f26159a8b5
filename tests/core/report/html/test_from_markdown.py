"""The report's Markdown as HTML, and escaped text that reads as itself."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.report.formatting import escape
from faq_tui.core.report.html.from_markdown import inline, to_html
from tests.support.html_page import Page


@given(st.text() | st.text(alphabet="\\|`*_<>[]()!#~&@:/w.a\"'\n\t\u202e$"))
def test_escaped_text_reads_as_itself(text: str) -> None:
    """What `escape` made literal in Markdown is the same words in HTML, and brings no tag in."""
    page = Page(f"<p>{inline(escape(text))}</p>")
    assert page.tags == ["p"] and not page.open
    assert page.seen == re.sub(r"\\(.)", r"\1", escape(text))


def test_markdown_of_the_report_becomes_html() -> None:
    lines = [
        "## A *b*",
        "",
        "> **c**: d.",
        "",
        "- e",
        "  - f `g`",
        "- h",
        "",
        "| i | j |",
        "| :- | --: |",
        "| k \\| | better |",
    ]
    assert to_html(lines).replace("\n", "") == (
        "<h2>A <em>b</em></h2><blockquote><strong>c</strong>: d.</blockquote>"
        "<ul><li>e</li><ul><li>f <code>g</code></li></ul><li>h</li></ul>"
        '<div class="wide"><table><thead><tr><th>i</th><th class="number">j</th></tr></thead>'
        '<tbody><tr><td>k |</td><td class="number"><span class="verdict better">better</span></td></tr></tbody>'
        "</table></div>"
    )
