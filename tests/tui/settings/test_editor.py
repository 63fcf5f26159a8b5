"""The person's editor: which one it is, and that it gets the terminal, and the app gets it back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.tui.settings.editor import editor_command
from tests.support.app_host import app_on, until
from tests.support.on_terminal import OnTerminal
from tests.support.shell import FAQ_TUI


def which(*known: str) -> object:
    return lambda name: f"/bin/{name}" if name in known else None


@pytest.mark.parametrize(
    ("environ", "known", "command"),
    [
        ({"VISUAL": "code --wait", "EDITOR": "vi"}, ("code", "vi"), ["code", "--wait"]),
        ({"VISUAL": " ", "EDITOR": "'my editor' -n"}, ("my editor",), ["my editor", "-n"]),
        ({}, ("vi", "nano"), ["nano"]),
        ({}, ("vi",), ["vi"]),
    ],
)
def test_the_editor(environ: dict[str, str], known: tuple[str, ...], command: list[str]) -> None:
    assert editor_command(environ, which(*known)) == command  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"EDITOR": "nothing-like-it -x"}, r"\$EDITOR names an editor that is not installed"),
        ({"VISUAL": "vi 'open"}, r"\$VISUAL is not a command line"),
        ({}, r"there is no editor: set \$EDITOR"),
    ],
)
def test_no_editor_is_a_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        editor_command(environ, which())  # type: ignore[arg-type]


async def test_without_a_terminal_to_leave_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", sys.executable)
    app = app_on(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("E")
        await until(pilot, lambda: app.errors)
        assert "cannot be handed to an editor" in app.errors[0]
        monkeypatch.setenv("VISUAL", "nothing-like-it")
        await pilot.press("E")
        await until(pilot, lambda: "not installed" in app.errors[0])


# Python runs its own handler of SIGINT only after a system call has returned, and a SIGINT just before the read in
# `input` would wait for a line. The default action ends the program at any moment, unless the app made it ignore
# SIGINT.
EDITOR = """
import pathlib, signal, sys
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
path = pathlib.Path(sys.argv[-1])
print("EDITOR HERE", sys.stdin.isatty(), sys.stdout.isatty(), flush=True)
line = input("new model? ")
path.write_text(path.read_text().replace("nobody/knows-it", line))
sys.exit(3)
"""


@pytest.fixture
def terminal(folder: Path, tmp_path: Path) -> Iterator[OnTerminal]:
    script = tmp_path / "my editor.py"
    script.write_text(EDITOR)
    shown = OnTerminal(*FAQ_TUI, folder, VISUAL="", EDITOR=f"{sys.executable} '{script}'")
    yield shown
    shown.kill()


@pytest.mark.slow
def test_the_editor_gets_the_terminal_and_the_file_is_read_again(terminal: OnTerminal, folder: Path) -> None:
    terminal.wait_to_see("Nothing is running", "nobody/knows-it", seconds=60)
    terminal.press(b"E")
    terminal.wait_for(b"EDITOR HERE True True", 60)
    before = terminal.got.partition(b"EDITOR HERE")[0]
    assert before.rindex(b"\x1b[?1049l") > before.rindex(b"\x1b[?1049h"), "on the person's own screen"
    terminal.press(b"\x03")  # goes to the editor, which ends; the app stays
    terminal.wait_to_see("The editor ended with", "Nothing is running", seconds=60)
    terminal.press(b"E")
    terminal.wait_until(lambda _: terminal.got.count(b"EDITOR HERE") == 2, 60)
    terminal.press(b"somebody/else\r")
    terminal.wait_to_see("target somebody/else", "read again", seconds=60)
    terminal.press(b"q")
    assert terminal.wait() == 0
    assert "somebody/else" in (folder / "faq.toml").read_text()
