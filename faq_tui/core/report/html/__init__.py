"""Write the report as one HTML file, without scripts or network requests. Text from outside is escaped.

page.py            the page: head, verdicts, plots, then the sections of the Markdown
from_markdown.py   the report's Markdown as HTML
scatter.py         a plot of every model: loss on general text and on specialised text
figures.py         SVG elements and scales; differences with their intervals
report.css         light, dark and print
"""
