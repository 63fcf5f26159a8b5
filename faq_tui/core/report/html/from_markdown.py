"""Convert the report's own Markdown to HTML: headings, tables, lists, quotes, bold, emphasis and code.

Everything else is literal text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

# The function `escape` writes a backslash before a character that is literal text.
PIECE = re.compile(
    r"\\(?P<literal>.)|\*\*(?P<bold>(?:\\.|[^*\\])+)\*\*|\*(?P<stress>(?:\\.|[^*\\])+)\*|`(?P<code>[^`]+)`"
)
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "within noise": "noise",
    "leans better": "leans",
    "leans worse": "leans",
    "same model": "noise",
    "cannot be told": "noise",
}


def to_html(lines: Sequence[str]) -> str:
    """Convert `lines` of the report's Markdown to HTML."""
    out: list[str] = []
    number = 0
    while number < len(lines):
        block = [lines[number].rstrip("\n")]
        kind = _kind(block[0])
        number += 1
        while kind in ("table", "list", "text") and number < len(lines) and _kind(lines[number]) == kind:
            block.append(lines[number])
            number += 1
        out.append(RENDER[kind](block))
    return "\n".join(part for part in out if part)


def inline(text: str) -> str:
    """Convert one line to HTML: bold, emphasis and code. Everything else is escaped."""
    out, end = [], 0
    for match in PIECE.finditer(text):
        out.append(html.escape(text[end : match.start()]))
        end = match.end()
        if match["literal"]:
            out.append(html.escape(match["literal"]))
        elif match["bold"]:
            out.append(f"<strong>{inline(match['bold'])}</strong>")
        elif match["stress"]:
            out.append(f"<em>{inline(match['stress'])}</em>")
        else:
            out.append(f"<code>{html.escape(match['code'])}</code>")
    return "".join([*out, html.escape(text[end:])])


def _kind(line: str) -> str:
    if not line.strip():
        return "nothing"
    if line.startswith("#"):
        return "heading"
    if line.startswith("|"):
        return "table"
    if line.startswith(">"):
        return "quote"
    return "list" if line.lstrip().startswith("- ") else "text"


def _heading(block: list[str]) -> str:
    level = len(block[0]) - len(block[0].lstrip("#"))
    return f"<h{level}>{inline(block[0][level:].strip())}</h{level}>"


def _list(block: list[str]) -> str:
    out, inner = ["<ul>"], False
    for line in block:
        deep = line.startswith("  ")
        if deep != inner:
            out.append("<ul>" if deep else "</ul>")
            inner = deep
        out.append(f"<li>{inline(line.strip()[2:])}</li>")
    return "\n".join([*out, *(["</ul>"] if inner else []), "</ul>"])


def _table(block: list[str]) -> str:
    head, rule, *rows = [_cells(line) for line in block]
    sides = ["" if cell.startswith(":") else ' class="number"' for cell in rule]

    def row(cells: list[str], tag: str) -> str:
        parts = (f"<{tag}{side}>{_marked(cell)}</{tag}>" for side, cell in zip(sides, cells, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table><thead>{row(head, "th")}</thead>\n<tbody>{body}</tbody></table></div>'


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _marked(cell: str) -> str:
    """The cell as HTML. Each kind of verdict has a colour."""
    return f'<span class="verdict {VERDICTS[cell]}">{cell}</span>' if cell in VERDICTS else inline(cell)


RENDER: dict[str, Callable[[list[str]], str]] = {
    "nothing": lambda _: "",
    "heading": _heading,
    "table": _table,
    "quote": lambda block: f"<blockquote>{inline(block[0].lstrip('> '))}</blockquote>",
    "list": _list,
    "text": lambda block: f"<p>{inline(' '.join(block))}</p>",
}
