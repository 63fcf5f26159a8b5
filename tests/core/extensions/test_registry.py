"""A package with a broken extension is named in one sentence, and nothing of it ends the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.doctor.machine import extension_checks
from faq_tui.core.extensions import Registry, points
from tests.support.toy_package import installed


def registry_with(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, name: str = "broken") -> Registry:
    """A registry of judges that finds a package in `folder`, whose module has this code."""
    module = f"faq_{folder.name}".replace("-", "_")
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faq-broken\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[faq_tui.broken]\n{name} = {module}:THING\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    builtin = {"llm": "faq_tui.core.judging.judges.llm:JUDGE"}
    return Registry("faq_tui.broken", "judge", "faq_tui.core.judging.judges.base:Judge", builtin)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('first\\nsecond')", r"cannot be loaded \(RuntimeError: first second\)"),
        ("import sys\nsys.exit(7)", r"cannot be loaded \(SystemExit: 7\)"),
        ("import faq_no_such_module", r"cannot be loaded \(ModuleNotFoundError: "),
        ("THIN = 3", r"cannot be loaded \(AttributeError: "),
        ("THING = 3", "is not a Judge"),
    ],
)
def test_a_broken_extension_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    registry = registry_with(tmp_path, monkeypatch, code)
    assert registry.names() == ("llm", "broken")
    assert registry.get("llm").name == "llm"
    with pytest.raises(FaqError, match=f"^the judge 'broken' of the package faq-broken {reason}.*uninstall"):
        registry.get("broken")


def test_the_name_of_one_of_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = registry_with(tmp_path, monkeypatch, "THING = 3", name="llm")
    with pytest.raises(FaqError, match=r"two packages define the judge 'llm'.*for example faq-broken"):
        registry.names()


def test_doctor_names_what_other_packages_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert extension_checks() == []
    broken = registry_with(tmp_path, monkeypatch, "THING = 3")
    monkeypatch.setattr(points, "ALL", (broken,))
    (check,) = extension_checks()
    assert (check.name, check.state, check.found) == ("judge", "failed", "broken") and "uninstall" in check.advice
    with installed(monkeypatch):
        monkeypatch.setattr(points, "ALL", (points.METHODS, points.JUDGES))
        assert {check.state for check in extension_checks()} == {"ok"}
        assert [check.found.partition(":")[0] for check in extension_checks()] == ["rtn", "shortest"]
