"""Find import cycles in a Python package by reading its files, without importing it.

Every import statement counts: at the top of a file, inside a function, and under TYPE_CHECKING. A
lazy import avoids a crash at start-up, but two packages that import each other still cannot be understood, tested or
moved one at a time.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import statement of a module: `importer` imports the module `imported` in `path` at `line`."""

    importer: str
    imported: str
    path: Path
    line: int


def modules_of(root: Path) -> dict[str, Path]:
    """Dotted name to file of every module below the package folder `root`; a package stands for its `__init__.py`."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, which must not be changed."""
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, changed: int) -> ast.Module:
    del changed  # a file that is written anew is parsed anew
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(root: Path) -> list[Import]:
    """Every import of one module below the package folder `root` by another, relative ones resolved."""
    modules = modules_of(root)
    found = []
    for importer, path in modules.items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                asked = _names(node, importer, is_package=path.name == "__init__.py")
                imported = {name for name in (_module(name, modules) for name in asked) if name is not None}
                found += [Import(importer, name, path, node.lineno) for name in sorted(imported - {importer})]
    return found


def _names(node: ast.Import | ast.ImportFrom, importer: str, is_package: bool) -> list[str]:
    """Dotted names that an import statement asks for; `from a import b` asks for `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parts = importer.split(".")
        parents = parts[: len(parts) - node.level + is_package]
        base = ".".join([*parents, *filter(None, [node.module])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _module(name: str, modules: dict[str, Path]) -> str | None:
    """The module that the dotted name is or lies in; None if it is outside the package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def cycles(root: Path) -> list[str]:
    """One message per import cycle below the package folder `root`; an empty list if there is none.

    Every folder is checked separately: there must be an order of its files and folders in which each imports only
    from earlier ones. A message names the files and folders that import each other, and each import between them with
    file and line.
    """
    imports = imports_of(root)
    packages = sorted(name for name, path in modules_of(root).items() if path.name == "__init__.py")
    messages = []
    for package in packages:
        edges: dict[str, dict[str, list[Import]]] = {}
        for statement in imports:
            source, target = (_child(name, package) for name in (statement.importer, statement.imported))
            if source and target and source != target:
                edges.setdefault(source, {}).setdefault(target, []).append(statement)
        for members in _strongly_connected(edges):
            lines = [f"import cycle in {package}: {', '.join(sorted(members))}"]
            for source in sorted(members):
                for target in sorted(members & edges[source].keys()):
                    for statement in edges[source][target]:
                        place = f"{statement.path.relative_to(root.parent)}:{statement.line}"
                        lines.append(f"  {source} -> {target}: {place} imports {statement.imported}")
            messages.append("\n".join(lines))
    return messages


def _child(module: str, package: str) -> str | None:
    """The name, within the package, of its direct file or folder that holds the module."""
    if not module.startswith(f"{package}."):
        return None
    return module.removeprefix(f"{package}.").partition(".")[0]


def _strongly_connected(edges: dict[str, dict[str, list[Import]]]) -> list[set[str]]:
    """Sets of two or more nodes that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        todo = list(edges[start])
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo.extend(edges.get(node, {}))
        reach[start] = seen
    found: list[set[str]] = []
    for node in sorted(edges):
        if node in reach[node] and not any(node in members for members in found):
            found.append({other for other in reach[node] if node in reach.get(other, ())})
    return found
