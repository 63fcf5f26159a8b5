"""Measure which calibration set, and which weights of its tokens, give the best quantized model. Needs no network.

    python benchmarks/selection.py MODEL [--out FOLDER] [--plan methods,share] [--draws 10] [--device cuda]
        [--dtype float32] [--seconds 500] [--questions FILE] [--prose FILE] [--sets …] [--weights …] [--methods …]
        [--budgets …] [--against seeds@off] [--limit N] [--held-out 64] [--answer-tokens 384] [--processes N]

The model is loaded once. Each measurement builds a set from the texts of one draw, quantizes in memory with faq-tui's
own walk and solvers, and computes the KL to the unquantized model on three held-out texts: `chat` (questions with the
unquantized model's own greedy answers), `ref` (questions with the answers in the file, if it has any) and `prose`. On
an H200, a measurement of a model with 135M parameters takes some seconds.

The first call generates the texts with the model itself and stores them in `OUT/material.json` (see
selection_material.py for texts of another elder). Use one folder `--out` for each model. Each result is appended to
`OUT/selection.jsonl` at once, so a call that is killed loses nothing, and the next call with the same `--out`
continues. A call starts no measurement that would end after `--seconds`. At its end, a call writes the table
`OUT/selection.md` and the figure `OUT/selection.svg`.

A small model does not fill a GPU, so `--processes N` divides the measurements among N processes, and the processes
among all visible GPUs. Each process writes its results into `OUT/selection-N.jsonl`.

For each method, width and budget, the table compares every set with the set `--against`, draw by draw: the mean
change of the KL in percent, with a 95% interval (Student's t) over the draws.

`--weights` lists the weights of tokens: `off`, a sink share such as `0.07`, or a sink share with weights of kinds,
such as `0.07+template=2` or `off+question=0.5`. `--methods` lists methods with their bits, such as `gptq-4`; the
methods may have options, such as `gptq_unordered-4` or `gptq_damp0.01-4` (see selection_model.py).
`gptq_mse_damp0.01-4` and `gptaq_mse-4` have the default options of faq-tui.

Plans, in order of importance, with the number of measurements in each draw. With `--by-draw`, all plans measure a
draw before the next draw begins.

- engine (18): how do the order of the columns, the damping and the search of the scale change GPTQ and GPTAQ?
- methods (24): which set is best, and does a sink share help, for GPTQ, GPTAQ, SpQR and W8A8?
- share (21), order (12): which share of the first tokens? Does the answer depend on the solver's options?
- sink (45): which share of the first tokens, with today's defaults of GPTQ, GPTAQ and SpQR?
- length (6): whole answers, answers that are cut, or many short ones?
- pick (4): the best candidate, a random candidate, or all three?
- choice (4): selection by centroids of activations, by entropy, by coverage of experts (needs a mixture of experts)
- mix (7): a share of prose, temperature, questions that the model wrote itself
- widths (20): and with 3 and 8 bits?
- kinds (6): weights of kinds of tokens
- budgets (36): and at 4,000, 16,000 and 64,000 tokens? 64,000 tokens of plain seeds need more than 1,000 questions:
  `--questions` with the starter seeds, benchmarks/more_questions.jsonl and benchmarks/further_questions.jsonl in one
  file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import about
from selection_material import load, make, read_questions, save
from selection_model import WIDTHS, Bench
from selection_sets import BUILDERS, LONGEST, Row, Sets
from selection_table import TEXTS, Cell, Group, changes, figure, read_results, written

from faq_tui.core.chat.render import render_answered, render_seed
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.chat.token_kinds import KINDS
from faq_tui.core.evaluation.heldout import Item
from faq_tui.core.evaluation.texts import pydoc_prose
from faq_tui.core.quantizing.sequential.weights import TokenWeights, token_weights
from faq_tui.core.settings.weights import AUTO, AUTO_SHARE, OFF

PROSE_TOKENS, PROSE_WINDOW = 12_000, 512


@dataclass(frozen=True)
class Plan:
    sets: tuple[str, ...]
    weights: tuple[str, ...] = (OFF,)
    methods: tuple[str, ...] = ("gptq-4",)
    budgets: tuple[int, ...] = (16_000,)


SHARED = (OFF, "0.03")
KIND_WEIGHTS = ("template=2", "template=0", "question=0.5", "question=0", "answer=2")
PLANS: Mapping[str, Plan] = {
    "engine": Plan(
        ("seeds", "self-64"),
        methods=(
            *("gptq-4", "gptq_unordered-4", "gptq_desc-4", "gptq_damp0.01-4", "gptq_mse-4", "gptq_mse_desc-4"),
            *("gptq_mse_damp0.01-4", "gptaq-4", "gptaq_mse-4"),
        ),
    ),
    "methods": Plan(("seeds", "self", "self-64"), SHARED, ("gptq-4", "gptaq-4", "spqr-4", "w8a8-8")),
    "share": Plan(("seeds", "self", "self-64"), (OFF, "0.01", "0.02", "0.03", "0.05", "0.07", "0.1")),
    "order": Plan(("seeds", "self-64"), (OFF, "0.03", "0.07"), ("gptq_unordered-4", "gptq_mse-4")),
    "sink": Plan(
        ("seeds", "self-64", "self"),
        (OFF, "0.01", "0.02", "0.03", "0.05"),
        ("gptq_mse_damp0.01-4", "spqr-4", "gptaq_mse-4"),
    ),
    "length": Plan(("seeds", "self", "self-256", "self-128", "self-64", "self-32")),
    "pick": Plan(("random", "best", "all-three", "t0.7")),
    "choice": Plan(("pool", "centroids", "entropy", "experts"), budgets=(4_000,)),
    "mix": Plan(("self-64", "prose20", "prose50", "prose", "t0.7", "t1.0", "own-questions")),
    "widths": Plan(("seeds", "self-64"), SHARED, ("gptq-3", "gptaq-3", "spqr-3", "gptq-8", "spqr-8")),
    "kinds": Plan(("self-64",), (OFF, *(f"off+{one}" for one in KIND_WEIGHTS))),
    "budgets": Plan(
        ("seeds", "self", "self-64"),
        methods=("gptq_mse_damp0.01-4", "gptaq_mse-4", "spqr-4", "w8a8-8"),
        budgets=(4_000, 16_000, 64_000),
    ),
}


def cells(plan: Plan, draws: int, group_size: int) -> Iterator[Cell]:
    """The measurements of a plan. All measurements of a draw come before the next draw."""
    for draw, budget, name, of_set, weights in itertools.product(
        range(draws), plan.budgets, plan.methods, plan.sets, plan.weights
    ):
        method, _, bits = name.partition("-")
        if int(bits) not in (widths := WIDTHS[method.partition("_")[0]]):
            raise SystemExit(f"{method} has no {bits} bits: choose one of {widths}")
        yield Cell(method, int(bits), -1 if method.startswith("w8a8") else group_size, budget, of_set, weights, draw)


def weights_of(text: str, rows: Sequence[Row]) -> TokenWeights | None:
    """The weights of the tokens in `rows`, from an entry of `--weights`."""
    share, *kinds = text.split("+")
    by_kind = {name: float(weight) for name, _, weight in (one.partition("=") for one in kinds)}
    if unknown := set(by_kind) - set(KINDS[1:]):
        raise SystemExit(f"{text}: there is no kind {', '.join(sorted(unknown))}; the kinds are {KINDS[1:]}")
    number = None if share == OFF else AUTO_SHARE if share == AUTO else float(share)
    if number is None and not by_kind:
        return None
    return token_weights([len(row.ids) for row in rows], number, by_kind, [row.kinds for row in rows])


def held_out(template: Template, questions: Sequence[Any], prose: str) -> dict[str, list[Item]]:
    """The held-out texts. In a held-out answer, only the tokens of the answer are predicted."""
    texts: dict[str, list[Item]] = {name: [] for name in TEXTS}
    for one in questions:
        turns = [{"role": "user", "content": one.question}]
        for text, answer in (("chat", one.greedy), ("ref", one.reference)):
            if not answer:
                continue
            try:
                made = (
                    render_answered(template, turns, "", answer)
                    if text == "chat"
                    else render_seed(template, turns, answer)
                )
            except NotAssembledError:
                continue
            first, end = made.answer[0], min(made.answer[1], LONGEST)
            if 0 < first < end:
                texts[text].append(Item(tuple(made.ids[:end]), first))
    ids = template.encode(prose[-8 * PROSE_TOKENS :])[0][-PROSE_TOKENS:]  # a token has fewer than 8 characters
    starts = range(0, len(ids) - PROSE_WINDOW, PROSE_WINDOW)
    texts["prose"] = [Item(tuple(ids[start : start + PROSE_WINDOW]), 1) for start in starts]
    return {name: items for name, items in texts.items() if items}


def scorer(bench: Bench, template: Template) -> Any:
    """A function that maps (question, answer) pairs to the answers' mean log-probabilities under the model."""
    from faq_tui.core.base.cancel import CancelToken
    from faq_tui.core.evaluation.compare import measure
    from faq_tui.core.models.backbone import Backbone

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        items: dict[int, Item] = {}
        for index, (question, answer) in enumerate(pairs):
            try:
                made = render_answered(template, [{"role": "user", "content": question}], "", answer)
            except NotAssembledError:
                continue
            items[index] = Item(tuple(made.ids[: made.answer[1]]), made.answer[0])
        sums = measure(Backbone(bench.plain), list(items.values()), 8, CancelToken(), lambda _tokens: None)
        found = dict(zip(items, zip(sums["nll"], sums["tokens"], strict=True), strict=True))
        return [-found[n][0] / found[n][1] if n in found else float("-inf") for n in range(len(pairs))]

    return score


def results_in(folder: Path) -> dict[Cell, dict[str, Any]]:
    """The results of all processes that wrote into the folder."""
    found: dict[Cell, dict[str, Any]] = {}
    for path in sorted(folder.glob("selection*.jsonl")):
        found |= read_results(path)
    return found


def run_in_processes(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Make the material, then start the processes and wait for them. A GPU is shared by several processes."""
    import torch

    began = time.monotonic()
    script, gpus = [sys.executable, __file__, *arguments], max(1, torch.cuda.device_count())
    if load(options.out) is None:
        subprocess.run([*script, "--part", "0/0"], check=True)
    left = options.seconds - (time.monotonic() - began)
    children = []
    for index in range(options.processes):
        # With one thread per core in each process, the processes would slow each other down.
        its = {**os.environ, "OMP_NUM_THREADS": "1"}
        if options.device == "cuda":
            its["CUDA_VISIBLE_DEVICES"] = str(index % gpus)
        part = f"{index + 1}/{options.processes}"
        children.append(subprocess.Popen([*script, "--part", part, "--seconds", f"{left:.0f}"], env=its))
    for child in children:
        child.wait()


def run(options: argparse.Namespace, wanted: Sequence[Cell], path: Path) -> None:
    """Measure all cells that have no result yet, until the time is over."""
    import torch
    from transformers import AutoTokenizer

    began = time.monotonic()
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    template = Template(tokenizer)
    bench = Bench(options.model, options.device, options.dtype, options.trust_remote_code)
    material = load(options.out)
    if material is None:
        questions = read_questions(options.questions, options.limit)
        material = make(bench.plain, tokenizer, questions, options.answer_tokens, scorer(bench, template))
        save(options.out, material)
        print(f"{len(material.questions)} questions with answers: {time.monotonic() - began:.0f} s", flush=True)
    prose = options.prose.read_text(encoding="utf-8") if options.prose else pydoc_prose()
    half = len(prose) // 2
    bench.hold_out(held_out(template, material.questions[: options.held_out], prose[half:]))
    sets = Sets(template, material, options.held_out, prose[:half], bench.plain)
    slowest: dict[Group, float] = {}
    with path.open("a", encoding="utf-8") as file:
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            file.write("\n")  # the last line was cut by a kill
        for cell in wanted:
            started = time.monotonic()
            if started - began + 1.2 * slowest.get(cell.group, 0.0) > options.seconds:
                print("the time is over; the next call continues", flush=True)
                return
            rows = sets.rows(cell.set, cell.draw, cell.budget)
            if not rows:
                continue
            made = bench.quantize(
                [row.ids for row in rows], weights_of(cell.weights, rows), cell.method, cell.bits, cell.group_size
            )
            size = {"rows": len(rows), "tokens": sum(len(row.ids) for row in rows)}
            result = {**vars(cell), **size, **made, **bench.divergence()}
            file.write(json.dumps(result) + "\n")
            file.flush()
            took = time.monotonic() - started
            slowest[cell.group] = max(slowest.get(cell.group, 0.0), took)
            print(
                cell.draw,
                f"{cell.method}-{cell.bits}",
                cell.budget,
                cell.name,
                f"KL {result['chat']:.4f}, {took:.1f} s",
                flush=True,
            )


def publish(options: argparse.Namespace) -> None:
    compared = changes(results_in(options.out), options.against)
    where = f"{about('torch', 'transformers')} · {options.device}, {options.dtype} · {options.model.name}"
    text = f"# Selection of calibration sets\n\n{where}; changes against {options.against}\n\n{written(compared)}"
    (options.out / "selection.md").write_text(text, encoding="utf-8")
    (options.out / "selection.svg").write_text(figure(compared), encoding="utf-8")
    print(text)


def words(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def plans_of(options: argparse.Namespace) -> list[Plan]:
    """The plans of `--plan`, or one plan of the options `--sets`, `--weights`, `--methods` and `--budgets`."""
    own = {name: getattr(options, name) for name in ("sets", "weights", "methods") if getattr(options, name)}
    if options.budgets:
        own["budgets"] = tuple(map(int, options.budgets))
    for unknown in set(options.plan) - set(PLANS):
        raise SystemExit(f"there is no plan {unknown}: choose from {', '.join(PLANS)}")
    for unknown in set(options.sets) - set(BUILDERS):
        raise SystemExit(f"there is no set {unknown}: choose from {', '.join(BUILDERS)}")
    plans = [PLANS[name] for name in options.plan] or [PLANS["methods"]]
    return [Plan(**{**vars(plan), **own}) for plan in plans]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("selection"))
    for name in ("plan", "sets", "weights", "methods", "budgets"):
        parser.add_argument(f"--{name}", type=words, default=())
    numbers = {"draws": 10, "group": 64, "limit": 0, "held-out": 64, "answer-tokens": 384, "processes": 1}
    for name, number in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--seconds", type=float, default=500.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="float32", help="on a CPU always float32")
    parser.add_argument("--against", default="seeds@off")
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--prose", type=Path)
    parser.add_argument("--trust-remote-code", action="store_true")
    parser.add_argument("--by-draw", action="store_true")
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.dtype = "float32" if options.device == "cpu" else options.dtype
    options.out.mkdir(parents=True, exist_ok=True)
    done = results_in(options.out)
    wanted = [cell for plan in plans_of(options) for cell in cells(plan, options.draws, options.group)]
    unique = list(dict.fromkeys(wanted))
    if options.by_draw:
        unique.sort(key=lambda cell: cell.draw)
    if options.part:
        part, parts = map(int, options.part.split("/"))
        own = [cell for cell in unique[part - 1 :: parts] if cell not in done] if parts else []
        run(options, own, options.out / f"selection-{part}.jsonl")
        return
    todo = [cell for cell in unique if cell not in done]
    print(f"{len(todo)} of {len(wanted)} measurements are missing", flush=True)
    if todo and options.processes > 1:
        run_in_processes(options, sys.argv[1:] if arguments is None else arguments)
    elif todo:
        run(options, todo, options.out / "selection.jsonl")
    publish(options)


if __name__ == "__main__":
    main()
