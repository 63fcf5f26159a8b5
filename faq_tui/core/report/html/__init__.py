"""Write the report as one HTML file, without scripts or network requests. Text from outside is escaped.

`page.py` writes the page: first its head, the verdicts and the plots, then the sections of the Markdown report.
`from_markdown.py` converts the Markdown report to HTML.
`scatter.py` draws a plot of every model: loss on general text and on specialised text.
`figures.py` draws SVG elements, scales of axes, and the plot of differences with their intervals.
`report.css` contains the styles for light screens, dark screens and print.
"""
