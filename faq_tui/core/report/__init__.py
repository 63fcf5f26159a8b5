"""The evidence as a document: `document` gathers plain data, `render` makes text of it.

document.py    everything the report says, as JSON-able data ("schema": 1)
facts.py       what was run, from settings and store; no credentials
kinship.py     whether an elder was involved at all
markdown.py    the document as Markdown: answer.py, tables.py and ran.py write its parts
escape.py      text from models, servers and files becomes literal text; numbers.py writes numbers
"""

from faq_tui.core.report.document import SCHEMA, document
from faq_tui.core.report.render import render

__all__ = ["SCHEMA", "document", "render"]
