"""Batch files in OpenAI's format: write the requests of missing candidates, and read the answers.

`custom_id.py` names each request; the answer to a request has the same name. `requests.py` writes files of requests.
`answers.py` parses one line of an output file. `summary.py` holds the counts of lines that were read. `reading.py`
reads output files and stores their answers.
"""

from faq_tui.core.regenerating.batch.reading import read_batch
from faq_tui.core.regenerating.batch.requests import MOST_REQUESTS, BatchFile, write_batch
from faq_tui.core.regenerating.batch.summary import BatchSummary

__all__ = ["MOST_REQUESTS", "BatchFile", "BatchSummary", "read_batch", "write_batch"]
