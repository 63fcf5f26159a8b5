"""`[target]` and `[seeds]`: what is quantized, and the questions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from faq_tui.core.extensions import SEED_FORMATS
from faq_tui.core.settings.section import Count, Section


class Target(Section):
    """The model that is quantized."""

    model: str  # hub id, local folder, or "embedded"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # of scoring and evaluation
    trust_remote_code: bool = False


class Seeds(Section):
    """Where the questions come from, and how many are used."""

    path: str  # see `seed_kinds`
    count: Count = 256  # seeds that are regenerated
    heldout: Annotated[int, Field(ge=0)] = 32  # further seeds, kept apart for the evaluation
    sample_seed: int = 0  # of the draw
    shape: Literal["auto", "messages", "prompt", "text"] = "auto"
    prompt_field: str | None = None
    answer_field: str | None = None
    split: str = "train"  # of a `datasets` id
    on_problem: Literal["skip", "refuse"] = "skip"  # a broken, empty or duplicate line


class Preset(Section):
    """Written by `faq-tui init --preset`; it changes nothing but what `faq-tui status` compares with."""

    name: Annotated[str, Field(pattern=r"^paper/table([1-9]|1[01])$")]
    model: str  # the target as that table writes it


def seed_kinds() -> str:
    """What `seeds.path` can name, in words: the endings of files, then everything else."""
    formats = SEED_FORMATS.all()
    endings = [suffix.removeprefix(".") for one in formats for suffix in one.suffixes]
    others = [one.title for one in formats if not one.suffixes]
    return ", ".join([*endings, *others, 'or "starter"'])
