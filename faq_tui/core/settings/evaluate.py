"""`[evaluate]`: held-out texts and public benchmarks, with the task lists of the FAQ paper (arXiv 2601.11200)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from faq_tui.core.settings.section import EMBEDDED, Count, Section
from faq_tui.core.settings.source import Sampling

LM_EVAL, EVALSCOPE = "lm_eval", "evalscope"

# These are task names of lm_eval 0.4.13 and evalscope 1.14. lambada_openai gives both accuracy and perplexity. The
# paper does not define "v5" and "v6" of LiveCodeBench. In faq-tui, "v5" means the problems that were new in release
# v5, and "v6" means the problems that were new in release v6.
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

# Benchmarks that run code written by the model. faq-tui refuses such a benchmark before the run if the settings do
# not allow it. If another benchmark of evalscope runs code, evalscope reports this when the benchmark starts.
RUNS_CODE = frozenset({"live_code_bench"})


def expand(engine: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks of the program `engine` ("lm_eval" or "evalscope"). Each task is listed only once.

    If `tasks` contains the name of a list, the tasks of this list replace the name. A list of the other program's
    tasks is left out.

    >>> expand("lm_eval", ["ppl3", "piqa"])
    ('wikitext', 'c4', 'lambada_openai', 'piqa')
    """
    expanded: list[str] = []
    for task in tasks:
        owner, names = LISTS.get(task, (engine, (task,)))
        expanded.extend(names if owner == engine else ())
    return tuple(dict.fromkeys(expanded))


def misplaced(engine: str, tasks: Sequence[str]) -> list[str]:
    """The entries of `tasks` that are names of task lists for the other program."""
    return [task for task in tasks if task in LISTS and LISTS[task][0] != engine]


def split_subset(task: str) -> tuple[str, str | None]:
    """Split `live_code_bench:v5` into (`live_code_bench`, `v5`). Without a subset, the second value is None."""
    name, _, subset = task.partition(":")
    return name, subset or None


SERVE = "serve"  # value of base_url if the command in [evaluate.serve] serves the models one after the other


class Serve(Section):
    """The command that serves a model folder. The command is used if `base_url = "serve"`."""

    command: Annotated[
        tuple[str, ...],
        Field(
            min_length=1,
            description="command line; {folder}, {port} and {name} are replaced; /v1/models must list {name}",
        ),
    ] = (*("vllm", "serve", "{folder}", "--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "{name}"),)
    ready_timeout_s: Annotated[
        float, Field(gt=0, description="longest wait until the server is ready, in seconds")
    ] = 1800.0


class _BenchmarkSection(Section):
    tasks: Annotated[
        tuple[str, ...], Field(description="names of tasks, or lists of the paper: general12, ppl3, special5")
    ] = ()
    limit: Annotated[
        Count | None,
        Field(
            description="the first items of each task are used, up to this number; default: all items", examples=[100]
        ),
    ] = None
    api_key_env: Annotated[
        str | None,
        Field(
            description="environment variable with the server's API key; default: no key",
            examples=["SERVER_API_KEY"],
        ),
    ] = None
    allow_code_execution: Annotated[
        bool, Field(description="if true, benchmarks may run code that the model writes")
    ] = False

    @field_validator("tasks")
    @classmethod
    def _named(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        if not all(task.strip() for task in tasks):
            raise ValueError("one task has an empty name: remove it")
        return tuple(dict.fromkeys(tasks))


def _url(value: str | None) -> str | None:
    if value in (None, SERVE, EMBEDDED):
        return value
    assert value is not None
    if not value.startswith(("http://", "https://")):
        raise ValueError('must begin with http:// or https://, or be "serve" or "embedded"')
    return value.rstrip("/")


def _own_lists(engine: str, other: str) -> Any:
    """Make a validator that refuses a named task list if its tasks belong to the program `other`."""

    def check(tasks: tuple[str, ...]) -> tuple[str, ...]:
        wrong = misplaced(engine, tasks)
        if wrong:
            raise ValueError(f"{', '.join(wrong)} has tasks of {other}: move it to [evaluate.{other}]")
        return tasks

    return field_validator("tasks")(check)


class LmEval(_BenchmarkSection):
    """Tasks of lm_eval (EleutherAI's lm-evaluation-harness)."""

    tasks: Annotated[
        tuple[str, ...], Field(description='names of tasks, or lists of the paper: ["ppl3", "general12"]')
    ] = ()
    mode: Annotated[
        Literal["process", "endpoint"],
        Field(description='"process" loads the model on this machine; "endpoint" sends requests to a server'),
    ] = "process"
    base_url: Annotated[
        str | None,
        Field(
            description='for mode "endpoint": a server\'s URL, "serve" or "embedded"; default: none',
            examples=["serve"],
        ),
    ] = None
    include_path: Annotated[
        str | None,
        Field(
            description="folder of your own task files; their Python code is run; default: none", examples=["tasks"]
        ),
    ] = None
    num_fewshot: Annotated[
        int | None,
        Field(
            ge=0, description="number of solved examples before each item; default: as the task defines", examples=[5]
        ),
    ] = None
    batch_size: Annotated[Count, Field(description="items in a batch")] = 4
    max_length: Annotated[
        int | None,
        Field(
            ge=8,
            description="window size in tokens; default: the model's longest input, and at most 2048 on a server",
            examples=[2048],
        ),
    ] = None
    apply_chat_template: Annotated[
        bool, Field(description="if true, each question is put into the model's chat template")
    ] = False

    _check_tasks = _own_lists(LM_EVAL, EVALSCOPE)
    _check_url = field_validator("base_url")(_url)

    @model_validator(mode="after")
    def _endpoint_has_a_url(self) -> LmEval:
        if self.mode == "endpoint" and self.base_url is None:
            raise ValueError('mode "endpoint" needs the key `base_url`: a server\'s URL, "serve" or "embedded"')
        if self.mode == "process" and self.base_url is not None:
            raise ValueError('the key `base_url` is only for mode "endpoint": set this mode, or remove `base_url`')
        return self


class Evalscope(_BenchmarkSection):
    """Benchmarks of evalscope (ModelScope), which calls models over HTTP.

    `name:subset` selects a benchmark's subset.
    """

    tasks: Annotated[
        tuple[str, ...],
        Field(description='names of benchmarks, optionally as name:subset, or the list of the paper: ["special5"]'),
    ] = ()
    base_url: Annotated[
        str, Field(description='a server\'s URL, "embedded", or "serve" for the command of [evaluate.serve]')
    ] = SERVE
    python: Annotated[
        str | None,
        Field(
            description="Python interpreter of the environment with evalscope; default: faq-tui's own interpreter",
            examples=["/path/to/venv/bin/python"],
        ),
    ] = None
    repeats: Annotated[Count, Field(description="number of answers to each question")] = 1
    concurrency: Annotated[int, Field(ge=1, le=4096, description="requests at once")] = 8
    sampling: Annotated[
        Sampling,
        Field(description='how replies are sampled; a value is not sent if it is "off"'),
    ] = Sampling()
    enable_thinking: Annotated[
        bool | None,
        Field(
            description="value of enable_thinking in the chat template; default: the template decides",
            examples=[True],
        ),
    ] = None
    dataset_dir: Annotated[
        str | None,
        Field(
            description="folder with local benchmarks, a subfolder for each; default: each benchmark is fetched",
            examples=["benchmarks"],
        ),
    ] = None
    dataset_hub: Annotated[
        Literal["modelscope", "huggingface"], Field(description="hub from which benchmarks are fetched")
    ] = "modelscope"
    sandbox: Annotated[
        Literal["docker", "none"],
        Field(description='where code written by the model runs; "none" means on this machine, with your rights'),
    ] = "docker"

    _check_tasks = _own_lists(EVALSCOPE, LM_EVAL)
    _check_url = field_validator("base_url")(_url)


# Keys that older versions of faq-tui do not have. With the value given here, a key has no effect.
ADDED_LATER: Mapping[str, Any] = {"greedy_tokens": 0}


def as_before(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `[evaluate]` without keys that have no effect, so that hashes of older versions stay valid."""
    return {key: value for key, value in values.items() if key not in ADDED_LATER or value != ADDED_LATER[key]}


TARGET_ANSWERS = "target"  # value of `answers` if the unquantized target writes the answers


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Evaluate(Section):
    """The texts and benchmarks that are used to compare artefacts with the unquantized target."""

    perplexity: Annotated[
        tuple[str, ...],
        Field(description='texts for perplexity, KL and top-1: "pydoc" (no network), "wikitext2", or text files'),
    ] = ("pydoc",)
    window: Annotated[
        int, Field(ge=8, description="window size of the perplexity texts in tokens; windows do not overlap")
    ] = 512
    prose_tokens: Annotated[Count, Field(description="at most this many tokens of each perplexity text are used")] = (
        16384
    )

    word_perplexity: Annotated[
        tuple[str, ...],
        Field(
            description='texts for word perplexity (lm_eval): "pydoc", "wikitext2", or jsonl with "text" in each line'
        ),
    ] = ()
    word_window: Annotated[
        Annotated[int, Field(ge=8)] | Literal["model"],
        Field(description='window size for word perplexity in tokens; "model" means the longest input of the model'),
    ] = 2048
    word_documents: Annotated[
        Count, Field(description="at most this many documents of each text for word perplexity are used")
    ] = 64

    answers: Annotated[
        tuple[str, ...],
        BeforeValidator(_listed),
        Field(description='model that answers the held-out seeds: "target", or the name of a source'),
    ] = (TARGET_ANSWERS,)
    answer_tokens: Annotated[Count, Field(description="longest held-out answer, in tokens")] = 256
    greedy_tokens: Annotated[
        int,
        Field(
            ge=0,
            description="longest greedy answer of each model to the held-out seeds, in tokens; 0: no greedy answers",
        ),
    ] = 0

    last_word: Annotated[
        tuple[str, ...],
        Field(description='passages for last-word accuracy: "starter" (small), "pydoc", text, or jsonl with "text"'),
    ] = ("starter",)
    multiple_choice: Annotated[
        tuple[str, ...],
        Field(description='questions: "starter" (small), or jsonl with "question", "choices" and "answer"'),
    ] = ("starter",)
    items: Annotated[
        Count, Field(description="at most this many items of each last_word and multiple_choice text are used")
    ] = 500

    # Number of draws of each calibration set. Each draw has seeds.count seeds. Each draw is regenerated, quantized
    # and measured. If the seed file has too few seeds for separate draws, the draws share seeds. If the whole file
    # has only enough seeds for one draw, each draw gets the share `repeat_share` of all seeds.
    repeats: Annotated[
        int,
        Field(
            ge=1, le=20, description="number of draws of each set; each draw is regenerated, quantized and measured"
        ),
    ] = 1
    repeat_share: Annotated[
        float,
        Field(gt=0.0, lt=1.0, description="share of all seeds that each draw uses, if draws overlap"),
    ] = 0.5

    batch_size: Annotated[Count, Field(description="number of windows or items in a batch")] = 4
    bootstrap: Annotated[int, Field(ge=100, description="number of bootstrap resamples for each interval")] = 2000

    lm_eval: Annotated[
        LmEval, Field(description="public benchmarks of lm-eval; install them with pip install 'faq-tui[lm-eval]'")
    ] = LmEval()
    evalscope: Annotated[
        Evalscope,
        Field(description="public benchmarks of evalscope, in another environment: pip install evalscope==1.14.0"),
    ] = Evalscope()
    serve: Annotated[
        Serve, Field(description='with base_url = "serve", this server is started for one model after the other')
    ] = Serve()
