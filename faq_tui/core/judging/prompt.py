"""Write the prompt of an LLM judge. The prompt has the rubric, the question, whole answers, and shortened reasoning.

The number of tokens is estimated as the number of UTF-8 bytes divided by four, because the judge's tokenizer is not
available. For English text, this estimate of the number of tokens is about right. For text in most other scripts, the
estimate is at least the true number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from faq_tui.core.base.hashing import digest
from faq_tui.core.judging.reply import example
from faq_tui.core.judging.reply_json import ALONE
from faq_tui.core.prompts import JUDGE, JUDGE_LIST, JUDGE_REPAIR, Prompt, load_prompt
from faq_tui.core.settings import JudgeSettings
from faq_tui.core.settings.prompt_file import text_of

BYTES_A_TOKEN = 4
REPLY_TOKENS = 120  # At least this number of tokens of the reply is reserved for each answer.
TEMPLATE_TOKENS = 32  # tokens that the server's chat template adds
SHARE = 0.9  # a prompt fills at most this share of the window, because its number of tokens is only an estimate
# minimum number of tokens in an excerpt of reasoning; a shorter excerpt is useless to the judge
LEAST_REASONING = 32
MOST_TOGETHER = len(ascii_uppercase)


@dataclass(frozen=True)
class ShownAnswer:
    """An answer that the judge sees. The answer is a candidate, or an artificial answer for the test of the judge."""

    reasoning: str
    answer: str


@dataclass(frozen=True)
class PromptBudget:
    """Limits for one request, in tokens. With these limits, prompt and reply fit into the judge's window."""

    reasoning_tokens: int  # The reasoning of each answer is cut to this number of tokens.
    max_tokens: int  # The reply may have at most this number of tokens.
    cut: bool = False  # True if the window has less room for reasoning than the settings allow


def labels_of(count: int) -> tuple[str, ...]:
    return (ALONE,) if count == 1 else tuple(ascii_uppercase[:count])


def prompt_of(question: str, answers: Sequence[ShownAnswer], reasoning_tokens: int, rubric: str | None = None) -> str:
    """The text of the request. A single answer is scored by itself; several answers are compared with each other.

    `rubric` replaces the criteria in faq-tui's prompt.
    """
    labels = labels_of(len(answers))
    # In the prompt, a hash of all candidates marks the end of each candidate. No candidate can contain this hash, so
    # no candidate can forge such a mark.
    fence = digest(question, [[a.reasoning, a.answer] for a in answers], length=8)
    values = {
        "fence": fence,
        "question": question,
        "answers": "\n\n".join(
            _block(label, a, reasoning_tokens, fence) for label, a in zip(labels, answers, strict=True)
        ),
        "example": example(labels),
        "count": str(len(answers)),
        "labels": ", ".join(labels),
    }
    prompt = load_prompt(JUDGE if len(answers) == 1 else JUDGE_LIST)
    if rubric is not None:
        prompt, values["rubric"] = _with_place_for_rubric(prompt), rubric
    return prompt.fill(**values)


def _with_place_for_rubric(prompt: Prompt) -> Prompt:
    """The prompt of faq-tui, with `{rubric}` instead of its second paragraph, which holds the criteria."""
    task, _criteria, rest = prompt.text.split("\n\n", 2)
    return Prompt(prompt.version, f"{task}\n\n{{rubric}}\n\n{rest}")


def repair_of(error: str, count: int) -> str:
    """The request to repair a reply that does not fit the schema."""
    return load_prompt(JUDGE_REPAIR).fill(error=error, example=example(labels_of(count)))


def versions(rubric: str | None) -> list[str]:
    """The versions of all prompts that affect a score, and the hash of the person's rubric, if there is one."""
    shipped = [load_prompt(name).version for name in (JUDGE, JUDGE_LIST, JUDGE_REPAIR)]
    return shipped if rubric is None else [*shipped, f"rubric/{digest(rubric, length=8)}"]


def budget_for(
    question: str, answers: Sequence[ShownAnswer], judge: JudgeSettings, window: int | None
) -> PromptBudget | None:
    """The budget of a request for a window of `window` tokens.

    If `window` is None, the window is assumed to be large enough. Returns None if the answers do not fit into the
    window, even without reasoning.
    """
    count = len(answers)
    longest = max((tokens(a.reasoning) for a in answers), default=0)
    full, most = min(judge.reasoning_tokens, longest), judge.max_tokens * count
    if window is None:
        return PromptBudget(judge.reasoning_tokens, most)
    least = min(most, REPLY_TOKENS * count)
    bare = tokens(prompt_of(question, answers, 0, text_of(judge.rubric))) + TEMPLATE_TOKENS
    usable = int(window * SHARE)
    left = usable - bare - least
    if left < 0:
        return None
    budget = min(full, left // count)
    if budget < min(LEAST_REASONING, full):
        return None if count > 1 else PromptBudget(0, min(most, usable - bare), True)
    left_for_reply = usable - bare - sum(min(budget, tokens(a.reasoning)) for a in answers)
    cut = budget < full
    return PromptBudget(budget if cut else judge.reasoning_tokens, min(most, left_for_reply), cut)


def tokens(text: str) -> int:
    """An estimate of the number of tokens in a text."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN)


def shorten(text: str, limit: int) -> str:
    """Shorten a text of more than `limit` tokens to its beginning and its end. A shorter text stays unchanged."""
    over = tokens(text) - limit
    if over <= 0:
        return text
    # The limit in characters is the limit in tokens, times the text's average number of characters per token.
    kept = len(text) * limit // max(1, tokens(text))
    half = kept // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[len(text) - half :]}"


def _block(label: str, answer: ShownAnswer, reasoning_tokens: int, fence: str) -> str:
    name = f" {label}" if label else ""
    reasoning = shorten(answer.reasoning, reasoning_tokens) or "(none given)"
    return (
        f"<<<REASONING{name} {fence}\n{reasoning}\nREASONING{name} {fence}\n\n"
        f"<<<ANSWER{name} {fence}\n{answer.answer}\nANSWER{name} {fence}"
    )
