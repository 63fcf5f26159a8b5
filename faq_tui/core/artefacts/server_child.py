"""The program of a server's process: `python -m faq_tui.core.artefacts.server_child RUN NAME`.

The program runs the command in `[evaluate.serve]` for the artefact NAME until SIGTERM stops it. The program prints
nothing: all output goes to jobs/serve-NAME/log.txt.
"""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.run.run import Run
from faq_tui.core.run.server_record import (
    FAILED,
    FILE,
    SERVING,
    STOPPED,
    ArtefactServer,
    job_of,
    new_record,
    write_record,
)

LOOK_EVERY_S = 2.0
MOST_MISSES = 3  # the server has ended if this number of checks in a row finds no open port


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    cancel = CancelToken()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: cancel.set())
    # Imported before the record is written: whoever waits for an early end of the command counts from the record.
    from faq_tui.core.benchmarking.serving import served  # noqa: F401
    from faq_tui.core.run.run import open_run
    from faq_tui.core.store.artefacts import all_artefacts

    with open_run(folder, read_only=True) as run:
        artefact = all_artefacts(run.store)[name]
        record = new_record(name, artefact.folder)
        write_record(run.jobs, record)
        last = _serve(run, record, cancel)
        if run.jobs.is_dir():  # the run may have been deleted by hand meanwhile
            write_record(run.jobs, last)


def _serve(run: Run, record: ArtefactServer, cancel: CancelToken) -> ArtefactServer:
    """Serve until a stop or a failure. Returns the last record."""
    from faq_tui.core.benchmarking.serving import Subject, served
    from faq_tui.core.models.target import find_target
    from faq_tui.core.run.context import Context
    from faq_tui.core.settings.evaluate import SERVE

    try:
        target = find_target(run, lambda _sentence: None)
        context = Context(run, lambda _event: None, cancel, job_of(record.name))
        subject = Subject(record.name, run.models / record.folder, target)
        with served(context, subject, SERVE, None) as server:
            record = replace(record, state=SERVING, url=server.base_url, model=server.model)
            write_record(run.jobs, record)
            _wait_for_end(server.base_url, run.jobs / job_of(record.name) / FILE, cancel)
        if not cancel.is_set:
            return replace(record, state=FAILED, problem="the server has ended: read its log")
    except Stopped:
        pass
    except FaqError as error:
        return replace(record, state=FAILED, problem=str(error))
    except Exception as error:  # noqa: BLE001  the record is the only place where a person sees the reason
        return replace(record, state=FAILED, problem=f"{type(error).__name__}: {error}")
    return replace(record, state=STOPPED)


def _wait_for_end(url: str, record: Path, cancel: CancelToken) -> None:
    """Wait until a stop is requested, or until no process listens on the port any more.

    Without the file `record`, nobody could find and stop the server, so a missing file also counts as a stop.
    """
    where, misses = urlsplit(url), 0
    while misses < MOST_MISSES and not cancel.wait(LOOK_EVERY_S):
        if not record.exists():
            cancel.set()
            return
        misses += 1
        with suppress(OSError), socket.create_connection((where.hostname or "", where.port or 0), LOOK_EVERY_S):
            misses = 0


if __name__ == "__main__":
    main()
