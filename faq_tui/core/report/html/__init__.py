"""The report as one HTML file: no script, nothing from a network, every foreign text escaped.

page.py            the file: head, verdicts, plots, then the Markdown's own sections
from_markdown.py   the report's Markdown as HTML
scatter.py         general against specialised
figures.py         SVG elements and scales; differences with their intervals
report.css         light, dark and print
"""
