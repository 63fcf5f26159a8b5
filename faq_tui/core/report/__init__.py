"""Write the report of a run: `document.document` gathers plain data, and `formats.render` turns it into text.

This file imports nothing, so that `faq-tui report --help` loads only formats.py.

`document.py` makes the content of the report as plain data (`report.json`). All other formats are made from this
plain data. `formats.py` defines the formats of the report, and returns the report as text or files. `outdated.py`
checks whether the figures match the present settings and inputs. `facts.py` collects facts about the run: target,
sources, candidates, judge, picks, sets, recipes. `family_notices.py` writes notices about sources that are not an
elder (a larger model of the target's family). `unequal_sets.py` writes notices about sets that are not compared,
because their sizes differ.

`markdown.py` writes the document as Markdown. The document has these sections: `answer.py` gives the answer in one
line, followed by every metric of every comparison in words. `closest.py` names the model that is closest to the
unquantized model. `cost.py` says what the run cost. `tables.py` writes a table of models and a table of comparisons.
`categories.py` compares each set with its baseline on the questions of one category. `flips.py` lists labelled items
that only one of two models answers correctly: the model before or after quantization. `spikes.py` lists activation
spikes on each calibration set, and the errors of the layers. `paper.py` lists the paper's own figures for the same
model and method. `benchmarks.py` lists results of public benchmarks with their standard errors. `run_section.py`
lists the models, data and settings of the run.

`formatting.py` formats numbers, and escapes markup in text that comes from outside of faq-tui. `html/` writes the
document as one HTML file.
"""
