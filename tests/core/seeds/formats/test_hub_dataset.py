"""Data sets of the `datasets` library: rows, errors, configurations, splits, saved folders. Nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.seeds import Record, read_records
from faq_tui.core.seeds.formats.hub_dataset import FORMAT, is_dataset_folder
from faq_tui.core.settings import Seeds
from tests.support.seed_stage import Made

SETTINGS = Seeds(path="owner/questions", split="test")
ROWS = [{"question": "Why?"}, {"question": "How?"}]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three configurations; the last one has two splits."""
    made = tmp_path / "set"
    made.mkdir()
    for name in ("plain", "hard", "long-train", "long-test"):
        (made / f"{name}.jsonl").write_text(json.dumps({"question": f"{name}?"}) + "\n")
    (made / "README.md").write_text(
        "---\nlicense: mit\nconfigs:\n- config_name: plain\n  data_files: plain.jsonl\n- config_name: hard\n"
        "  data_files: hard.jsonl\n- config_name: long\n  data_files:\n  - split: train\n    path: long-train.jsonl\n"
        "  - split: test\n    path: long-test.jsonl\n---\n# A set\n"
    )
    return made


def questions(folder: Path, **seeds: Any) -> list[str]:
    made = Made(folder.parent, path=folder.name, **seeds)
    made.go()
    return [seed.question for seed in made.seeds()]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("config", "split", "found"),
    [("plain", "train", "plain?"), ("hard", "train", "hard?"), ("long", "test", "long-test?")],
)
def test_configurations_and_splits(folder: Path, config: str, split: str, found: str, streaming: bool) -> None:
    assert questions(folder, config=config, split=split, streaming=streaming) == [found]


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({}, "several configurations: set seeds.config to one of plain, hard, long"),
        ({"config": "easy"}, "no configuration 'easy': seeds.config can be plain, hard, long"),
        ({"config": "long", "split": "dev"}, r"no split 'dev': set seeds.split to one of train, test"),
        ({"config": "long", "split": "dev", "streaming": False}, r"no split 'dev': set seeds.split to one of"),
    ],
)
def test_what_is_missing_is_named_with_its_key(folder: Path, seeds: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        questions(folder, **seeds)
    assert "\n" not in str(caught.value)


def test_a_folder_without_configurations_is_no_data_set(folder: Path) -> None:
    assert is_dataset_folder(folder)
    (folder / "README.md").write_text("# configs:\n")
    assert not is_dataset_folder(folder)
    assert questions(folder) == ["hard?", "long-test?", "long-train?", "plain?"]


def test_a_saved_folder(tmp_path: Path) -> None:
    rows = {name: datasets.Dataset.from_list([{"prompt": f"{name}?"}]) for name in ("train", "test")}
    datasets.DatasetDict(rows).save_to_disk(str(tmp_path / "saved"))
    rows["test"].save_to_disk(str(tmp_path / "one"))
    assert questions(tmp_path / "saved") == ["train?"] and questions(tmp_path / "one") == ["test?"]
    with pytest.raises(UsageError, match=r"no split 'dev': set seeds.split to one of train, test"):
        questions(tmp_path / "saved", split="dev")


def test_keys_reach_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()

    def load(path: str, **further: Any) -> Any:
        asked.append((path, further))
        raise ValueError("not now")

    monkeypatch.setattr("datasets.load_dataset", load)
    settings = Seeds(path="a/b", config="c", revision="v1", split="test", streaming=False)
    with pytest.raises(FaqError, match=r"split 'test', configuration 'c', revision 'v1'\) could be read: not now"):
        list(FORMAT.records(tmp_path / "a" / "b", settings))
    assert asked == [("a/b", {"name": "c", "split": "test", "streaming": False, "revision": "v1"})]


@pytest.mark.parametrize(("name", "plain"), [("a/b:c", "a/b"), ("wikitext:raw-v1", "wikitext"), ("x/y:z", "x/y")])
def test_a_configuration_behind_a_colon_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, plain: str
) -> None:
    def load(path: str, **further: Any) -> Any:
        raise ValueError("Repo id must use alphanumeric chars")

    monkeypatch.setattr("datasets.load_dataset", load)
    with pytest.raises(UsageError, match=f'set path = "{plain}" and config = '):
        Made(tmp_path, path=name).go()


def read(rows: Callable[[], Iterator[Any]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked = []

    def load_dataset(*arguments: Any, **options: Any) -> datasets.IterableDataset:
        asked.append((arguments, options))
        return datasets.IterableDataset.from_generator(rows)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = list(read_records(Path("no-such-folder/owner/questions"), SETTINGS))
    assert asked == [(("owner/questions",), {"name": None, "split": "test", "streaming": True})]
    return found


def test_rows_of_the_split_are_numbered_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(lambda: iter(ROWS), monkeypatch) == [Record(1, ROWS[0]), Record(2, ROWS[1])]


def test_a_fetch_that_breaks_off_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Any]:
        yield ROWS[0]
        raise ConnectionError("the hub\nis gone")

    with pytest.raises(
        FaqError, match=r"nor a data set 'owner/questions' \(split 'test'\) could be read: .*hub.is gone"
    ):
        read(broken, monkeypatch)
