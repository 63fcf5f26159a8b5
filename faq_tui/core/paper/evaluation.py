"""Write the `[evaluate]` part of a preset, with the benchmarks of a table's columns."""

from __future__ import annotations

from collections.abc import Sequence

from faq_tui.core.paper.columns import SOURCES
from faq_tui.core.paper.experiments import Experiment
from faq_tui.core.settings.comments import quoted
from faq_tui.core.settings.evaluate import EVALSCOPE, LISTS, LM_EVAL, RUNS_CODE, split_subset


def tasks_of(experiment: Experiment, engine: str) -> list[str]:
    """The tasks that the table's columns need.

    If the table needs every task of a named list, the name of the list replaces its tasks.
    """
    tasks_wanted = [SOURCES[column].task for column in experiment.columns() if SOURCES[column].engine == engine]
    lists = [name for name, (owner, tasks) in LISTS.items() if owner == engine and set(tasks) <= set(tasks_wanted)]
    covered = {task for name in lists for task in LISTS[name][1]}
    return [*lists, *dict.fromkeys(task for task in tasks_wanted if task not in covered)]


def evaluation(experiment: Experiment) -> str:
    """The `[evaluate]` tables of the preset as lines of TOML."""
    parts = ['[evaluate]\nperplexity = ["pydoc"]           # (our choice) the paper does not measure this\n']
    for engine, write in ((LM_EVAL, _lm_eval), (EVALSCOPE, _evalscope)):
        tasks = tasks_of(experiment, engine)
        if tasks:
            parts.append(write(experiment, tasks))
    return "\n".join(parts)


def _lm_eval(_: Experiment, tasks: Sequence[str]) -> str:
    return f"""\
[evaluate.lm_eval]               # (paper) the paper's program; first: pip install 'faq-tui[lm-eval]'
tasks = [{", ".join(map(quoted, tasks))}]
# num_fewshot = 5                # (our choice) this key is not set: each task uses its own default
# apply_chat_template = true     # (our choice) this key is not set: questions are sent without the chat template
# limit = 100                    # for a trial: only the first 100 items of each task
"""


def _evalscope(experiment: Experiment, tasks: Sequence[str]) -> str:
    names = {split_subset(task)[0] for task in (t for name in tasks for t in LISTS.get(name, ("", (name,)))[1])}
    code = "allow_code_execution = false     # if true, LiveCodeBench runs the model's code in Docker\n"
    thinking = "enable_thinking = true           # (our choice)\n" if experiment.model.startswith("Qwen3") else ""
    return f"""\
[evaluate.evalscope]             # (paper) the paper uses this program; it needs a separate environment
tasks = [{", ".join(map(quoted, tasks))}]
# python = "/path/to/venv/bin/python"  # the python of that environment (pip install evalscope==1.14.0)
base_url = "serve"               # the command of [evaluate.serve] (vLLM) serves one model after the other
repeats = 4                      # (our choice) answers per question; a task has only 30 questions
{thinking}sampling = {{ temperature = 0.6, top_p = 0.95, top_k = 20, max_tokens = 32768 }}  # (our choice)
{code if names & RUNS_CODE else ""}"""
