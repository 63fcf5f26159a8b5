"""Generate answers to held-out questions, which are in no calibration set: sampled, or by greedy decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import TEMPERATURE, TOP_P

ROWS_A_BATCH = (
    # A batch has ROWS_A_BATCH * evaluate.batch_size rows. A decoding step with several times as many rows takes only
    # a little longer, so ROWS_A_BATCH is more than 1.
    4
)

MOST_LIKELY = 2048  # at almost every position, this many candidates are enough to reach TOP_P


def generate(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    batch_size: int,
    cancel: CancelToken,
    on_answers: Callable[[dict[int, list[int]]], None],
    tick: Callable[[int], None],
    greedy: bool = False,
) -> None:
    """Write an answer to each prompt. A prompt is a list of token ids.

    Answers are sampled. If `greedy` is true, the model always takes the likeliest token instead.

    `on_answers` gets the answers of a batch: it maps the index of each prompt to the token ids of its answer,
    including the end token. A caller that stores all answers of a batch at once can ask for the missing answers after
    an interruption. They are then the same as without the interruption, because the other batches stay the same.

    `tick` gets the number of newly decoded tokens. When an answer ends early, `tick` also gets the number of tokens
    that the answer lacks to reach `max_new_tokens`. So the numbers for a prompt add up to `max_new_tokens`. Each
    batch has its own random seed for torch: a hash of the batch's prompts. Raises Stopped after the current token
    if a stop was requested.
    """
    import torch
    from transformers import LogitsProcessorList, StoppingCriteriaList

    ends, pad = end_tokens(model)
    model.generation_config = _generation_config(max_new_tokens, ends, pad, greedy)

    def after_token(ids: Any, *_: Any, **__: Any) -> Any:
        tick(ids.shape[0])
        return torch.full((ids.shape[0],), cancel.is_set, dtype=torch.bool, device=ids.device)

    stopping = StoppingCriteriaList([after_token])
    sampling = LogitsProcessorList([] if greedy else [likely_tokens])
    for indices in _batches(prompts, batch_size * ROWS_A_BATCH):
        cancel.check()
        batch = [prompts[index] for index in indices]
        ids, mask = _left_padded(batch, pad, model.device)
        torch.manual_seed(int(digest(batch), 16) % 2**63)
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids, attention_mask=mask, stopping_criteria=stopping, logits_processor=sampling
            )
        cancel.check()
        new = out[:, ids.shape[1] :]
        on_answers({index: _until_end(row, ends) for index, row in zip(indices, new.tolist(), strict=True)})
        tick(len(indices) * (max_new_tokens - new.shape[1]))


def end_tokens(model: Any) -> tuple[list[int], int]:
    """Returns the token ids that end an answer, and the token id for padding."""
    end_ids = model.generation_config.eos_token_id
    end_ids = model.config.get_text_config().eos_token_id if end_ids is None else end_ids
    ends = [] if end_ids is None else [end_ids] if isinstance(end_ids, int) else list(end_ids)
    pad = model.generation_config.pad_token_id
    return ends, int(pad if pad is not None else (ends or [0])[0])


def _generation_config(max_new_tokens: int, ends: list[int], pad: int, greedy: bool) -> Any:
    """The complete configuration, except temperature and top_p, which `likely_tokens` applies.

    Every key is set, because generate() takes the value of an unset key from the model's generation_config.json.
    """
    from transformers import GenerationConfig

    sampling = {"do_sample": False} if greedy else {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
    return GenerationConfig(
        **sampling,
        max_new_tokens=max_new_tokens,
        eos_token_id=ends or None,
        pad_token_id=pad,
    )


def likely_tokens(_ids: Any, logits: Any) -> Any:
    """Divide logits [rows, vocabulary] by TEMPERATURE, and set the logits that TOP_P excludes to minus infinity.

    The result is the same as from transformers' `TopPLogitsWarper`, which sorts the whole vocabulary. On a CPU,
    finding only the most likely tokens is ten times faster than sorting the whole vocabulary. If these tokens do not
    reach TOP_P, the whole vocabulary is sorted.
    """
    import torch

    scores = logits / TEMPERATURE
    top = scores.topk(min(MOST_LIKELY, scores.shape[-1]), dim=-1)
    shares = scores.softmax(-1).gather(-1, top.indices)
    before = shares.cumsum(-1) - shares  # for each token, the total probability of all tokens that are more likely
    if bool((before[:, -1] < TOP_P).any()):
        from transformers import TopPLogitsWarper

        return TopPLogitsWarper(TOP_P)(_ids, scores)
    kept = top.values.masked_fill(before >= TOP_P, -torch.inf)
    return torch.full_like(scores, -torch.inf).scatter_(-1, top.indices, kept)


def _batches(prompts: Sequence[tuple[int, ...]], size: int) -> Iterator[list[int]]:
    """Yield batches of at most `size` indices. The prompts of a batch have similar lengths."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _left_padded(batch: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """Returns (input_ids, attention_mask), both of shape [rows, longest]."""
    import torch

    longest = max(map(len, batch))
    ids = [[pad] * (longest - len(row)) + list(row) for row in batch]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in batch]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _until_end(row: list[int], ends: list[int]) -> list[int]:
    """The answer's token ids up to and including its end token, without the padding after it."""
    stop = next((position for position, token in enumerate(row) if token in ends), len(row) - 1)
    return row[: stop + 1]
