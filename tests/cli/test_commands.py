"""`init`, `pick`, `export`, `completion`, and what the command costs before it does anything."""

from __future__ import annotations

import io
import json
import os
import pkgutil
import random
import resource
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from faq_tui import cli, core
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.settings import load_settings
from tests.support.shell import FAQ_TUI, environment, faq_tui, faq_tui_process, refused, rows

pytest_plugins = ["tests.support.weightless_run"]
NEVER = ("torch", "transformers", "textual")


# --- cost ---


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_first_answer_comes_at_once(option: str) -> None:
    """Best of five, in a fresh process each; processor seconds, which a busy machine does not stretch."""
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run([*FAQ_TUI, option], check=True, capture_output=True, env=environment())
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))  # of children: user, system
    assert min(times) < 0.3, times
    program = f"import sys; sys.argv = ['faq-tui', '{option}']\nfrom faq_tui.cli.main import main\ntry: main()\n"
    assert _loaded(program + "except SystemExit: pass\n") == []


@pytest.mark.parametrize("command", ["report", "export"])
def test_help_on_formats_loads_only_what_describes_them(command: str) -> None:
    program = f"import sys; sys.argv = ['faq-tui', '{command}', '--help']\nfrom faq_tui.cli.main import main\n"
    program += "try: main()\nexcept SystemExit: pass\nprint('pydantic' in sys.modules, 'sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert "Formats:" in done.stdout and done.stdout.splitlines()[-1] == "False False", done


def test_no_module_of_core_or_cli_loads_what_is_heavy() -> None:
    """The import wall, beside ruff's rule: what a module imports may import more."""
    names = [
        module.name
        for package in (core, cli)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    assert len(names) > 100 and "faq_tui.core.worker.child" in names and "faq_tui.cli.commands.run" in names
    assert _loaded("".join(f"import {name}\n" for name in names)) == []


def _loaded(program: str) -> list[str]:
    """Which of the heavy packages are there at the end of the program."""
    program += f"\nimport sys; print('\\n' + ' '.join(n for n in {NEVER} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


# --- init ---


def test_init_writes_settings_that_parse_and_never_overwrites(tmp_path: Path) -> None:
    run, url = tmp_path / "run", "http://elder:8000/v1"
    given = ("--target", "Qwen/Qwen3-8B", "--seeds", "starter", "--elder-url", url, "--elder-model", "Big")
    result = faq_tui_process("init", run, *given)
    assert (result.code, result.out) == (0, f"wrote {run / 'faq.toml'}\n")
    settings = load_settings(run / "faq.toml")
    assert (settings.target.model, settings.seeds.path) == ("Qwen/Qwen3-8B", "starter")
    assert (settings.sources["elder"].base_url, settings.sources["elder"].model) == (url, "Big")
    assert settings.judge.kind == "likelihood"
    before = (run / "faq.toml").read_bytes()
    assert "exists already" in refused(ExitCode.USAGE, "init", run, *given)
    assert (run / "faq.toml").read_bytes() == before


def test_init_makes_paths_of_the_shell_absolute(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text("{}")
    result = faq_tui_process("init", "run", "--target", "embedded", "--seeds", "s.jsonl", cwd=tmp_path)
    assert result.code == 0
    settings = tomllib.loads((tmp_path / "run" / "faq.toml").read_text())
    assert settings["seeds"]["path"] == str(tmp_path / "s.jsonl")


def test_init_with_half_an_elder(tmp_path: Path) -> None:
    said = refused(ExitCode.USAGE, "init", tmp_path, "--target", "t", "--seeds", "s", "--elder-url", "http://x/v1")
    assert said == "--elder-url and --elder-model belong together: give both or neither"


# --- pick ---


def pick(run: Path, *arguments: str) -> str:
    result = faq_tui("pick", run, *arguments)
    assert result.code == 0, result
    return result.out.strip()


def picked(run: Path, label: str) -> object:
    """(candidate number or None, by whom) of the sample in the set after assembling anew."""
    assert faq_tui("run", run, "--until", "assemble").code == 0
    ((seed_id,),) = rows(run, f"SELECT id FROM seeds WHERE label = '{label}'")
    lines = (run / "calibration" / "elder.jsonl").read_text().splitlines()
    samples = {row["seed_id"]: row for row in map(json.loads, lines)}
    if seed_id not in samples:
        return None
    sample = samples[seed_id]
    ((number,),) = rows(run, f"SELECT number FROM candidates WHERE id = {sample['candidate_id']}")
    return number, sample["picked_by"]


def test_a_person_outweighs_the_judge_until_they_give_it_back(run_folder: Path) -> None:
    assert picked(run_folder, "q1") == (2, "judge")
    ((seed_id,),) = rows(run_folder, "SELECT id FROM seeds WHERE label = 'q1'")
    assert pick(run_folder, "q1", "1", "--reason", "shorter") == f"{seed_id}: candidate 1 of elder is picked"
    assert picked(run_folder, "q1") == (1, "person")
    assert pick(run_folder, seed_id, "elder:0") == f"{seed_id}: rejected for elder"
    assert picked(run_folder, "q1") is None
    assert pick(run_folder, seed_id[:8], "judge") == f"{seed_id}: the choice of elder is the judge's again"
    assert picked(run_folder, "q1") == (2, "judge")
    by_person = rows(run_folder, "SELECT action, reason FROM picks WHERE picked_by = 'person' ORDER BY id")
    assert by_person == [("pick", "shorter"), ("reject", ""), ("clear", "")], "rows are only added"


@pytest.mark.parametrize(
    ("seed", "candidate", "said"),
    [
        ("q99", "1", "no seed 'q99' in this run"),
        ("", "1", "matches more than one seed"),
        ("q1", "4", "has no candidate 4 from elder; it has 1, 2, 3"),
        ("q1", "3", "is truncated: it cannot be assembled"),
        ("q1", "best", "candidate 'best': give 1, 2, 3"),
        ("q1", "²", "candidate '²': give 1, 2, 3"),
        ("q1", "teacher:1", "no source 'teacher'; this run has elder"),
    ],
)
def test_a_pick_that_cannot_be(run_folder: Path, seed: str, candidate: str, said: str) -> None:
    assert said in refused(ExitCode.USAGE, "pick", run_folder, seed, candidate)
    assert rows(run_folder, "SELECT count(*) FROM picks WHERE picked_by = 'person'") == [(0,)]


# --- export ---


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
    assert said == f"{place} cannot be written, since its folder {place.parent} is read-only"
    place.chmod(0o400)
    said = refused(ExitCode.FAILED, "export", run_folder, "--set", "elder", "-o", place)
    assert said == f"{place}: Permission denied" and place.read_bytes() == OLD


def test_a_reader_that_has_enough(run_folder: Path) -> None:
    """`faq-tui export … | head -c 1`"""
    command = " ".join([*FAQ_TUI, "export", str(run_folder), "--set", "elder"])
    script = f"set -o pipefail; {command} | true; {command} --format text | head -c 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment())
    assert done.returncode in (0, 1), "the last bytes may have fitted into the pipe"
    assert done.stderr == b""


# --- completion ---


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    result = faq_tui("completion", shell)
    assert result.code == 0 and "_FAQ_TUI_COMPLETE" in result.out and "faq-tui" in result.out


def test_what_the_script_calls_lists_the_commands() -> None:
    env = {"_FAQ_TUI_COMPLETE": "bash_complete", "COMP_WORDS": "faq-tui rep", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['faq-tui']; from faq_tui.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(**env))
    assert "plain,report" in done.stdout.splitlines() and "plain,run" not in done.stdout.splitlines()
