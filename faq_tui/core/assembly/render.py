"""Rendering with the target's chat template, and the proof that nothing was lost on the way.

Most templates drop the reasoning without a word. So each conversation is first rendered with marks in the
place of reasoning and answer: where the marks come out is where the texts belong. The real rendering must
then equal the marked one with the texts put in; otherwise the next way is tried, and at last the sample is
refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faq_tui.core.assembly.template import RefusedError, Template
from faq_tui.core.endpoints.think import CLOSE, OPEN

Message = dict[str, str]
Span = tuple[int, int]

REASONING_MARK, ANSWER_MARK = "\ue000faqreasoning\ue001", "\ue000faqanswer\ue001"


@dataclass(frozen=True)
class Rendered:
    """Token ids of one conversation. Spans are [start, end) in tokens, (0, 0) where there is none."""

    ids: tuple[int, ...]
    reasoning: Span = (0, 0)
    answer: Span = (0, 0)
    way: str = "template"  # template | generation_prompt | inline


def render_seed(template: Template, messages: Sequence[Message], answer: str | None) -> Rendered:
    """The seed as it is: templated, with its original answer where it has one. Raises RefusedError."""
    if answer:
        return render_answered(template, messages, "", answer)
    _check_texts(template, [message["content"] for message in messages])
    text = template.render(list(messages))
    if messages[-1]["content"] not in text:
        raise RefusedError("the chat template loses the question")
    return Rendered(tuple(template.encode(text)[0]))


def render_answered(template: Template, messages: Sequence[Message], reasoning: str, answer: str) -> Rendered:
    """Question, reasoning ("" for none) and answer. Raises RefusedError."""
    _check_texts(template, [*(message["content"] for message in messages), reasoning, answer])
    if not answer.strip():
        raise RefusedError("the answer is empty")
    if template.thinks and any(tag in text for text in (reasoning, answer) for tag in (OPEN, CLOSE)):
        raise RefusedError("the reasoning or the answer holds a think tag")
    for way, marked, real in _ways(template, list(messages), reasoning, answer):
        if marked.count(ANSWER_MARK) != 1 or marked.count(REASONING_MARK) != bool(reasoning):
            continue
        if reasoning and marked.index(REASONING_MARK) > marked.index(ANSWER_MARK):
            continue
        text, spans = _fill(marked, {REASONING_MARK: reasoning, ANSWER_MARK: answer})
        if real is not None and real != text:
            continue  # the template changes these texts: they would not be whole
        if reasoning and way != "inline" and not _one_closed_think(text, spans):
            continue
        ids, offsets = template.encode(text)
        token_span = {mark: _tokens_in(offsets, span) for mark, span in spans.items()}
        return Rendered(tuple(ids), token_span.get(REASONING_MARK, (0, 0)), token_span[ANSWER_MARK], way)
    raise RefusedError("the chat template changes or loses the reasoning or the answer")


def _ways(
    template: Template, messages: list[Message], reasoning: str, answer: str
) -> Iterator[tuple[str, str, str | None]]:
    """(name, rendering with marks, real rendering or None where ours is the only one), best way first."""

    def conversation(thought: str, said: str) -> list[Message]:
        assistant = {"role": "assistant", "content": said}
        return [*messages, assistant | ({"reasoning_content": thought} if thought else {})]

    thought_mark = REASONING_MARK if reasoning else ""
    yield (
        "template",
        template.render(conversation(thought_mark, ANSWER_MARK)),
        template.render(conversation(reasoning, answer)),
    )
    if not reasoning:
        return
    if template.thinks:
        # The template strips reasoning from finished turns: build the turn as the model itself writes it.
        prompt = template.render(messages, add_generation_prompt=True)
        opening = "" if prompt.rstrip().endswith(OPEN) else f"{OPEN}\n"
        ending = template.render(conversation("", ANSWER_MARK)).partition(ANSWER_MARK)[2]
        if template.eos and template.eos not in ending:
            ending = template.eos + ending
        yield (
            "generation_prompt",
            f"{prompt}{opening}{REASONING_MARK}\n{CLOSE}\n\n{ANSWER_MARK}{ending}",
            None,
        )
        return
    # A model that never learnt to think between tags reasons in its answer's own text.
    yield (
        "inline",
        template.render(conversation("", f"{REASONING_MARK}\n\n{ANSWER_MARK}")),
        template.render(conversation("", f"{reasoning}\n\n{answer}")),
    )


def _check_texts(template: Template, texts: Sequence[str]) -> None:
    for text in texts:
        for special in template.specials:
            if special in text:
                raise RefusedError(f"a text holds the target's special token {special}")
        if REASONING_MARK in text or ANSWER_MARK in text:
            raise RefusedError("a text holds faq-tui's own marks")


def _fill(marked: str, texts: dict[str, str]) -> tuple[str, dict[str, Span]]:
    """The rendering with each mark replaced, and where its text stands, in characters."""
    out, spans, rest = "", {}, marked
    for mark in sorted((m for m in texts if m in marked), key=marked.index):
        before, _, rest = rest.partition(mark)
        out += before
        spans[mark] = (len(out), len(out) + len(texts[mark]))
        out += texts[mark]
    return out + rest, spans


def _one_closed_think(text: str, spans: dict[str, Span]) -> bool:
    """The reasoning alone stands between a think tag's opening and its closing, and the answer follows."""
    (start, end), (answer, _) = spans[REASONING_MARK], spans[ANSWER_MARK]
    return text[:start].rstrip().endswith(OPEN) and text[end:answer].strip() == CLOSE


def _tokens_in(offsets: Sequence[Span], span: Span) -> Span:
    """The tokens that share a character with the span: byte-level tokens can cover its edge."""
    touched = [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)
