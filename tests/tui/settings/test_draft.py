"""The draft of the settings: what was typed, what is wrong with it, and a file that changes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings.catalog import SettingKey
from faq_tui.tui.settings.draft import SettingsDraft, field_of, initial_value

TEXT = '[target]\nmodel = "m"\n[seeds]\npath = "starter"\ncount = 9\n[judge]\nkind = "likelihood"\n'


@pytest.fixture
def draft(tmp_path: Path) -> SettingsDraft:
    draft = SettingsDraft(tmp_path / "faq.toml")
    draft.path.write_text(TEXT)
    draft.read()
    return draft


def key(draft: SettingsDraft, *path: str) -> SettingKey:
    return draft.keys[path]


def test_a_typed_value_is_a_change_until_it_is_typed_back(draft: SettingsDraft) -> None:
    count = key(draft, "seeds", "count")
    draft.type(count, "12")
    draft.check()
    assert draft.settings is not None and draft.settings.seeds.count == 12 and len(draft.changes) == 1
    assert field_of(count, draft).edited == "12" and field_of(count, draft).value == "9"
    draft.type(count, "9")
    assert not draft.changes
    draft.type(count, None)
    draft.check()
    assert draft.settings is not None and draft.settings.seeds.count == 256


def test_every_problem_is_at_its_key(draft: SettingsDraft) -> None:
    draft.type(key(draft, "seeds", "count"), "0")
    draft.type(key(draft, "judge", "pick_by"), "x")
    draft.type(key(draft, "evaluate", "lm_eval", "mode"), "endpoint")
    draft.check()
    assert draft.settings is None
    assert set(draft.problems) == {("seeds", "count"), ("judge", "pick_by"), ()}
    assert draft.problem.startswith("`pick_by`: write a table")


def test_the_file_changes_meanwhile(draft: SettingsDraft) -> None:
    draft.type(key(draft, "seeds", "count"), "12")
    draft.type(key(draft, "seeds", "heldout"), "3")
    draft.path.write_text(TEXT.replace("count = 9", "count = 12"))
    assert draft.read()
    assert list(draft.typed) == [("seeds", "heldout")], "the file has the other change now"
    assert not draft.read(), "nothing is new"
    draft.path.write_text("[target")
    with pytest.raises(UsageError, match="is not valid TOML"):
        draft.read()
    assert list(draft.typed) == [("seeds", "heldout")] and draft.settings is not None


def test_choices_show_their_default_and_a_mistake_of_the_file(draft: SettingsDraft) -> None:
    device = key(draft, "target", "device")
    assert (
        field_of(device, draft).choices[0] == ("auto (default)", "auto")
        and initial_value(device, draft.raw) == "auto"
    )
    draft.path.write_text(TEXT.replace('model = "m"', 'model = "m"\ndevice = "gpu\\u001b"'))
    draft.read()
    field = field_of(key(draft, "target", "device"), draft)
    assert field.choices[-1] == ("gpu\ufffd", "gpu\x1b") and draft.problems
    streaming = field_of(key(draft, "seeds", "streaming"), draft)
    assert streaming.choices == (("no", False), ("yes (default)", True)) and streaming.value is True
