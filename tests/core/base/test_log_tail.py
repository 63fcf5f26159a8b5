"""The end of a log: literal, without colours, whatever stands in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.log_tail import LONGEST, READ, first_error, log_tail


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert log_tail(log, 5) == []
    log.write_bytes(b"")
    assert log_tail(log, 5) == []
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    assert log.stat().st_size > READ
    assert log_tail(log, 3) == ["line 99997", "line 99998", "line 99999"]
    assert len(log_tail(log, 100_000)) > 1000 and log_tail(log, 100_000)[0].startswith("line ")


def test_lines_before_the_start_are_not_read(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("earlier\n" * 3)
    start = log.stat().st_size
    assert log_tail(log, 5, start) == []
    log.write_text("earlier\n" * 3 + "now\n")
    assert log_tail(log, 5, start) == ["now"]
    log.write_text("earlier\n" * 3 + "now\n" * READ + "last\n")
    assert log_tail(log, 2, start) == ["now", "last"]


def test_overwritten_lines_rules_colours_and_control_characters(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(
        b"10%\r50%\r100% done\r\n+----+---+\nINFO  | +---+ |\n\x1b[1;31mred\x1b[0m word \x1b]0;title\x07end\n\n"
        b"\x1b7 \x00 \xff half\x1b[\n" + b"x" * 2000
    )
    lines = log_tail(log, 10)
    assert lines[:2] == ["100% done", "red word end"]
    assert not set("\x1b\x00\x07\r") & set("".join(lines))
    assert len(lines[-1]) == LONGEST


def test_a_line_said_again_and_again_is_shown_once(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("one\n" + "two\n" * 50 + "one\n")
    assert log_tail(log, 10) == ["one", "two", "one"]


def test_bars_drawn_in_turns_are_shown_once_each_in_their_last_state(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    steps = [
        f"Quantizing layer {n} of 29 [{n} of 29] | 0:00:{n:02d} / 0:02:19\nFinalize {n}/7 | 0:00:00\n"
        for n in range(9)
    ]
    log.write_text("loaded\n" + "".join(steps) + "saved | 12 MB\n")
    assert log_tail(log, 10) == ["loaded", *steps[-1].splitlines(), "saved | 12 MB"]


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        (  # vLLM 0.32: pydantic's last line is a link
            "WARNING 11-30 [utils.py:255] errors like `OSError: [Errno 24] Too many open files`\n"
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig\n"
            "  Value error, torch.float32 is not supported for quantization method auto_gptq.\n"
            "    For further information visit https://errors.pydantic.dev/2.14/v/value_error\n",
            "Value error, torch.float32 is not supported for quantization method auto_gptq.",
        ),
        (  # the cause, before the error of the process that waits for the engine
            '  File "core.py", line 9, in load\n    raise ValueError("no")\n'
            "(EngineCore pid=7) ERROR 11-30 [core.py:1] \x1b[31mValueError: no \x00kernel\x1b[0m\n"
            "RuntimeError: Engine core initialization failed. See root cause above.\n",
            "ValueError: no \ufffdkernel",
        ),
        (
            "usage: vllm [-h]\nvllm: error: unrecognized arguments: --windw\n",
            "error: unrecognized arguments: --windw",
        ),
        ("INFO no error: all is well\nerrors\nan error\n", None),
        ("", None),
    ],
)
def test_the_first_error(tmp_path: Path, printed: str, error: str | None) -> None:
    log = tmp_path / "log.txt"
    assert first_error(log) is None
    earlier = "OSError: of an earlier program\n"
    log.write_text(earlier + printed)
    assert first_error(log, len(earlier)) == error
