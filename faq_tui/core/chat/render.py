"""Rendering with the target's chat template, and the proof that nothing was lost on the way.

Most templates drop the reasoning without a word. So each conversation is first rendered with a mark in the
place of every text. Each mark must come out once, in order, with the reasoning in one closed think block and
an end token behind the answer; the real rendering must equal the marked one with the texts put in. Otherwise
the next way is tried, and at last the sample is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faq_tui.core.chat.placeholders import (
    ANSWER_MARK,
    REASONING_MARK,
    Message,
    Span,
    check_texts,
    fill_placeholders,
    history,
    message_placeholder,
    with_placeholders,
)
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.template_reasoning import TAGS
from faq_tui.core.chat.think_tags import CLOSE, OPEN


@dataclass(frozen=True)
class Rendered:
    """Token ids of one conversation. Spans are [start, end) in tokens, (0, 0) where there is none."""

    ids: tuple[int, ...]
    reasoning: Span = (0, 0)
    answer: Span = (0, 0)
    way: str = "template"  # template | generation_prompt | inline | raw
    question: Span = (0, 0)  # the last one of the user


def render_raw(template: Template, messages: Sequence[Message], answer: str | None) -> Rendered:
    """The texts alone, an empty line between them, without any template. Raises RefusedError."""
    texts = [message["content"] for message in history(messages) if message["content"]]
    check_texts(template, [*texts, answer or ""])
    asked = "\n\n".join(texts)
    text = f"{asked}\n\n{answer}" if answer else asked
    ids, offsets = template.encode(text)
    spoken = _tokens_in(offsets, (len(asked) + 2, len(text))) if answer else (0, 0)
    asked_last = (len(asked) - len(texts[-1]), len(asked))
    return Rendered(tuple(ids), (0, 0), spoken, "raw", _tokens_in(offsets, asked_last))


def render_seed(template: Template, messages: Sequence[Message], answer: str | None) -> Rendered:
    """The seed as it is: templated, with its original answer where it has one. Raises RefusedError."""
    if answer:
        return render_answered(template, messages, "", answer)
    asked = history(messages)
    check_texts(template, [message["content"] for message in asked])
    stand_ins, texts = with_placeholders(asked)
    filled = fill_placeholders(template.render(stand_ins), texts)
    if filled is None or filled[0] != template.render(asked):
        raise NotAssembledError("the chat template changes or loses the question")
    ids, offsets = template.encode(filled[0])
    return Rendered(tuple(ids), question=_tokens_in(offsets, filled[1][message_placeholder(len(asked) - 1)]))


def render_answered(template: Template, messages: Sequence[Message], reasoning: str, answer: str) -> Rendered:
    """Question, reasoning ("" for none) and answer. Raises RefusedError.

    White space around reasoning and answer is the template's to set.
    """
    asked, reasoning, answer = history(messages), reasoning.strip(), answer.strip()
    check_texts(template, [*(message["content"] for message in asked), reasoning, answer])
    if not answer:
        raise NotAssembledError("the answer is empty")
    if template.knows_think_tags and any(tag in text for text in (reasoning, answer) for tag in (OPEN, CLOSE)):
        raise NotAssembledError("the reasoning or the answer holds a think tag")
    stand_ins, texts = with_placeholders(asked)
    texts |= ({REASONING_MARK: reasoning} if reasoning else {}) | {ANSWER_MARK: answer}
    last = message_placeholder(len(asked) - 1)
    for (way, rendering), (_, real) in zip(
        _ways(template, stand_ins, REASONING_MARK if reasoning else "", ANSWER_MARK),
        _ways(template, asked, reasoning, answer),
        strict=True,
    ):
        filled = fill_placeholders(rendering, texts)
        if (
            filled is None
            or filled[0] != real
            or not _proven(template, rendering.partition(last)[2], bool(reasoning))
        ):
            continue
        ids, offsets = template.encode(real)
        spans = {mark: _tokens_in(offsets, span) for mark, span in filled[1].items()}
        return Rendered(tuple(ids), spans.get(REASONING_MARK, (0, 0)), spans[ANSWER_MARK], way, spans[last])
    alone = {mark: text for mark, text in texts.items() if mark not in (REASONING_MARK, ANSWER_MARK)}
    filled = fill_placeholders(template.render(stand_ins), alone)
    lost = "the question" if filled is None or filled[0] != template.render(asked) else "the reasoning or the answer"
    raise NotAssembledError(f"the chat template changes or loses {lost}")


def _ways(template: Template, asked: list[Message], reasoning: str, answer: str) -> Iterator[tuple[str, str]]:
    """(name, rendering), best way first. For the same template always the same ways."""
    assistant = {"role": "assistant", "content": answer}
    if not reasoning:
        yield "template", template.render([*asked, assistant])
    elif template.thinking:
        yield "template", template.render([*asked, assistant | template.thinking.said(reasoning, answer)])
    else:
        # A model that does not think between tags reasons in its answer's own text.
        yield "inline", template.render([*asked, assistant | {"content": f"{reasoning}\n\n{answer}"}])
    thinking = bool(reasoning)
    prompt = template.render(asked, add_generation_prompt=True, enable_thinking=thinking, thinking=thinking)
    finished = template.render([*asked, {"role": "assistant", "content": ANSWER_MARK}])
    # Most templates open the model's turn when they are asked to, some (R1-0528's) behind every question.
    if prompt != template.render(asked) or finished.startswith(f"{prompt}{ANSWER_MARK}"):
        yield "generation_prompt", _as_the_model_writes_it(template, prompt, finished, reasoning, answer)


def _as_the_model_writes_it(template: Template, prompt: str, finished: str, reasoning: str, answer: str) -> str:
    """The generation prompt and what follows it: for templates that strip the reasoning of finished turns.

    `finished`: the conversation with a mark for the answer.
    """
    ending = finished.rpartition(ANSWER_MARK)[2] if ANSWER_MARK in finished else ""
    if template.eos and not _ends(template, ending):
        ending = f"{ending.rstrip()}{template.eos}"
    if not reasoning:
        return f"{prompt}{answer}{ending}"
    style = template.thinking
    if style is None:
        return f"{prompt}{reasoning}\n\n{answer}{ending}"
    opening = "" if prompt.rstrip().endswith(style.open) else style.opening
    return f"{prompt}{opening}{reasoning}{style.closing}{answer}{ending}"


def _proven(template: Template, turn: str, reasoned: bool) -> bool:
    """Of the marked text after the last question: one closed think block, and an end token behind the answer."""
    before, _, after = turn.partition(ANSWER_MARK)
    style = template.thinking or TAGS
    tags = (before.count(style.open), before.count(style.close))
    if not _ends(template, after) or style.open in after or style.close in after:
        return False
    if not reasoned:
        return tags == style.plain or (tags == (1, 1) and before.index(style.open) < before.index(style.close))
    opening, _, closing = before.partition(REASONING_MARK)
    if template.thinking:
        return tags == (1, 1) and opening.rstrip().endswith(style.open) and closing.strip() == style.close
    return tags == (0, 0) and not closing.strip()


def _ends(template: Template, after: str) -> bool:
    """What stands behind the answer begins with a special token."""
    return after.lstrip().startswith(template.specials)


def _tokens_in(offsets: Sequence[Span], span: Span) -> Span:
    """The tokens that share a character with the span: byte-level tokens can cover its edge."""
    touched = [i for i, (start, end) in enumerate(offsets) if start < span[1] and end > span[0]]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)
