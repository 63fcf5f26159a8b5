"""Calibration sets in the forms that other quantizers read."""

from __future__ import annotations

import difflib
import json
import shutil
from pathlib import Path
from typing import IO, Any

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.run.run import Run


def export(run: Run, set_name: str, kind: str, out: IO[bytes]) -> None:
    """Write set `set_name` as `kind` (jsonl, parquet or text) to `out`.

    Raises UsageError if there is no such set, FaqError if its file is damaged.
    """
    path = run.calibration / f"{set_name}.jsonl"
    known = sorted(p.stem for p in run.calibration.glob("*.jsonl"))
    if set_name not in known:
        near = difflib.get_close_matches(set_name, known, n=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"there are: {', '.join(known) or 'none yet, run `assemble` first'}"
        )
        raise UsageError(f"no set {set_name!r} in {run.folder}; {hint}")
    if kind == "jsonl":
        with path.open("rb") as file:
            shutil.copyfileobj(file, out)
        return
    samples = _samples(path)
    if kind == "text":
        for sample in samples:
            out.write((json.dumps(sample["text"], ensure_ascii=False) + "\n").encode())
        return
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(samples), sink)
    out.write(sink.getvalue().to_pybytes())


def _samples(path: Path) -> list[dict[str, Any]]:
    found = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                sample = json.loads(line)
                if not isinstance(sample["text"], str):
                    raise TypeError
            except (ValueError, KeyError, TypeError, RecursionError):
                raise FaqError(
                    f"{path} is damaged in line {number}: delete the file, and run `assemble` again"
                ) from None
            found.append(sample)
    return found
