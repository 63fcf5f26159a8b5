"""Jobs. A job runs the pipeline in a background process, which continues when the app is closed.

Each job has a folder `RUN/jobs/<id>/` with `job.json` (facts about its process), `events.jsonl` and `log.txt`. A job
is running while its process holds the run's lock. The operating system releases the lock when a process is killed, so
nothing has to be cleaned up.
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
