"""Open the app on a real terminal or in a web page. Restore the terminal at the end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from platformdirs import user_log_path

from faq_tui.core.base.errors import FaqError
from faq_tui.tui.browser import behind_page
from faq_tui.tui.shell import ShellApp
from faq_tui.tui.terminal import hung_up, own_pipe, own_terminal

LOOK_EVERY_S = 1.0
PATIENCE_S = 3.0  # after the terminal is gone, the app must end within this many seconds
SWITCH_S = 0.0005  # seconds between thread switches; Python's default is ten times longer and delays keys
GARBAGE = 20_000  # Python collects garbage after this many new objects; drawing a whole screen creates fewer objects
ENDS = (signal.SIGHUP, signal.SIGTERM)


def log_path() -> Path:
    return user_log_path("faq-tui") / "app.log"


def open_app(app: ShellApp) -> str:
    """Run the app until the user leaves. Return the text to print afterwards. Raises FaqError if the app crashed."""
    log = log_path()
    sys.setswitchinterval(SWITCH_S)
    with (own_pipe if behind_page() else own_terminal)(log) as terminal:
        asyncio.run(_run(app, terminal))
        crash = app.crash
        if crash is not None:
            traceback.print_exception(crash)  # inside this block, stderr goes to the log
    if crash is not None:
        where = f"; the details are in {log}" if os.access(log, os.R_OK) else ""
        raise FaqError(f"the app crashed with {type(crash).__name__}: {crash}{where}")
    return app.farewell


async def _run(app: ShellApp, terminal: int) -> None:
    loop = asyncio.get_running_loop()
    for number in ENDS:
        loop.add_signal_handler(number, _end, app)
    watch = asyncio.create_task(_watch(app, terminal))
    try:
        await app.run_async()
    finally:
        watch.cancel()


async def _watch(app: ShellApp, terminal: int) -> None:
    """End the app when its terminal is gone.

    The loop checks regularly whether the terminal still exists. A signal is not enough: a lost terminal does not
    always send SIGHUP, and nohup blocks this signal.
    """
    stands = False
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if app.is_running and not stands:
            # Modules, styles and widgets exist until the app ends. Without `freeze`, each garbage collection would
            # search all these objects, and the app would answer a key 70 ms later.
            stands = True
            gc.freeze()
            gc.set_threshold(GARBAGE)
        if hung_up(terminal):
            _end(app)
            return


def _end(app: ShellApp) -> None:
    """End the app; jobs keep running. If the app does not end in time, end the process."""
    watchdog = threading.Timer(PATIENCE_S, os._exit, (128 + signal.SIGHUP,))
    watchdog.daemon = True
    watchdog.start()
    app.exit()
