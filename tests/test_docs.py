"""The pages in docs/ agree with the code: paths and links exist, layers and registries are those of the source."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from faq_tui.core.extensions import points
from faq_tui.core.extensions.registry import Registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def table_under(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below the heading, without its head."""
    lines = text_of(page).partition(f"{heading}\n")[2].splitlines()
    rows = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_code_marks_exist(page: str) -> None:
    paths = re.findall(r"`((?:faq_tui|tests|docs|benchmarks)/[\w./-]*)`", text_of(page))
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(page))
    assert [link for link in links if not (DOCS / page).parent.joinpath(link).exists()] == []


def test_architecture_names_paths_and_three_walks() -> None:
    page = text_of("architecture.md")
    for number in (1, 2, 3):
        walk = page.partition(f"## Walk {number}:")[2].partition("\n## ")[0]
        assert len(re.findall(r"`faq_tui/core/[\w/]+\.py`", walk)) >= 4, f"walk {number}"


def test_layers_of_the_page_are_those_of_the_contracts() -> None:
    """Packages stand in the page's table in the order of the contracts: those above may import those below."""
    named = [
        row[1].strip("`").removeprefix("core/").removesuffix(".py")
        for row in table_under("architecture.md", "## Layers")
    ]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [sorted(layer.split(" : ")) for layer in next(c for c in contracts if c["id"] == "layers")["layers"]]
    assert named[:2] == ["cli", "tui"]
    rest = named[2:]
    for layer in layers:
        assert sorted(rest[: len(layer)]) == layer
        rest = rest[len(layer) :]
    assert rest == []


def test_every_registry_is_in_the_table_of_extensions() -> None:
    rows = table_under("extending/index.md", "# Extending faq-tui")
    listed = {row[1].strip("`"): row[2].strip("`") for row in rows}
    assert listed == {
        registry.group: registry.base for registry in vars(points).values() if isinstance(registry, Registry)
    }
