"""Detect Python code in a model's folder, and refuse the folder or load it without the code.

A key such as `auto_map` in config.json names classes in .py files of the folder or of another hub repository.
transformers imports these files only with trust_remote_code; gptqmodel 7.7 and tokenicer import them even without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.models.headers import INDEX
from faq_tui.core.models.hub import cached_folder, local_folder
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Settings

KEYS = ("auto_map", "custom_generate", "custom_pipelines")
ELSEWHERE = "configuration_files"  # the value of this key names files that are read instead of config.json
FOLDER = "custom_generate"  # the name of a folder; transformers runs the file generate.py in this folder

# Large data files, which are not searched for code, because no library runs code that they name.
_DATA = ("tokenizer.json", INDEX)


def named_code(folder: Path) -> str:
    """The key that names code in `folder`, for example "auto_map in config.json"; "" if there is no such key.

    A file with invalid JSON is ignored, because no library can read it either.
    """
    names = next(os.walk(folder), ("", [], []))[2]  # if the folder cannot be read, the loader will report it
    for path in (folder / name for name in sorted(names) if _is_json(name)):
        keys: list[str] = []
        try:
            _stripped(path, keys)
        except RecursionError:
            return f"{path.name} is nested too deeply to be checked"
        except (OSError, ValueError):
            continue
        if keys:
            return f"{keys[0]} in {path.name}"
    return f"the folder {FOLDER}" if (folder / FOLDER).is_dir() else ""


@contextmanager
def without_code(folder: Path, trusted: bool) -> Iterator[Path]:
    """A folder from which a library can load the model without running untrusted code.

    The result is `folder` itself if it is `trusted` or has no code. Otherwise the result is a temporary folder with
    the same name, which has links to the files. The temporary folder has no .py files, and its JSON files lack the
    keys that name code. The temporary folder is removed at the end of the block. Raises UsageError if a JSON file
    cannot be read.
    """
    if trusted or not (named_code(folder) or _has_python(folder)):
        yield folder
        return
    with TemporaryDirectory(prefix="faq-tui-") as scratch:
        whole = folder.resolve()
        view = Path(scratch) / (whole.name or "model")
        _link(whole, view)
        yield view


def _has_python(folder: Path) -> bool:
    return any(_is_python(name) for _, _, names in os.walk(folder) for name in names)


def _is_python(name: str) -> bool:
    return name.lower().endswith(".py")


def _is_json(name: str) -> bool:
    """True if the name ends in .json.

    The case of the letters does not matter, because some file systems ignore the case.
    """
    return name.lower().endswith(".json")


def _link(folder: Path, view: Path) -> None:
    for subfolder, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != FOLDER]
        here, target = Path(subfolder), view / Path(subfolder).relative_to(folder)
        target.mkdir(parents=True)
        for name in names:
            source = here / name
            if _is_python(name) or not source.is_file():
                continue
            keys: list[str] = []
            body = _checked(source, keys) if _is_json(name) else None
            if keys:
                (target / name).write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            else:
                (target / name).symlink_to(source)


def _checked(path: Path, keys: list[str]) -> Any:
    try:
        return _stripped(path, keys)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}): fetch the model again") from None


def _stripped(path: Path, keys: list[str]) -> Any:
    """The content of a JSON file without the keys that name code. The names of these keys are added to `keys`."""
    if path.name in _DATA or not path.is_file():
        return None
    return _without(json.loads(path.read_bytes()), keys)


def _without(value: Any, keys: list[str]) -> Any:
    if isinstance(value, list):
        return [_without(inner, keys) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, inner in value.items():
        if _names_code(key, inner):
            keys.append(key)
        else:
            kept[key] = _without(inner, keys)
    return kept


def _names_code(key: str, value: Any) -> bool:
    """True if the key of a JSON file names code.

    A key whose value is a number names no code. For example, a token in vocab.json may look like a key that names
    code.
    """
    if key == ELSEWHERE:  # this key names other files, which are not checked here
        names = value if isinstance(value, list) else [value]
        return not all(isinstance(name, str) and name.endswith(".json") and "/" not in name for name in names)
    return key in KEYS and isinstance(value, (dict, list, str)) and bool(value)


NO_MODEL = {"seeds", "report"}  # stages that load no model and cost no money


def refuse_code(run: Run) -> None:
    """Raise UsageError if a folder of the run has code and trust_remote_code is off.

    The JSON files of a hub id are fetched. If the hub cannot be reached, no error is raised.
    """
    problem = untrusted_code(run, fetch=True)
    if problem:
        raise UsageError(problem)


def untrusted_code(run: Run, fetch: bool = False) -> str:
    """A sentence that names the untrusted code; "" if there is no code or `trust_remote_code` is on."""
    if run.settings.target.trust_remote_code:
        return ""
    models = {"target.model": run.settings.target.model}
    models |= {f"sources.{name}.model": s.model for name, s in run.settings.sources.items() if s.is_local}
    for key, model in models.items():
        folder = _folder(run, model, fetch)
        if folder is not None and (what := named_code(folder)):
            return (
                f"{key} {model} contains Python code ({what}), which runs only if you allow it: set "
                "trust_remote_code = true under [target] if you trust its author, or use a folder that names no code"
            )
    return ""


def allowed_code(settings: Settings) -> list[str]:
    """A sentence for each setting that allows foreign code. The job's events record them as the person's consent."""
    lm_eval, evalscope = settings.evaluate.lm_eval, settings.evaluate.evalscope
    found = []
    if settings.target.trust_remote_code:
        found.append("Python code of the target's folder may run, because trust_remote_code = true under [target]")
    if lm_eval.tasks and lm_eval.include_path:
        found.append(f"Python code in {lm_eval.include_path} may run, because include_path names it")
    for name, section in (("lm_eval", lm_eval), ("evalscope", evalscope)):
        if section.tasks and section.allow_code_execution:
            found.append(
                f"code that a model writes may run, because allow_code_execution = true under evaluate.{name}"
            )
    return found


def _folder(run: Run, model: str, fetch: bool) -> Path | None:
    if model == EMBEDDED:
        return None
    folder = run.resolve(model)
    if folder.is_dir():
        return folder
    try:
        return cached_folder(model) or (local_folder(model, only_config=True) if fetch else None)
    except UsageError:
        return None  # the loader will report the error
