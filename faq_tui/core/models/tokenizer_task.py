"""The worker's task `check_tokenizer`: try a model's tokenizer and chat template on short conversations.

A chat template is a program that strangers wrote. Therefore a child process runs the template, with limits on its
time and memory.
"""

from __future__ import annotations

import math
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from faq_tui.core.base import torch_free
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.render import Rendered, fitting_turns, history, render_answered, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.models.target import TargetModel

SECONDS = 3.0  # processor time in seconds for all renderings of one conversation
HARD_SECONDS = 7  # processor time after which the operating system ends the process
BYTES = 512 << 20  # memory for the template, in addition to the loaded libraries
REASONING, ANSWER = "First one, then the other.", "Both of them."
NAMED = ("bos_token", "eos_token", "pad_token")
LISTED = 8  # At most this many tokens without a row in the embedding are listed.


class _OutOfTimeError(BaseException):
    """The template took too long. The class is a BaseException, so that no `except Exception` catches it."""


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Send one message `checked` with the facts of `tokenizer_check.TokenizerFacts`.

    The keys of `spec` are key, name, path, trust_remote_code, rows and shapes. `rows` is the number of rows of the
    embedding, or None if unknown. `shapes` is a list of conversations, each a list of roles. Raises UsageError if the
    tokenizer cannot be loaded, or if the template takes too much time or memory.
    """
    trusted = bool(spec["trust_remote_code"])
    torch_free.declare()
    from faq_tui.core.models.tokenizer import load_tokenizer

    target = TargetModel(spec["name"], spec["path"], trusted, "cpu", "auto")
    tokenizer = load_tokenizer(target, spec["key"])
    _limit_memory()
    try:
        with _limited_time():
            template = Template(tokenizer)
        results = [_tried(template, roles) for roles in spec["shapes"] if not cancel.is_set]
    except _OutOfTimeError:
        raise UsageError(
            f"the chat template of {spec['key']} {spec['name']} takes longer than {SECONDS:g} s for a short "
            "conversation: use the template of the model's publisher"
        ) from None
    except NotAssembledError as refusal:
        raise UsageError(f"the chat template of {spec['key']} {spec['name']} cannot be used: {refusal}") from None
    send(
        "checked",
        specials=list(template.specials),
        eos=template.eos,
        shapes=results,
        **_beyond(tokenizer, spec["rows"]),
    )


def _tried(template: Template, roles: Sequence[str]) -> dict[str, Any]:
    """The results of one conversation. A text is the reason for a failure, or "" after a success."""
    messages = [{"role": role, "content": f"Text {number}."} for number, role in enumerate(roles, 1)]
    ids: list[int] = []

    def reason(render: Callable[[], Rendered]) -> str:
        try:
            ids.extend(render().ids)
        except NotAssembledError as refusal:
            return str(refusal)
        return ""

    def prompt(turns: Sequence[dict[str, str]]) -> str:
        return template.render(turns, add_generation_prompt=True)

    with _limited_time():
        question = reason(lambda: render_seed(template, messages, None))
        turns = fitting_turns(prompt, messages)
        return {
            "question": question,
            "plain": reason(lambda: render_answered(template, messages, "", ANSWER)),
            "reasoned": reason(lambda: render_answered(template, messages, REASONING, ANSWER)),
            "prompt": _lost_in_prompt(prompt, turns),
            "folded": sum(turn["role"] == "system" for turn in history(turns)) < roles.count("system"),
            "joined": _neighbours(turns) < _neighbours(messages),
            "parts": bool(question) and _takes_parts(template, messages),
            "largest_id": max(ids, default=-1),
        }


def _lost_in_prompt(prompt: Callable[[Sequence[dict[str, str]]], str], turns: Sequence[dict[str, str]]) -> str:
    """The reason why the template cannot write the prompt of a conversation; "" if there is none."""
    try:
        text = prompt(turns)
    except NotAssembledError as refusal:
        return str(refusal)
    return "" if all(turn["content"] in text for turn in turns) else "the chat template changes or loses the question"


def _takes_parts(template: Template, messages: Sequence[dict[str, str]]) -> bool:
    """True if the template keeps the texts of messages whose content is a list of parts."""
    parts = [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]
    with suppress(NotAssembledError):
        text = template.render(parts)
        # Some templates expect plain text. For a list of parts, the output of these templates may contain the list in
        # Python's notation, for example [{'type': 'text', …}], instead of the texts in the list.
        return "'type':" not in text and all(message["content"] in text for message in messages)
    return False


def _neighbours(turns: Sequence[dict[str, str]]) -> int:
    """The number of turns of the user or the assistant that follow a turn of the same role."""
    roles = [turn["role"] for turn in turns if turn["role"] != "system"]
    return sum(one == after for one, after in pairwise(roles))


def _beyond(tokenizer: Any, rows: int | None) -> dict[str, Any]:
    """The tokens whose ids have no row in the embedding.

    Ordinary tokens, special tokens and the tokens in NAMED are listed separately.
    """
    if rows is None:
        return {"beyond": [], "beyond_count": 0, "special_beyond": [], "named_beyond": []}
    specials = {str(token.content) for token in tokenizer.added_tokens_decoder.values() if token.special}
    specials |= set(tokenizer.all_special_tokens)
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= rows)
    ordinary = [[token, number] for number, token in beyond if token not in specials]
    named = [(name, getattr(tokenizer, name), getattr(tokenizer, f"{name}_id")) for name in NAMED]
    return {
        "beyond": ordinary[:LISTED],
        "beyond_count": len(ordinary),
        "special_beyond": [[token, number] for number, token in beyond if token in specials][:LISTED],
        "named_beyond": [list(entry) for entry in named if entry[2] is not None and entry[2] >= rows],
    }


def _limit_memory() -> None:
    """From now on, let this process take at most `BYTES` of further memory.

    There is no limit on systems other than Linux, because only Linux reports the memory of a process.
    """
    with suppress(OSError, ValueError, StopIteration):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        used = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmSize:")) << 10
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        soft = used + BYTES
        resource.setrlimit(resource.RLIMIT_AS, (soft if hard < 0 else min(soft, hard), hard))


@contextmanager
def _limited_time() -> Iterator[None]:
    """Raise `_OutOfTimeError` if the block needs more than `SECONDS` of processor time.

    A single operation in C cannot be interrupted, so the operating system ends the process after `HARD_SECONDS`.
    """

    def stop(*_: object) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGPROF, stop)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + HARD_SECONDS)
    limits = resource.getrlimit(resource.RLIMIT_CPU)
    if limits[1] < 0 or soft < limits[1]:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_CPU, limits)
