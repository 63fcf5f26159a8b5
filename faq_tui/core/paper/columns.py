"""Map each column of the paper's tables to a benchmark.

The paper names its programs and tasks, but not the metric of each task. For Qwen3-8B, it prints 57 on hellaswag and
31 on openbookqa. These values match the metric `acc` of lm_eval. The metric `acc_norm` would be far higher. Therefore
we use `acc` for all tasks that have both metrics. The metrics of ifeval, mgsm and LiveCodeBench are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faq_tui.core.settings.evaluate import EVALSCOPE, LM_EVAL
from faq_tui.core.store.benchmarks import Result

PERCENT = 100.0


@dataclass(frozen=True)
class BenchmarkMetric:
    """A metric of a task.

    If the task has no overall result, the value is the mean over the results of the task's parts.
    """

    engine: str
    task: str
    metric: str
    filter: str = "none"
    scale: float = PERCENT  # the paper prints accuracies in percent

    def value(self, results: Sequence[Result]) -> float | None:
        """The metric's value for one model. `results` are the results of that model."""
        own = [r for r in results if (r.engine, r.task, r.metric) == (self.engine, self.task, self.metric)]
        own = [r for r in own if self.engine == EVALSCOPE or r.filter == self.filter]
        whole = [r for r in own if r.name == self.task] or own
        values = [r.value for r in whole if r.value is not None]
        return self.scale * sum(values) / len(values) if values and len(values) == len(whole) else None


def _acc(task: str) -> BenchmarkMetric:
    return BenchmarkMetric(LM_EVAL, task, "acc")


SOURCES: dict[str, BenchmarkMetric] = {
    "wikitext2_ppl": BenchmarkMetric(LM_EVAL, "wikitext", "word_perplexity", scale=1.0),
    "c4_ppl": BenchmarkMetric(LM_EVAL, "c4", "word_perplexity", scale=1.0),
    "lambada_ppl": BenchmarkMetric(LM_EVAL, "lambada_openai", "perplexity", scale=1.0),
    "arc_challenge": _acc("arc_challenge"),
    "arc_easy": _acc("arc_easy"),
    "boolq": _acc("boolq"),
    "hellaswag": _acc("hellaswag"),
    "lambada": _acc("lambada_openai"),
    "openbookqa": _acc("openbookqa"),
    "piqa": _acc("piqa"),
    "siqa": _acc("social_iqa"),
    "winogrande": _acc("winogrande"),
    "ifeval": BenchmarkMetric(LM_EVAL, "ifeval", "prompt_level_strict_acc"),
    "mgsm": BenchmarkMetric(LM_EVAL, "mgsm_direct", "exact_match", "flexible-extract"),
    "include_zh": _acc("include_base_44_chinese"),
    "aime24": BenchmarkMetric(EVALSCOPE, "aime24", "accuracy"),
    "aime25": BenchmarkMetric(EVALSCOPE, "aime25", "accuracy"),
    "math500": BenchmarkMetric(EVALSCOPE, "math_500", "accuracy"),
    "livecodebench_v5": BenchmarkMetric(EVALSCOPE, "live_code_bench:v5", "accuracy"),
    "livecodebench_v6": BenchmarkMetric(EVALSCOPE, "live_code_bench:v6", "accuracy"),
}
GENERAL = (
    *("arc_challenge", "arc_easy", "boolq", "hellaswag", "lambada", "openbookqa"),
    *("piqa", "siqa", "winogrande", "ifeval", "mgsm", "include_zh"),
)
SPECIAL = ("aime24", "aime25", "math500", "livecodebench_v5", "livecodebench_v6")
# The columns "grmc" and "sdc" of tables 4 and 5 are means of columns of tables 6 to 9.
MEANS: dict[str, tuple[str, ...]] = {"grmc": GENERAL, "sdc": SPECIAL}
AVERAGE = "avg"  # the paper's mean over other columns; it is not compared with results of a run
