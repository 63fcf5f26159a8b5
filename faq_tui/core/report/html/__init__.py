"""The report as one HTML file: no script, nothing from a network, every foreign text escaped.

page.py      the file: head, verdicts, plots, then the Markdown's own sections
words.py     the Markdown that the report writes, as HTML
forest.py    differences with their intervals
scatter.py   general against specialised
drawing.py   SVG elements and scales
report.css   light, dark and print
"""
