"""Split whole replies of servers. Some replies do not keep to the tags of a dialect.

The opening tag may be missing, because the prompt contains it. The special tokens may be missing, because the server
removes them from the text. The reasoning may be in tags that no dialect has. The answer may be in tags, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from faq_tui.core.chat.dialects.base import ReasoningDialect

Parts = tuple[str, str, bool]  # (reasoning, answer, closed); closed is False if the reasoning has no closing tag

_THINKING = (
    "think|thinking|thoughts?|reason|reasoning|analysis|scratch_?pad|reflections?|rationale|monologue|cot"
    "|deliberation|inner_prefix|planning|brainstorm(?:ing)?|contemplation|introspection|inner_voice"
)
_ANSWERING = "answer|response|solution|final|output|reply|result|outer_prefix"
# Matches a name, such as `think`, `mm:think`, `longcat_think`, `begin_of_thought`, `START_THINKING` or
# `thought_process`.
_NAME = (
    "(?:[a-z]+[:_-])*(?:{words})(?:[_-](?:start|begin|on|process|block|steps?|scratch|notes?|phase|trace|section))?"
)
# Matches `<name>`, `<|name|>`, `<|name>`, `[NAME]` and `◁name▷`. `<name>` may have attributes.
_TAG = r"(?P<left><\|?|\[|◁)(?P<name>{name})(?P<more>\s[^<>\[\]\n]{{0,80}})?(?P<right>\|?>|\]|▷)"
_OPEN, _OPEN_ANSWER = (
    re.compile(rf"\s*{_TAG.format(name=_NAME.format(words=words))}", re.IGNORECASE)
    for words in (_THINKING, _ANSWERING)
)
_CLOSE_ALONE = re.compile(
    rf"(?:</\|?|<\|/|\[/|◁/){_NAME.format(words=_THINKING)}(?:\|?>|\]|▷)[ \t]*(?=\n|$)", re.IGNORECASE
)
_BRACKETS = {"<": ">", "<|": "|>", "[": "]", "◁": "▷"}
_ENDS = (("start", "end"), ("begin", "end"), ("prefix", "suffix"), ("open", "close"))
_QUOTES = frozenset("`'\"“‘")
END_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<|return|>"),
    *("</s>", "<eos>", "<end_of_turn>", "<turn|>", "<seed:eos>", "<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>"),
    *("<｜end▁of▁sentence｜>", "<|end_of_turn|>", "<|eot|>", "[e~[", "<|end_of_role|>"),
)


@dataclass(frozen=True)
class OtherTags(ReasoningDialect):
    """A dialect for tags that no other dialect has.

    A reply must begin with a tag about thinking, such as <thought>.
    """

    def split_reply(self, text: str) -> Parts | None:
        opening = _OPEN.match(text)
        if opening is None or not _is_tag(opening):
            return None
        body = text[opening.end() :]
        close = _close_of(opening).search(body)
        if close is None:
            return body.strip(), "", False
        return body[: close.start()].strip(), body[close.end() :].strip(), True


@dataclass(frozen=True)
class Headings(ReasoningDialect):
    """A dialect without tags.

    One fixed sentence begins the reasoning, and another fixed sentence begins the answer.
    """

    heading: str = ""
    answer_heading: str = ""

    def split_reply(self, text: str) -> Parts | None:
        if not text.lstrip().startswith(self.heading):
            return None
        reasoning, found, answer = text.partition(self.heading)[2].partition(self.answer_heading)
        return reasoning.strip(), answer.strip(), bool(found)


def closed_alone(text: str, dialects: Iterable[ReasoningDialect]) -> Parts | None:
    """Split a reply that has a closing tag, but no opening tag.

    Returns None if the reply has no closing tag, or several closing tags.

    A tag in quotation marks does not count.
    """
    spans = {
        (text.index(d.close), text.index(d.close) + len(d.close)) for d in dialects if _closes(text, d.open, d.close)
    }
    for match in _CLOSE_ALONE.finditer(text):
        if _closes(text, match[0].rstrip().replace("/", "", 1), match[0]):
            spans.add(match.span())
    if len(spans) != 1:
        return None
    ((start, end),) = spans
    return text[:start].strip(), text[end:].strip(), True


def _closes(text: str, opening: str, closing: str) -> bool:
    start = text.find(closing)
    return start >= 0 and text.count(closing) == 1 and opening not in text and text[start - 1 : start] not in _QUOTES


def unwrapped(answer: str, reasoned: bool) -> str:
    """Remove the end tokens after the answer.

    If the reply has reasoning, remove tags around the whole answer, too.
    """
    answer = without_end_tokens(answer)
    opening = _OPEN_ANSWER.match(answer) if reasoned else None
    if opening is None or not _is_tag(opening):
        return answer
    body = answer[opening.end() :]
    close = _close_of(opening).search(body)
    if close is not None and body[close.end() :].strip():
        return answer
    return without_end_tokens(body if close is None else body[: close.start()])


def without_end_tokens(text: str) -> str:
    """Remove the end tokens at the end of the text. Some servers do not remove end tokens."""
    text = text.strip()
    while (end := next((token for token in END_TOKENS if text.endswith(token)), None)) is not None:
        text = text.removesuffix(end).rstrip()
    return text


def _is_tag(match: re.Match[str]) -> bool:
    """True if the left and the right bracket of the match belong together, as in a tag.

    `<|` and `>` also belong together, because Gemma writes `<|channel>`.
    """
    left, more, right = match["left"], match["more"] or "", match["right"]
    if left == "[" and not match["name"].isupper():  # `[Analysis](…)` is a link, not a tag
        return False
    if more and (left != "<" or more.endswith("/")):
        return False
    return _BRACKETS[left] == right or (left, right) == ("<|", ">")


def _close_of(opening: re.Match[str]) -> re.Pattern[str]:
    left, name, right = opening["left"], opening["name"], opening["right"]
    if (left, right) == ("<|", ">"):
        return re.compile(re.escape(f"<{name}|>"), re.IGNORECASE)
    names = {name.lower().replace(*pair) for pair in _ENDS} - {name.lower()}
    names |= {f"/{name}"} | ({f"end_{name}", f"{name}_end", f"end_of_{name}"} if left == "<|" else set())
    spelled = [f"{left}{one}{right}" for one in names] + ([f"</|{name}|>"] if left == "<|" else [])
    return re.compile("|".join(map(re.escape, sorted(spelled))), re.IGNORECASE)
