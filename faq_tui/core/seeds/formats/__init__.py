"""Seed formats. There is one object for each kind of file or data set that can hold seeds.

`base.py` defines the base class of formats, and functions that several formats use.
`opening.py` unpacks and decodes files.
`json_rows.py` contains the code that both JSON formats use.
`json_lines.py` reads jsonl, which has one JSON value per line.
`json_array.py` reads json, which is one list of seeds.
`delimited.py` reads csv and tsv.
`parquet.py` reads parquet.
`plain_text.py` reads txt, which has one question per line.
`hub_dataset.py` reads a data set of the `datasets` library.

`faq_tui.core.extensions.SEED_FORMATS` finds these formats, and the formats of other packages.
"""
