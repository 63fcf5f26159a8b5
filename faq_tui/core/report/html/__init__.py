"""Write the report as one HTML file, without scripts or network requests. Text from outside is escaped.

page.py            the page: its head, the verdicts and plots, and then the sections of the Markdown
from_markdown.py   converts the report's Markdown to HTML
scatter.py         a plot of every model: loss on general text and on specialised text
figures.py         SVG elements, scales of axes, and the plot of differences with their intervals
report.css         the styles for light screens, dark screens and print
"""
