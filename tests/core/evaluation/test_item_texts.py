"""The words of held-out items belong to the items that were measured, whatever has become of their file since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import Stopped
from faq_tui.core.report.document import document
from faq_tui.core.report.formats import render
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import evaluate
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.measurements import all_items, one_item
from tests.core.stages.test_evaluate import FOLDERS, TOML
from tests.support.evaluate_bench import context_of, make_noisy
from tests.support.tiny import make_tiny_model

CASES = [
    {"question": f"Which is number {n}?", "choices": ["the dog", "a fox", "the grid", "a weight"], "answer": n % 4}
    for n in range(24)
]
EDITED = [{**case, "choices": [f"Edited {n}", "a fox"], "answer": 0} for n, case in enumerate(CASES)]
PROSE = "The calm dog answers a question. " * 20


def write_texts(folder: Path, cases: list[dict[str, Any]], prose: str) -> None:
    (folder / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    (folder / "prose.txt").write_text(prose)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Measured on prose and questions, by an artefact that answers many of them otherwise."""
    make_tiny_model(tmp_path / "target", hidden=64, layers=2, dtype="float32")
    (tmp_path / "faq.toml").write_text(TOML.replace("multiple_choice = []", 'multiple_choice = ["cases.jsonl"]'))
    write_texts(tmp_path, CASES, PROSE)
    with open_run(tmp_path) as run:
        make_noisy(tmp_path / "target", run.models / FOLDERS[0], 0.5)
        add_artefact(run.store, Artefact(FOLDERS[0], "s1", {}, "baseline", None, 5, 99, 4.5, 1.0))
        evaluate.execute(context_of(run))
        yield run


@pytest.mark.slow
def test_an_edited_file_leaves_the_measured_words_until_it_is_measured_itself(run: Run) -> None:
    before, words = document(run)["flips"], one_item(run.store, "prose.txt", 0)
    assert before[0]["flipped"] and all_items(run.store, "choices:cases.jsonl") == CASES
    assert "Which is number" in render(run, "md")

    write_texts(run.folder, EDITED, f"Edited. {PROSE}")
    stopped = CancelToken()
    stopped.set()
    for _ in range(2):
        with pytest.raises(Stopped):
            evaluate.execute(Context(run, lambda event: None, stopped, "job"))
        assert document(run)["flips"] == before and one_item(run.store, "prose.txt", 0) == words
    assert "Edited" not in render(run, "md")

    evaluate.execute(context_of(run))
    assert all_items(run.store, "choices:cases.jsonl") == EDITED
    assert "".join(one_item(run.store, "prose.txt", 0)["pieces"]) != "".join(words["pieces"])
    evaluate.execute(context_of(run))  # the words of what is measured no longer are not kept for good
    assert run.store.db.execute("SELECT count(DISTINCT text || items) FROM heldout_items").fetchone()[0] == 2
