"""`faq-tui push` in a process of its own, against a hub on loopback."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.run.run import open_run
from faq_tui.core.store.artefacts import all_artefacts
from tests.support.model_cards import front_matter_of
from tests.support.pushed_run import NAME, SAMPLES, at_hub, pushed_run
from tests.support.shell import Result, faq_tui_process, refused, sentence, started
from tests.support.upload_hub import READ_TOKEN, TOKEN, HubRepository, UploadHub, upload_hub

MADE = {"README.md", "config.json", "faq_manifest.json"}  # files that are made for the upload


@pytest.fixture
def hub() -> Iterator[UploadHub]:
    with upload_hub() as hub:
        yield hub


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with pushed_run(tmp_path / "run") as run:
        return run.folder


def push(run: Path, hub: UploadHub, *more: str, token: str = TOKEN, repo: str = "me/mine") -> Result:
    result = faq_tui_process("push", run, NAME, repo, *more, **at_hub(hub.url, run.parent / "home", token))
    assert TOKEN not in result.out + result.err and READ_TOKEN not in result.out + result.err
    return result


def check_whole(run: Path, files: dict[str, bytes]) -> None:
    """The repository has every file of the artefact, byte for byte, and the three files that are made for it."""
    folder = run / "models" / NAME
    local = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == local.keys() | MADE
    for name in local.keys() - MADE:
        assert files[name] == local[name], name


def test_a_push_ends_whole(run: Path, hub: UploadHub) -> None:
    done = push(run, hub, "--with-calibration", "--yes")
    assert done.code == 0, done.err
    assert done.out.split() == [f"{hub.url}/datasets/me/mine-calibration", f"{hub.url}/me/mine"]
    check_whole(run, hub.models)
    card = hub.models["README.md"].decode()
    stated = front_matter_of(card)
    assert (stated["license"], stated["quantized_by"]) == ("mit", "me")
    assert stated["datasets"] == ["me/mine-calibration"] and "vllm serve me/mine\n" in card
    manifest = json.loads(hub.models["faq_manifest.json"])
    assert manifest["serve"]["vllm"] == "vllm serve me/mine"
    everything = b"".join(file for name, file in hub.models.items() if name.endswith((".json", ".md")))
    assert b"alice" not in everything and str(run).encode() not in everything and b"elder.example" not in everything

    data = hub.repositories["datasets/me/mine-calibration"].files
    assert data.keys() == {"README.md", "provenance.json", "data/elder.jsonl"}
    assert data["data/elder.jsonl"] == (run / "calibration" / "elder.jsonl").read_bytes()
    assert json.loads(data["provenance.json"])["calibration"]["set"] == "elder"
    assert "Big-8B" in data["README.md"].decode() and b"alice" not in data["README.md"] + data["provenance.json"]

    sent, commits = hub.received, len(hub.repositories["models/me/mine"].commits)
    assert push(run, hub, "--with-calibration", "--yes").code == 0
    assert hub.received == sent and len(hub.repositories["models/me/mine"].commits) == commits, "nothing had changed"


def test_a_private_push_and_a_warning_of_the_hub(run: Path, hub: UploadHub) -> None:
    hub.warn = "no such\x1b[31m language"
    done = push(run, hub, "--private")
    assert done.code == 0 and hub.repositories["models/me/mine"].private
    assert "no such\ufffd[31m language" in done.err and "\x1b" not in done.err


def test_a_connection_that_is_cut_off_is_tried_again(run: Path, hub: UploadHub) -> None:
    hub.cuts = 2
    assert push(run, hub).code == 0
    assert hub.cuts == 0
    check_whole(run, hub.models)


def test_a_client_that_is_killed_in_the_middle_is_repeated(run: Path, hub: UploadHub) -> None:
    hub.hang = threading.Event()
    with started("push", run, NAME, "me/mine", **at_hub(hub.url, run.parent / "home")) as process:
        assert hub.hang.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert hub.models == {}, "an interrupted upload shows no half model"
    hub.hang = None
    assert push(run, hub).code == 0
    check_whole(run, hub.models)


def test_a_second_push_replaces_the_weights_and_keeps_other_files(run: Path, hub: UploadHub) -> None:
    assert push(run, hub).code == 0
    hub.models.update({"model-00009-of-00009.safetensors": b"old", "picture.png": b"a person's"})
    (run / "models" / NAME / "chat_template.jinja").write_text("new")
    assert push(run, hub).code == 0
    assert "model-00009-of-00009.safetensors" not in hub.models and hub.models["picture.png"] == b"a person's"
    assert hub.models["chat_template.jinja"] == b"new"


def test_what_is_refused_before_a_file_is_sent(run: Path, hub: UploadHub) -> None:
    read = push(run, hub, token=READ_TOKEN)
    assert read.code == ExitCode.UNREACHABLE and "can only read" in sentence(read.err)
    wrong = push(run, hub, token="hf_wrongTokenOfNobody")
    assert wrong.code == ExitCode.UNREACHABLE and "refuses the token" in sentence(wrong.err)
    assert "hf_wrongTokenOfNobody" not in wrong.err, "the hub repeats the token, faq-tui does not"
    other = push(run, hub, repo="other/mine")
    assert other.code == ExitCode.UNREACHABLE and "does not let this token write to other/mine" in sentence(other.err)
    hub.repositories["models/me/mine"] = HubRepository(False, {"model.safetensors": b"another model"})
    taken = push(run, hub, "--with-calibration", "--yes")
    assert taken.code == ExitCode.USAGE and "was not made by faq-tui" in sentence(taken.err)
    assert hub.repositories.keys() == {"models/me/mine"}, "no empty data set is left behind"
    hub.repositories["models/me/mine"] = HubRepository(False)
    public = push(run, hub, "--private")
    assert public.code == ExitCode.USAGE and "exists and is public" in sentence(public.err)
    assert hub.received == 0 and not any(path.startswith("PUT") for path in hub.requests)


def test_a_file_that_changes_during_the_upload(run: Path, hub: UploadHub) -> None:
    hub.hang = threading.Event()
    shard = run / "models" / NAME / "model-00001-of-00002.safetensors"
    with started("push", run, NAME, "me/mine", **at_hub(hub.url, run.parent / "home")) as process:
        assert hub.hang.wait(60)
        shard.write_bytes(shard.read_bytes())  # the same size
        waiting, hub.hang = hub.hang, None
        hub.go_on.set()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == ExitCode.FAILED and waiting.is_set()
    assert "model-00001-of-00002.safetensors of me/mine changed on this machine during the upload" in stderr.decode()
    assert push(run, hub).code == 0


def test_an_answer_of_the_hub_that_ends_the_upload(run: Path, hub: UploadHub) -> None:
    hub.say = f"no, {TOKEN}\x1b[31m"
    failed = push(run, hub)
    assert failed.code == ExitCode.FAILED and "refuses the upload to me/mine (HTTP 400: no, ***" in sentence(
        failed.err
    )
    assert "\x1b" not in failed.err
    sent = hub.received
    hub.say, hub.lose = "", "tokenizer.json"
    lost = push(run, hub)
    assert sent > 0 and hub.received == sent, "the weights are at the hub already"
    assert lost.code == ExitCode.FAILED and "does not have tokenizer.json of me/mine" in sentence(lost.err)


HTML = b"<html><title>\x1b[31mLog in</title></html>"


@pytest.mark.parametrize(
    ("page", "after", "answer"),
    [
        ((200, "text/html; charset=utf-8", HTML), 0, "no JSON"),  # the login page of a proxy
        ((200, "text/html", HTML), 1, "no JSON"),  # the login ends after the first request
        ((404, "text/html", HTML), 0, "a web page with HTTP 404"),  # a wrong address
        ((403, "text/html", HTML), 2, "a web page with HTTP 403"),
    ],
)
def test_a_server_that_is_no_hub(
    run: Path, hub: UploadHub, page: tuple[int, str, bytes], after: int, answer: str
) -> None:
    hub.page, hub.page_after = page, after
    done = push(run, hub)
    assert done.code == ExitCode.UNREACHABLE and "\x1b" not in done.err and "<html" not in done.err
    words = f"the server at {hub.url} does not answer as the hub does (it sends {answer}): check HF_ENDPOINT"
    assert words in sentence(done.err)


def test_without_a_hub_without_a_token_and_offline(run: Path, tmp_path: Path) -> None:
    nowhere = at_hub("http://127.0.0.1:9", tmp_path / "home")
    down = faq_tui_process("push", run, NAME, "me/mine", **nowhere)
    assert down.code == ExitCode.UNREACHABLE and "the connection to the hub at http://127.0.0.1:9" in sentence(
        down.err
    )
    bare = faq_tui_process("push", run, NAME, "me/mine", **{**nowhere, "HF_TOKEN": ""})
    assert bare.code == ExitCode.USAGE and "set HF_TOKEN, or log in with `hf auth login`" in sentence(bare.err)
    odd = faq_tui_process("push", run, NAME, "me/mine", **{**nowhere, "HF_TOKEN": "hf_töken"})
    assert odd.code == ExitCode.USAGE and "has characters that no token has" in sentence(odd.err)
    offline = faq_tui_process("push", run, NAME, "me/mine", **{**nowhere, "HF_HUB_OFFLINE": "1"})
    assert offline.code == ExitCode.USAGE and "HF_HUB_OFFLINE is set" in sentence(offline.err)


# ---- without a hub


def test_a_dry_run_writes_what_would_be_uploaded(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "dry"
    done = faq_tui_process("push", run, NAME, "me/mine", "--with-calibration", "--dry-run", place, HF_TOKEN="")
    assert done.code == 0 and "warning: of the calibration set" in done.err
    written = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    assert written["model/model-00001-of-00002.safetensors"].is_symlink()
    assert front_matter_of(written["model/README.md"].read_text())["license"] == "mit"
    assert {"dataset/README.md", "dataset/provenance.json", "dataset/data/elder.jsonl"} <= written.keys()
    check_whole(run, {n.removeprefix("model/"): p.read_bytes() for n, p in written.items() if n.startswith("model/")})
    listed = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(name.partition("/")[2] for name in written)
    inside = refused(ExitCode.USAGE, "push", run, NAME, "me/mine", "--dry-run", run / "models" / NAME / "dry")
    assert "is in the folder of the artefacts" in inside
    again = refused(ExitCode.USAGE, "push", run, NAME, "me/mine", "--dry-run", place)
    assert "is not an empty folder" in again


def test_what_belongs_to_this_machine_is_not_published(run: Path, tmp_path: Path) -> None:
    folder = run / "models" / NAME
    for name in ("weights.tmp", ".README.md.1.ab.half", "README.md~", "model.safetensors.part"):
        (folder / name).write_text("half")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "modeling.pyc").write_text("x")
    paths = {
        "special_tokens_map_file": "/home/alice/.cache/special_tokens_map.json",
        "name_or_path": "./alice",
        "vocab_file": "C:\\Users\\alice\\vocab.json",
        "kept_file": "chat_template.jinja",
        "bos_token": "/s/",
        "inner": [{"_name_or_path": "~/alice"}],
    }
    (folder / "generation_config.json").write_text(json.dumps(paths))
    place = tmp_path / "dry"
    assert faq_tui_process("push", run, NAME, "me/mine", "--dry-run", place).code == 0
    published = {path.relative_to(place / "model").as_posix(): path for path in (place / "model").rglob("*")}
    assert not [
        name for name in published if "half" in name or "cache" in name or name.endswith(("~", "tmp", "part"))
    ]
    assert json.loads(published["generation_config.json"].read_text()) == {
        "kept_file": "chat_template.jinja",
        "bos_token": "/s/",
        "inner": [{}],
    }


@pytest.mark.parametrize("secret", ["hf_" + "aB3" * 11 + "x", TOKEN])
@pytest.mark.parametrize("place", ["README.md", "tokenizer_config.json"])
def test_a_secret_is_not_published(run: Path, place: str, secret: str) -> None:
    (run / "models" / NAME / place).write_text(json.dumps({"token": secret}))
    said = refused(ExitCode.USAGE, "push", run, NAME, "me/mine", HF_TOKEN=TOKEN)
    assert f"the file {place} of me/mine holds a token or a key of yours" in said and secret not in said


def test_a_link_out_of_the_folder_is_not_published(run: Path) -> None:
    (run / "private.txt").write_text("private")
    link = run / "models" / NAME / "notes.txt"
    link.symlink_to(run / "private.txt")
    assert f"{link} is a link to a file outside" in refused(ExitCode.USAGE, "push", run, NAME, "me/mine")


def test_a_public_repository_needs_a_licence(tmp_path: Path) -> None:
    for number, (card, why) in enumerate(
        [
            ("", "its licence is unknown"),
            ("---\nlicense: cc-by-nd-4.0\n---\n", "does not allow to share changed versions"),
        ]
    ):
        with pushed_run(tmp_path / str(number), card) as run:
            said = refused(ExitCode.USAGE, "push", run.folder, NAME, "me/mine", HF_TOKEN="")
            assert why in said and "--yes" in said and "--private" in said
            for option in ("--yes", "--private"):
                said = refused(
                    ExitCode.USAGE, "push", run.folder, NAME, "me/mine", option, HF_TOKEN="", HF_HOME=str(tmp_path)
                )
                assert "HF_TOKEN" in said


@pytest.mark.parametrize(
    ("name", "repo", "said"),
    [
        ("spqr-w4g128-eldr", "me/mine", f"did you mean {NAME}?"),
        ("zzz", "me/mine", f"there are: {NAME}"),
        (NAME, "mine", "write USER/NAME"),
        (NAME, "a/b/c", "write USER/NAME"),
        (NAME, "me/..", "the hub does not accept the name"),
        (NAME, "me/\x1b[31m", "the hub does not accept the name"),
    ],
)
def test_wrong_names(run: Path, name: str, repo: str, said: str) -> None:
    assert said in refused(ExitCode.USAGE, "push", run, name, repo)


def test_an_artefact_that_is_not_complete_or_stale(run: Path) -> None:
    manifest = run / "models" / NAME / "faq_manifest.json"
    settings = (run / "faq.toml").read_text()
    (run / "faq.toml").write_text(settings + "damp_percent = 0.5\n")
    assert "was made with other settings" in refused(ExitCode.USAGE, "push", run, NAME, "me/mine")
    (run / "faq.toml").write_text(settings.replace('method = "spqr"', 'method = "gptq"'))
    assert "no recipe in faq.toml makes" in refused(ExitCode.USAGE, "push", run, NAME, "me/mine")
    (run / "faq.toml").write_text(settings)
    shard = run / "models" / NAME / "model-00002-of-00002.safetensors"
    shard.rename(run / "shard")
    assert "do not agree about" in refused(ExitCode.FAILED, "push", run, NAME, "me/mine")
    (run / "shard").rename(shard)
    manifest.unlink()
    assert "is not made yet" in refused(ExitCode.USAGE, "push", run, NAME, "me/mine")


def test_a_set_that_is_no_longer_the_artefacts(run: Path) -> None:
    path = run / "calibration" / "elder.jsonl"
    path.write_text(json.dumps(SAMPLES[0]) + "\n")
    said = refused(ExitCode.USAGE, "push", run, NAME, "me/mine", "--with-calibration")
    assert "is not the set from which" in said
    path.unlink()
    assert "is missing" in refused(ExitCode.USAGE, "push", run, NAME, "me/mine", "--with-calibration")


def test_the_card_of_a_person_and_the_id_of_the_target(run: Path, tmp_path: Path) -> None:
    faq_tui_process("push", run, NAME, "me/mine", "--base-model", "Org/Base", "--dry-run", tmp_path / "a")
    stated = front_matter_of((tmp_path / "a" / "model" / "README.md").read_text())
    assert (stated["base_model"], stated["license"]) == ("Org/Base", "mit")
    (run / "models" / NAME / "README.md").write_text("# Mine\n")
    faq_tui_process("push", run, NAME, "me/mine", "--dry-run", tmp_path / "b")
    assert (tmp_path / "b" / "model" / "README.md").read_text() == "# Mine\n"


def test_a_shared_folder_made_again_is_stale(run: Path) -> None:
    from dataclasses import replace

    from faq_tui.core.publishing.plan import find_artefact
    from faq_tui.core.store.artefacts import add_artefact

    with open_run(run) as opened:
        row = all_artefacts(opened.store)[NAME]
        assert find_artefact(opened, NAME) == row
        add_artefact(opened.store, replace(row, same_as="spqr-w4g128-twin"))
        add_artefact(opened.store, replace(row, name="spqr-w4g128-twin", signature="other"))
        (opened.models / NAME).rename(opened.models / "spqr-w4g128-twin")
    assert "was made with other settings" in refused(ExitCode.USAGE, "push", run, NAME, "me/mine")
