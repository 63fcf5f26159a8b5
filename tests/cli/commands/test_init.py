"""`faq-tui init`: settings that parse, presets of the paper, and the paper's table in `status`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.run.run import open_run
from faq_tui.core.settings import load_settings
from faq_tui.core.store.benchmarks import set_problem
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.on_terminal import OnTerminal
from tests.support.schemas import schema
from tests.support.shell import FAQ_TUI, faq_tui, faq_tui_process, refused

SCHEMA = schema("status")


def test_presets_are_listed_without_a_run() -> None:
    done = faq_tui("init", "--list-presets")
    lines = done.out.splitlines()
    assert done.code == 0 and len(lines) == 12
    assert lines[0].startswith("paper/table1 ") and "Qwen3-8B: GPTQ 8 bit" in lines[0]
    assert [line.split()[1] for line in lines if line.startswith("paper/table11 ")] == ["DeepSeek-R1:", "Qwen3-8B:"]


def test_a_preset_becomes_a_run_and_its_status_shows_the_table(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "Why?"}\n')
    run = tmp_path / "run"
    done = faq_tui(
        "init", run, "--preset", "paper/table11", "--target", "Qwen3-8B", "--seeds", tmp_path / "mine.jsonl"
    )
    assert done.code == 0 and "set the URLs of the servers" in done.err
    text = (run / "faq.toml").read_text()
    assert str(tmp_path / "mine.jsonl") in text and 'model = "Qwen/Qwen3-8B"' in text
    with open_run(run) as opened:
        set_problem(opened.store, (UNQUANTIZED, "evalscope", "aime24"), "no vLLM\x1b[2J here")
    status = faq_tui("status", run, "--json")
    body = json.loads(status.out)
    jsonschema.validate(
        {"paper": body["paper"], "benchmarks": body["benchmarks"]},
        {"type": "object", "properties": {name: SCHEMA["$defs"][name] for name in ("paper", "benchmarks")}},
    )
    assert all({"paper", "benchmarks"} <= set(form["required"]) for form in SCHEMA["anyOf"])
    assert body["paper"]["filled"] == 0 and len(body["paper"]["cells"]) == 12
    assert [(b["task"], b["done"]) for b in body["benchmarks"]] == [
        ("aime24", False),
        ("math_500", False),
        ("live_code_bench:v5", False),
    ]
    shown = faq_tui("status", run).out
    assert "paper/table11, Qwen3-8B: 0 of 12 cells filled" in shown and "w8a8-int8 w8a8" in shown
    assert "0 of 1" in shown and "no vLLM" in shown and "\x1b[2J" not in shown


def test_the_papers_table_is_whole_in_80_columns(tmp_path: Path) -> None:
    run = tmp_path / "run"
    faq_tui("init", run, "--preset", "paper/table2")
    shown = faq_tui("status", run, COLUMNS="80").out
    table = shown[shown.index("paper/table2, Qwen3-8B: 0 of 156 cells filled") :].splitlines()[1:]
    assert max(map(len, table)) <= 80
    heads = [line.split()[2:] for line in table if line.startswith("quantized")]
    assert (heads[0][0], heads[-1][-1]) == ("arc_challenge", "include_zh") and len(heads) > 1, "no name is broken"
    assert len(table) == len(heads) * 14, "no row is broken"


def test_what_cannot_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    said = refused(ExitCode.USAGE, "init", tmp_path / "a", "--preset", "paper/table12")
    assert "no preset 'paper/table12'" in said and "--list-presets" in said
    assert "Missing option '--target'" in refused(ExitCode.USAGE, "init", tmp_path / "a", "--seeds", "starter")
    assert "Missing option '--seeds'" in refused(ExitCode.USAGE, "init", tmp_path / "a", "--target", "a/b")
    assert not (tmp_path / "a").exists()


def test_init_writes_settings_that_parse_and_never_overwrites(tmp_path: Path) -> None:
    run, url = tmp_path / "run", "http://elder:8000/v1"
    given = (
        "--target",
        "Qwen/Qwen3-8B",
        "--seeds",
        "starter",
        "--elder-url",
        url,
        "--elder-model",
        "Big",
        "--no-check",
    )
    result = faq_tui_process("init", run, *given)
    assert (result.code, result.out) == (0, f"wrote {run / 'faq.toml'}\n")
    settings = load_settings(run / "faq.toml")
    assert (settings.target.model, settings.seeds.path) == ("Qwen/Qwen3-8B", "starter")
    assert (settings.sources["elder"].base_url, settings.sources["elder"].model) == (url, "Big")
    assert settings.judge.kind == "likelihood"
    before = (run / "faq.toml").read_bytes()
    assert "exists already: edit it, or choose another folder" in refused(ExitCode.USAGE, "init", run, *given)
    assert (run / "faq.toml").read_bytes() == before


def test_init_makes_paths_of_the_shell_absolute(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"question": "Why?"}')
    result = faq_tui_process("init", "run", "--target", "embedded", "--seeds", "s.jsonl", cwd=tmp_path)
    assert result.code == 0
    settings = tomllib.loads((tmp_path / "run" / "faq.toml").read_text())
    assert settings["seeds"]["path"] == str(tmp_path / "s.jsonl")


def test_init_with_half_an_elder(tmp_path: Path) -> None:
    said = refused(ExitCode.USAGE, "init", tmp_path, "--target", "t", "--seeds", "s", "--elder-url", "http://x/v1")
    assert said == "--elder-url and --elder-model must be used together: give both or neither"


def test_what_the_wizard_refuses_is_refused(tmp_path: Path) -> None:
    """And nothing is written."""
    run, starter = tmp_path / "run", ("--target", "embedded", "--seeds", "starter")
    for code, arguments, why in (
        (ExitCode.USAGE, ("--target", "embedded", "--seeds", tmp_path / "no.jsonl"), "no seed file at"),
        (ExitCode.USAGE, ("--target", "Qwen3", "--seeds", "starter"), "is neither a folder nor a hub id"),
        (
            ExitCode.UNREACHABLE,
            (*starter, "--elder-url", "http://127.0.0.1:9/v1", "--elder-model", "Big"),
            "cannot reach http://127.0.0.1:9/v1 (Connection refused): is the server running, and is its URL right?; "
            "to write the settings without this check, add --no-check",
        ),
        (
            ExitCode.UNREACHABLE,
            (*starter, "--judge-url", "http://127.0.0.1:9/v1", "--judge-model", "Big"),
            "cannot reach",
        ),
    ):
        assert why in refused(code, "init", run, *arguments)
        assert not run.exists()
    with FakeServer(Behaviour()) as server:
        given = (*starter, "--elder-url", server.url, "--elder-model")
        assert "did you mean 'fake-8b'?" in refused(ExitCode.UNREACHABLE, "init", run, *given, "fake-9b")
        assert faq_tui("init", run, *given, "fake-8b").code == 0


def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    assert "Missing argument 'RUN'" in refused(ExitCode.USAGE, "init")
    assert "Missing option '--target'" in refused(ExitCode.USAGE, "init", tmp_path / "run", "--no-input")


@pytest.fixture
def terminals() -> Iterator[list[OnTerminal]]:
    opened: list[OnTerminal] = []
    yield opened
    for one in opened:
        one.kill()


def asked(terminals: list[OnTerminal], folder: Path, *options: str) -> OnTerminal:
    """`faq-tui init` on a plain terminal, called in this folder."""
    command = f"cd '{folder}' && exec {' '.join((*FAQ_TUI, 'init', *options))}"
    terminals.append(OnTerminal("sh", "-c", command))
    return terminals[-1]


def test_init_asks_on_a_terminal_and_asks_again(tmp_path: Path, terminals: list[OnTerminal]) -> None:
    (tmp_path / "mine.txt").write_text("".join(f"Why is number {n} odd?\n" for n in range(20)))
    with FakeServer(Behaviour(max_model_len=1000, pieces_per_s=100)) as server:
        shown = asked(terminals, tmp_path)
        for question, answer in (
            ("Model to quantize", "Qwen3-8B"),
            ("is neither a folder nor a hub id", "Qwen/Qwen3-8B"),
            ("Questions", "theirs.txt"),
            ("no seed file at", "mine.txt"),
            ("Number of questions to regenerate [16]", "none"),
            ("is not a valid integer range", "12"),
            ("Number of questions to hold out [4]", ""),
            ("regenerates 12 and holds out 4", ""),  # the question for the model follows; enter takes the server
            ("URL of the server", "http://127.0.0.1:9/v1"),
            ("Connection refused", server.url),
            ("serves fake-8b", "gptq"),
            ("Bits per weight", "4"),
            ("Folder of the run", "my-run"),
            ("Write the settings?", "y"),
        ):
            shown.wait_for(question.encode())
            shown.press(f"{answer}\r".encode())
        assert shown.wait() == 0
    assert b"36 answers of at most 9" in shown.got, "the plan knows the speed and the window of the server"
    settings = load_settings(tmp_path / "my-run" / "faq.toml")
    assert settings.target.model == "Qwen/Qwen3-8B" and settings.seeds.path == str(tmp_path / "mine.txt")
    assert (settings.seeds.count, settings.seeds.heldout) == (12, 4)
    assert (settings.sources["elder"].base_url, settings.sources["elder"].model) == (server.url, "fake-8b")


def interrupted(shown: OnTerminal) -> int:
    """Press ctrl+c once, just after the prompt was shown."""
    shown.press(b"\x03")
    return shown.wait()


def test_init_asks_only_what_is_missing_and_ctrl_c_writes_nothing(
    tmp_path: Path, terminals: list[OnTerminal]
) -> None:
    shown = asked(terminals, tmp_path, "my-run", "--target", "embedded")
    shown.wait_for(b"2 of 5")
    shown.press(b"starter\r")
    for question in (b"to regenerate [224]", b"to hold out [32]"):
        shown.wait_for(question)
        shown.press(b"\r")
    shown.wait_for(b"the target itself, on this machine")
    shown.press(b"\r")
    shown.wait_for(b"Quantization method")
    shown.press(b"w8a8\r")
    shown.wait_for(b"Write the settings?")
    assert interrupted(shown) == ExitCode.STOPPED
    assert not (tmp_path / "my-run").exists()


def test_a_model_that_is_not_larger_is_a_warning(tmp_path: Path) -> None:
    with FakeServer(Behaviour(models=("SmolLM2-135M-Instruct",))) as server:
        given = ("--target", "embedded", "--seeds", "starter", "--elder-url", server.url)
        done = faq_tui("init", tmp_path / "run", *given, "--elder-model", "SmolLM2-135M-Instruct")
    said = " ".join(done.err.split())
    assert done.code == ExitCode.DONE and (tmp_path / "run" / "faq.toml").is_file()
    assert "not larger than the target: it is the same model, so do not expect a gain" in said
