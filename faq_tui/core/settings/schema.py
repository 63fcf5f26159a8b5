"""Every key of `faq.toml`, its type, its default and its bounds.

What the FAQ paper (arXiv 2601.11200) leaves unsaid (seed set, prompts, sampling, length) is our choice here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EMBEDDED = "embedded"  # as a model or base_url: the small model and server that ship with faq-tui
BASELINE = "baseline"
TOKENS_SUFFIX = "-tokens"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(Section):
    """The model that is quantized."""

    model: str  # hub id, local folder, or "embedded"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # of scoring and evaluation
    trust_remote_code: bool = False


class Seeds(Section):
    """Where the questions come from, and how many are used."""

    path: str  # jsonl, json, csv, parquet, txt, a `datasets` id, or "starter"
    count: Count = 256  # seeds that are regenerated
    heldout: Annotated[int, Field(ge=0)] = 32  # further seeds, kept apart for the evaluation
    sample_seed: int = 0  # of the draw
    shape: Literal["auto", "messages", "prompt", "text"] = "auto"
    prompt_field: str | None = None
    answer_field: str | None = None
    split: str = "train"  # of a `datasets` id
    on_problem: Literal["skip", "refuse"] = "skip"  # a broken, empty or duplicate line


class Sampling(Section):
    """Sent whole with every request: what is left out would come from the server's own defaults."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.6
    top_p: Fraction = 0.95
    top_k: Annotated[int, Field(ge=-1)] = 20
    min_p: Fraction = 0.0
    max_tokens: Count = 8192
    seed: int = 0  # candidate i of a seed is sampled with seed + i


class Endpoint(Section):
    """An OpenAI-compatible server."""

    base_url: str  # http(s)://host:port/v1, or "embedded"
    model: str
    api_key_env: str | None = None  # the name of a variable, never the key
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 32
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120.0  # between two chunks; there is no total timeout

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value != EMBEDDED and not value.startswith(("http://", "https://")):
            raise ValueError('must begin with http:// or https://, or be "embedded"')
        return value.rstrip("/")


class Source(Endpoint):
    """A model that regenerates the seeds' answers."""

    candidates: Annotated[int, Field(ge=1, le=64)] = 3
    reasoning: Literal["native", "prompted", "off"] = "native"
    sampling: Sampling = Sampling()


class Judge(Section):
    """Who marks the candidates."""

    kind: Literal["llm", "likelihood"] = "likelihood"
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=4096)] = 16
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    max_tokens: Count = 512
    reasoning_characters: Count = 16000  # longer reasoning is cut in the middle before it is shown; answers never

    @model_validator(mode="after")
    def _llm_needs_a_server(self) -> Judge:
        if self.kind == "llm" and not (self.base_url and self.model):
            raise ValueError('kind "llm" needs base_url and model')
        return self

    def endpoint(self) -> Endpoint:
        """The judge's server. Only for kind `llm`."""
        assert self.base_url is not None and self.model is not None
        return Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            retries=self.retries,
        )


class Assemble(Section):
    """How a picked conversation becomes token ids."""

    max_tokens: Annotated[int, Field(ge=16)] = 2048
    overflow: Literal["keep_answer", "head", "tail", "drop"] = "keep_answer"
    common_seeds: bool = True  # every set holds the seeds that all have a sample of: equal samples compare


class Recipe(Section):
    """One way to quantize, on each of its sets."""

    method: Literal["gptq"] = "gptq"
    bits: Literal[4, 8] = 4
    group_size: Literal[-1, 16, 32, 64, 128, 256, 512, 1024] = 128  # -1: one group a row
    sets: tuple[str, ...] | None = None  # None: baseline and every source, each also at equal tokens
    sym: bool = True
    desc_act: bool = False
    damp_percent: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05

    def folder(self, set_name: str) -> str:
        """Name of the artefact's folder under `models/`."""
        group = "c" if self.group_size == -1 else str(self.group_size)
        return f"{self.method}-w{self.bits}g{group}-{set_name}"


class Evaluate(Section):
    """On what the artefacts are compared with the unquantized target."""

    perplexity: tuple[str, ...] = ("pydoc",)  # "pydoc" (every Python has it), "wikitext2", or a text file
    window: Annotated[int, Field(ge=8)] = 512  # tokens a window; windows do not overlap
    prose_tokens: Count = 16384  # at most, of each text
    answer_tokens: Count = 256  # at most, of each held-out answer
    batch_size: Count = 4
    bootstrap: Annotated[int, Field(ge=100)] = 2000  # resamples for each interval


class Settings(Section):
    """The whole file."""

    target: Target
    seeds: Seeds
    sources: dict[str, Source] = {}
    judge: Judge = Judge()
    assemble: Assemble = Assemble()
    recipes: tuple[Recipe, ...] = (Recipe(),)
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name in self.sources:
            if not name.isidentifier() or name == BASELINE:
                raise ValueError(f'sources.{name}: a source name is a word, and not "{BASELINE}"')
        known = self.set_names()
        for number, recipe in enumerate(self.recipes, 1):
            for set_name in recipe.sets or ():
                if set_name not in known:
                    raise ValueError(f"recipes[{number}].sets: no set {set_name!r}; there are {', '.join(known)}")
        folders = [recipe.folder(name) for recipe in self.recipes for name in self.sets_of(recipe)]
        for folder in folders:
            if folders.count(folder) > 1:
                raise ValueError(f"recipes: two recipes would both write models/{folder}")
        return self

    def set_names(self) -> tuple[str, ...]:
        """Every calibration set of this run: plain sets (equal samples), then their `-tokens` twins."""
        plain = (BASELINE, *self.sources)
        return (*plain, *(f"{name}{TOKENS_SUFFIX}" for name in plain)) if self.sources else plain

    def sets_of(self, recipe: Recipe) -> tuple[str, ...]:
        """The sets a recipe is quantized on."""
        return recipe.sets if recipe.sets is not None else self.set_names()
