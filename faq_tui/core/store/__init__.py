"""One SQLite file a run. Every module reads and writes one family of tables; nothing else holds SQL of it.

database.py         opens the file; transactions, read-only copies, lock timeouts
migrate.py          applies migrations/NNNN_name.sql, each once
seeds.py            the seeds, their roles, and what people did to them
seed_pages.py       the list of seeds by filter, a page at a time
candidates.py       what sources answered, and what failed
candidate_pages.py  the chosen seeds with counts of their candidates, a page at a time
picks.py            scores and picks
judged.py           how each seed stands with the judge and with people
judge_log.py        replies and tests of an LLM judge
sets.py             calibration sets
activations.py      statistics of activations, and the errors of artefacts' layers
artefacts.py        artefacts, and why one could not be made
measurements.py     held-out answers, measurements, and the words of held-out items
benchmarks.py       results of public benchmarks
stages.py           what each stage did last
"""

from faq_tui.core.store.database import Store

__all__ = ["Store"]
