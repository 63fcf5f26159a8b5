"""Seed formats: one object for each kind of file or data set from which seeds can be read.

base.py          the base class of formats, and functions that several formats use
json_lines.py    jsonl: one JSON value per line
json_array.py    json: one list of seeds
delimited.py     csv and tsv
parquet.py       parquet
plain_text.py    txt: one question per line
hub_dataset.py   an id of the `datasets` library

`faq_tui.core.extensions.SEED_FORMATS` finds these formats and the formats of other packages.
"""
