"""A run of four seeds behind a fake server, for every test of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.jobs import kill
from faq_tui.core.run.job_record import all_jobs
from tests.support.fake_server import FakeServer
from tests.support.job_bench import ONE
from tests.support.shell import make_run


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def folder(server: FakeServer, tmp_path: Path) -> Iterator[Path]:
    """A run of 4 seeds; whatever still works on it at the end of the test is killed."""
    yield make_run(tmp_path / "run", server.url, source=ONE)
    for job in all_jobs(tmp_path / "run"):
        kill(job)
