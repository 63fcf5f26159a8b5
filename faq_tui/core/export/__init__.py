"""Write calibration sets in formats that other quantizers read.

`formats.py` defines the classes of all export formats, and the formats jsonl, parquet and text. `quantizers.py`
defines the formats for quantizers of other projects; `scripts/` has the scripts of these formats.
"""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.files import full_disk_is_clear
from faq_tui.core.export.formats import CalibrationSet, ExportFormat, ExportJob, FolderFormat
from faq_tui.core.extensions import EXPORTS

if TYPE_CHECKING:
    from faq_tui.core.run.run import Run
    from faq_tui.core.settings import Recipe

__all__ = ["CalibrationSet", "ExportFormat", "ExportJob", "FolderFormat", "export", "export_folder"]


def export(run: Run, set_name: str, name: str, out: IO[bytes]) -> None:
    """Write the set `set_name` to `out` in the format `name`.

    Raises UsageError if there is no such set or format, and FaqError if the set's file is damaged or empty.
    """
    export_format: ExportFormat = EXPORTS.get(name)
    calibration = _set_of(run, set_name)
    with _failures_named(name):
        export_format.write(calibration, out)


def export_folder(run: Run, set_name: str, name: str, place: Path, recipe_name: str | None = None) -> None:
    """Write the set into the new folder `place`, in the format `name`, which is a `FolderFormat`.

    `recipe_name` names a recipe of the run, such as "gptq-w4g128". By default, the first recipe is used that uses the
    set and that the format can hold. The folder appears only when it is complete. Raises UsageError if there is no
    such set or recipe, or if `place` exists, and FaqError if the set's file is damaged or empty.
    """
    from faq_tui.core.models.target import find_target

    folder_format: FolderFormat = EXPORTS.get(name)
    calibration = _set_of(run, set_name)
    recipe = _recipe_for(run, folder_format, set_name, recipe_name)
    place = place.expanduser().absolute()
    if place.exists() or place.is_symlink():
        raise UsageError(f"{place} exists already: choose another folder")
    if not place.parent.is_dir():
        raise UsageError(f"there is no folder {place.parent}: create it first")
    calibration.check()
    job = ExportJob(find_target(run, lambda _text: None).path, recipe)
    half = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".half", dir=place.parent))
    try:
        with _failures_named(name), full_disk_is_clear(place):
            folder_format.write_folder(calibration, job, half)
        half.chmod(0o755)
        half.rename(place)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _set_of(run: Run, set_name: str) -> CalibrationSet:
    known = sorted(path.stem for path in run.calibration.glob("*.jsonl"))
    if set_name not in known:
        near = difflib.get_close_matches(set_name, known, n=1)
        choices = f"there are: {', '.join(known) or 'none yet, run `assemble` first'}"
        raise UsageError(f"no set {set_name!r} in {run.folder}; {f'did you mean {near[0]}?' if near else choices}")
    calibration = CalibrationSet(set_name, run.calibration / f"{set_name}.jsonl")
    calibration.check_not_empty()
    return calibration


def _recipe_for(run: Run, folder_format: FolderFormat, set_name: str, name: str | None) -> Recipe | None:
    recipes = {recipe.folder("").removesuffix("-"): recipe for recipe in run.settings.recipes}
    can = ", ".join(folder_format.methods)
    if name is not None:
        if name not in recipes:
            raise UsageError(f"no recipe {name!r} in faq.toml; there are: {', '.join(recipes) or 'none'}")
        if folder_format.methods and recipes[name].method not in folder_format.methods:
            raise UsageError(f"{folder_format.name} has no method {recipes[name].method}: choose a recipe with {can}")
        return recipes[name]
    if not folder_format.methods:
        return None
    fit = [recipe for recipe in recipes.values() if recipe.method in folder_format.methods]
    using = [recipe for recipe in fit if set_name in run.settings.sets_of(recipe)]
    if not fit:
        raise UsageError(f"faq.toml has no recipe that {folder_format.name} can use: add one with {can}")
    return (using or fit)[0]


@contextmanager
def _failures_named(name: str) -> Iterator[None]:
    """If the code of another package fails, name the package."""
    try:
        yield
    except (FaqError, OSError):
        raise
    except Exception as error:
        if name in EXPORTS.builtin:
            raise
        raise EXPORTS.failure(name, error) from error
