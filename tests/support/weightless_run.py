"""A run that has all but weights: candidates, marks, picks and sets on a tiny target."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.support.fake_server import Asked, Behaviour, FakeServer, answer_of
from tests.support.judge_bench import marks
from tests.support.shell import faq_tui, make_run

TOY = "tiny-llama"


@pytest.fixture(scope="session")
def tiny_model(make_once: MakeOnce) -> Path:
    from tests.support.tiny import make_tiny_model

    def make(folder: Path) -> None:
        make_tiny_model(folder / TOY, hidden=64, layers=1)

    return make_once("tiny-model", make) / TOY


@pytest.fixture(scope="session")
def assembled(tiny_model: Path, make_once: MakeOnce) -> Path:
    """A run that is made once for all test processes.

    Four seeds, three candidates each; of every seed the third is cut off and the second marked best.
    """

    def reply(asked: Asked) -> str:
        if asked.body["model"] == "fake-8b":
            return answer_of(asked.question, asked.number)
        return marks(asked, lambda text, _: 8 if text.endswith(" SECOND") else 5)

    def elder(asked: Asked) -> str:
        said = reply(asked)
        return f"{said} SECOND" if asked.body["model"] == "fake-8b" and asked.number == 1 else said

    behaviour = Behaviour(
        models=("fake-8b", "judge"), reply=elder, finish=lambda a: "length" if a.number == 2 else "stop"
    )

    def make(folder: Path) -> None:
        with FakeServer(behaviour) as server:
            judge = f'[judge]\nkind = "llm"\nbase_url = "{server.url}"\nmodel = "judge"\nprobe = 2\n'
            make_run(folder / "run", server.url, rest=judge, target=str(tiny_model))
            result = faq_tui("run", folder / "run", "--until", "assemble")
            assert result.code == 0, result

    return make_once("weightless-run", make) / "run"


@pytest.fixture
def run_folder(assembled: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(assembled, tmp_path / "run"))
