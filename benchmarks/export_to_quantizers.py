"""Run the folders of `faq-tui export` with the real quantizers, on a tiny random model.

    python benchmarks/export_to_quantizers.py [--python llm-compressor=PYTHON] [--python auto-round=PYTHON]
                                              [--out FILE]

Quantizers pin different versions of torch and transformers, so each one runs with its own interpreter. Without an
interpreter, this one is used. For each recipe, the program exports a calibration set, runs `quantize.py`, and looks
at the folder that the quantizer wrote: its `quant_method`, and the number of matrices with packed or INT8 weights.
llama.cpp's tokenizer, in the embedded server, reads the text for imatrix; its token ids are compared with the set.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from machine import machine, publish, table

from faq_tui.core.base.errors import FaqError
from faq_tui.core.embedded import running_server
from faq_tui.core.export import CalibrationSet, FolderFormat, export_folder
from faq_tui.core.extensions import EXPORTS
from faq_tui.core.run.run import Run, open_run
from tests.support.shell import faq_tui
from tests.support.tiny import TINY_RUN, make_tiny_run

RECIPES = """
[[recipes]]
method = ["gptq", "gptaq", "awq"]
group_size = 64
[[recipes]]
method = "w8a8"
"""
EMBEDDED_RUN = """
[target]
model = "embedded"
[seeds]
path = "starter"
count = 12
heldout = 2
[activations]
enabled = false
"""
PACKED = (".qweight", ".weight_packed", ".weight_scale")  # a quantized matrix has one of these tensors
LIMIT_S = 900
# Run a script. Without a GPU, llm-compressor's AWQ fails when it pins memory, so pinning then does nothing.
RUN = """
import runpy, sys, torch
if not torch.cuda.is_available():
    torch.Tensor.pin_memory = lambda self, *_: self
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def quantized(run: Run, name: str, recipe: str, python: str, work: Path) -> tuple[str, ...]:
    """One row of the table: the result of one export."""
    place = work / f"{name}-{recipe}"
    export_folder(run, "baseline", name, place, recipe)
    began = time.monotonic()
    with (work / f"{place.name}.log").open("wb") as log:
        command = [python, "-c", RUN, str(place / "quantize.py"), str(place / "quantized")]
        code = subprocess.run(command, stdout=log, stderr=log, cwd=place, timeout=LIMIT_S, check=False).returncode
    seconds = time.monotonic() - began
    found = facts(place / "quantized") if code == 0 else f"exit code {code}, see {log.name}"
    return name, version_of(python, name), recipe, found, f"{seconds:.0f}"


def facts(folder: Path) -> str:
    """What the quantizer wrote, by its config.json and the names of its tensors."""
    from safetensors import safe_open

    configs = [path for path in folder.rglob("config.json") if "quantization_config" in path.read_text()]
    if not configs:
        return "no quantization_config"
    config = json.loads(configs[0].read_text())["quantization_config"]
    names = []
    for path in configs[0].parent.glob("*.safetensors"):
        with safe_open(path, framework="pt") as reader:
            names += list(reader.keys())
    matrices = {name.rpartition(".")[0] for name in names if name.endswith(PACKED)}
    return f"{config['quant_method']}: {len(matrices)} quantized matrices"


def version_of(python: str, name: str) -> str:
    names = [name.replace("llm-compressor", "llmcompressor"), "torch", "transformers"]
    code = f"import importlib.metadata as m; print(*map(m.version, {names!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    own, torch, transformers = done.stdout.split()
    return f"{own} (torch {torch}, transformers {transformers})"


def imatrix(work: Path) -> tuple[str, ...]:
    """Compare the set's ids with those of llama.cpp, for each sample's text."""
    (work / "embedded").mkdir()
    (work / "embedded" / "faq.toml").write_text(EMBEDDED_RUN, encoding="utf-8")
    assert faq_tui("run", work / "embedded", "--until", "assemble").code == 0
    path = work / "embedded" / "calibration" / "baseline.jsonl"
    whole = faq_tui("export", work / "embedded", "--set", "baseline", "--format", "imatrix").out
    samples = list(CalibrationSet("baseline", path).samples())
    equal = 0
    with running_server(work / "server.log") as server:
        for sample in samples:
            assert sample["text"] in whole
            body = {"content": sample["text"], "add_special": False, "parse_special": True}
            asked = urllib.request.Request(
                f"{server.base_url.removesuffix('/v1')}/tokenize",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(asked, timeout=60) as answer:
                equal += json.load(answer)["tokens"] == sample["input_ids"]
    from importlib.metadata import version

    found = f"llama.cpp's tokenizer gives the ids of the set for {equal} of {len(samples)} samples"
    return "imatrix", f"xllamacpp {version('xllamacpp')}", "–", found, "–"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", action="append", default=[], metavar="FORMAT=PYTHON")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in options.python)
    work = Path(tempfile.mkdtemp(prefix="faq-export-"))
    run = make_tiny_run(work / "run", TINY_RUN + RECIPES)
    assert faq_tui("run", run, "--until", "assemble").code == 0
    rows: list[tuple[str, ...]] = []
    with open_run(run) as opened:
        for name in EXPORTS.builtin:
            one: Any = EXPORTS.get(name)
            if isinstance(one, FolderFormat):
                for recipe in opened.settings.recipes:
                    if recipe.method in one.methods:
                        short = recipe.folder("").removesuffix("-")
                        try:
                            row = quantized(opened, name, short, pythons.get(name, sys.executable), work)
                        except (FaqError, subprocess.SubprocessError) as error:
                            row = (name, "", short, f"{type(error).__name__}: {error}", "–")
                        rows.append(row)
                        print(row, flush=True)
    rows.append(imatrix(work))
    head = ("format", "version", "recipe", "result", "s")
    where = f"{time.strftime('%Y-%m-%d %H:%M')} · {machine()}"
    publish("Exports read by other quantizers", where, table(head, rows), options.out)


if __name__ == "__main__":
    main()
