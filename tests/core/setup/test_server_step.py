"""A live look at a server: its models, its window, its reasoning and its family."""

from __future__ import annotations

import pytest

from faq_tui.core.base.errors import ExitCode
from faq_tui.core.setup.draft import Draft
from faq_tui.core.setup.server_step import ServerReport, look_at_server
from tests.support.fake_server import Behaviour, FakeServer


def look(url: str, model: str = "", target: str = "Qwen/Qwen3-8B") -> ServerReport:
    return look_at_server(Draft(target, "starter", url=url, model=model))


def words(report: ServerReport) -> str:
    return "\n".join(line.text for line in report.lines)


def test_the_only_model_is_taken_and_tried() -> None:
    with FakeServer(Behaviour()) as server:
        report = look(server.url)
    assert not report.problem and report.model == "fake-8b" and report.models == ("fake-8b",)
    assert f"{server.url} serves fake-8b" in words(report)
    assert report.reasoning not in ("", "none") and f"reasoning in the field {report.reasoning}" in words(report)
    assert report.badge == "family unknown" and "Elders of its family: Qwen/Qwen3-235B-A22B" in words(report)


def test_a_url_without_scheme_and_version_is_completed() -> None:
    with FakeServer(Behaviour()) as server:
        short = server.url.removeprefix("http://").removesuffix("/v1")
        report = look(f" {short}/ ", "fake-8b")
    assert not report.problem and report.url == server.url


def test_a_wrong_name_is_refused_with_the_nearest() -> None:
    with FakeServer(Behaviour()) as server:
        report = look(server.url, "fake-9b")
    assert "does not serve model 'fake-9b'; did you mean 'fake-8b'?" in report.problem
    assert report.exit_code == ExitCode.UNREACHABLE


def test_reasoning_in_tags() -> None:
    with FakeServer(Behaviour(dialect="inline")) as server:
        report = look(server.url, "fake-8b")
    assert report.reasoning == "inline" and "has its reasoning in tags" in words(report)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "the URL is missing"),
        ("http://127.0.0.1:9/v1", "cannot reach http://127.0.0.1:9/v1 (Connection refused)"),
        ("ftp://elder", "must begin with http:// or https://"),
        ("http://a b", "has a character that no URL has"),
        ("http://a\x1b[2Jb", "has a character that no URL has"),
        ("http://:99999", "is not a URL"),
    ],
)
def test_what_is_refused(url: str, why: str) -> None:
    report = look(url, "x")
    assert why in report.problem and "\n" not in report.problem


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    report = look_at_server(Draft("a/b", "starter", url="http://x/v1", model="m", key_env="NO_SUCH_KEY"))
    assert "$NO_SUCH_KEY is not set" in report.problem


def test_a_server_that_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELDER_KEY", "secret-of-the-elder")
    with FakeServer(Behaviour(api_key="secret-of-the-elder")) as server:
        refused = look(server.url, "fake-8b")
        assert "api_key_env" in refused.problem
        report = look_at_server(Draft("a/b", "starter", url=server.url, model="fake-8b", key_env="ELDER_KEY"))
    assert not report.problem and "secret" not in words(report)


def test_the_window_that_the_server_states() -> None:
    with FakeServer(Behaviour(max_model_len=4096, models=("one", "two"))) as server:
        several = look(server.url)
        report = look(server.url, "two")
    assert several.problem == "choose the larger model from the server's list" and several.models == ("one", "two")
    assert report.window == 4096 and "Context window: 4,096 tokens" in words(report)


@pytest.mark.parametrize("model", ["Qwen3-8B", "Qwen3-4B-AWQ"])
def test_a_model_that_is_not_larger_is_a_warning(model: str) -> None:
    with FakeServer(Behaviour(models=(model,))) as server:
        report = look(server.url)
        larger = look(server.url, target="Qwen/Qwen3-0.6B")
    (warning,) = [line for line in report.lines if "not larger than the target" in line.text]
    assert not report.problem and warning.role == "warning" and "do not expect a gain" in warning.text
    assert ("it is the same model" in warning.text) == (model == "Qwen3-8B")
    assert report.badge in ("family", "itself") and "not larger" not in words(larger)
