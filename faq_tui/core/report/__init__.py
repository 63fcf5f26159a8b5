"""The evidence as a document: `document` gathers plain data, `render` makes text of it.

answer.py      The plain-words answer at the top: did it help?
benchmarks.py  Public benchmarks: every metric with its standard error, and what is missing and why
document.py    Everything that the report says, as plain data: `report.json`, and what the Markdown is made from
escape.py      Text from models, servers and files as literal text: no markup, no new line, no control character
facts.py       What was run: target, sources, candidates, judge, picks, sets, recipes. No credentials, no model text
flips.py       Which labelled items quantization turned round, so that they can be read one by one
html/          The report as one HTML file: no script, nothing from a network, every foreign text escaped
judge.py       Who judged, and how far that can be trusted
kinship.py     Whether a source is an elder at all, a relative, or the target itself
markdown.py    The document as Markdown
numbers.py     Numbers as people read them
paper.py       The paper's own table beside ours, where model and method are the same
ran.py         What was run with which data
render.py      The report as text in one of its formats
short.py       The verdict for someone who has never heard of KL
spikes.py      How spiky the target's activations are under each set, and how far each artefact's layers drift
tables.py      The tables: one row a model, then one row a comparison
write.py       The report as files: reports/report.md, report.json and report.html
"""

from faq_tui.core.report.document import SCHEMA, document
from faq_tui.core.report.formats import render

__all__ = ["SCHEMA", "document", "render"]
