"""Text from models, servers and files as literal text: no markup, no new line, no control character."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
# Control, format (bidirectional ones reorder a line), surrogate, private use, line and paragraph ends.
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
MARKUP = re.compile(r"[\\`*\[\]<>|#~&!@$]|(?<![^\W_])_|_(?![^\W_])")
LINK = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)  # what GitHub makes a link by itself


def escape(text: object) -> str:
    """Safe in a sentence, a list and a table cell."""
    line = " ".join(str(text).split())
    line = "".join("\ufffd" if unicodedata.category(c) in INVISIBLE else c for c in line)
    if len(line) > LONGEST:
        line = line[: LONGEST - 1] + "…"
    line = MARKUP.sub(lambda match: f"\\{match.group()}", line)
    return LINK.sub(lambda match: f"\\{match.group()}", line)
