"""The evidence as a document: `document` gathers plain data, `render` makes text of it.

document.py        everything that the report says, as plain data: `report.json`, and what the others are made from
formats.py         the formats of the report, and the report as text or files
outdated.py        whether the figures are of the present settings and inputs
facts.py           what was run: target, sources, candidates, judge, picks, sets, recipes
family_notices.py  whether a source is an elder at all, a relative, or the target itself

markdown.py        the document as Markdown, from these sections:
answer.py          did it help? Every metric of every comparison in words
headline.py        the same in one line, for a newcomer
tables.py          one row a model, then one row a comparison
flips.py           labelled items that quantization turned round
spikes.py          how spiky activations are under each set, and how far layers drift
paper.py           the paper's own figures, where model and method are the same
benchmarks.py      public benchmarks with their standard errors
run_section.py     what was run with which data
formatting.py      numbers as people read them, and foreign text without markup
html/              the document as one HTML file
"""

from faq_tui.core.report.document import SCHEMA, document
from faq_tui.core.report.formats import render

__all__ = ["SCHEMA", "document", "render"]
