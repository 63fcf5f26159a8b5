"""CUDA out of memory in every engine: one clear sentence each, nothing half-written, the queue goes on.

    python tests/gpu/out_of_memory.py FOLDER [--megabytes 300] [--device cuda]

Every worker child may take only so much of the GPU (`torch.cuda.set_per_process_memory_fraction`); the target is a
random model whose first weight matrix needs more. `--device cpu` tries the program out: then nothing fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from shapes import Shape, make_model  # noqa: E402

METHODS = ("gptq", "gptaq", "awq", "spqr", "w8a8")
# Read by every Python that starts below, but only a worker child is meant.
LIMIT = """
import os, sys
if "faq_tui.core.worker.child" in sys.orig_argv and os.environ.get("FAQ_TEST_GPU_BYTES"):
    import torch
    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(int(os.environ["FAQ_TEST_GPU_BYTES"]) / whole)
"""


def make_run(folder: Path, device: str, hidden: int) -> None:
    shape = Shape(hidden, 2 * hidden, 4, 2, hidden // 4, 2, vocab=512)
    make_model(folder / "target", shape, 2, "cpu")
    lines = [f"Question {n}: which of the {n + 3} boxes is heavier, and by how much?" for n in range(20)]
    (folder / "seeds.txt").write_text("\n".join(lines), encoding="utf-8")
    methods = json.dumps([method for method in METHODS if method != "w8a8"])
    (folder / "faq.toml").write_text(
        f'[target]\nmodel = "target"\ndevice = "{device}"\n[seeds]\npath = "seeds.txt"\ncount = 12\nheldout = 2\n'
        f"[assemble]\nmax_tokens = 64\n[[recipes]]\nmethod = {methods}\nbits = 4\ngroup_size = 64\n"
        '[[recipes]]\nmethod = "w8a8"\n',
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    make_run(folder, options.device, options.hidden)
    hooks = folder / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(LIMIT, encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(hooks), str(ROOT), os.environ.get("PYTHONPATH"))))
    faq_tui = [sys.executable, "-m", "faq_tui"]
    first = subprocess.run([*faq_tui, "run", str(folder), "--until", "activations"], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    done = subprocess.run(
        [*faq_tui, "run", str(folder), "--only", "quantize"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "FAQ_TEST_GPU_BYTES": str(options.megabytes << 20)},
    )
    print(done.stderr[-6000:])
    made = sorted(p.name for p in (folder / "models").iterdir())
    if options.device == "cpu":
        assert done.returncode == 0 and len(made) == len(METHODS), (done.returncode, made)
        return
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-3000:]
    assert made == [], made
    events = [
        json.loads(line)
        for path in sorted(folder.glob("jobs/*/events.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    said = [event["message"] for event in events if event["event"] in ("Note", "StageFailed")]
    for method in METHODS:
        assert any(method in text and "out of memory" in text for text in said), (method, said)
    print(f"{len(METHODS)} engines ran out of memory, and each said so:", *said, sep="\n")


if __name__ == "__main__":
    main()
