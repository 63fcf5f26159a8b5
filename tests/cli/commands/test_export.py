"""`faq-tui export`: the same samples in every format, and a file that is whole or as it was."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import stat
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.extensions import EXPORTS
from tests.support.shell import (
    FAQ_TUI,
    environment,
    faq_tui,
    refused,
)

pytest_plugins = ["tests.support.weightless_run"]


def test_export_says_the_same_in_three_formats(run_folder: Path, tmp_path: Path) -> None:
    file = (run_folder / "calibration" / "elder.jsonl").read_text()
    samples = [json.loads(line) for line in file.splitlines()]
    assert len(samples) == 4
    assert faq_tui("export", run_folder, "--set", "elder").out == file
    text = faq_tui("export", run_folder, "--set", "elder", "--format", "text").out
    assert [json.loads(line) for line in text.splitlines()] == [sample["text"] for sample in samples]
    place = tmp_path / "elder.parquet"
    assert faq_tui("export", run_folder, "--set", "elder", "--format", "parquet", "-o", place).out == ""
    assert pyarrow.parquet.read_table(place).to_pylist() == samples
    command = [*FAQ_TUI, "export", str(run_folder), "--set", "elder", "--format", "parquet"]
    piped = subprocess.run(command, check=True, capture_output=True, env=environment()).stdout
    assert pyarrow.parquet.read_table(io.BytesIO(piped)).to_pylist() == samples


def test_export_of_a_set_that_is_none(run_folder: Path) -> None:
    assert "did you mean elder?" in refused(ExitCode.USAGE, "export", run_folder, "--set", "elderr")


@pytest.mark.parametrize("kind", EXPORTS.names())
@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_set_without_samples_is_refused(run_folder: Path, tmp_path: Path, kind: str, content: bytes) -> None:
    (run_folder / "calibration" / "elder.jsonl").write_bytes(content)
    place = tmp_path / "out"
    said = refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "--format", kind, "-o", place)
    assert "elder.jsonl has no samples: delete the file, and run `assemble` again" in said
    assert not place.exists()


OLD = b"what stood there before"


def export_to(place: Path, run_folder: Path, *more: str, code: int = 0, **options: Any) -> str:
    """Export in a process of its own, check its exit code, and return what it printed to stderr."""
    command = [*FAQ_TUI, "export", str(run_folder), *(more or ("--set", "elder")), "-o", str(place)]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=60, **options)
    assert done.returncode == code, done.stderr
    return str(done.stderr.decode())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file with something in it, alone in its folder."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "set.jsonl").write_bytes(OLD)
    return folder / "set.jsonl"


@pytest.mark.parametrize("kind", ["jsonl", "text", "parquet"])
def test_an_export_that_fails_leaves_the_file_as_it_was(run_folder: Path, place: Path, kind: str) -> None:
    said = refused(ExitCode.USAGE, "export", run_folder, "--set", "elderr", "--format", kind, "-o", place)
    assert "did you mean elder?" in said
    (run_folder / "calibration" / "broken.jsonl").write_bytes(b'{"text": "one"}\n\xff\n')
    if kind != "jsonl":  # that is copied as it is
        said = refused(ExitCode.FAILED, "export", run_folder, "--set", "broken", "--format", kind, "-o", place)
        assert "broken.jsonl is damaged in line 2" in said
    assert place.read_bytes() == OLD and list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("kind", ["jsonl", "text", "parquet"])
def test_an_export_onto_a_full_disk_leaves_the_file_as_it_was(run_folder: Path, place: Path, kind: str) -> None:
    """A limit on the size of files stands in for the full disk: the write fails at the same place."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    line = json.dumps({"text": random.Random(0).randbytes(1 << 20).hex()}) + "\n"
    (run_folder / "calibration" / "large.jsonl").write_text(line)
    said = export_to(
        place, run_folder, "--set", "large", "--format", kind, code=ExitCode.FAILED, preexec_fn=small_files
    )
    assert said.startswith(f"faq-tui: no space left while writing {place}: free some disk space")
    assert place.read_bytes() == OLD and list(place.parent.iterdir()) == [place]


def test_an_export_replaces_the_file_and_keeps_its_mode_and_links(run_folder: Path, place: Path) -> None:
    wanted = (run_folder / "calibration" / "elder.jsonl").read_bytes()
    place.chmod(0o640)
    link, dangling = place.with_name("link"), place.with_name("dangling")
    link.symlink_to(place.name)
    dangling.symlink_to("new.jsonl")
    for output in (link, dangling):
        assert export_to(output, run_folder) == ""
        assert output.is_symlink() and output.read_bytes() == wanted
    assert place.read_bytes() == wanted and stat.S_IMODE(place.stat().st_mode) == 0o640
    new = place.with_name("n" * 255)  # no room in the name for another part
    mask = os.umask(0o027)
    try:
        assert export_to(new, run_folder) == ""
    finally:
        os.umask(mask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert {path.name for path in place.parent.iterdir()} == {place.name, "link", "dangling", "new.jsonl", new.name}


def test_an_export_into_what_is_no_file(run_folder: Path, place: Path) -> None:
    """A device, a pipe, and standard output by its name are written to and stay what they are."""
    wanted = (run_folder / "calibration" / "elder.jsonl").read_bytes()
    assert export_to(Path("/dev/null"), run_folder) == "" and Path("/dev/null").is_char_device()
    command = [*FAQ_TUI, "export", str(run_folder), "--set", "elder", "-o", "/dev/stdout"]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment()).stdout == wanted
    with place.open("ab") as file:  # faq-tui … >> FILE
        subprocess.run(command, check=True, stdout=file, env=environment())
    assert place.read_bytes() == OLD + wanted and list(place.parent.iterdir()) == [place]
    pipe = place.with_name("pipe")
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert export_to(pipe, run_folder) == ""
        assert reader.communicate(timeout=60)[0] == wanted and pipe.is_fifo()
    assert "Is a directory" in refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "-o", place.parent)
    loop = place.with_name("loop")
    loop.symlink_to("loop")
    said = refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "-o", loop)
    assert said == f"{loop}: Too many levels of symbolic links"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_export_into_a_folder_that_is_read_only(run_folder: Path, place: Path) -> None:
    place.parent.chmod(0o500)
    said = refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "-o", place)
    place.parent.chmod(0o700)
    assert said == (
        f"{place} cannot be written, because its folder {place.parent} is read-only: choose another folder"
    )
    place.chmod(0o400)
    said = refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "-o", place)
    assert said == f"{place}: Permission denied" and place.read_bytes() == OLD


def test_a_reader_that_has_enough(run_folder: Path) -> None:
    """`faq-tui export … | head -c 1`"""
    command = " ".join([*FAQ_TUI, "export", str(run_folder), "--set", "elder"])
    script = f"set -o pipefail; {command} | true; {command} --format text | head -c 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment())
    assert done.returncode == 0
    assert done.stderr == b""


def test_standard_output_on_a_full_disk(run_folder: Path) -> None:
    for command in (["status", str(run_folder), "--json"], ["export", str(run_folder), "--set", "elder"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*FAQ_TUI, *command],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        assert done.returncode == ExitCode.FAILED
        assert done.stderr.decode() == "faq-tui: No space left on device\n"


def test_files_that_cannot_be_written(run_folder: Path) -> None:
    nowhere = "/proc/no/such/place"
    said = refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "-o", nowhere)
    assert said == f"{nowhere}: No such file or directory"
    assert "/proc/no" in refused(ExitCode.FAILED, "init", nowhere, "--target", "a/t", "--seeds", "starter")
