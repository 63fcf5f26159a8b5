"""The finished run that the end-to-end tests share: the demo, as README's first command makes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.support.shell import faq_tui_process

FINISHED_DEMO = "FAQ_TUI_FINISHED_DEMO"  # names the folder of a finished demo; without it the tests make one


@pytest.fixture(scope="session")
def demo(make_once: MakeOnce) -> Path:
    """The folder of a finished run of the demo.

    If the environment variable `FAQ_TUI_FINISHED_DEMO` does not name such a folder, the demo is run, which takes ten
    minutes on two cores. Tests must not change the folder; they can use `demo_copy`.
    """

    def make(folder: Path) -> None:
        done = faq_tui_process("demo", "--headless", "--dir", folder, timeout=3000)
        assert done.code == 0, done.err

    finished = os.environ.get(FINISHED_DEMO)
    folder = Path(finished).absolute() if finished else make_once("demo", make)
    assert (folder / "reports" / "report.json").is_file(), f"{folder} holds no finished demo"
    return folder


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def demo_copy(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for the tests of one file, which may add to it. Its weights are links to the demo's."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    shutil.copytree(demo, folder, ignore=shutil.ignore_patterns("models"))
    shutil.copytree(demo / "models", folder / "models", copy_function=_link_or_copy)
    return folder
