"""`[evaluate]`: on what the artefacts are compared with the unquantized target."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from faq_tui.core.settings.benchmarks import Evalscope, LmEval, Serve
from faq_tui.core.settings.section import Count, Section

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
