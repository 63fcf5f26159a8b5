#!/usr/bin/env bash
# Makes a run at $1 on the embedded model, from its GGUF file $2: seeds of its own, no server, calibration set `baseline`.
# Then benchmarks/cuda_table.py can quantize it by every method on the GPU.
set -euo pipefail
run=$1 gguf=$2
mkdir -p "$run/target"
python3 -m faq_tui.core.embedded.convert "$gguf" "$run/target"
python3 - "$run" <<'PY'
import sys
from pathlib import Path

run = Path(sys.argv[1])
asked = "Explain in a few sentences what a {} is good for, and which mistake people make with it."
things = "kettle ladder lighthouse garden bridge clock library map compass mirror bicycle violin glacier orchard".split()
run.joinpath("seeds.txt").write_text("\n".join(asked.format(f"{a} {b}") for a in things for b in things), encoding="utf-8")
run.joinpath("faq.toml").write_text(
    '[target]\nmodel = "target"\n[seeds]\npath = "seeds.txt"\ncount = 128\nheldout = 4\n'
    '[evaluate]\nperplexity = ["pydoc"]\nwindow = 256\nprose_tokens = 4096\nanswer_tokens = 16\n',
    encoding="utf-8",
)
PY
python3 -m faq_tui run "$run" --until assemble
