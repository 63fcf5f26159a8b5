"""README, CONTRIBUTING and the pages in docs/ agree with the code.

Paths, links and anchors exist; commands and settings in the pages are accepted; quoted errors occur in the source;
generated pages are up to date; layers and registries are those of the source.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest

from faq_tui.cli.main import APP, COMMANDS, OWN_OPTIONS
from faq_tui.cli.main import faq_tui as group
from faq_tui.core.base.errors import ExitCode
from faq_tui.core.extensions import points
from faq_tui.core.extensions.registry import Registry
from faq_tui.core.settings.load import parse_settings
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [
    "../README.md",
    "../CONTRIBUTING.md",
    "../SECURITY.md",
    *sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OPERATORS = {"&&", "||", "|", ";", ">", "&"}


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(text_of(page)) if language in languages]


def prose_of(page: str) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", text_of(page))


def table_under(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below the heading, without its head."""
    rows: list[str] = []
    for line in text_of(page).partition(f"{heading}\n")[2].splitlines():
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            break
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_code_marks_exist(page: str) -> None:
    paths = re.findall(r"`((?:faq_tui|tests|docs|benchmarks)/[\w./-]*)`", text_of(page))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", LINK.sub("]", heading).lower()).strip().replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if number == 0 else f"{slug}-{number}" for slug, last in found.items() for number in range(last + 1)}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here, lost = DOCS / page, []
    for link in LINK.findall(prose_of(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        path = here.parent / name if name else here
        if not path.exists() or (anchor and anchor not in anchors(path)):
            lost.append(link)
    assert lost == []


def test_a_page_has_a_title() -> None:
    for page in PAGES:
        first = text_of(page).replace("<!-- Written by", "").splitlines()
        assert any(line.startswith("# ") for line in first[:3]), page


# ---- commands


def commands_of(page: str) -> Iterator[list[str]]:
    """The arguments of every `faq-tui` command line in a page's shell blocks and in its text.

    A usage line such as `faq-tui run RUN [--only STAGE]` gives the command with all its options. Of words that are
    separated by bars, the first word is used. A command without arguments, such as `faq-tui run` in a sentence, is
    left out.
    """
    shell = "\n".join(blocks(page, "sh", "bash"))
    lines = shell.replace("\\\n", " ").splitlines()
    lines += [
        re.sub(r"(\\?\|[\w-]+)+", "", line).translate(str.maketrans("", "", "[]…"))
        for line in re.findall(r"`(faq-tui [^`]* [^`]*)`", prose_of(page))
    ]
    for line in lines:
        words = shlex.split(line, comments=True)
        while words:
            end = next((index for index, word in enumerate(words) if word.rstrip(";") in OPERATORS), len(words))
            command, words = words[:end], words[end + 1 :]
            if command and Path(command[0]).name == "faq-tui":
                yield [word.rstrip(";") for word in command[1:]]


def parse(arguments: list[str]) -> None:
    """Let click read the arguments, without running the command. Raises click.UsageError if it refuses them."""
    if not arguments or arguments[0] in OWN_OPTIONS:
        return
    name = arguments[0] if arguments[0] in COMMANDS else APP
    command = group.get_command(click.Context(group), name)
    assert command is not None
    with contextlib.suppress(click.exceptions.Exit):  # --help and the like
        command.make_context(name, arguments[1:] if name else arguments)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_pages_are_accepted(page: str) -> None:
    for arguments in commands_of(page):
        try:
            parse(arguments)
        except click.UsageError as error:
            if isinstance(error, click.BadOptionUsage) and error.option_name == arguments[-1]:
                continue  # an option that the text names without a value
            if page.startswith("extending/") and "'toy_" in error.format_message():
                continue  # a name that the page's own package brings
            pytest.fail(f"faq-tui {' '.join(arguments)}: {error.format_message()}")


def test_the_pages_name_every_command() -> None:
    named = {arguments[0] for page in PAGES for arguments in commands_of(page) if arguments}
    assert set(COMMANDS) <= named
    assert len(list(commands_of("quickstart.md"))) >= 7


@pytest.mark.parametrize(
    "arguments", [["run", "RUN", "--sometimes"], ["export", "RUN", "--format", "pdf"], ["pick", "RUN"]]
)
def test_a_wrong_command_is_noticed(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(arguments)


# ---- settings


@pytest.mark.parametrize("page", [page for page in PAGES if page == "quickstart.md" or page.startswith("guide/")])
def test_settings_in_the_pages_are_accepted(page: str) -> None:
    """Every block of TOML is read as faq.toml; sections that it needs beside it are filled in."""
    for block in blocks(page, "toml"):
        if "[keys]" in block:
            continue  # config.toml of the app
        values = tomllib.loads(block)
        missing = '[target]\nmodel = "org/model"\n' * ("target" not in values)
        missing += '[seeds]\npath = "seeds.jsonl"\n' * ("seeds" not in values)
        elder = '[sources.elder]\nbase_url = "http://elder:8000/v1"\nmodel = "m"\n' * ("sources" not in values)
        parse_settings(f"{block}\n{missing}{elder}", page)


@cache
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings.md", "keys.md"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    """If this fails, run `python docs/generate.py`."""
    assert text_of(page) == generator().PAGES[page]()


# ---- troubleshooting


@cache
def source() -> str:
    """All of the program's text, with adjacent string literals joined."""
    files = sorted((ROOT / "faq_tui").rglob("*.py"))
    return "\n".join(re.sub(r"""["']\s*\n\s*f?["']""", "", path.read_text(encoding="utf-8")) for path in files)


def test_errors_of_the_page_stand_in_the_source() -> None:
    """Between the dots that stand for names, every word of a quoted message is in the program."""
    messages = re.findall(r"^\| `([^`]+)` \|", text_of("troubleshooting.md"), re.MULTILINE)
    assert len(messages) > 30
    parts = {part.strip(" :") for message in messages for part in message.split("…")}
    assert [part for part in sorted(parts) if part not in source()] == []


def test_every_exit_code_has_its_part() -> None:
    codes = re.findall(r"^## Exit code (\d)", text_of("troubleshooting.md"), re.MULTILINE)
    assert [int(code) for code in codes] == list(ExitCode)
    rows = table_under("guide/commands.md", "## Exit codes")
    assert [int(row[0]) for row in rows] == list(ExitCode)


def test_examples_of_style_are_our_own() -> None:
    """The first line of each example stands in the file that it names; its words may be newer there."""
    examples = blocks("../CONTRIBUTING.md", "python")
    paths = re.findall(r"\(`(faq_tui/[\w/]+\.py)`\):\n", text_of("../CONTRIBUTING.md"))
    assert len(examples) == len(paths) == 3
    for example, path in zip(examples, paths, strict=True):
        code = example.splitlines()[0].partition("  #")[0]
        assert code in (ROOT / path).read_text(encoding="utf-8"), path


# ---- architecture


def test_architecture_names_paths_and_three_examples() -> None:
    page = text_of("architecture.md")
    for number in (1, 2, 3):
        example = page.partition(f"## Example {number}:")[2].partition("\n## ")[0]
        assert len(re.findall(r"`faq_tui/core/[\w/]+\.py`", example)) >= 4, f"example {number}"


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


def test_what_is_there_is_in_the_table_of_layers() -> None:
    rows = table_under("architecture.md", "## Layers")
    named = {row[1].strip("`") for row in rows} | {"core", "core/data"}
    assert [name for name in sorted(named) if not (ROOT / "faq_tui" / name).exists()] == []
    hidden = {"__init__.py", "__main__.py", "__pycache__"}
    there = {path.name for path in (ROOT / "faq_tui").iterdir()} - hidden
    there |= {f"core/{path.name}" for path in (ROOT / "faq_tui" / "core").iterdir() if path.name not in hidden}
    assert there == named


def test_folders_beside_the_package_are_in_their_table() -> None:
    rows = table_under("architecture.md", "The repository has these other folders:")
    named = {row[0].strip("`/") for row in rows}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "faq"))}
    assert {name for name in folders if any((ROOT / name).rglob("*.py"))} <= named


def test_every_registry_is_in_the_table_of_extensions() -> None:
    rows = table_under("extending/index.md", "# Extending faq-tui")
    listed = {row[1].strip("`"): row[2].strip("`") for row in rows}
    assert listed == {
        registry.group: registry.base for registry in vars(points).values() if isinstance(registry, Registry)
    }


def test_no_file_holds_a_conflict_of_a_merge() -> None:
    """A merge once left the marks of a conflict in a guide, where no linter looks."""
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    found = []
    for name in filter(None, listed.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        found += [name for line in text.splitlines() if line.startswith(marks)]
    assert found == []
