"""Compare faq-tui's own GPTQ and GPTAQ with GPTQModel's, on a small model: seconds and KL over several draws.

    python benchmarks/gptq_engines.py MODEL [--out FOLDER] [--draws 6] [--first 0] [--tokens 8000] [--device cuda]
    python benchmarks/gptq_engines.py MODEL [--out FOLDER] --merge FOLDER,FOLDER

Each draw has other starter seeds. The samples hold these seeds with the model's own answers, in the model's chat
template. All engines quantize the same draw with 4 bits and groups of 64. All engines run in one process, so that
imports and the CUDA context count only once. KL is the mean divergence per token from the unquantized model, on
starter seeds that no draw contains. The intervals are 95% intervals (Student's t) of the mean of the paired
differences, one difference per draw. `--first` is the number of the first draw, so that several processes can measure
different draws. `--merge` makes one table of the results of several processes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from machine import about, table

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.models.dense import load_dense
from faq_tui.core.quantizing import task
from faq_tui.core.settings.recipe import build_recipe

ENGINES = ("gptq@walk", "gptq@gptqmodel", "gptaq@walk", "gptaq@gptqmodel")
HELD_OUT = 48  # number of held-out seeds
ANSWER = 96  # maximum tokens of an answer

# Student's t for a 95% interval, by degrees of freedom.
T_95 = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def rows_of(model: Any, tokenizer: Any, device: str) -> list[list[int]]:
    """The starter seeds with the model's own answers (greedy, at most ANSWER tokens), as token ids."""
    from importlib.resources import files

    import torch

    lines = (files("faq_tui.core.data") / "starter_seeds.jsonl").read_text(encoding="utf-8").splitlines()
    turns = [[{"role": "user", "content": json.loads(line)["question"]}] for line in lines]
    texts = [tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in turns]
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side, pad = "left", tokenizer.pad_token_id
    rows = []
    for start in range(0, len(texts), 64):
        batch = tokenizer(texts[start : start + 64], add_special_tokens=False, padding=True, return_tensors="pt")
        with torch.no_grad():
            made = model.generate(**batch.to(device), max_new_tokens=ANSWER, do_sample=False, pad_token_id=pad)
        for row, mask in zip(made.tolist(), batch["attention_mask"].tolist(), strict=True):
            first, end = mask.index(1), len(mask)
            answer = row[end:]
            rows.append(row[first:end] + (answer[: answer.index(pad)] if pad in answer else answer))
    return rows


def draw(rows: list[list[int]], tokens: int, seed: int) -> list[list[int]]:
    dice, chosen = random.Random(seed), list[list[int]]()
    for row in dice.sample(rows, len(rows)):
        if sum(map(len, chosen)) >= tokens:
            break
        chosen.append(row)
    return chosen


def log_probabilities(model: Any, rows: list[list[int]], device: str) -> list[Any]:
    import torch

    with torch.no_grad():
        return [
            torch.log_softmax(model(torch.tensor([row], device=device)).logits[0].float(), -1).cpu() for row in rows
        ]


def divergence(teacher: list[Any], model: Any, rows: list[list[int]], device: str) -> float:
    """The mean of KL(teacher ‖ model) over all tokens, in nats."""
    found = log_probabilities(model, rows, device)
    sums = [(one.exp() * (one - other)).sum(-1) for one, other in zip(teacher, found, strict=True)]
    return float(sum(part.sum() for part in sums) / sum(len(part) for part in sums))


def quantized(
    model: Path, options: dict[str, Any], rows: list[list[int]], out: Path, device: str
) -> tuple[float, float]:
    """Quantize into `out` with a recipe of these `options`. By default, a recipe has 4 bits and groups of 64.

    Returns the seconds and the sum of the modules' losses.
    """
    shutil.rmtree(out, ignore_errors=True)
    path = out.with_suffix(".jsonl")
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows), encoding="utf-8")
    result: dict[str, Any] = {}

    def send(kind: str, **body: Any) -> None:
        if kind == "quantized":
            result.update(body)

    recipe = build_recipe({"bits": 4, "group_size": 64, **options}).identity()
    spec = {"artefact": out.name, "model": str(model), "recipe": recipe, "rows": str(path), "out": str(out)}
    began = time.monotonic()
    task.run({**spec, "device": device}, send, CancelToken())
    return time.monotonic() - began, sum(one["loss"] or 0.0 for one in result["losses"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--merge", default="")
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--engines", default=",".join(ENGINES))
    options = parser.parse_args()
    import torch
    from transformers import AutoTokenizer

    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[tuple[float, float, float]]] = {}
    if options.merge:
        for folder in options.merge.split(","):
            for name, results in json.loads((Path(folder) / "gptq_engines.json").read_text()).items():
                found.setdefault(name, []).extend(results)
        write(options, found)
        return
    plain = load_dense(options.model, torch.float32, options.device)
    rows = rows_of(plain, AutoTokenizer.from_pretrained(options.model), options.device)
    held_out, rest = rows[:HELD_OUT], rows[HELD_OUT:]
    teacher = log_probabilities(plain, held_out, options.device)
    del plain
    work = options.out / "artefact"
    for number in range(options.first, options.first + options.draws):
        chosen = draw(rest, options.tokens, number)
        for name in options.engines.split(","):
            method, _, engine = name.partition("@")
            recipe = {"method": method, "engine": engine, "sink_share": "off"}  # GPTQModel counts every token once
            seconds, loss = quantized(options.model.resolve(), recipe, chosen, work.resolve(), options.device)
            model = load_dense(work, torch.float32, options.device)
            kl = divergence(teacher, model, held_out, options.device)
            found.setdefault(name, []).append((seconds, kl, loss))
            print(number, name, f"{seconds:.1f} s, KL {kl:.4f}, loss {loss:.2f}", flush=True)
        write(options, found)
    shutil.rmtree(work, ignore_errors=True)
    work.with_suffix(".jsonl").unlink()


def write(options: argparse.Namespace, found: dict[str, list[tuple[float, float, float]]]) -> None:
    lines = []
    for name, seen in found.items():
        seconds = [one[0] for one in seen]
        kl = [one[1] for one in seen]
        peer = found.get(f"{name.partition('@')[0]}@gptqmodel")
        against = "–"
        if peer is not None and peer is not seen and len(seen) > 2:
            changes = [one[1] / other[1] - 1 for one, other in zip(seen, peer, strict=False)]
            half = T_95.get(len(changes) - 1, 2.0) * statistics.stdev(changes) / len(changes) ** 0.5
            mean = statistics.fmean(changes)
            against = f"{100 * mean:+.1f}% [{100 * (mean - half):+.1f}, {100 * (mean + half):+.1f}]"
        cells = (
            *(name, str(len(seen)), f"{seconds[0]:.1f}", f"{statistics.median(seconds[1:] or seconds):.1f}"),
            *(f"{statistics.fmean(kl):.4f}", against, f"{statistics.fmean(one[2] for one in seen):.2f}"),
        )
        lines.append(cells)
    head = ("method@engine", "draws", "s, first", "s, median of the others", "KL", "KL against GPTQModel", "loss")
    where = f"{about('torch', 'transformers', 'gptqmodel')} · {options.device}"
    text = f"# GPTQ engines\n\n{where}\n\n{table(head, lines)}\n"
    (options.out / "gptq_engines.md").write_text(text, encoding="utf-8")
    (options.out / "gptq_engines.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
