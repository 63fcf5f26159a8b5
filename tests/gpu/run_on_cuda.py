"""Quantize and evaluate a run on the GPU, and check that what comes out is sane: see README.md here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

INT8 = """
[[recipes]]
method = "gptq"
bits = 8
group_size = 64
sets = ["baseline", "self"]
"""


def faq_tui(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "faq_tui", *arguments], capture_output=True, text=True)
    print(done.stderr[-6000:], flush=True)
    if done.returncode:
        for log in Path(arguments[1]).glob("jobs/*/log.txt"):
            print(log, log.read_text(errors="replace")[-3000:])
        sys.exit(f"faq-tui {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


def main() -> None:
    run = Path(sys.argv[1])
    settings = run / "faq.toml"
    text = settings.read_text().replace('model = "embedded" ', 'model = "embedded"\ndevice = "cuda" ', 1)
    settings.write_text(f"{text}\n{INT8}")
    started = time.monotonic()
    faq_tui("run", str(run))
    wall = time.monotonic() - started
    report: dict[str, Any] = json.loads(faq_tui("report", str(run), "--format", "json"))
    assert report["evaluation"]["device"] == "cuda", report["evaluation"]
    kl = {m["name"]: {text: v["kl"]["value"] for text, v in m["texts"].items()} for m in report["models"]}
    for name, values in kl.items():
        for text, value in values.items():
            limit = 0.0 if name == "unquantized" else 0.05 if "-w8" in name else 1.0
            assert 0.0 <= value <= limit + 1e-6, (name, text, value)
    out = Path(os.environ.get("OUT", "."))
    (out / "report.json").write_text(json.dumps(report, indent=1))
    (out / "report.md").write_text((run / "reports" / "report.md").read_text())
    manifests = [json.loads(p.read_text()) for p in sorted(run.glob("models/*/faq_manifest.json"))]
    lines = ["| artefact | seconds | peak GPU MB | device |", "|---|---|---|---|"]
    lines += [f"| {m['artefact']} | {m['seconds']} | {m['peak_memory_mb']} | {m['device']} |" for m in manifests]
    (out / "times.md").write_text("\n".join([*lines, "", f"whole command: {wall:.0f} s", ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
