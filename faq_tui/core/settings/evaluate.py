"""`[evaluate.lm_eval]`, `[evaluate.evalscope]` and `[evaluate.serve]`: public benchmarks by their own programs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from faq_tui.core.settings.benchmark_lists import EVALSCOPE, LM_EVAL, misplaced
from faq_tui.core.settings.section import EMBEDDED, Count, Section
from faq_tui.core.settings.source import Sampling

SERVE = "serve"  # as a base_url: the command of [evaluate.serve] serves one model after the other


class Serve(Section):
    """How a model folder is served where `base_url = "serve"`."""

    # {folder}: of the model; {port}: a free one; {name}: what /v1/models must list.
    command: tuple[str, ...] = (
        *("vllm", "serve", "{folder}", "--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "{name}"),
    )
    ready_timeout_s: Annotated[float, Field(gt=0)] = 1800.0  # from the start to the first answer


class _BenchmarkSection(Section):
    tasks: tuple[str, ...] = ()  # names of the program's own, or of our lists: general12, ppl3, special5
    limit: Count | None = None  # the first items of each task; None: all of them
    api_key_env: str | None = None  # of base_url: the name of a variable, never the key
    allow_code_execution: bool = False  # tasks that run what the model wrote

    @field_validator("tasks")
    @classmethod
    def _named(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        if not all(task.strip() for task in tasks):
            raise ValueError("a task has a name")
        return tuple(dict.fromkeys(tasks))


def _url(value: str | None) -> str | None:
    if value in (None, SERVE, EMBEDDED):
        return value
    assert value is not None
    if not value.startswith(("http://", "https://")):
        raise ValueError('must begin with http:// or https://, or be "serve" or "embedded"')
    return value.rstrip("/")


def _own_lists(engine: str, other: str) -> Any:
    """A validator: a list of the other engine would stand for no task at all."""

    def check(tasks: tuple[str, ...]) -> tuple[str, ...]:
        wrong = misplaced(engine, tasks)
        if wrong:
            raise ValueError(f"{', '.join(wrong)} holds tasks of {other}: put it under [evaluate.{other}]")
        return tasks

    return field_validator("tasks")(check)


class LmEval(_BenchmarkSection):
    """Tasks of lm_eval (EleutherAI's lm-evaluation-harness)."""

    mode: Literal["process", "endpoint"] = "process"  # weights multiplied out and loaded here, or over HTTP
    base_url: str | None = None  # of mode "endpoint": a server's /v1, "serve" or "embedded"
    include_path: str | None = None  # a folder of your own task files; the Python they name is run
    num_fewshot: Annotated[int, Field(ge=0)] | None = None  # None: each task's own
    batch_size: Count = 4
    max_length: Annotated[int, Field(ge=8)] | None = None  # tokens of a window; None: the model's own
    apply_chat_template: bool = False

    _check_tasks = _own_lists(LM_EVAL, EVALSCOPE)
    _check_url = field_validator("base_url")(_url)

    @model_validator(mode="after")
    def _endpoint_has_a_url(self) -> LmEval:
        if self.mode == "endpoint" and self.base_url is None:
            raise ValueError('mode "endpoint" needs base_url: a server\'s URL, "serve" or "embedded"')
        if self.mode == "process" and self.base_url is not None:
            raise ValueError('base_url is for mode "endpoint": set mode, or take base_url out')
        return self


class Evalscope(_BenchmarkSection):
    """Benchmarks of evalscope (ModelScope), over HTTP; `name:subset` takes one subset of a benchmark."""

    base_url: str = SERVE  # a server's /v1, "serve" or "embedded"
    python: str | None = None  # of the environment that evalscope is installed in; None: this one
    repeats: Count = 1  # answers to each question
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 8
    sampling: Sampling = Sampling()
    enable_thinking: bool | None = None  # None: as the model's chat template has it
    dataset_dir: str | None = None  # holds a folder <benchmark>/ for each that is not to be fetched
    dataset_hub: Literal["modelscope", "huggingface"] = "modelscope"
    sandbox: Literal["docker", "none"] = "docker"  # where allowed code runs; "none": here, as you

    _check_tasks = _own_lists(EVALSCOPE, LM_EVAL)
    _check_url = field_validator("base_url")(_url)


TARGET_ANSWERS = "target"  # in `answers`: what the unquantized target itself says


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Evaluate(Section):
    """On what the artefacts are compared with the unquantized target."""

    # Token perplexity, KL and top-1: "pydoc" (every Python has it), "wikitext2", or a text file.
    perplexity: tuple[str, ...] = ("pydoc",)
    window: Annotated[int, Field(ge=8)] = 512  # tokens a window; windows do not overlap
    prose_tokens: Count = 16384  # at most, of each text

    # Word perplexity as lm_eval counts it: the same names, or a jsonl file with a document ("text") a line.
    word_perplexity: tuple[str, ...] = ()
    word_window: Annotated[int, Field(ge=8)] | Literal["model"] = 2048  # tokens; "model": as long as it can read
    word_documents: Count = 64  # at most, of each text, from its head

    # Held-out seeds answered by "target", or by a source's name; one or a list.
    answers: Annotated[tuple[str, ...], BeforeValidator(_listed)] = (TARGET_ANSWERS,)
    answer_tokens: Count = 256  # at most, of each held-out answer

    # The last word of a passage: "starter" (small, of our own), "pydoc", a text file that is cut into passages,
    # or a jsonl file ("text" a line).
    last_word: tuple[str, ...] = ("starter",)
    # By likelihood: "starter" (small, of our own), or a jsonl file ("question", "choices", "answer" a line).
    multiple_choice: tuple[str, ...] = ("starter",)
    items: Count = 500  # at most, of each of these two, from the head

    # Draws of each calibration set, every one regenerated, quantized and measured: seeds.count seeds each. With
    # fewer seeds in the file draws share some; with no more than seeds.count each draw is `repeat_share` of them.
    repeats: Annotated[int, Field(ge=1, le=20)] = 1
    repeat_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5

    batch_size: Count = 4
    bootstrap: Annotated[int, Field(ge=100)] = 2000  # resamples for each interval

    lm_eval: LmEval = LmEval()
    evalscope: Evalscope = Evalscope()
    serve: Serve = Serve()
