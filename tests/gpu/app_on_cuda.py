"""Open the app in a pseudo-terminal on a machine with a GPU, and print what a person sees after some seconds.

    python tests/gpu/app_on_cuda.py RUN [--seconds 15] [--size 120x36]

The program fails unless the line with the load of the machine shows the GPU, with at least two different values.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pyte

STRIP = re.compile(r"\S+ +\d+% · [\d.]+ of \d+ GiB · \d+ °C")  # as `H200 97% · 15.2 of 140 GiB · 42 °C`


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--size", default="120x36")
    options = parser.parse_args()
    columns, lines = map(int, options.size.split("x"))
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    child, fd = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(sys.executable, [sys.executable, "-m", "faq_tui", options.run])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    seen: set[str] = set()
    end = time.monotonic() + options.seconds
    pressed = False
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            stream.feed(os.read(fd, 65536))
        seen.update(STRIP.findall("\n".join(screen.display)))
        if not pressed and end - time.monotonic() < options.seconds / 2:
            os.write(fd, b"5")
            pressed = True
    print("\n".join(screen.display))
    os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    strips = sorted(seen)
    print(f"the strip was seen in {len(strips)} states:", *strips[:10], sep="\n")
    if len(strips) < 2:
        sys.exit("the GPU strip did not live")


if __name__ == "__main__":
    main()
