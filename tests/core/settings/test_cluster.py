"""The address of a cluster."""

from __future__ import annotations

import pytest

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings.cluster import cluster_at
from faq_tui.core.settings.load import parse_settings

BASE = '[target]\nmodel = "m"\n[seeds]\npath = "s.jsonl"\n'


@pytest.mark.parametrize("address", ["auto", "local", "ray://head:10001"])
def test_addresses(address: str) -> None:
    settings = parse_settings(f'{BASE}[cluster]\naddress = "{address}"\n')
    assert settings.cluster.address == address
    assert cluster_at(address, parse_settings(BASE).cluster).address == address


@pytest.mark.parametrize("address", ["", "ray://", "head:6379", "http://head"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r'cluster\.address.*must be "auto", "local" or "ray://HOST:PORT"'):
        parse_settings(f'{BASE}[cluster]\naddress = "{address}"\n')
    with pytest.raises(UsageError, match="--cluster"):
        cluster_at(address, parse_settings(BASE).cluster)


def test_a_run_without_a_cluster_has_the_settings_of_earlier_versions() -> None:
    assert "cluster" not in parse_settings(BASE).model_dump()
    assert "cluster" not in parse_settings(f"{BASE}[cluster]\nretries = 3\n").model_dump()
