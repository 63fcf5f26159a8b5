"""The packages of a release hold every file of faq_tui, and a new version makes nothing stale."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import faq_tui
from faq_tui.core.quantizing.output import versions
from faq_tui.core.run.run import open_run
from faq_tui.core.stages import quantize
from faq_tui.core.stages.pipeline import all_stages
from faq_tui.core.store.sets import SetRow
from tests.support.judged_run import make_judged_run
from tests.support.paths import ROOT

DATA = {".tcss", ".css", ".jsonl", ".json", ".csv", ".sql", ".toml", ".txt"}  # kinds of files beside the code


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return out


def test_the_wheel_holds_every_file_of_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry = archive.read(f"faq_tui-{faq_tui.__version__}.dist-info/entry_points.txt").decode()
    wanted = tracked("faq_tui")
    assert wanted <= names
    assert {Path(name).suffix for name in names} >= DATA
    assert all(".dist-info/" in name for name in names - wanted)
    assert "faq-tui = faq_tui.__main__:main" in entry


def test_the_source_distribution_holds_what_a_build_and_a_test_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = tracked("faq_tui") | tracked("tests") | {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
    assert wanted <= names


def test_no_signature_depends_on_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_judged_run(tmp_path / "run")
    with (folder / "faq.toml").open("a") as file:
        file.write('[[recipes]]\nmethod = "gptq"\nbits = 4\n')
    (folder / "seeds.jsonl").write_text('{"question": "Why?"}\n')
    found = []
    for version in (faq_tui.__version__, "99.0.0"):
        monkeypatch.setattr(faq_tui, "__version__", version)
        assert versions()["faq_tui"] == version
        with open_run(folder) as run:
            (recipe,) = run.settings.recipes
            row = SetRow("elder", "ids", 1, 10, 10, 0, {})
            signatures = [stage.signature(run) for stage in all_stages()]
            found.append([*signatures, quantize.artefact_signature(run, recipe, row)])
    assert found[0] == found[1] and len(found[0]) == 9
