"""The tests mirror the source: the path of a module leads to its test.

faq_tui/core/store/migrate.py is tested by tests/core/store/test_migrate.py. For a module without a test file,
tests/covered_by.toml names the files that run the module. Each check is also run on a small tree that violates the
rule.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

LAYERS = ("core", "cli", "tui")
TABLE = "tests/covered_by.toml"


def violations(root: Path) -> list[str]:
    """What to change below `root` so that each module leads to its tests, and each test to its module."""
    table = tomllib.loads((root / TABLE).read_text(encoding="utf-8"))
    across = set(table.pop("across", []))
    entries = dict(entries_of(table))
    modules = set(modules_of(root))
    named = {file for files in entries.values() for file in files}
    folders = [root / "tests" / layer for layer in LAYERS]
    tests = {str(path.relative_to(root)) for folder in folders for path in folder.rglob("test_*.py")}
    own = {module: own_test(module) for module in modules if own_test(module) in tests}
    placed = named | set(own.values())
    return [
        *(
            f"{module} has no test: write {own_test(module)}, or name the test files that run it in {TABLE}"
            for module in sorted(modules - own.keys() - entries.keys())
        ),
        *(
            f"{TABLE} has an entry for {module}, which is no module with code: remove the entry"
            for module in sorted(entries.keys() - modules)
        ),
        *(
            f"{module} has its own test file {own[module]}: remove its entry from {TABLE}"
            for module in sorted(entries.keys() & own.keys())
        ),
        *(
            f"the entry of {module} in {TABLE} names no test file: name one"
            for module, files in sorted(entries.items())
            if not files
        ),
        *(
            f"{TABLE} names {file}, which does not exist: correct the path"
            for file in sorted(named | across)
            if not (root / file).is_file()
        ),
        *(
            f"{file} has no module of its name: give it the path of the module that it tests, "
            f"or name it in {TABLE} in the entry of a module or under `across`"
            for file in sorted(tests - placed - across)
        ),
        *(f"{file} belongs to a module: remove it from `across` in {TABLE}" for file in sorted(across & placed)),
    ]


def modules_of(root: Path) -> Iterator[str]:
    """Paths of the modules; an `__init__.py` counts if it defines a function or a class."""
    for layer in LAYERS:
        for path in (root / "faq_tui" / layer).rglob("*.py"):
            if path.name != "__init__.py" or _defines(path):
                yield str(path.relative_to(root))


def _defines(path: Path) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def own_test(module: str) -> str:
    """The path of a module's own test file."""
    path = Path(module)
    return str(Path("tests", *path.parts[1:-1], f"test_{path.name}"))


def entries_of(table: dict[str, Any], package: str = "") -> Iterator[tuple[str, list[str]]]:
    """(path of a module, paths of the test files that run it) of every entry; a package is a table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from entries_of(value, f"{package}{name}/")
        else:
            yield f"{package}{name}.py", value


def test_every_module_leads_to_its_tests_and_every_test_to_its_module() -> None:
    found = violations(ROOT)
    assert not found, "\n" + "\n".join(found)


WHOLE = "tests/core/house/test_whole_house.py"
ENTRY = '[faq_tui.core.house]\nwall = ["tests/core/house/test_roof.py"]\n'
HOUSE = {
    "faq_tui/core/house/__init__.py": '"""A house."""\n\nfrom faq_tui.core.house.roof import tile\n',
    "faq_tui/core/house/roof.py": "def tile() -> None: ...\n",
    "faq_tui/core/house/wall.py": "def brick() -> None: ...\n",
    "tests/core/house/test_roof.py": "",
    WHOLE: "",
    TABLE: f'across = ["{WHOLE}"]\n{ENTRY}',
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"faq_tui/core/house/door.py": ""},
            ["faq_tui/core/house/door.py has no test: write tests/core/house/test_d"],
        ),
        ({"faq_tui/tui/door.py": ""}, ["faq_tui/tui/door.py has no test: write tests/tui/test_door.py"]),
        (
            {"faq_tui/core/house/__init__.py": "def open_door() -> None: ...\n"},
            ["faq_tui/core/house/__init__.py has no test"],
        ),
        ({"tests/core/house/test_wall.py": ""}, ["faq_tui/core/house/wall.py has its own test file"]),
        ({"faq_tui/core/house/wall.py": None}, ["has an entry for faq_tui/core/house/wall.py, which is no module"]),
        (
            {TABLE: f'across = ["{WHOLE}"]\n' + ENTRY.replace("roof", "root")},
            ["names tests/core/house/test_root.py, which does not exist"],
        ),
        ({TABLE: f'across = ["{WHOLE}"]\n[faq_tui.core.house]\nwall = []\n'}, ["wall.py in", "names no test file"]),
        ({TABLE: ENTRY}, [f"{WHOLE} has no module of its name"]),
        ({"tests/cli/test_lost.py": ""}, ["tests/cli/test_lost.py has no module of its name"]),
        (
            {TABLE: f'across = ["{WHOLE}", "tests/core/house/test_roof.py"]\n{ENTRY}'},
            ["tests/core/house/test_roof.py belongs to a module: remove it from `across`"],
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, changed: dict[str, str | None], said: list[str]) -> None:
    build(tmp_path, HOUSE | changed)
    (found,) = violations(tmp_path)
    assert all(part in found for part in said), found


def test_a_tree_in_order_is_left_alone(tmp_path: Path) -> None:
    build(tmp_path, HOUSE)
    assert violations(tmp_path) == []


def build(root: Path, files: Mapping[str, str | None]) -> None:
    for name, text in files.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")


def test_every_test_in_the_list_of_slow_ones_exists() -> None:
    lines = (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").split()
    assert lines == sorted(set(lines)) and lines
    lost = []
    for line in lines:
        file, _, name = line.partition("::")
        path = ROOT / file
        if not path.is_file() or f"def {name.rpartition('::')[2]}(" not in path.read_text(encoding="utf-8"):
            lost.append(line)
    assert lost == []
