"""Let every method run out of GPU memory.

Each method must report one clear sentence and leave no incomplete folder, and the queue must continue.

    python tests/gpu/out_of_memory.py FOLDER [--megabytes 32] [--device cuda]

Each method's worker child may use only a part of the GPU's memory (`torch.cuda.set_per_process_memory_fraction`), and
one layer of the random target needs more than this part. The last recipe of the queue has no limit and must succeed.
`--device cpu` is for a test of this program; then no recipe fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from shapes import Shape, make_model  # noqa: E402

METHODS = ("gptq", "gptaq", "awq", "spqr", "w8a8")
LAST = "gptq-w8g64-baseline"
# Read by every Python that starts below; the first worker children are meant, one a method.
LIMIT = """
import os, sys
if "faq_tui.core.worker" in sys.orig_argv and "quantize" in sys.orig_argv:
    with open(os.environ["FAQ_TEST_STARTED"], "a") as file:
        file.write("x")
    if os.path.getsize(os.environ["FAQ_TEST_STARTED"]) <= int(os.environ["FAQ_TEST_LIMITED"]):
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
        f"[assemble]\nmax_tokens = 64\n[activations]\nenabled = false\n"
        f"[[recipes]]\nmethod = {methods}\nbits = 4\ngroup_size = 64\n"
        '[[recipes]]\nmethod = "w8a8"\n[[recipes]]\nmethod = "gptq"\nbits = 8\ngroup_size = 64\n',
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    make_run(folder, options.device, options.hidden)
    hooks = folder / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(LIMIT, encoding="utf-8")
    limits = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(hooks), str(ROOT), os.environ.get("PYTHONPATH")))),
        "FAQ_TEST_STARTED": str(folder / "started"),
        "FAQ_TEST_LIMITED": str(len(METHODS)),
        "FAQ_TEST_GPU_BYTES": str(options.megabytes << 20),
    }
    command = [sys.executable, "-m", "faq_tui", "run", str(folder), "--until", "quantize"]
    code = subprocess.run(command, env={**os.environ, **limits}).returncode
    print(f"ended with {code} after {time.monotonic() - began:.0f} s", flush=True)
    made = sorted(path.name for path in (folder / "models").iterdir())
    if options.device == "cpu":
        assert code == 0 and len(made) == len(METHODS) + 1, (code, made)
        return
    events = [
        json.loads(line)
        for path in sorted(folder.glob("jobs/*/events.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    said = [event["message"] for event in events if event["event"] in ("Note", "StageFailed")]
    print(*said, sep="\n", flush=True)
    for method in METHODS:
        assert any(text.startswith(method) and "out of memory" in text for text in said), method
    assert code == 1 and made == [LAST], (code, made)
    print(f"{len(METHODS)} engines ran out of memory, each said so, and {LAST} was made after them")


if __name__ == "__main__":
    main()
