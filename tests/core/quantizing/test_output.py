"""The bits of a weight, and a manifest that is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.quantizing.output import average_bits, is_whole, read_manifest, write_manifest

pytest_plugins = ["tests.support.quantize_bench"]


def test_average_bits_by_hand() -> None:
    assert average_bits(3, 128, [(7, 1024)]) == pytest.approx(3.15, abs=0.002)  # as the GPTQ paper has it
    assert average_bits(4, -1, [(5, 100)]) == 4 + 20 / 100
    assert average_bits(4, 64, [(1, 64), (1, 96)]) == (160 * 4 + 3 * 20) / 160  # a short group costs a whole one


def test_a_manifest_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    (tmp_path / "faq_manifest.json").write_text('{"half": ')
    assert not is_whole(tmp_path)
    write_manifest(tmp_path, {"artefact": "é"})
    manifest = read_manifest(tmp_path)
    assert manifest is not None and manifest["artefact"] == "é" and "python" in manifest["versions"]
    assert [path.name for path in tmp_path.iterdir()] == ["faq_manifest.json"]
