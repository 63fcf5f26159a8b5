"""Textual's driver for the app behind a web page. The driver exchanges data with the server through standard input
and output.

The process shows several apps one after the other: the list of runs, a run, the list again. Textual's own driver
expects one app for each process. Therefore this driver sends the greeting only once, does not tell the page that an
app has ended, and keeps input that belongs to the next app.
"""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any

from textual import messages
from textual._xterm_parser import XTermParser
from textual.drivers._byte_stream import ByteStream
from textual.drivers.web_driver import WebDriver

GREETING = b"__GANGLION__\n"  # textual-serve waits for this line
RESET = "\x1b[0m\x1b[2J\x1b[H"


class _Connection:
    """The state that one app leaves to the next: the bytes of an unfinished packet, and whether the page has gone."""

    def __init__(self) -> None:
        self.greeted, self.quit = False, False
        self.packets = ByteStream()
        self.reading, self.writing = Lock(), Lock()


class BrowserDriver(WebDriver):
    """Draws the app in a web page, over a connection that several apps use one after the other."""

    connection = _Connection()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._write = partial(self._send)

    def _send(self, data: bytes) -> int:
        """Write all bytes; several threads may call this. If the page has gone, the bytes are discarded."""
        if data == GREETING:
            if self.connection.greeted:
                return 0
            self.connection.greeted = True
        rest = memoryview(data)
        with self.connection.writing, suppress(OSError):
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(data)

    def start_application_mode(self) -> None:
        super().start_application_mode()
        if self.connection.quit:  # the page was closed before this app began
            self._app.call_later(self._app.post_message, messages.ExitApp())

    def stop_application_mode(self) -> None:
        self.exit_event.set()
        self._input_reader.close()
        self.write(RESET)

    def run_input_thread(self) -> None:
        """Read packets until this app ends. Only one app reads at a time."""
        parser, decode = XTermParser(), getincrementaldecoder("utf-8")("replace").decode
        connection = self.connection
        with connection.reading:
            for data in self._input_reader:
                for kind, payload in connection.packets.feed(data) if data else ():
                    if kind == "D":
                        for event in parser.feed(decode(payload)):
                            self.process_message(event)
                    else:
                        self._on_meta(kind, payload)
                for event in parser.tick():
                    self.process_message(event)
            if not self.exit_event.is_set():  # standard input ends when the server has ended
                self.on_meta("quit", {})

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        if packet_type == "resize":  # the next app in this process reads its first size from these variables
            os.environ["COLUMNS"], os.environ["ROWS"] = str(payload["width"]), str(payload["height"])
        elif packet_type == "quit":
            self.connection.quit = True
        super().on_meta(packet_type, payload)
