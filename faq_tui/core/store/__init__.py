"""The run's SQLite database.

Each module reads and writes one group of tables. No other module has SQL for these tables.

`database.py` opens the file and manages transactions, read-only copies and lock timeouts.
`migrate.py` applies each file `migrations/NNNN_name.sql` once.
`changes.py` knows whether a table has changed since a value was computed from it.
`seeds.py` stores the seeds, their roles and people's edits.
`seed_pages.py` reads pages of the list of seeds that match a filter.
`seed_search.py` indexes the texts of the seeds, for searches in very long lists.
`candidates.py` stores candidates of the sources and failed requests.
`candidate_pages.py` reads pages of the list of chosen seeds, with counts of their candidates.
`picks.py` stores scores and picks.
`judged.py` reads the decisions of the judge and of people for each seed.
`judge_log.py` stores replies and tests of LLM judges.
`sets.py` stores facts about calibration sets.
`activations.py` stores statistics of activations, and layer errors of artefacts.
`artefacts.py` stores facts about artefacts, and the reasons why artefacts could not be made.
`measurements.py` stores held-out answers, measurements, and the words of held-out items.
`benchmarks.py` stores results of public benchmarks.
`units.py` stores the last attempt at each unit of work.
`stages.py` stores the last run of each stage.
`server_capabilities.py` stores what servers accept and report.
"""

from faq_tui.core.store.database import Store

__all__ = ["Store"]
