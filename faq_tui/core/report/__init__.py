"""The evidence as a document: `document` gathers plain data, `render` makes text of it.

document.py        the content of the report as plain data: `report.json`; all other formats are made from it
formats.py         the formats of the report, and the report as text or files
outdated.py        whether the figures match the present settings and inputs
facts.py           what was run: target, sources, candidates, judge, picks, sets, recipes
family_notices.py  notices about sources that are no elder of the target

markdown.py        the document as Markdown, from these sections:
answer.py          did it help? One line for a newcomer, then every metric of every comparison in words
tables.py          a table of models and a table of comparisons
flips.py           labelled items that are right for one model and wrong for the other
spikes.py          how spiky activations are under each set, and how far layers drift
paper.py           the paper's own figures for the same model and method
benchmarks.py      public benchmarks with their standard errors
run_section.py     what was run with which data
formatting.py      numbers for people, and foreign text without markup
html/              the document as one HTML file
"""

from faq_tui.core.report.document import SCHEMA, document
from faq_tui.core.report.formats import render

__all__ = ["SCHEMA", "document", "render"]
