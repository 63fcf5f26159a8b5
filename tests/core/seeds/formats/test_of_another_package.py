"""Seed formats: every list of them comes from the registry, and another package can add one."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.extensions import SEED_FORMATS
from faq_tui.core.paper.preset_text import PresetChoices, preset_text
from faq_tui.core.seeds.formats.base import Record, Records, SeedFormat
from faq_tui.core.seeds.read import format_of, read_records, suffixes
from faq_tui.core.settings import Seeds
from faq_tui.core.settings.target import seed_kinds
from faq_tui.core.settings.write import Choices, init_text
from tests.support.paths import EXTENSION_PACKAGE, ROOT
from tests.support.shell import faq_tui, faq_tui_process, make_run, sentence


class Shouted(SeedFormat):
    name = "shouted"
    title = "shouted text"
    help = "One question per line, in capitals."
    suffixes = (".shout",)

    def records(self, path: Path, settings: Seeds) -> Records:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield Record(number, line.capitalize())


class ShoutedToo(Shouted):
    name = "shouted_too"


class LikeOurs(Shouted):
    name = "like_ours"
    suffixes = (".jsonl",)


class Point:
    """An entry point of another package."""

    dist = None

    def __init__(self, kind: type[SeedFormat]) -> None:
        self.kind, self.name, self.value = kind, kind.name, f"somewhere:{kind.__name__}"

    def load(self) -> SeedFormat:
        return self.kind()


@pytest.fixture(params=[(Shouted,)], ids=["one"])
def another(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = {kind.name: Point(kind) for kind in request.param}
    monkeypatch.setattr(SEED_FORMATS, "_found", points)
    before = dict(SEED_FORMATS._loaded)
    yield
    SEED_FORMATS._loaded = before


def test_every_format_is_whole() -> None:
    for name in SEED_FORMATS.builtin:
        one = SEED_FORMATS.get(name)
        assert isinstance(one, SeedFormat) and one.name == name
        assert one.title and re.fullmatch(r"[A-Z].*\.", one.help)
        assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in one.suffixes)
    assert len(set(suffixes())) == len(suffixes())


def lists_of_formats() -> dict[str, str]:
    """Every text that lists what seeds can be."""
    guide = (ROOT / "docs/guide/index.md").read_text(encoding="utf-8")
    in_guide = re.search(r"^\[seeds\]\npath = .*# (.*)$", guide, re.MULTILINE)
    assert in_guide is not None
    return {
        "init --help": " ".join(faq_tui("init", "--help", COLUMNS="100").out.split()),
        "init": init_text(Choices("org/model", "seeds.jsonl")),
        "a preset": preset_text("paper/table1", PresetChoices()),
        "the guide": in_guide[1],
    }


def test_every_list_of_formats_is_that_of_the_registry() -> None:
    assert seed_kinds().startswith("jsonl, ndjson, json, ") and seed_kinds().endswith('or "starter"')
    for where, text in lists_of_formats().items():
        assert seed_kinds() in text, where


@pytest.mark.parametrize("name", ["x.docx", "."])
def test_every_suffix_is_in_the_errors(tmp_path: Path, another: None, name: str) -> None:
    (tmp_path / "x.docx").touch()
    with pytest.raises(UsageError) as caught:
        format_of(tmp_path / name, name)
    assert all(suffix in str(caught.value) for suffix in (*suffixes(), ".shout"))


def test_a_format_of_another_package_is_read_and_listed(tmp_path: Path, another: None) -> None:
    path = tmp_path / "s.shout"
    path.write_text("WHY?\nHOW?\n")
    assert list(read_records(path, Seeds(path="s.shout"))) == [Record(1, "Why?"), Record(2, "How?")]
    assert "txt, shout, a `datasets` id" in init_text(Choices("org/model", "seeds.jsonl"))
    with pytest.raises(UsageError, match="no seed file at"):
        format_of(tmp_path / "none.shout", "none.shout")


@pytest.mark.parametrize("another", [(Shouted, ShoutedToo, LikeOurs)], indirect=True, ids=["three"])
def test_ours_come_first_and_two_of_others_are_refused(tmp_path: Path, another: None) -> None:
    for name in ("s.jsonl", "s.shout"):
        (tmp_path / name).touch()
    assert format_of(tmp_path / "s.jsonl", "s.jsonl").name == "jsonl"
    with pytest.raises(FaqError, match=r"shouted and shouted_too both read \.shout files"):
        format_of(tmp_path / "s.shout", "s.shout")


def test_a_broken_package_does_not_stop_a_file_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = Point(Shouted)
    monkeypatch.setattr(point, "load", lambda: 1 // 0)
    monkeypatch.setattr(SEED_FORMATS, "_found", {"shouted": point})
    (tmp_path / "s.csv").touch()
    assert format_of(tmp_path / "s.csv", "s.csv").name == "csv"
    result = faq_tui("init", "--help")
    assert result.code == ExitCode.FAILED and "the seed format 'shouted'" in result.err


# ---- the package outside faq-tui that docs/extending/seed-format.md shows

INSTALLED: dict[str, Any] = {"PYTHONPATH": f"{ROOT}{os.pathsep}{EXTENSION_PACKAGE}"}  # as if it were installed
BLOCKS = "What is a token?\n---\n\n---\nExplain this line:\n    print(1)\n---\nWhat is a token?\n"


def test_the_page_shows_the_code_that_is_tested() -> None:
    page = (ROOT / "docs" / "extending" / "seed-format.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert blocks == [(EXTENSION_PACKAGE / "faq_toy" / "seed_format.py").read_text(encoding="utf-8")]
    name, value = re.findall(r'"faq_tui.seed_formats"\]\n(\w+) = "(.+)"', page)[0]
    points = (EXTENSION_PACKAGE / "faq_toy-1.0.dist-info" / "entry_points.txt").read_text(encoding="utf-8")
    assert f"[faq_tui.seed_formats]\n{name} = {value}\n" in points


def test_seeds_in_the_format_of_another_package(tmp_path: Path) -> None:
    run = make_run(tmp_path, seeds="s.faqtoy")
    (run / "s.faqtoy").write_text(BLOCKS)
    result = faq_tui_process("run", run, "--only", "seeds", "--json", **INSTALLED)
    assert result.code == ExitCode.DONE, result.err
    told = [json.loads(line) for line in result.out.splitlines()]
    skipped = [(e["path"], e["line"], e["reason"]) for e in told if e["event"] == "SeedSkipped"]
    assert skipped == [("s.faqtoy", 3, "is empty"), ("s.faqtoy", 8, "repeats line 1")]
    with closing(sqlite3.connect(run / "faq.db")) as db:
        stored = db.execute("SELECT origin, messages FROM seeds ORDER BY position").fetchall()
    assert [(origin, json.loads(messages)[0]["content"]) for origin, messages in stored] == [
        ("s.faqtoy:1", "What is a token?"),
        ("s.faqtoy:5", "Explain this line:\n    print(1)"),
    ]


def test_errors_of_another_packages_format_name_file_and_line(tmp_path: Path) -> None:
    run = make_run(tmp_path, seeds="s.faqtoy", seed_keys='on_problem = "refuse"')
    (run / "s.faqtoy").write_text(BLOCKS)
    result = faq_tui_process("run", run, "--only", "seeds", **INSTALLED)
    assert result.code == ExitCode.USAGE
    assert sentence(result.err).startswith("s.faqtoy line 3 is empty: correct the line")
    (run / "s.faqtoy").write_bytes(b"caf\xe9\n")
    result = faq_tui_process("run", run, "--only", "seeds", **INSTALLED)
    assert result.code == ExitCode.USAGE and "s.faqtoy is not UTF-8 text" in sentence(result.err)


def test_help_and_new_settings_list_the_suffix_of_another_package(tmp_path: Path) -> None:
    shown = " ".join(faq_tui_process("init", "--help", **INSTALLED).out.split())
    assert "txt, faqtoy, a `datasets` id" in shown
    assert (
        faq_tui_process(
            "init", tmp_path / "run", "--target", "embedded", "--seeds", "q.faqtoy", "--no-check", **INSTALLED
        ).code
        == 0
    )
    assert "txt, faqtoy, a `datasets` id" in (tmp_path / "run" / "faq.toml").read_text()
    assert "faqtoy" not in faq_tui("init", "--help").out
