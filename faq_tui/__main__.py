"""The command `faq-tui`, which is also `python -m faq_tui`. Ctrl-C never shows a traceback, even while it starts."""

import os
import signal
from contextlib import suppress
from types import FrameType

STOPPED = 4  # ExitCode.STOPPED, before the imports
MESSAGE = b"faq-tui: stopped by request; finished work is kept\n"


def main() -> None:
    """Call the program. Before its imports have ended, and after its end, Ctrl-C ends this process at once."""
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # under nohup, Ctrl-C is ignored
    if heeds:
        signal.signal(signal.SIGINT, _leave)
    from faq_tui.cli.main import main as program

    try:
        if heeds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        if heeds:
            signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(code))
        raise
    except KeyboardInterrupt:
        _leave(signal.SIGINT, None)


def _leave(_number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):  # the terminal may be closed
        os.write(2, MESSAGE)
    os._exit(STOPPED)


if __name__ == "__main__":
    main()
