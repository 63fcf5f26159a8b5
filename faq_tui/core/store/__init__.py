"""The run's SQLite database. Each module reads and writes one group of tables, and only that module has SQL for it.

database.py         opens the file; transactions, read-only copies, lock timeouts
migrate.py          applies each file migrations/NNNN_name.sql once
seeds.py            the seeds, their roles, and people's edits
seed_pages.py       pages of the list of seeds that match a filter
candidates.py       candidates of the sources, and failed requests
candidate_pages.py  pages of the list of chosen seeds, with counts of their candidates
picks.py            scores and picks
judged.py           decisions of the judge and of people for each seed
judge_log.py        replies and tests of an LLM judge
sets.py             calibration sets
activations.py      statistics of activations, and layer errors of artefacts
artefacts.py        artefacts, and the reasons why artefacts could not be made
measurements.py     held-out answers, measurements, and the words of held-out items
benchmarks.py       results of public benchmarks
stages.py           the last run of each stage
server_capabilities.py  what servers accept and report
"""

from faq_tui.core.store.database import Store

__all__ = ["Store"]
