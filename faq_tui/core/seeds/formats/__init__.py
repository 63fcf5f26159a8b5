"""Seed formats: one object for each kind of file or data set that seeds can come in.

base.py          what a format is, and what several formats need
opening.py       unpacking and encodings
json_rows.py     what the two JSON formats share
json_lines.py    jsonl: a JSON value a line
json_array.py    json: one list of seeds
delimited.py     csv and tsv
parquet.py       parquet
plain_text.py    txt: a question a line
hub_dataset.py   an id of the `datasets` library

`faq_tui.core.extensions.SEED_FORMATS` finds them, and those of other packages.
"""
