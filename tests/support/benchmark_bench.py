"""What the tests of benchmarks share: a tiny target with two artefacts, and tasks made from local data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faq_tui.core.models.target import TargetModel, find_target
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.store.artefacts import Artefact, add_artefact
from tests.support.evaluate_bench import make_noisy
from tests.support.tiny import make_tiny_model

BASELINE, ELDER = "gptq-w4g32-baseline", "gptq-w4g32-elder"
TOML = """
[target]
model = "./target"
device = "cpu"
[seeds]
path = "seeds.jsonl"
heldout = 0
[sources.elder]
base_url = "http://localhost:1/v1"
model = "Big"
[[recipes]]
group_size = 32
sets = ["baseline", "elder"]
[evaluate]
perplexity = ["prose.txt"]
last_word = []
multiple_choice = []
window = 24
prose_tokens = 150
"""
QUESTIONS = [
    {"question": f"Which word names an animal? ({n})", "choices": ["stone", "dog", "seven"], "label": 1}
    for n in range(6)
]
TASKS = {
    "local_choice": """
task: local_choice
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.5}
""",
    "local_prose": """
task: local_prose
dataset_path: json
dataset_kwargs: {data_files: {test: prose.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}]
metadata: {version: 2.0}
""",
    "local_likely": """
task: local_likely
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: " {{choices[label]}}"
metric_list: [{metric: perplexity, aggregation: perplexity, higher_is_better: false}]
""",
    "local_word": """
task: local_word
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "dog"
generation_kwargs: {until: ["."], max_gen_toks: 4}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "local_hub": """
task: local_hub
dataset_path: nobody/has-this
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}]
""",
}
PROSE = ["The calm dog answers a question.", "The quick fox reasons about the grid.", "A grid of weights."]


@contextmanager
def benchmark_run(folder: Path, evaluate: str, artefacts: tuple[str, ...] = (BASELINE, ELDER)) -> Iterator[Run]:
    """A run whose artefacts are the target with noise, and `tasks/` beside it; `evaluate`: further settings."""
    make_tiny_model(folder / "target", hidden=64, layers=2, dtype="float32")
    (folder / "faq.toml").write_text(TOML + evaluate)
    (folder / "seeds.jsonl").write_text('{"question": "Why?"}\n')
    (folder / "prose.txt").write_text("The calm dog answers a question; the quick fox reasons about the grid. " * 9)
    write_tasks(folder / "tasks")
    with open_run(folder) as run:
        for number, name in enumerate(artefacts, 1):
            make_noisy(folder / "target", run.models / name, 0.05 * number)
            add_artefact(run.store, Artefact(name, f"s{number}", {"bits": 4}, name[11:], None, 5, 99, 4.5, 1.0))
        yield run


def write_tasks(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    (folder / "prose.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in PROSE))
    return folder


def target_of(run: Run) -> TargetModel:
    return find_target(run, print)


def offline() -> dict[str, str]:
    """An environment in which no library looks for a network."""
    return {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def repeat(run: Run, toml: str) -> Any:
    """The same run with other settings of `[evaluate]`."""
    (run.folder / "faq.toml").write_text(TOML + toml)
    return open_run(run.folder)


def evalscope_python() -> str | None:
    """The Python of an environment that has evalscope, where one is named."""
    return os.environ.get("FAQ_TUI_EVALSCOPE_PYTHON")
