"""Measure how much quantization changes the output of each layer for the same text.

The error of a layer is ||h_quantized - h||_F / ||h||_F over the tokens of all rows. The first token of each row is
left out, because its state is often a thousand times larger than the states of other tokens. Errors of earlier layers
change the inputs of a layer, so the error of a layer includes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, Stopped
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import UNQUANTIZED, evaluation_hash, subjects
from faq_tui.core.evaluation.kinds import ANSWERS
from faq_tui.core.evaluation.spec import prose_window
from faq_tui.core.evaluation.texts import load_head
from faq_tui.core.models.layer_stream import LayerStream, network_of
from faq_tui.core.models.stack import hidden_of
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.run.run import Run
from faq_tui.core.store.activations import LayerErrors, add_layer_errors, all_layer_errors
from faq_tui.core.store.measurements import heldout
from faq_tui.core.worker import run_for_job
from faq_tui.core.worker.parent import WorkerDiedError

Seen = Callable[[int, int, Any], None]  # arguments: layer, number of tokens before the row, states [tokens, hidden]


def layers_of(model: Any) -> Sequence[Any]:
    """The layers of the decoder, from first to last. Raises FaqError if the layers cannot be found."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    body = model.get_decoder() if hasattr(model, "get_decoder") else model
    lists = [m for m in body.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if not lists:
        raise FaqError(
            f"{type(model).__name__} has no list of {count} layers, so the errors of its layers cannot be measured"
        )
    return list(lists[0])


def write_reference(model: Any, rows: Sequence[Sequence[int]], path: Path, cancel: CancelToken) -> None:
    """Write the outputs of all layers of the unquantized model to `path`, as float32 [layers, tokens, hidden]."""
    import numpy as np

    shape = _shape(model, rows)
    kept = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)

    def keep(layer: int, start: int, states: Any) -> None:
        kept[layer, start : start + len(states)] = states.float().cpu().numpy()

    _pass(model, rows, keep, cancel)
    kept.flush()


def layer_errors(model: Any, rows: Sequence[Sequence[int]], path: Path, cancel: CancelToken) -> list[float]:
    """The error of each layer. `path` is the file that `write_reference` wrote for the same rows."""
    import numpy as np
    import torch

    kept = np.load(path, mmap_mode="r")
    if kept.shape != _shape(model, rows):
        raise FaqError(f"{type(network_of(model)).__name__} does not have the same layers as the unquantized model")
    sums = np.zeros((2, len(kept)))

    def compare(layer: int, start: int, states: Any) -> None:
        reference = torch.from_numpy(np.array(kept[layer, start : start + len(states)])).double()
        sums[0, layer] += float((states.cpu().double() - reference).square().sum())
        sums[1, layer] += float(reference.square().sum())

    _pass(model, rows, compare, cancel)
    return [float(error) for error in np.sqrt(sums[0] / sums[1])]


def _shape(model: Any, rows: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    config = network_of(model).config.get_text_config()
    return config.num_hidden_layers, sum(len(row) - 1 for row in rows), config.hidden_size


def _pass(model: Any, rows: Sequence[Sequence[int]], see: Seen, cancel: CancelToken) -> None:
    import torch

    starts = list(accumulate((len(row) - 1 for row in rows), initial=0))
    if isinstance(model, LayerStream):
        for step in model.steps([[row] for row in rows]):
            for number in range(len(rows)):
                cancel.check()
                see(step.index, starts[number], step.run(number)[0, 1:])
        return
    body = model.get_decoder() if hasattr(model, "get_decoder") else model
    start = 0
    with _hooked(model, lambda layer, states: see(layer, start, states[0, 1:])), torch.inference_mode():
        for number, row in enumerate(rows):
            cancel.check()
            start = starts[number]
            body(input_ids=torch.tensor([list(row)], device=model.device), use_cache=False)


@contextmanager
def _hooked(model: Any, see: Callable[[int, Any], None]) -> Iterator[None]:
    def hook(layer: int) -> Callable[..., None]:
        return lambda _module, _args, out: see(layer, hidden_of(out))

    hooks = [module.register_forward_hook(hook(layer)) for layer, module in enumerate(layers_of(model))]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


VERSION = 1
Rows = list[list[int]]


def layer_error_limit(run: Run) -> int:
    """The number of tokens of held-out text on which the layers are compared.

    If the number is 0, the layers are not compared.
    """
    settings = run.settings.activations
    return settings.layer_error_tokens if settings.enabled else 0


def measure_layer_errors(context: Context, target: TargetModel, tokenizer: Any, only: str | None = None) -> None:
    """Measure and store the layer errors that are missing or out of date.

    `only` names the one model that is measured; None means all models.

    If the worker child dies, it is started again once. Otherwise, one death would leave the errors out of the report,
    because the stage is then done. If the measurement fails, or if the second child dies, too, the function emits a
    warning.
    """
    run, limit = context.run, layer_error_limit(context.run)
    if not limit:
        return
    text, rows = _rows(context, target, tokenizer, limit)
    if not rows:
        return
    what = digest(VERSION, rows, target.device, target.dtype)
    identities = {name: one for name, one in subjects(run).items() if name != UNQUANTIZED and only in (None, name)}
    signatures = {name: digest(what, identity) for name, identity in identities.items()}
    if not _missing(run, signatures):
        return
    # other processes may measure other models of the run
    stem = f"layer-error{f'-{only}' if only else ''}"
    order, scratch = run.cache / f"{stem}.json", run.cache / f"{stem}.npy"
    with atomic_text(order) as file:
        json.dump(rows, file)

    def hear(message: dict[str, Any]) -> None:
        subject, tokens = message["subject"], sum(len(row) - 1 for row in rows)
        add_layer_errors(run.store, LayerErrors(subject, signatures[subject], text, tokens, message["errors"]))

    def work() -> None:
        todo = {name: str(run.models / name) for name in _missing(run, signatures)}
        spec = {**target.spec, "rows": str(order), "out": str(scratch), "subjects": todo}
        if todo:
            run_for_job(context, "layer_error", spec, hear)

    try:
        try:
            work()
        except WorkerDiedError as error:
            context.emit(Note(f"the errors of the layers' outputs are measured again: {error}"))
            work()
    except Stopped:
        raise
    except FaqError as error:
        context.emit(Note(f"the errors of the layers' outputs are not measured: {error}", "warning"))
    finally:
        order.unlink(missing_ok=True)
        scratch.unlink(missing_ok=True)


def _missing(run: Run, signatures: dict[str, str]) -> list[str]:
    """The models whose stored errors are missing, or were measured in another way."""
    measured = all_layer_errors(run.store)
    return [
        name
        for name, signature in signatures.items()
        if name not in measured or measured[name].signature != signature
    ]


def _rows(context: Context, target: TargetModel, tokenizer: Any, limit: int) -> tuple[str, Rows]:
    """Return the held-out text's name and its rows of token ids. The rows have at most `limit` tokens in total.

    The text consists of the held-out answers. If there are no held-out answers, the text is prose.
    """
    run, settings = context.run, context.run.settings.evaluate
    answers = [[*one.prompt_ids, *one.answer_ids] for one in heldout(run.store, evaluation_hash(run)).values()]
    if answers:
        return ANSWERS, _head(answers, limit)
    for name in settings.perplexity:
        ids = list(tokenizer(load_head(run, name), add_special_tokens=False, verbose=False)["input_ids"])[:limit]
        window = prose_window(run, target)
        return name, _head([ids[start : start + window] for start in range(0, len(ids), window)], limit)
    return "", []


def _head(rows: Rows, limit: int) -> Rows:
    kept: Rows = []
    for row in rows:
        if len(row) > 1 and (not kept or sum(map(len, kept)) + len(row) <= limit):
            kept.append(row[:limit])
    return kept
