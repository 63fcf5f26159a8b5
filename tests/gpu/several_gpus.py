"""Run the methods of gptqmodel on all GPUs and on only the first GPU, and compare both.

python tests/gpu/several_gpus.py FOLDER [--methods gptq,gptaq,awq] [--rows 64] [--tokens 1024] [--tiny]

gptqmodel itself spreads rows and modules over all visible GPUs. The program checks that each artefact is complete,
that its manifest has the number of GPUs, and that almost all weights are equal to the weights from one GPU. (Hessians
are summed in another order, which changes the rounding of a few values.) The program prints the seconds of both runs,
the highest peak memory of a GPU, and the share of packed values that differ. It also writes them to `several_gpus.md`
in `$OUT` or FOLDER. `--tiny` is for a test of this program on a CPU.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from machine import about, table  # noqa: E402
from shapes import MODELS, TINY, make_model, make_rows  # noqa: E402

from faq_tui.core.base.cancel import CancelToken  # noqa: E402
from faq_tui.core.quantizing.output import read_manifest  # noqa: E402
from faq_tui.core.worker import run_worker  # noqa: E402

MODEL = "qwen3-1.7b"
MOST_DIFFERENT = 0.02  # of the quantized values


def made(spec: dict[str, Any], visible: str | None, log: Path) -> dict[str, Any]:
    env = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    run_worker("quantize", spec, lambda _message: None, CancelToken(), log, env)
    manifest = read_manifest(Path(spec["out"]))
    assert manifest is not None
    return manifest


def different(one: Path, other: Path) -> float:
    """Share of the packed 4-bit values that differ."""
    import torch
    from safetensors.torch import load_file

    changed = total = 0
    for path in sorted(one.glob("*.safetensors")):
        here, there = load_file(path), load_file(other / path.name)
        assert here.keys() == there.keys()
        for name in here:
            if name.endswith(".qweight"):
                mixed = here[name] ^ there[name]
                for place in range(8):
                    nibble = torch.bitwise_right_shift(mixed, 4 * place) & 15
                    changed, total = changed + int((nibble != 0).sum()), total + nibble.numel()
    return changed / total


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default="gptq,gptaq,awq")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    gpus, device = torch.cuda.device_count(), "cpu" if options.tiny else "cuda"
    assert options.tiny or gpus > 1, "there is but one GPU"
    shape, folder = (TINY if options.tiny else MODELS)[MODEL], options.folder.resolve()
    model = make_model(folder / "target", shape, 2, device)
    make_rows(folder / "rows.jsonl", options.rows, options.tokens, shape.vocab)
    lines = []
    for method in options.methods.split(","):
        recipe = {"method": method, "bits": 4, "group_size": 128}
        recipe |= {} if method == "awq" else {"engine": "gptqmodel"}
        spec = {"artefact": method, "model": str(model), "recipe": recipe}
        spec |= {"rows": str(folder / "rows.jsonl"), "device": device}
        outs = {name: folder / f"{method}-{name}" for name in ("one", "all")}
        one = made({**spec, "out": str(outs["one"])}, "0", folder / f"{method}-one.log")
        every = made({**spec, "out": str(outs["all"])}, None, folder / f"{method}-all.log")
        share = different(outs["one"], outs["all"])
        cells = [f"{m['seconds']:.1f} s, {m['peak_memory_mb']:,.0f} MB" for m in (one, every)]
        lines.append([method, *cells, every["device"], f"{share:.2%}"])
        print(lines[-1], flush=True)
        assert options.tiny or every["device"].startswith(f"{gpus} × "), every["device"]
        assert share <= MOST_DIFFERENT, share
    head = ["method", "one GPU", "all GPUs", "the manifest's device", "values that differ"]
    size = f"2 layers of {MODEL}'s shapes, {options.rows} rows × {options.tokens} tokens"
    text = f"# Several GPUs\n\n{about('torch', 'transformers', 'gptqmodel')}\n\n{size}\n\n{table(head, lines)}\n"
    (Path(os.environ.get("OUT", folder)) / "several_gpus.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
