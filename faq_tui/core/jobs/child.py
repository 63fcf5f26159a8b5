"""The program of a job's process: `python -m faq_tui.core.jobs.child RUN JOB [--only=STAGE] [--until=STAGE] [--yes]`.

This program runs the same stages as `faq-tui run`. The program prints nothing: all output goes to the job's files.
SIGTERM stops it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from faq_tui.core.base import torch_free
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError
from faq_tui.core.run.job_record import LOG_PREFIX


def main() -> None:
    torch_free.declare()
    cancel = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if not cancel.is_set:
            cancel.set()

    # Set the handler before the imports, so that a signal during the imports does not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("job")
    parser.add_argument("--only")
    parser.add_argument("--until")
    parser.add_argument("--yes", action="store_true")
    arguments = parser.parse_args()
    sys.exit(_run(arguments, cancel))


def _run(arguments: argparse.Namespace, cancel: CancelToken) -> int:
    from faq_tui.core.base.text import sanitize
    from faq_tui.core.run.run import open_run
    from faq_tui.core.stages.pipeline import run_pipeline

    try:
        with open_run(arguments.folder) as run:
            run_pipeline(
                run, lambda _event: None, cancel, arguments.only, arguments.until, arguments.job, arguments.yes
            )
    except FaqError as error:
        print(f"{LOG_PREFIX}{sanitize(str(error))}", file=sys.stderr, flush=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  any error is printed for the process that started the job
        traceback.print_exc()
        print(f"{LOG_PREFIX}{sanitize(f'{type(error).__name__}: {error}', 300)}", file=sys.stderr, flush=True)
        return ExitCode.FAILED
    return ExitCode.DONE


if __name__ == "__main__":
    main()
