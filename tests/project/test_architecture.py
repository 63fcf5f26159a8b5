"""Check the rules for the source: imports in one direction, no import cycle, short files, unique class names.

Each check is also run on a copy that violates the rule, to show that the check finds violations.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from faq_tui.core.extensions import points
from faq_tui.core.extensions.registry import Registry, load_object
from tests.support.import_graph import cycles, modules_of, parsed
from tests.support.paths import ROOT

PACKAGE = ROOT / "faq_tui"
MAX_LINES = 400


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of faq_tui and its contracts with one violation of each rule about imports."""
    root = tmp_path_factory.mktemp("planted")
    shutil.copytree(PACKAGE, root / "faq_tui", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    plant(root / "faq_tui/core/base/cancel.py", "def _lazy():\n    from faq_tui.core.stages import pipeline\n")
    plant(root / "faq_tui/core/status.py", "def _lazy():\n    import textual.app\n")
    plant(root / "faq_tui/core/jobs/feed.py", "def _lazy():\n    from faq_tui.cli import status_tables\n")
    plant(root / "faq_tui/cli/status_tables.py", "def _lazy():\n    import faq_tui.tui.app\n")
    (root / "faq_tui/core/unplaced").mkdir()
    (root / "faq_tui/core/unplaced/__init__.py").touch()
    return root


def plant(path: Path, code: str) -> None:
    assert path.is_file(), "moved: plant it elsewhere"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n\n{code}")


def lint_imports(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """import-linter on the package in `root`, with the contracts in `root`'s pyproject.toml."""
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; "
    code += "lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo", *options]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_see_a_planted_import(planted: Path) -> None:
    done = lint_imports(planted)
    said = re.sub(r"\s+", " ", done.stdout)  # long lines are wrapped
    assert done.returncode == 1, said + done.stderr
    for broken in (
        "faq_tui.core.base.cancel -> faq_tui.core.stages",
        "faq_tui.core.status -> textual",
        "faq_tui.core.jobs.feed -> faq_tui.cli.status_tables",
        "faq_tui.cli.status_tables -> faq_tui.tui.app",
    ):
        assert broken in said, said
    assert "KEPT" not in said, said


def test_contracts_see_a_package_without_a_layer(planted: Path) -> None:
    done = lint_imports(planted, "--contract", "layers")
    assert "faq_tui.core.unplaced" in done.stdout, done.stdout + done.stderr


def test_no_package_and_no_file_imports_one_that_imports_it() -> None:
    assert not cycles(PACKAGE), "\n\n".join(cycles(PACKAGE))


def test_cycle_checker_sees_a_planted_lazy_import(planted: Path) -> None:
    path = "faq_tui/core/base/cancel.py"
    line = (planted / path).read_text(encoding="utf-8").splitlines().index("def _lazy():") + 2
    message = next(message for message in cycles(planted / "faq_tui") if " base," in message.splitlines()[0])
    assert f"  base -> stages: {path}:{line} imports faq_tui.core.stages.pipeline" in message.splitlines()


@pytest.mark.parametrize(
    "statement",
    [
        "import house.roof.tiles",
        "from house import roof",
        "from house.roof.tiles import red",
        "from ..roof import tiles",
        "def late():\n    from house.roof import tiles",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.roof import tiles",
    ],
)
def test_cycle_checker_counts_every_form_of_import(tmp_path: Path, statement: str) -> None:
    house = make_house(tmp_path, statement)
    (message,) = cycles(house)
    first, *edges = message.splitlines()
    assert first == "import cycle in house: roof, walls"
    number = len(statement.splitlines())
    assert any(
        edge.startswith(f"  walls -> roof: house/walls/bricks.py:{number} imports house.roof") for edge in edges
    )
    assert "  roof -> walls: house/roof/tiles.py:1 imports house.walls.bricks" in edges


def test_cycle_checker_is_quiet_without_a_cycle(tmp_path: Path) -> None:
    assert cycles(make_house(tmp_path, "import json\nfrom house.walls import stones")) == []


def make_house(folder: Path, statement: str) -> Path:
    """A package in which `roof` imports `walls`, and `walls` imports what the statement says."""
    house = folder / "house"
    for name in ("roof", "walls"):
        (house / name).mkdir(parents=True)
        (house / name / "__init__.py").touch()
    (house / "__init__.py").touch()
    (house / "roof/tiles.py").write_text("from house.walls.bricks import BRICK\n", encoding="utf-8")
    (house / "walls/stones.py").touch()
    (house / "walls/bricks.py").write_text(f"{statement}\nBRICK = 1\n", encoding="utf-8")
    return house


def long_files(root: Path) -> dict[str, int]:
    """Lines of each file that has more than MAX_LINES."""
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in root.rglob("*.py")}
    return {name: count for name, count in lines.items() if count > MAX_LINES}


def test_no_file_is_too_long(tmp_path: Path) -> None:
    assert long_files(PACKAGE) == {}
    (tmp_path / "long.py").write_text("pass\n" * (MAX_LINES + 1), encoding="utf-8")
    assert long_files(tmp_path) == {str(tmp_path / "long.py"): MAX_LINES + 1}


def repeated_classes(root: Path) -> dict[str, list[str]]:
    """File and line of each class whose name another class has. A nested class counts with the name of its owner."""
    places = defaultdict(list)

    def visit(node: ast.AST, owner: str, path: Path) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                places[f"{owner}{child.name}"].append(f"{path.relative_to(root)}:{child.lineno}")
                visit(child, f"{owner}{child.name}.", path)
            else:
                visit(child, owner, path)

    for path in sorted(root.rglob("*.py")):
        visit(parsed(path), "", path)
    return {name: lines for name, lines in places.items() if len(lines) > 1}


def test_a_class_name_has_one_meaning(tmp_path: Path) -> None:
    assert repeated_classes(PACKAGE) == {}
    (tmp_path / "one.py").write_text("class Same: ...\nclass Owner:\n    class Inner: ...\n", encoding="utf-8")
    (tmp_path / "two.py").write_text("def late():\n    class Same: ...\nclass Inner: ...\n", encoding="utf-8")
    assert repeated_classes(tmp_path) == {"Same": ["one.py:1", "two.py:2"]}


def without_docstring(root: Path) -> list[str]:
    """Modules without a docstring."""
    modules = {name: parsed(path) for name, path in modules_of(root).items()}
    return [name for name, tree in modules.items() if not ast.get_docstring(tree)]


def test_every_module_of_the_core_says_what_it_is_for(tmp_path: Path) -> None:
    assert without_docstring(PACKAGE / "core") == []
    (tmp_path / "silent.py").write_text("# a comment is no docstring\n", encoding="utf-8")
    assert without_docstring(tmp_path) == [f"{tmp_path.name}.silent"]


REGISTRIES = [value for value in vars(points).values() if isinstance(value, Registry)]


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.group)
def test_every_path_of_a_registry_leads_to_an_extension(registry: Registry) -> None:
    """These paths are strings: neither the type checker nor a contract follows them."""
    assert registry.builtin
    base = load_object(registry.base)
    for name in registry.builtin:
        extension = registry.get(name)
        assert isinstance(extension, base) and extension.name == name
