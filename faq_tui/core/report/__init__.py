"""Write the report of a run: `document.document` gathers plain data, and `formats.render` turns it into text.

This file imports nothing, so that `faq-tui report --help` loads only formats.py.

document.py        the content of the report as plain data (`report.json`), from which all other formats are made
formats.py         the formats of the report, and the report as text or files
outdated.py        checks whether the figures match the present settings and inputs
facts.py           facts about the run: target, sources, candidates, judge, picks, sets, recipes
family_notices.py  notices about sources that are not an elder (a larger model of the target's family)

markdown.py        the document as Markdown, made of these sections:
answer.py          the answer in one line, followed by every metric of every comparison in words
tables.py          a table of models and a table of comparisons
flips.py           labelled items that are right for one model and wrong for the other
spikes.py          activation spikes on each calibration set, and the errors of the layers
paper.py           the paper's own figures for the same model and method
benchmarks.py      results of public benchmarks with their standard errors
run_section.py     the models, data and settings of the run
formatting.py      formats numbers, and escapes markup in text from outside
html/              the document as one HTML file
"""
