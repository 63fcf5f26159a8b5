"""Render a conversation with the target's chat template, and check that no text was lost.

First, the template is rendered with placeholders instead of the texts. The placeholders show the position of each
text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from faq_tui.core.chat.dialects import begins_with_reasoning, split_reasoning
from faq_tui.core.chat.dialects.families import THINK
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import ANSWER, QUESTION, REASONING, kinds_of, tokens_in
from faq_tui.core.chat.turns import Message, other_turns

Span = tuple[int, int]

PREFIX = "\ue000faq"
REASONING_PLACEHOLDER, ANSWER_PLACEHOLDER = f"{PREFIX}reasoning\ue001", f"{PREFIX}answer\ue001"


@dataclass(frozen=True)
class Filled:
    """A conversation that was rendered with a chat template.

    `spans` maps each placeholder to the span of the text that replaced the placeholder. A span is [start, end) in
    characters.
    """

    text: str
    spans: dict[str, Span]


def message_placeholder(index: int) -> str:
    return f"{PREFIX}{index}\ue001"


def history(messages: Sequence[Message]) -> list[Message]:
    """The messages without the reasoning of earlier answers.

    The chat templates of reasoning models also leave this reasoning out.

    Raises NotAssembledError if the reasoning of an earlier answer has no closing tag.
    """
    out = []
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            _, content, closed = split_reasoning(content)
            if not closed or (message["content"] and not content):
                raise NotAssembledError("the reasoning of an earlier answer has no closing tag")
        out.append({"role": message["role"], "content": content})
    return out


def with_placeholders(messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """Replace the texts of the messages by placeholders. Empty texts stay empty.

    Returns the new messages, and a dict that maps each placeholder to its text.
    """
    texts = {message_placeholder(i): message["content"] for i, message in enumerate(messages) if message["content"]}
    return [
        message | ({"content": message_placeholder(i)} if message["content"] else {})
        for i, message in enumerate(messages)
    ], texts


def fill_placeholders(rendering: str, texts: Mapping[str, str]) -> Filled | None:
    """Replace each placeholder in the rendering by its text.

    Returns None if a placeholder is missing, repeated or not in the order of `texts`.
    """
    out, spans, rest = "", {}, rendering
    for placeholder, text in texts.items():
        before, separator, rest = rest.partition(placeholder)
        if not separator or PREFIX in before:
            return None
        out += before
        spans[placeholder] = (len(out), len(out) + len(text))
        out += text
    return None if PREFIX in rest else Filled(out + rest, spans)


def check_texts(template: Template, texts: Sequence[str]) -> None:
    """Raise NotAssembledError if a text contains a special token or one of faq-tui's placeholders."""
    for text in texts:
        for special in template.specials:
            if special in text:
                raise NotAssembledError(f"a text contains the target's special token {special}")
        if PREFIX in text:
            raise NotAssembledError("a text contains faq-tui's own placeholders")


@dataclass(frozen=True)
class Rendered:
    """The token ids of one conversation. A span is [start, end) in tokens. The span of a missing text is (0, 0)."""

    ids: tuple[int, ...]
    reasoning: Span = (0, 0)
    answer: Span = (0, 0)
    way: str = "template"  # "template", "generation_prompt", "inline" or "raw"
    question: Span = (0, 0)  # the user's last message
    kinds: bytes = b""  # for each token, an index into token_kinds.KINDS


def render_raw(template: Template, messages: Sequence[Message], answer: str | None) -> Rendered:
    """Render the texts without a template, separated by empty lines. Raises NotAssembledError."""
    messages = [message for message in history(messages) if message["content"]]
    texts = [*(message["content"] for message in messages), *([answer] if answer else [])]
    check_texts(template, texts)
    ids, offsets = template.encode("\n\n".join(texts))
    spans, end = [], -2
    for text in texts:
        start, end = end + 2, end + 2 + len(text)
        spans.append(tokens_in(offsets, (start, end)))
    kinds = [_kind(message["role"]) for message in messages] + [ANSWER]
    return Rendered(
        tuple(ids),
        answer=spans[-1] if answer else (0, 0),
        way="raw",
        question=spans[len(messages) - 1],
        kinds=kinds_of(len(ids), zip(spans, kinds, strict=False), other=QUESTION),
    )


def split_original(template: Template, answer: str) -> tuple[str, str]:
    """Split a seed's original answer into (reasoning, answer).

    The original answer may begin with reasoning in the tags of any dialect.

    If the template cannot write reasoning, the answer is split only if it contains reasoning tags of the target. The
    result for an answer that is not split is ("", `answer`). Raises NotAssembledError if the reasoning has no closing
    tag.
    """
    mistaken = any(tag in answer for tag in template.reasoning_tags)
    if not mistaken and (template.dialect is None or not begins_with_reasoning(answer)):
        return "", answer
    reasoning, rest, closed = split_reasoning(answer)
    if not closed:
        raise NotAssembledError("the reasoning of the original answer has no closing tag")
    return reasoning, rest


def render_seed(template: Template, messages: Sequence[Message], answer: str | None) -> Rendered:
    """Render the seed and its original answer, if there is one, with the chat template. Raises NotAssembledError.

    If the template refuses or loses a turn, the turns are written in another way (see `other_turns`).
    """
    if answer:
        return render_answered(template, messages, *split_original(template, answer))
    return _in_turns_that_fit(messages, lambda turns: _render_question(template, turns))


def _in_turns_that_fit(messages: Sequence[Message], render: Callable[[Sequence[Message]], Rendered]) -> Rendered:
    """Render `messages`. If the template refuses `messages`, render the first of the variants from `other_turns` that
    it accepts.

    If the template refuses all variants, the error for `messages` is raised.
    """
    try:
        return render(messages)
    except NotAssembledError:
        for turns in other_turns(messages):
            with suppress(NotAssembledError):
                return render(turns)
        raise


def fitting_turns(render: Callable[[list[Message]], str], messages: Sequence[Message]) -> list[Message]:
    """Find turns that `render` can write without the loss of a text.

    The function tries `messages` first, then each of `other_turns`.

    If `render` always loses a text, the result is `messages`. `render` may raise any Exception.
    """
    as_they_are = [dict(message) for message in messages]
    others = list(other_turns(messages))
    for turns in (as_they_are, *others) if others else ():
        stand_ins, texts = with_placeholders(turns)
        with suppress(Exception):
            if fill_placeholders(render(stand_ins), texts) is not None:
                return turns
    return as_they_are


def _render_question(template: Template, messages: Sequence[Message]) -> Rendered:
    messages = history(messages)
    check_texts(template, [message["content"] for message in messages])
    stand_ins, texts = with_placeholders(messages)
    filled = fill_placeholders(template.render(stand_ins), texts)
    if filled is None or filled.text != template.render(messages):
        raise NotAssembledError("the chat template changes or loses the question")
    return _rendered(template, messages, filled, "template")


def render_answered(template: Template, messages: Sequence[Message], reasoning: str, answer: str) -> Rendered:
    """Render the question, the reasoning and the answer. The reasoning may be "". Raises NotAssembledError.

    The template determines the white space around the reasoning and the answer. If the template refuses or loses a
    turn, the turns are written in another way (see `other_turns`).
    """
    return _in_turns_that_fit(messages, lambda turns: _render_answered(template, turns, reasoning, answer))


def _render_answered(template: Template, messages: Sequence[Message], reasoning: str, answer: str) -> Rendered:
    messages, reasoning, answer = history(messages), reasoning.strip(), answer.strip()
    _check(template, messages, reasoning, answer)
    stand_ins, texts = with_placeholders(messages)
    reasoning_placeholder = REASONING_PLACEHOLDER if reasoning else ""
    texts |= ({REASONING_PLACEHOLDER: reasoning} if reasoning else {}) | {ANSWER_PLACEHOLDER: answer}
    for way, write in _ways(template, stand_ins, bool(reasoning)):
        rendering = write(template, stand_ins, reasoning_placeholder, ANSWER_PLACEHOLDER)
        real = write(template, messages, reasoning, answer)
        turn = rendering.partition(message_placeholder(len(messages) - 1))[2]
        filled = fill_placeholders(rendering, texts)
        if filled is not None and filled.text == real and _proven(template, turn, bool(reasoning)):
            return _rendered(template, messages, filled, way)
    raise NotAssembledError(f"the chat template changes or loses {_lost(template, messages)}")


def _check(template: Template, messages: Sequence[Message], reasoning: str, answer: str) -> None:
    """Raise NotAssembledError if the answer is empty, or if a text contains tags or special tokens."""
    check_texts(template, [*(message["content"] for message in messages), reasoning, answer])
    if not answer:
        raise NotAssembledError("the answer is empty")
    if any(tag in text for text in (reasoning, answer) for tag in template.reasoning_tags):
        raise NotAssembledError("the reasoning or the answer contains a reasoning tag")


def _rendered(template: Template, messages: Sequence[Message], filled: Filled, way: str) -> Rendered:
    """Encode the text. Returns the token ids with the spans and the kinds of the texts."""
    ids, offsets = template.encode(filled.text)
    kind = {message_placeholder(i): _kind(message["role"]) for i, message in enumerate(messages)}
    kind |= {REASONING_PLACEHOLDER: REASONING, ANSWER_PLACEHOLDER: ANSWER}
    spans = {placeholder: tokens_in(offsets, span) for placeholder, span in filled.spans.items()}
    return Rendered(
        tuple(ids),
        reasoning=spans.get(REASONING_PLACEHOLDER, (0, 0)),
        answer=spans.get(ANSWER_PLACEHOLDER, (0, 0)),
        way=way,
        question=spans[message_placeholder(len(messages) - 1)],
        kinds=kinds_of(len(ids), ((span, kind[placeholder]) for placeholder, span in spans.items())),
    )


def _kind(role: str) -> str:
    return ANSWER if role == "assistant" else QUESTION


def _lost(template: Template, messages: list[Message]) -> str:
    stand_ins, texts = with_placeholders(messages)
    filled = fill_placeholders(template.render(stand_ins), texts)
    kept = filled is not None and filled.text == template.render(messages)
    return "the reasoning or the answer" if kept else "the question"


# The function takes (template, messages, reasoning, answer) and returns the rendered text.
Write = Callable[[Template, list[Message], str, str], str]


def _ways(template: Template, messages: list[Message], reasoned: bool) -> Iterator[tuple[str, Write]]:
    """Yields functions that write the conversation, the best one first.

    Each item is (name of the way, function that writes the conversation).
    """
    yield ("inline" if reasoned and template.dialect is None else "template"), _as_the_template_writes_it
    if _opens_the_turn(template, messages, reasoned):
        yield "generation_prompt", _as_the_model_writes_it


def _as_the_template_writes_it(template: Template, messages: list[Message], reasoning: str, answer: str) -> str:
    """Let the template write the whole conversation.

    If the model has no reasoning tags, the reasoning becomes the beginning of the answer.
    """
    fields: dict[str, object] = {"content": answer}
    if reasoning and template.dialect:
        fields = template.dialect.message(reasoning, answer)
    elif reasoning:
        fields = {"content": f"{reasoning}\n\n{answer}"}
    return template.render([*messages, {"role": "assistant", "content": answer} | fields])


def _as_the_model_writes_it(template: Template, messages: list[Message], reasoning: str, answer: str) -> str:
    """Join the generation prompt and the reply.

    For templates that remove the reasoning from finished turns, this function replaces the template for the reply.
    """
    prompt, finished = _prompt(template, messages, bool(reasoning)), _finished(template, messages)
    ending = finished.rpartition(ANSWER_PLACEHOLDER)[2] if ANSWER_PLACEHOLDER in finished else ""
    if template.eos and not _ends(template, ending):
        ending = f"{ending.rstrip()}{template.eos}"
    if not reasoning:
        return f"{prompt}{answer}{ending}"
    dialect = template.dialect
    if dialect is None:
        return f"{prompt}{reasoning}\n\n{answer}{ending}"
    opening = "" if prompt.rstrip().endswith(dialect.open) else dialect.opening
    return f"{prompt}{opening}{reasoning}{dialect.closing}{answer}{ending}"


def _opens_the_turn(template: Template, messages: list[Message], reasoned: bool) -> bool:
    """True if the generation prompt opens the model's turn.

    Some templates, for example that of R1-0528, open the turn after every question.
    """
    prompt = _prompt(template, messages, reasoned)
    return prompt != template.render(messages) or _finished(template, messages).startswith(
        f"{prompt}{ANSWER_PLACEHOLDER}"
    )


def _prompt(template: Template, messages: list[Message], reasoned: bool) -> str:
    return template.render(messages, add_generation_prompt=True, enable_thinking=reasoned, thinking=reasoned)


def _finished(template: Template, messages: list[Message]) -> str:
    return template.render([*messages, {"role": "assistant", "content": ANSWER_PLACEHOLDER}])


def _proven(template: Template, turn: str, reasoned: bool) -> bool:
    """Check a rendering with placeholders. `turn` is the rendered text after the last question.

    The reasoning must lie between exactly one pair of tags, and an end token must follow the answer.
    """
    before, _, after = turn.partition(ANSWER_PLACEHOLDER)
    dialect = template.dialect or THINK
    tags = (before.count(dialect.open), before.count(dialect.close))
    if not _ends(template, after) or dialect.open in after or dialect.close in after:
        return False
    if not reasoned:
        return tags == dialect.plain or (tags == (1, 1) and before.index(dialect.open) < before.index(dialect.close))
    opening, _, closing = before.partition(REASONING_PLACEHOLDER)
    if template.dialect:
        return tags == (1, 1) and opening.rstrip().endswith(dialect.open) and closing.strip() == dialect.close
    return tags == (0, 0) and not closing.strip()


def _ends(template: Template, after: str) -> bool:
    """True if the text after the answer begins with a special token."""
    return after.lstrip().startswith(template.specials)
