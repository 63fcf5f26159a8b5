"""The worker's task `try`: load one model and answer prompts with it, token by token.

The prompts come as files `0.json`, `1.json` … in the folder `inbox`. The file `N.stop` ends answer N.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.chat.dialects import opened_by
from faq_tui.core.chat.render import check_texts, fitting_turns
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.models.memory_need import GIB

if TYPE_CHECKING:
    from faq_tui.core.trying.request import TryRequest

SEND_PERIOD_S = 0.05  # tokens are collected for this many seconds before they are sent
LOOK_PERIOD_S = 0.02  # seconds between two looks for the next prompt
KEPT_TOKENS = 8  # this many earlier tokens are decoded again, because a character may consist of several tokens
LONGEST_CHARACTER = 8  # if this many tokens in a row complete no character, their bytes are not valid UTF-8


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> NoReturn:
    """Load a model, and answer one prompt after the other until this process is ended.

    `spec` holds the entries of `TargetModel.spec`, the target's name as `name`, the artefact's `folder` (None for the
    unquantized target) and `inbox`.

    After loading, the task sends the message `loaded` (fields: seconds, memory_mb). For each prompt it sends
    `answering` (opened, prompt_tokens), then `tokens` (ids, texts, seconds) several times, and `answered` (rest,
    finish_reason, seconds, tokens, memory_mb). If the chat template refuses the prompt, the task sends only `failed`
    (message). `TriedAnswer` describes these values. Each message about a prompt also has the `number` of the prompt.
    """
    # The task has nothing to save, so SIGTERM ends this process at once, even while the model is being loaded.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cancel.check()  # a stop may have been requested before SIGTERM got this effect
    inbox = Path(spec["inbox"])
    started = time.monotonic()
    writer = _writer(spec, send)
    send("loaded", seconds=round(time.monotonic() - started, 3), memory_mb=writer.memory_mb)
    number = 0
    while True:
        request = _next_request(inbox, number)
        try:
            writer.answer(number, request, inbox / f"{number}.stop")
        except UsageError as error:
            send("failed", number=number, message=str(error))
        number += 1


def _next_request(inbox: Path, number: int) -> TryRequest:
    # This slow import comes only now, after `run` has set SIGTERM to end the process at once.
    from faq_tui.core.trying.request import TryRequest

    path = inbox / f"{number}.json"
    while not path.exists():
        time.sleep(LOOK_PERIOD_S)
    return TryRequest(**json.loads(path.read_text(encoding="utf-8")))


def _writer(spec: dict[str, Any], send: Callable[..., None]) -> _TokenWriter:
    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.opening import opening_of
    from faq_tui.core.models.target import TargetModel
    from faq_tui.core.models.tokenizer import load_tokenizer

    opening, target = opening_of(spec, lambda: None)
    folder = Path(spec["folder"]) if spec["folder"] is not None else target
    if not (folder / "config.json").is_file():
        raise FaqError(f"there is no model in {folder}: quantize it again")
    trusted = spec["trust_remote_code"]
    tokenizer = load_tokenizer(TargetModel(spec["name"], str(target), trusted, opening.device, spec["dtype"]))
    if opening.need is not None and not opening.fits():
        raise FaqError(
            f"the weights take {opening.need.whole / GIB:.1f} GiB, more memory than is free: try fewer models at "
            "once, or set `command` in [evaluate.serve] so that a server answers"
        )
    model = load_dense(folder, opening.dtype, opening.device, trusted)
    return _TokenWriter(model, tokenizer, opening.device, send)


class PieceDecoder:
    """Decodes token ids one after the other. Special tokens have no text, except those that mark reasoning."""

    def __init__(self, tokenizer: Any) -> None:
        from faq_tui.core.regenerating.local_task import hidden_tokens

        self._tokenizer, self._hidden = tokenizer, hidden_tokens(tokenizer)
        self._ids: list[int] = []
        self._decoded = 0  # number of ids whose characters were already returned

    def add(self, token: int) -> str:
        """Decode `token`, and return the characters that it completes; "" if it completes none."""
        self._ids.append(token)
        text = self._rest()
        if text.endswith("\ufffd") and len(self._ids) - self._decoded < LONGEST_CHARACTER:
            return ""
        self._decoded = len(self._ids)
        return text

    def rest(self) -> str:
        """The text of the last tokens, which `add` held back because their last character is not complete."""
        text, self._decoded = self._rest(), len(self._ids)
        return text

    def _rest(self) -> str:
        start = max(0, self._decoded - KEPT_TOKENS)
        return self._decode(self._ids[start:])[len(self._decode(self._ids[start : self._decoded])) :]

    def _decode(self, ids: list[int]) -> str:
        shown = [token for token in ids if token not in self._hidden]
        return str(self._tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False))


class _TokenWriter:
    """Generates the tokens of an answer with one model."""

    def __init__(self, model: Any, tokenizer: Any, device: str, send: Callable[..., None]) -> None:
        self.model, self.tokenizer, self.device, self.send = model, tokenizer, device, send
        self.template = Template(tokenizer)
        ends = model.generation_config.eos_token_id
        self.ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}
        self.window = getattr(model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def memory_mb(self) -> float:
        from faq_tui.core.models.devices import peak_memory_mb

        return peak_memory_mb(self.device)

    def answer(self, number: int, request: TryRequest, stop: Path) -> None:
        """Generate one answer. Raises UsageError if the prompt cannot be answered."""
        import torch

        from faq_tui.core.regenerating.local_task import next_tokens

        prompt, opened = self._prompt(request)
        limit = self._limit(len(prompt), request.max_tokens)
        self.send("answering", number=number, opened=opened, prompt_tokens=len(prompt))
        dice, decoder = random.Random(request.seed), PieceDecoder(self.tokenizer)
        ids, cache, count, reason = [prompt], None, 0, "length"
        waiting: list[tuple[int, str]] = []
        started = sent = time.monotonic()

        def send_tokens() -> None:
            nonlocal sent
            sent = time.monotonic()
            if waiting:
                tokens, texts = zip(*waiting, strict=True)
                self.send("tokens", number=number, ids=tokens, texts=texts, seconds=round(sent - started, 4))
                waiting.clear()

        while count < limit:
            if stop.exists():
                reason = "stopped"
                break
            with torch.inference_mode():
                out = self.model(
                    input_ids=torch.tensor(ids, device=self.model.device),
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                cache = out.past_key_values
                token = next_tokens(out.logits[:, -1].float(), request.sampling, [dice])[0]
            if token in self.ends:
                reason = "stop"
                break
            waiting.append((token, decoder.add(token)))
            ids, count = [[token]], count + 1
            if time.monotonic() - sent >= SEND_PERIOD_S:
                send_tokens()
        send_tokens()
        self.send(
            "answered",
            number=number,
            rest=decoder.rest(),
            finish_reason=reason,
            seconds=round(time.monotonic() - started, 4),
            tokens=count,
            memory_mb=self.memory_mb,
        )

    def _prompt(self, request: TryRequest) -> tuple[list[int], str]:
        """The token ids of the prompt, and the opening tag of reasoning at its end."""
        try:
            check_texts(self.template, [request.prompt])
            render = self.template.render
            turns = fitting_turns(lambda messages: render(messages, add_generation_prompt=True), request.messages)
            text = render(turns, add_generation_prompt=True)
            return self.template.encode(text)[0], opened_by(text)
        except NotAssembledError as error:
            raise UsageError(f"the prompt cannot be used: {error}") from None

    def _limit(self, prompt: int, wanted: int) -> int:
        if self.window is None:
            return wanted
        if prompt >= self.window:
            raise UsageError(
                f"the prompt has {prompt} tokens, which leave no room in the model's window of {self.window} tokens"
            )
        return min(wanted, int(self.window) - prompt)
