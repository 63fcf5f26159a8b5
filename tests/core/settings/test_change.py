"""Changes of single values in faq.toml: the right values, and nothing of the person's text is lost."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings.catalog import groups_of
from faq_tui.core.settings.change import Change, changed_text, save_changes, value_at, with_changes
from faq_tui.core.settings.write import Choices, init_text

MINE = """\
# my run
[target]
model = "m"   # the small one

# These are my questions.
[seeds]
path = "q.jsonl"
count = 256                      # enough
# heldout = 32                   # example

[sources.elder]  # big
base_url = "http://e/v1"
model = "big"
sampling = { temperature = 0.6, top_p = 0.95 }

[sources."two words".sampling]
seed = 3

[evaluate]
perplexity = [
  "pydoc",  # no network
  "mine.txt",
]

[[recipes]]
bits = 4
[[recipes]]
bits = 8 # eight
"""


def changed(table: tuple[str | int, ...], inner: str, value: Any, text: str = MINE) -> str:
    return changed_text(text, [Change(table, tuple(inner.split(".")), value)])


@pytest.mark.parametrize(
    ("table", "inner", "value", "line"),
    [
        (("seeds",), "count", 8, "count = 8                        # enough"),
        (("seeds",), "count", 1_000_000, "count = 1000000                  # enough"),
        (("target",), "model", 'a "b" #c', 'model = "a \\"b\\" #c"  # the small one'),
        (("sources", "elder"), "sampling.top_p", 0.5, "sampling = { temperature = 0.6, top_p = 0.5 }"),
        (("sources", "elder"), "sampling.seed", 4, "sampling = { temperature = 0.6, top_p = 0.95, seed = 4 }"),
        (("sources", "elder"), "sampling.top_p", None, "sampling = { temperature = 0.6 }"),
        (("sources", "elder"), "price.input", 0.4, "price = { input = 0.4 }"),
        (("sources", "two words"), "sampling.seed", 5, "seed = 5"),
        (("sources", "two words"), "sampling.top_k", 5, "top_k = 5"),
        (("recipes", 1), "bits", 4, "bits = 4 # eight"),
        (("recipes", 1), "sets", ["baseline"], 'sets = ["baseline"]'),
        (("judge",), "probe", 0, "probe = 0"),
    ],
)
def test_one_line_changes(table: tuple[str | int, ...], inner: str, value: Any, line: str) -> None:
    change = Change(table, tuple(inner.split(".")), value)
    new = changed_text(MINE, [change])
    assert tomllib.loads(new) == with_changes(tomllib.loads(MINE), [change])
    assert line in new.splitlines()
    kept = [one for one in MINE.splitlines() if one not in new.splitlines()]
    assert len(kept) <= 1, "only the changed line differs"


def test_a_new_key_stands_in_its_section_below_the_comment_that_shows_it() -> None:
    lines = changed(("seeds",), "heldout", 4).splitlines()
    at = lines.index("# heldout = 32                   # example")
    assert lines[at + 1] == "heldout = 4"
    lines = changed(("target",), "device", "cpu").splitlines()
    assert lines[lines.index('device = "cpu"') - 1].startswith("model ="), "not below the comment of the next section"


def test_a_removed_key_leaves_its_comment() -> None:
    new = changed(("seeds",), "count", None)
    assert "# count = 256                      # enough\n" in new
    assert value_at(tomllib.loads(new), ("seeds", "count")) is None
    assert changed(("recipes", 0), "bits", None) == MINE.replace("[[recipes]]\nbits = 4\n", "[[recipes]]\n")
    assert changed(("seeds",), "split", None) == MINE, "a key that is not there stays away"


def test_a_value_of_several_lines_keeps_its_comments() -> None:
    with pytest.raises(UsageError, match=r"`evaluate.perplexity` cannot be changed here, because a comment"):
        changed(("evaluate",), "perplexity", ["pydoc"])
    new = changed(("evaluate",), "perplexity", None)
    assert '# perplexity = [\n#   "pydoc",  # no network\n' in new


def test_sections_of_an_unusual_form() -> None:
    """Keys with dots, a string that looks like a section, and names that need quotes."""
    text = 'target.model = "m"  # dotted\n[sources.a]\nmodel = """\n[seeds]\ncount = 3\n"""\n[judge]\nprobe = 2\n'
    new = changed(("target",), "device", "cpu", text)
    assert tomllib.loads(new)["target"] == {"model": "m", "device": "cpu"} and "# dotted" in new
    new = changed(("sources", "a"), "candidates", 7, text)
    assert tomllib.loads(new)["sources"]["a"] == {"model": "[seeds]\ncount = 3\n", "candidates": 7}
    new = changed(("judge",), "extra_body", {"a b": {"c.d": 1}}, text)
    assert tomllib.loads(new)["judge"] == {"probe": 2, "extra_body": {"a b": {"c.d": 1}}}


def test_line_ends_and_the_mark_of_the_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "faq.toml"
    text = '[target]\r\nmodel = "m" # a\r\n[seeds]\r\npath = "starter"'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    changes = [Change(("seeds",), ("count",), 8), Change(("target",), ("device",), "cpu")]
    settings = save_changes(path, changes)
    assert (settings.seeds.count, settings.target.device) == (8, "cpu")
    expected = '[target]\r\nmodel = "m" # a\r\ndevice = "cpu"\r\n[seeds]\r\npath = "starter"\r\ncount = 8\r\n'
    assert path.read_bytes() == b"\xef\xbb\xbf" + expected.encode()


def test_a_refused_change_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "faq.toml"
    path.write_text('[target]\nmodel = "m"\n[seeds]\npath = "starter"\n')
    with pytest.raises(UsageError, match=r"`seeds.count`: input should be greater than or equal to 1, not 0"):
        save_changes(path, [Change(("seeds",), ("count",), 0)])
    assert path.read_text() == '[target]\nmodel = "m"\n[seeds]\npath = "starter"\n'
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("[target")
    with pytest.raises(UsageError, match="is not valid TOML"):
        save_changes(path, [Change(("seeds",), ("count",), 1)])


def test_a_link_stays_a_link_and_prompts_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "run").mkdir()
    source = '[sources.elder]\nbase_url = "http://e/v1"\nmodel = "m"\nsystem = "system.txt"\n'
    real, link = tmp_path / "shared" / "faq.toml", tmp_path / "run" / "faq.toml"
    real.write_text(f'[target]\nmodel = "m"\n[seeds]\npath = "starter"\n{source}')
    link.symlink_to(real)
    (tmp_path / "run" / "system.txt").write_text("Be brief.")
    save_changes(link, [Change(("seeds",), ("count",), 3)])
    assert link.is_symlink() and "count = 3" in real.read_text()


def test_a_recipe_that_is_gone_is_named() -> None:
    with pytest.raises(UsageError, match=r"no section for `recipes\[3\].bits`"):
        changed(("recipes", 2), "bits", 4)


def other(kind: str, choices: tuple[Any, ...]) -> Any:
    values = {"switch": True, "number": 7, "text": "words # and signs", "list": ["a", "b"], "table": {"a": 1}}
    return choices[-1] if kind == "choice" else values[kind]


@pytest.mark.slow
def test_every_key_of_a_new_file_can_be_set_and_removed() -> None:
    text = init_text(Choices("m", "starter", elder_url="http://e/v1", elder_model="big"))
    raw = tomllib.loads(text)
    count = 0
    for group in groups_of(raw):
        for key in group.keys:
            change = key.change_to(other(key.kind, key.choices))
            new = changed_text(text, [change])
            assert value_at(tomllib.loads(new), key.path) == change.value
            lost = set(text.splitlines()) - set(new.splitlines())
            assert len(lost) <= 1, (key.label, lost)
            back = tomllib.loads(changed_text(new, [key.change_to(None)]))
            assert value_at(back, key.path) is None
            count += 1
    assert count > 130
