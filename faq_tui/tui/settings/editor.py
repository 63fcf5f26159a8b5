"""Open a file in the person's editor, while the app leaves the terminal to it."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import sanitize

VARIABLES = ("VISUAL", "EDITOR")
USUAL = ("nano", "vi")  # editors to try if no variable is set


def editor_command(environ: Mapping[str, str], which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The command line of the editor, without the file.

    The command is the value of `$VISUAL`, or of `$EDITOR` if `$VISUAL` is not set. Without both variables, it is nano
    or vi. Raises UsageError if there is no editor.
    """
    for name in VARIABLES:
        text = environ.get(name, "").strip()
        if not text:
            continue
        try:
            words = shlex.split(text)
        except ValueError:
            raise UsageError(f"${name} is not a command line ({text!r}): set it to your editor, as in nano") from None
        if not words or which(words[0]) is None:
            raise UsageError(f"${name} names an editor that is not installed ({text!r}): set it to another editor")
        return words
    for editor in USUAL:
        if which(editor) is not None:
            return [editor]
    raise UsageError("there is no editor: set $EDITOR to the command of your editor, and start faq-tui again")


def edit_file(app: App[Any], command: list[str], path: Path) -> int:
    """Run the editor on the file until the editor ends. Returns the editor's exit code. Raises UsageError if the
    editor cannot start.

    The descriptors 1 and 2 point to the app's log, so the editor gets the descriptor that Textual draws on.
    """
    try:
        with app.suspend():
            terminal = sys.__stdout__ or sys.stdout
            terminal.flush()
            return _run([*command, str(path)], terminal.fileno())
    except SuspendNotSupported:
        raise UsageError("this terminal cannot be handed to an editor: edit the file in another window") from None
    except OSError as error:
        name = sanitize(command[0])
        raise UsageError(f"the editor {name} cannot be started ({error.strerror}): set $EDITOR") from None


def _run(command: list[str], terminal: int) -> int:
    """Run a program on the terminal. Ctrl+C goes only to the program."""
    # Here, a handler that does nothing ignores Ctrl+C. SIG_IGN must not be set, because the program would inherit
    # SIG_IGN and ignore Ctrl+C, too.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(command, stdin=0, stdout=terminal, stderr=terminal) as process:
            return process.wait()
    finally:
        # `signal.signal` raises TypeError if the earlier handler was not installed by Python
        with suppress(TypeError):
            signal.signal(signal.SIGINT, before)
