"""How much of a held-out file is read, and how much of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.evaluation import documents, environment, labelled
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.run.events import Event, Note
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import evaluate
from faq_tui.core.store.measurements import all_measurements
from tests.core.stages.test_evaluate import TOML, WINDOW
from tests.support.evaluate_bench import context_of
from tests.support.tiny import make_tiny_model

LONGEST = 1024  # tokens that the tiny model reads
SENTENCE = "The old farmer walked slowly through the wide green field and looked at the quiet river again and again. "


def test_prose_tokens_cut_no_words_and_no_last_words(tmp_path: Path) -> None:
    """As lm_eval reads the whole of a document."""
    (tmp_path / "faq.toml").write_text(TOML.replace("prose_tokens = 150", "prose_tokens = 1"))
    text = SENTENCE * 1000
    (tmp_path / "long.txt").write_text(text)
    with open_run(tmp_path) as run:
        (document,) = documents.load_documents(run, "long.txt")
        assert document.text == text and document.bytes == len(text)
        assert len(labelled.load_passages(run, "long.txt")) == min(500, run.settings.evaluate.items)
        assert len(documents.load_documents(run, "pydoc")) > 1


@pytest.mark.slow
def test_no_window_is_longer_than_the_target_can_read(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "target", hidden=64, layers=2, dtype="float32")
    toml = TOML.replace("prose_tokens = 150", "prose_tokens = 2000").replace(f"window = {WINDOW}", "window = 1500")
    (tmp_path / "faq.toml").write_text(toml)
    (tmp_path / "prose.txt").write_text(SENTENCE * 200)
    events: list[Event] = []
    with open_run(tmp_path) as run:
        evaluate.execute(context_of(run, events.append))
        tokens = all_measurements(run.store)[UNQUANTIZED, "prose.txt"].items["tokens"]
        described = environment.read_environment(run)["texts"]["prose.txt"]
    assert max(tokens) == LONGEST - 1  # a window's first token is not predicted
    assert f"windows of {LONGEST} tokens" in described
    said = f"evaluate.window = 1500 is more than this target can read, so windows have {LONGEST} tokens"
    assert said in [event.message for event in events if isinstance(event, Note)]
