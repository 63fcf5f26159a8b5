"""The secrets of a run are the keys that its settings name, and the passwords in its URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.settings import Endpoint, load_settings
from faq_tui.core.settings.secrets import (
    basic_authorization,
    has_credentials,
    key_variables,
    secrets_of_endpoint,
    secrets_of_run,
)
from tests.support.shell import make_run

URL = "https://me:p%40ssword-9@host/v1?api-key=query-key-1&api-version=2024-10-21"


def test_every_section_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(
        tmp_path,
        URL,
        source='api_key_env = "ELDER_KEY"\nextra_headers = { X-Tenant = "$TENANT_KEY", X-Plain = "not-a-variable" }',
        rest='[judge]\nkind = "llm"\nbase_url = "http://j/v1"\nmodel = "j"\napi_key_env = "JUDGE_KEY"\n'
        '[evaluate.lm_eval]\napi_key_env = "LM_KEY"\n[evaluate.evalscope]\napi_key_env = "SCOPE_KEY"\n',
    )
    settings = load_settings(tmp_path / "faq.toml")
    names = {"ELDER_KEY", "TENANT_KEY", "JUDGE_KEY", "LM_KEY", "SCOPE_KEY"}
    assert key_variables(settings) == names
    for name in (*names, "HF_TOKEN"):
        monkeypatch.setenv(name, f"value-of-{name}")
    found = secrets_of_run(settings).values
    assert {f"value-of-{name}" for name in (*names, "HF_TOKEN")} <= set(found)
    assert "p@ssword-9" in found and "p%40ssword-9" in found and "query-key-1" in found
    assert "2024-10-21" not in found, "a version may be a part of an answer"


def test_an_endpoint_knows_only_its_own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_KEY", "value-of-one")
    monkeypatch.setenv("HF_TOKEN", "value-of-hub")
    other = "http://u:second-pass@b/v1"
    endpoint = Endpoint(base_url="http://a/v1", also_at=(other,), model="m", api_key_env="ONE_KEY")
    found = secrets_of_endpoint(endpoint).values
    assert "value-of-one" in found and "second-pass" in found and "value-of-hub" not in found
    basic = basic_authorization(other)
    assert basic == "Basic dTpzZWNvbmQtcGFzcw==" and basic.removeprefix("Basic ") in found


def test_credentials_are_found_in_a_url() -> None:
    assert [has_credentials(url) for url in (URL, "http://u@h/v1", "http://h/v1?a=b", "http://h/v1")] == [
        *(True, True, True),
        False,
    ]
