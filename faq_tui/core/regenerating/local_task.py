"""The worker's task `generate`: load a model in this process and generate answers with it, in batches."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.chat.dialects import dialect_of_template, opened_by
from faq_tui.core.chat.render import fitting_turns

DELTA_PERIOD_S = 0.1
LEAST_TOKENS = 16  # an item is refused if the window leaves room for fewer tokens than this
KEPT_TOKENS = 8  # this many of the last tokens are decoded again, because one character may consist of several tokens


def run(spec: dict[str, Any], send: Callable[..., None], cancel: CancelToken) -> None:
    """Generate an answer for each item.

    The keys of `spec` are model, trust_remote_code, device, dtype, batch, sampling and items. `items` is the path of
    a JSONL file whose rows have the keys id, messages, template, seed and max_tokens.

    For each item, the task first sends the message `started`, then several messages `delta` with new text, and at the
    end the message `done`. The message `done` has the whole text, the finish_reason, the numbers of tokens and the
    seconds. For an item that cannot be generated, the task sends only `refused` with the reason. The task may also
    send `note` with a text.

    Each item has a random generator that starts from the item's seed. If the same batch is generated again on the
    same machine, each item gets the same answer. If the other items of the batch change, rounding may change an
    item's answer.
    """
    import torch

    from faq_tui.core.models.dense import load_dense
    from faq_tui.core.models.devices import device_of, dtype_name
    from faq_tui.core.models.hub import local_folder
    from faq_tui.core.models.tokenizer import tokenizer_of

    folder, trusted = local_folder(spec["model"]), spec["trust_remote_code"]
    device = device_of(spec["device"])
    tokenizer = tokenizer_of(folder, trusted)
    if not tokenizer.chat_template:
        raise UsageError(f"the model in {folder} has no chat template: give its chat or instruct version")
    model = load_dense(folder, getattr(torch, dtype_name(spec["dtype"], device, folder, trusted)), device, trusted)
    writer = _Writer(model, tokenizer, spec["sampling"], send, cancel)
    with Path(spec["items"]).open(encoding="utf-8") as file:
        rows = [row for line in file if (row := writer.row(json.loads(line))) is not None]
    for batch in _batches(rows, spec["batch"]):
        writer.write(batch)


@dataclass
class _Row:
    """One item and the part of its answer that was generated so far."""

    id: int
    prompt: list[int]
    opened: str  # the opening tag of the reasoning if the chat template wrote it into the prompt; else ""
    limit: int
    seed: int
    dice: random.Random = field(default_factory=random.Random)
    ids: list[int] = field(default_factory=list)
    shown: int = 0  # number of characters that were already sent
    decoded: int = 0  # number of ids whose characters were already sent
    sent_at: float = 0.0
    done: bool = False

    def begin(self) -> None:
        self.dice, self.ids, self.shown, self.decoded = random.Random(self.seed), [], 0, 0


def _batches(rows: list[_Row], size: int) -> Iterator[list[_Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class _Writer:
    """Generates answers with one model and sends their text as events."""

    def __init__(
        self, model: Any, tokenizer: Any, sampling: dict[str, Any], send: Callable[..., None], cancel: CancelToken
    ) -> None:
        self.model, self.tokenizer, self.sampling, self.send, self.cancel = model, tokenizer, sampling, send, cancel
        ends = model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self.ends = {*ends, tokenizer.eos_token_id} - {None}
        self.hidden = hidden_tokens(tokenizer)
        self.window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._clamped = False

    def row(self, item: dict[str, Any]) -> _Row | None:
        """Tokenize the item. Returns None if the chat template refuses the question, or if the model's window has no
        room for an answer.

        If the template has no system role, the text of the system turn is written at the beginning of the first
        question.
        """

        def render(messages: list[dict[str, str]]) -> str:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, **item["template"]
                )
            )

        try:
            text = render(fitting_turns(render, item["messages"]))
        except Exception as error:  # noqa: BLE001  a template may raise anything
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            self.send("refused", id=item["id"], why=f"the model's chat template refuses the question: {reason}")
            return None
        prompt = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        limit = item["max_tokens"]
        if self.window is not None and len(prompt) + limit > self.window:
            limit = self.window - len(prompt)
            if limit < LEAST_TOKENS:
                self.send("refused", id=item["id"], why="the question leaves no room in the model's window")
                return None
            if not self._clamped:
                self._clamped = True
                self.send(
                    "note",
                    id=item["id"],
                    text=f"max_tokens {item['max_tokens']} and the question do not fit into the model's window of "
                    f"{self.window} tokens, so this answer may have at most {limit} tokens; "
                    "the limit is also lowered for other long questions",
                )
        return _Row(item["id"], prompt, opened_by(text), limit, item["seed"])

    def write(self, batch: list[_Row]) -> None:
        """Generate the answers of all rows.

        If all rows together need too much GPU memory, the two halves of the batch are generated one after the other.
        """
        import torch

        try:
            self._write(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            torch.cuda.empty_cache()
            self.send(
                "note",
                id=batch[0].id,
                text=f"{len(batch)} candidates at once do not fit into memory, so half as many are generated at once",
            )
            left = [row for row in batch if not row.done]
            middle = (len(left) + 1) // 2
            for part in (left[:middle], left[middle:]):
                if part:
                    self.write(part)

    def _write(self, rows: list[_Row]) -> None:
        import torch

        device = self.model.device
        width = max(len(row.prompt) for row in rows)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        ids = torch.tensor([[pad] * (width - len(r.prompt)) + r.prompt for r in rows], device=device)
        mask = torch.tensor([[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in rows], device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache, began = None, time.monotonic()
        for row in rows:
            row.begin()
            self.send("started", id=row.id)
        while rows:
            self.cancel.check()
            with torch.inference_mode():
                out = self.model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    logits_to_keep=1,
                )
                cache = out.past_key_values
                tokens = next_tokens(out.logits[:, -1].float(), self.sampling, [row.dice for row in rows])
            stay = [n for n, row in enumerate(rows) if self._goes_on(row, tokens[n], began)]
            if not stay:
                return
            if len(stay) < len(rows):
                rows = [rows[n] for n in stay]
                kept = torch.tensor(stay, device=device)
                cache.batch_select_indices(kept)
                mask, positions = mask[kept], positions[kept]
            ids = torch.tensor([[row.ids[-1]] for row in rows], device=device)
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _goes_on(self, row: _Row, token: int, began: float) -> bool:
        if token not in self.ends:
            row.ids.append(token)
            if len(row.ids) < row.limit:
                self._send_delta(row)
                return True
        row.done = True
        text = self._decode(row.ids)
        self.send("delta", id=row.id, text=(row.opened if not row.shown else "") + text[row.shown :])
        self.send(
            "done",
            id=row.id,
            text=row.opened + text,
            finish_reason="stop" if token in self.ends else "length",
            prompt_tokens=len(row.prompt),
            completion_tokens=len(row.ids),
            max_tokens=row.limit,
            seconds=round(time.monotonic() - began, 3),
        )
        return False

    def _send_delta(self, row: _Row) -> None:
        """Send the row's new text, at most ten times a second.

        If the last character is still incomplete, nothing is sent before it is complete.
        """
        now = time.monotonic()
        if now - row.sent_at < DELTA_PERIOD_S:
            return
        row.sent_at = now
        start = max(0, row.decoded - KEPT_TOKENS)
        before, text = self._decode(row.ids[start : row.decoded]), self._decode(row.ids[start:])
        if text.endswith("\ufffd"):
            return
        new, row.decoded = text[len(before) :], len(row.ids)
        if new:
            self.send("delta", id=row.id, text=(row.opened if not row.shown else "") + new)
            row.shown += len(new)

    def _decode(self, ids: list[int]) -> str:
        """The text of the ids without special tokens. The tokens that mark reasoning are kept."""
        shown = [token for token in ids if token not in self.hidden]
        return str(self.tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def hidden_tokens(tokenizer: Any) -> frozenset[int]:
    """The ids of the special tokens, except the tokens that mark reasoning in the chat template's dialect."""
    dialect = dialect_of_template(str(tokenizer.chat_template))
    shown = dialect.special_tokens if dialect else ()
    added = tokenizer.added_tokens_decoder.items()
    special = {index for index, token in added if token.special} | set(tokenizer.all_special_ids)
    return frozenset(special - {index for index, token in added if token.content in shown})


def next_tokens(logits: Any, sampling: dict[str, Any], dice: list[random.Random]) -> list[int]:
    """Draw one token id for each row of `logits` [rows, vocabulary] (float32). Row i uses only the generator
    `dice[i]`.

    Each row draws one uniform random number and inverts the cumulative distribution at this number. Therefore a row's
    token depends neither on the device's random generator nor on the other rows.
    """
    import torch

    if sampling["temperature"] == 0:
        return [int(i) for i in logits.argmax(-1)]
    probs, ids = torch.softmax(logits / sampling["temperature"], -1).sort(dim=-1, descending=True)
    if sampling["top_k"] > 0:
        probs[:, sampling["top_k"] :] = 0
    total = probs.sum(-1, keepdim=True)
    # A token is kept if the total probability of all more probable tokens is at most top_p. Therefore the most
    # probable token is always kept.
    probs[(probs / total).cumsum(-1) - probs / total > sampling["top_p"]] = 0
    probs[probs < sampling["min_p"] * probs[:, :1]] = 0
    cumulated = probs.double().cumsum(-1)
    draws = torch.tensor([die.random() for die in dice], dtype=torch.float64, device=cumulated.device)
    ranks = torch.searchsorted(cumulated, (draws[:, None] * cumulated[:, -1:]), right=True)
    kept = (probs > 0).sum(-1, keepdim=True)
    return [int(i) for i in ids.gather(1, torch.minimum(ranks, kept - 1))[:, 0]]
