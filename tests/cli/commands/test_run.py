"""`faq-tui run` on all that people get wrong: one sentence, the right exit code, nothing lost, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.errors import ExitCode
from tests.support.fake_server import Behaviour, FakeServer
from tests.support.shell import (
    events,
    faq_tui,
    make_run,
    question,
    refused,
    rows,
    stored,
    write_seeds,
)

pytest_plugins = ["tests.support.weightless_run"]
SEEDS = ("--only", "seeds")


def seeds_run(folder: Path, name: str, content: bytes, keys: str = "") -> Path:
    run = make_run(folder / "run", seeds=name, seed_keys=keys)
    (run / name).write_bytes(content)
    return run


# --- command line ---


def test_a_wrong_stage_names_the_right_ones(tmp_path: Path) -> None:
    said = refused(ExitCode.USAGE, "run", make_run(tmp_path), "--only", "seed")
    assert said.startswith("no stage 'seed'; the stages are seeds, regenerate, judge")


def test_a_stage_before_its_time(tmp_path: Path) -> None:
    said = refused(ExitCode.USAGE, "run", make_run(tmp_path), "--only", "judge")
    assert said == "seeds must be up to date before judge: use `--until judge`"


# --- settings ---


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("[seeds]\npath = 'a.jsonl'\ncuont = 3", "unknown key `seeds.cuont`; did you mean `count`?"),
        ("[seedz]\npath = 'a.jsonl'", "unknown key `seedz`; did you mean `seeds`?"),
        ("[seeds]\npath = 'a.jsonl'\n[[recipes]]\nbits = 3", "`recipes[1].bits`: gptq supports 4, 8, not 3"),
        ("[seeds]\npath = 'a.jsonl'\n[judge]\nkind = 'llm'", 'kind "llm" needs the keys `base_url` and `model`'),
        ("[seeds]\npath = ", "faq.toml is not valid TOML"),
        ("[seeds]\ncount = 3", "`seeds.path` is missing"),
    ],
)
def test_settings_with_a_mistake_name_the_key(tmp_path: Path, wrong: str, said: str) -> None:
    (tmp_path / "faq.toml").write_text(f"[target]\nmodel = 'embedded'\n{wrong}\n")
    for command in ("run", "status", "doctor"):
        assert said in refused(ExitCode.USAGE, command, tmp_path)
    assert not (tmp_path / "faq.db").exists()


def test_a_folder_without_settings(tmp_path: Path) -> None:
    assert "create them with `faq-tui init" in refused(ExitCode.USAGE, "run", tmp_path)


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (make_run(tmp_path) / "faq.db").write_bytes(b"not a database at all, " * 100)
    assert "is not a database that faq-tui can open" in refused(ExitCode.USAGE, "run", tmp_path)


# --- seeds ---


@pytest.mark.parametrize("name", ["seeds.jsonl", "seeds.parquet", "./nowhere", "/no/such/file.csv"])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    assert refused(ExitCode.USAGE, "run", make_run(tmp_path, seeds=name), *SEEDS).startswith("no seed file at /")


def test_a_folder_and_an_unknown_ending(tmp_path: Path) -> None:
    (tmp_path / "run" / "folder").mkdir(parents=True)
    assert "is a folder without seed files" in refused(
        ExitCode.USAGE, "run", make_run(tmp_path / "run", seeds="folder"), *SEEDS
    )
    run = seeds_run(tmp_path / "b", "seeds.xlsx", b"PK")
    assert "unknown file extension '.xlsx'; seed files end in .jsonl" in refused(ExitCode.USAGE, "run", run, *SEEDS)


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 9


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "csv", "tsv", "parquet", "txt"])
@pytest.mark.parametrize("content", [PNG, b"\0" * 999], ids=["png", "zeros"])
def test_a_file_that_is_not_what_its_ending_says(tmp_path: Path, ending: str, content: bytes) -> None:
    run = seeds_run(tmp_path, f"seeds.{ending}", content)
    said = refused(ExitCode.USAGE, "run", run, *SEEDS)
    assert f"seeds.{ending}" in said
    assert any(word in said for word in ("does not match its file extension", "no usable seed", "not a text file")), (
        said
    )


def test_json_lines_in_json_and_the_other_way_round(tmp_path: Path) -> None:
    """Each is read as what it is, unless something else follows."""
    lines, array = b'{"question": "a?"}\n{"question": "b?"}\n', b'[{"question": "a?"}]'
    for name, content in (("s.json", lines), ("s.jsonl", array)):
        result = faq_tui("run", seeds_run(tmp_path / name, name, content), *SEEDS)
        assert result.code == ExitCode.DONE, result.err
    said = refused(ExitCode.USAGE, "run", seeds_run(tmp_path / "a", "s.json", b"{}\nwhy?\n"), *SEEDS)
    assert "does not match its file extension: not JSON" in said
    said = refused(ExitCode.USAGE, "run", seeds_run(tmp_path / "b", "s.jsonl", array + b"\n" + lines), *SEEDS)
    assert said.endswith("holds one JSON array, not one JSON object per line: rename it to .json")


BROKEN = {
    "not json": b'{"question": "What is',
    "not utf-8": '{"question": "Qu\xe9?"}'.encode("latin-1"),
    "empty": b"",
    "no question": b'{"colour": "red"}',
    "no text": b'{"question": 7}',
    "repeats line 3": json.dumps({"question": question(2), "answer": "It is about 2."}).encode(),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("policy", ["skip", "refuse"])
def test_a_broken_line_17_of_300(tmp_path: Path, kind: str, policy: str) -> None:
    lines = write_seeds(tmp_path / "good.jsonl", 300).read_bytes().splitlines()
    lines[16] = BROKEN[kind]
    run = seeds_run(tmp_path, "seeds.jsonl", b"\n".join(lines) + b"\n", f'on_problem = "{policy}"')
    if policy == "refuse":
        said = refused(ExitCode.USAGE, "run", run, *SEEDS)
        assert said.startswith("seeds.jsonl line 17 ") and said.endswith('set seeds.on_problem = "skip"')
        assert rows(run, "SELECT count(*) FROM seeds") == [(0,)]
        return
    result = faq_tui("run", run, *SEEDS, "--json")
    assert result.code == ExitCode.DONE
    assert [e["line"] for e in events(result) if e["event"] == "SeedSkipped"] == [17]
    assert rows(run, "SELECT count(*) FROM seeds") == [(299,)]


@pytest.mark.parametrize(
    ("name", "content"),
    [("s.jsonl", b""), ("s.jsonl", b"\n\n \n"), ("s.json", b"[]"), ("s.csv", b""), ("s.csv", b"question,answer\n")],
)
def test_an_empty_set(tmp_path: Path, name: str, content: bytes) -> None:
    said = refused(ExitCode.USAGE, "run", seeds_run(tmp_path, name, content), *SEEDS)
    assert said.startswith(f"{name} contains no usable seed")


def test_a_set_of_one_seed_over_and_over(tmp_path: Path) -> None:
    run = seeds_run(tmp_path, "s.jsonl", b'{"question": "Why?"}\n' * 300)
    said = refused(ExitCode.USAGE, "run", run, *SEEDS)
    assert said == "s.jsonl contains only one seed: 299 more lines repeat it; add other seeds"
    (run / "s.jsonl").write_bytes(b'{"question": "Why?"}\n')
    assert faq_tui("run", run, *SEEDS).code == ExitCode.DONE, "one seed and no repetition is a choice"


def test_seeds_that_went_bad_leave_those_of_before(tmp_path: Path) -> None:
    run = make_run(tmp_path, seeds=5)
    assert faq_tui("run", run, *SEEDS).code == ExitCode.DONE
    (run / "seeds.jsonl").write_bytes(PNG)
    refused(ExitCode.USAGE, "run", run, *SEEDS)
    assert rows(run, "SELECT count(*) FROM seeds WHERE present") == [(5,)]


# --- target ---


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(Behaviour(reply=lambda asked: '{"score": 5, "reason": ""}')) as running:
        yield running


def with_target(folder: Path, server: FakeServer, target: Path) -> Path:
    judge = f'[judge]\nkind = "llm"\nbase_url = "{server.url}"\nmodel = "fake-8b"\n'
    return make_run(folder, server.url, seeds=2, rest=judge, target=str(target))


def edited(model: Path, folder: Path, name: str, **changes: Any) -> Path:
    """A copy of a model folder with other values in one of its JSON files; None drops a key."""
    shutil.copytree(model, folder)
    body = {**json.loads((folder / name).read_text()), **changes}
    (folder / name).write_text(json.dumps({k: v for k, v in body.items() if v is not None}))
    return folder


def test_a_target_without_a_chat_template(server: FakeServer, tiny_model: Path, tmp_path: Path) -> None:
    target = edited(tiny_model, tmp_path / "base-model", "tokenizer_config.json", chat_template=None)
    (target / "chat_template.jinja").unlink(missing_ok=True)
    run = with_target(tmp_path / "run", server, target)
    with (run / "faq.toml").open("a") as file:
        file.write("[[recipes]]\ngroup_size = 64\n")
    said = refused(ExitCode.USAGE, "run", run)
    assert "base-model has no chat template" in said
    assert len(stored(run)) in (0, 6)
    doctor = faq_tui("doctor", run)
    assert doctor.code == ExitCode.FAILED and "has no chat template" in doctor.out


def test_a_target_that_is_no_causal_model(server: FakeServer, tiny_model: Path, tmp_path: Path) -> None:
    target = edited(tiny_model, tmp_path / "bert", "config.json", architectures=["BertForMaskedLM"])
    run = with_target(tmp_path / "run", server, target)
    said = refused(ExitCode.USAGE, "run", run)
    assert "bert is not a causal language model (architecture BertForMaskedLM)" in said
    assert not list((run / "models").glob("*/*.safetensors"))


def test_a_group_size_that_does_not_divide(server: FakeServer, tiny_model: Path, tmp_path: Path) -> None:
    run = with_target(tmp_path / "run", server, tiny_model)
    with (run / "faq.toml").open("a") as file:
        file.write("[[recipes]]\ngroup_size = 128\n")
    said = refused(ExitCode.USAGE, "run", run)
    assert said.startswith("group_size 128 does not divide the 64 input features of") and "choose one of" in said


@pytest.mark.parametrize("there", [True, False])
def test_a_target_folder_that_is_none(server: FakeServer, tmp_path: Path, there: bool) -> None:
    target = tmp_path / "empty"
    if there:
        target.mkdir()
    said = refused(ExitCode.USAGE, "run", with_target(tmp_path / "run", server, target))
    assert ("holds no config.json" if there else "no model folder at") in said


# --- the machine ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root, to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_and_room_made_on_it(small_disk: Path) -> None:
    with FakeServer(Behaviour(words=60)) as server:
        run = make_run(small_disk / "run", server.url, seeds=40, source="concurrency = 4")
        said = refused(ExitCode.FAILED, "run", run, "--until", "regenerate")
        assert said.startswith("no space left ") and "free some disk space and run the same command again" in said
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        kept = stored(run)
        assert 0 < len(kept) < 120
        asked = server.stats().asked
        assert faq_tui("run", run, "--until", "regenerate").code == ExitCode.DONE
        assert len(stored(run)) == 120
        assert all(server.stats().asked[name] == asked[name] for name in kept)


def test_a_disk_too_full_to_begin(small_disk: Path) -> None:
    run = make_run(small_disk / "run")
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(bytes(2 << 20))
    assert "no space left" in refused(ExitCode.FAILED, "run", run, *SEEDS)
