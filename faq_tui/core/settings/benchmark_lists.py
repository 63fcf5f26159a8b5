"""The task lists of the FAQ paper (arXiv 2601.11200) by name, and what a list means for one engine."""

from __future__ import annotations

from collections.abc import Sequence

LM_EVAL, EVALSCOPE = "lm_eval", "evalscope"

# Names as lm_eval 0.4.13 and evalscope 1.14 have them. lambada_openai brings accuracy and perplexity at once.
# Which of LiveCodeBench's problems "v5" and "v6" were is not published: those new in that release are our choice.
LISTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ppl3": (LM_EVAL, ("wikitext", "c4", "lambada_openai")),
    "general12": (
        LM_EVAL,
        (
            *("arc_challenge", "arc_easy", "boolq", "hellaswag", "lambada_openai", "openbookqa"),
            *("piqa", "social_iqa", "winogrande", "ifeval", "mgsm_direct", "include_base_44_chinese"),
        ),
    ),
    "special5": (EVALSCOPE, ("aime24", "aime25", "math_500", "live_code_bench:v5", "live_code_bench:v6")),
}

# Known before evalscope is asked, which knows the others: it runs what the model wrote.
RUNS_CODE = frozenset({"live_code_bench"})


def expand(engine: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """Tasks with lists written out, each once. A list of the other engine stands for nothing here.

    >>> expand("lm_eval", ["ppl3", "piqa"])
    ('wikitext', 'c4', 'lambada_openai', 'piqa')
    """
    found: list[str] = []
    for task in tasks:
        owner, names = LISTS.get(task, (engine, (task,)))
        found.extend(names if owner == engine else ())
    return tuple(dict.fromkeys(found))


def misplaced(engine: str, tasks: Sequence[str]) -> list[str]:
    """Lists that are asked of an engine that has none of their tasks."""
    return [task for task in tasks if task in LISTS and LISTS[task][0] != engine]


def split_subset(task: str) -> tuple[str, str | None]:
    """`live_code_bench:v5` -> (`live_code_bench`, `v5`)."""
    name, _, subset = task.partition(":")
    return name, subset or None
