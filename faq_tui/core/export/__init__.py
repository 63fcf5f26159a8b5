"""Write calibration sets in formats that other quantizers read.

`formats.py` defines the class of all export formats, and faq-tui's own formats: jsonl, parquet and text.
"""

from __future__ import annotations

import difflib
from typing import IO, TYPE_CHECKING

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.export.formats import CalibrationSet, ExportFormat
from faq_tui.core.extensions import EXPORTS

if TYPE_CHECKING:
    from faq_tui.core.run.run import Run

__all__ = ["CalibrationSet", "ExportFormat", "export"]


def export(run: Run, set_name: str, name: str, out: IO[bytes]) -> None:
    """Write the set `set_name` to `out` in the format `name`.

    Raises UsageError if there is no such set or format, and FaqError if the set's file is damaged.
    """
    export_format: ExportFormat = EXPORTS.get(name)
    known = sorted(path.stem for path in run.calibration.glob("*.jsonl"))
    if set_name not in known:
        near = difflib.get_close_matches(set_name, known, n=1)
        choices = f"there are: {', '.join(known) or 'none yet, run `assemble` first'}"
        raise UsageError(f"no set {set_name!r} in {run.folder}; {f'did you mean {near[0]}?' if near else choices}")
    try:
        export_format.write(CalibrationSet(set_name, run.calibration / f"{set_name}.jsonl"), out)
    except (FaqError, OSError):
        raise
    except Exception as error:
        if name in EXPORTS.builtin:
            raise
        raise EXPORTS.failure(name, error) from error
