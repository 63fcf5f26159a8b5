"""Jobs: the pipeline in processes of their own, which outlive the screen that started them.

A job is `RUN/jobs/<id>/` with `job.json` (whose process), `events.jsonl` and `log.txt`. Which job works on a
run is decided by the run's lock alone, so that a killed process leaves nothing behind to clear away.
"""

from faq_tui.core.jobs.control import State, find_live, kill, start, state, stop
from faq_tui.core.jobs.feed import Feed, follow
from faq_tui.core.run.job_record import Job, all_jobs, last_job

__all__ = [
    "Feed",
    "Job",
    "State",
    "all_jobs",
    "find_live",
    "follow",
    "kill",
    "last_job",
    "start",
    "state",
    "stop",
]
