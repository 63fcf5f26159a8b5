"""Batch files in OpenAI's format: write the requests of missing candidates, and read the answers.

custom_id.py  the name of a request, which also identifies its answer
requests.py   write files of requests
answers.py    parse one line of an output file
summary.py    the counts of lines that were read, in words and as JSON
reading.py    read output files and store their answers
"""

from faq_tui.core.regenerating.batch.reading import read_batch
from faq_tui.core.regenerating.batch.requests import MOST_REQUESTS, BatchFile, write_batch
from faq_tui.core.regenerating.batch.summary import BatchSummary

__all__ = ["MOST_REQUESTS", "BatchFile", "BatchSummary", "read_batch", "write_batch"]
