"""The animation at the head of the README: how it is drawn from an asciicast, and that it names no place here."""

from __future__ import annotations

import importlib.util
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

ASSETS = ROOT / "assets"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.syspath_prepend(str(ROOT))
    spec = importlib.util.spec_from_file_location("make_recording", ASSETS / "make_recording.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "make_recording", module)
    spec.loader.exec_module(module)
    return module


def test_an_asciicast_becomes_an_animation(program: ModuleType, tmp_path: Path) -> None:
    cast = tmp_path / "a.cast"
    events = [
        [0.0, "o", "\x1b[?1049hsame <line>\r\n\x1b[1;31mred\x1b[0m in /home/somebody/runs"],
        [0.5, "m", "wizard"],
        [1.0, "o", "\x1b[3;1Hmore"],
        [2.0, "o", "\x1b[4;1H\x1b[7mreversed\x1b[0m"],
    ]
    head = {"version": 2, "width": 60, "height": 6}
    cast.write_text("\n".join(map(json.dumps, [head, *events])))
    parts = program.parts_of(cast)
    assert [part.name for part in parts] == ["home", "wizard"]
    drawn = program.draw(parts)
    ET.fromstring(drawn)
    assert drawn.count("same &lt;line&gt;") == 1, "a line of several frames is stored once"
    assert "in ~/runs" in drawn and "somebody" not in drawn
    assert len(re.findall(r"translateX\(", drawn)) == sum(len(part.chosen()) for part in parts) == 5
    assert f'fill="{program.PAPER}"' in drawn and f'fill="{program.NAMED["red"]}"' in drawn


def test_characters_are_not_divided(program: ModuleType) -> None:
    text = "a━é😀z".encode()
    for cut in range(len(text)):
        found = list(program.joined([(0.0, text[:cut]), (1.0, text[cut:])]))
        assert "".join(data.decode() for _at, data in found) == text.decode()


def test_the_animation_is_small_and_names_no_place() -> None:
    drawn = (ASSETS / "recording.svg").read_text(encoding="utf-8")
    ET.fromstring(drawn)
    assert len(drawn.encode()) < 1_000_000
    assert not re.search(r"/root|/tmp/|/home/\w", drawn)
    for words in (
        "Which model do you want to quantize?",
        "questions.txt",
        "writing its answer",
        "running: regenerate",
    ):
        assert words in drawn, words
