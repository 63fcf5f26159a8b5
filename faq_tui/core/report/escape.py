"""Text from models, servers and files as literal text: no markup, no new line, no control character."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
# Control, format (bidirectional ones reorder a line), surrogate, private use, line and paragraph ends.
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
MARKUP = re.compile(r"[\\`*\[\]<>|#~&!@$]|(?<![^\W_])_|_(?![^\W_])")
LINK = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)  # what GitHub makes a link by itself


def one_line(text: object, longest: int = LONGEST) -> str:
    """Without new lines, control and invisible characters; cut at `longest` characters. Markup is left in."""
    line = " ".join(str(text).split())
    line = "".join("\ufffd" if unicodedata.category(c) in INVISIBLE else c for c in line)
    return line[: longest - 1] + "…" if len(line) > longest else line


def escape(text: object, longest: int = LONGEST) -> str:
    """Safe in a sentence, a list and a table cell."""
    line = one_line(text, longest)
    line = MARKUP.sub(lambda match: f"\\{match.group()}", line)
    return LINK.sub(lambda match: f"\\{match.group()}", line)
