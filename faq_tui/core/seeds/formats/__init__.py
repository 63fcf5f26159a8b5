"""Seed formats. There is one object for each kind of file or data set that can hold seeds.

base.py          the base class of formats, and functions that several formats use
opening.py       unpacking and encodings
json_rows.py     the code that both JSON formats use
json_lines.py    jsonl: one JSON value per line
json_array.py    json: one list of seeds
delimited.py     csv and tsv
parquet.py       parquet
plain_text.py    txt: one question per line
hub_dataset.py   a data set of the `datasets` library

`faq_tui.core.extensions.SEED_FORMATS` finds these formats, and the formats of other packages.
"""
