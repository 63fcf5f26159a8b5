"""Export and report formats: every list of them is that of the registry, and another package can add one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from faq_tui.core.base.errors import ExitCode, FaqError
from faq_tui.core.export import CalibrationSet, ExportFormat, FolderFormat, formats
from faq_tui.core.extensions import EXPORTS, REPORTS, Registry
from faq_tui.core.report.formats import ReportFormat, render_document, report_files
from tests.support.made_up import made_up_run, measure_all
from tests.support.paths import EXTENSION_PACKAGE, ROOT
from tests.support.shell import faq_tui, faq_tui_process, make_run, sentence

INSTALLED: dict[str, Any] = {"PYTHONPATH": f"{ROOT}{os.pathsep}{EXTENSION_PACKAGE}"}  # as if it were installed


@pytest.mark.parametrize(("registry", "base"), [(EXPORTS, ExportFormat), (REPORTS, ReportFormat)])
def test_every_format_is_whole(registry: Registry, base: type[ExportFormat | ReportFormat]) -> None:
    for name in registry.builtin:
        one = registry.get(name)
        assert isinstance(one, base) and one.name == name
        suffix = "" if isinstance(one, FolderFormat) else r"\.[a-z]+"
        assert one.title and re.fullmatch(r"[A-Z].*\.", one.help) and re.fullmatch(suffix, one.suffix)
    files = [one for one in registry.all() if not isinstance(one, FolderFormat)]
    assert len({one.suffix for one in files}) == len(files)


@pytest.mark.parametrize(("command", "registry"), [("export", EXPORTS), ("report", REPORTS)])
def test_every_list_of_formats_is_that_of_the_registry(command: str, registry: Registry) -> None:
    shown = " ".join(faq_tui(command, "--help", COLUMNS="100").out.split())
    assert f"--format [{'|'.join(registry.names())}]" in shown
    for one in registry.all():
        assert f"{one.name} {one.help}" in shown
    page = (ROOT / "docs/guide/commands.md").read_text(encoding="utf-8")
    (listed,) = re.findall(rf"^\| `faq-tui {command} [^`]*--format ([a-z|\\-]+)", page, re.MULTILINE)
    assert listed.split("\\|") == list(registry.builtin)


def test_a_report_format_writes_a_file_of_its_own(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, {"baseline": 0.30})
        assert [path.name for path in report_files(run)] == ["report.md", "report.json", "report.html"]


def test_a_report_format_of_another_package_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPORTS.__dict__, "_found", {"bad": object()})
    monkeypatch.setitem(REPORTS._loaded, "bad", ReportFormat())
    with pytest.raises(FaqError, match=r"the report format 'bad' failed \(NotImplementedError"):
        render_document({}, "bad")


def test_parquet_is_written_in_batches_whatever_the_first_ones_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "BATCH", 2)
    samples = [
        {"text": str(n), "candidate_id": None if n < 4 else n, "input_ids": list(range(n)), "picked_by": None}
        for n in range(7)
    ]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    with (tmp_path / "s.parquet").open("wb") as out:
        formats.PARQUET.write(CalibrationSet("s", path), out)
    table = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    assert table.to_pylist() == samples
    assert table.schema.equals(pyarrow.Table.from_pylist(samples).schema)
    path.write_text("")
    with (tmp_path / "none.parquet").open("wb") as out:
        formats.PARQUET.write(CalibrationSet("s", path), out)
    assert pyarrow.parquet.read_table(tmp_path / "none.parquet").to_pylist() == []


# ---- the package outside faq-tui that docs/extending shows


@pytest.mark.parametrize(
    ("page", "module", "group"),
    [("export-format", "export", "faq_tui.exports"), ("report-format", "report", "faq_tui.reports")],
)
def test_the_page_shows_the_code_that_is_tested(page: str, module: str, group: str) -> None:
    text = (ROOT / "docs" / "extending" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks == [(EXTENSION_PACKAGE / "faq_toy" / f"{module}.py").read_text(encoding="utf-8")]
    name, value = re.findall(rf'"{group}"\]\n(\w+) = "(.+)"', text)[0]
    points = (EXTENSION_PACKAGE / "faq_toy-1.0.dist-info" / "entry_points.txt").read_text(encoding="utf-8")
    assert f"[{group}]\n{name} = {value}\n" in points


def test_a_report_in_the_format_of_another_package(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run") as run:
        measure_all(run, {"baseline": 0.30})
    shown = " ".join(faq_tui_process("report", "--help", **INSTALLED).out.split())
    assert "md|json|html|toy_csv" in shown and "toy_csv Every model's figures" in shown
    printed = faq_tui_process("report", run.folder, "--format", "toy_csv", **INSTALLED).out.splitlines()
    assert printed[0] == "model,text,metric,value" and "unquantized,pydoc,kl,0.0" in printed
    assert "toy_csv" not in faq_tui("report", "--help").out


def test_a_set_in_the_format_of_another_package(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "calibration").mkdir()
    path = run / "calibration" / "elder.jsonl"
    path.write_text("".join(json.dumps({"text": "x", "input_ids": ids}) + "\n" for ids in ([1, 2], [3])))
    shown = " ".join(faq_tui_process("export", "--help", **INSTALLED).out.split())
    assert "|imatrix|toy_ids]" in shown and "toy_ids The token ids of a sample a line" in shown
    place = tmp_path / "out.ids"
    command = ("export", run, "--set", "elder", "--format", "toy_ids", "-o", place)
    assert faq_tui_process(*command, **INSTALLED).code == ExitCode.DONE
    assert place.read_text() == "1 2\n3\n"
    path.write_text('{"text": "x"}\n')
    failed = faq_tui_process(*command, **INSTALLED)
    assert failed.code == ExitCode.FAILED and sentence(failed.err).startswith("the export format 'toy_ids' failed")
    assert place.read_text() == "1 2\n3\n"
    assert "toy_ids" not in faq_tui("export", "--help").out
