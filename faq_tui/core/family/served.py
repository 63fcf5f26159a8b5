"""The model behind a server's name for it: a server may use any name, and vLLM also lists what it loaded (`root`)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.hashing import digest
from faq_tui.core.endpoints import open_client
from faq_tui.core.endpoints.client import WholeResponse
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source

TIMEOUT_S = 5.0
MAX_NAME = 512  # characters


def served_name(run: Run, source: Source) -> str:
    """The model that the server said it loaded when it was last asked; else the name in the settings."""
    try:
        told = json.loads(_path(run).read_text(encoding="utf-8")).get(_key(source))
    except (OSError, ValueError, AttributeError):
        told = None
    return told if isinstance(told, str) and told else source.model


def ask_servers(run: Run) -> None:
    """Ask every source's server what it loaded, and remember it. A server that does not answer changes nothing."""
    roots = {
        _key(source): root
        for source in run.settings.sources.values()
        if source.base_url.startswith("http") and (root := asyncio.run(_root(source)))
    }
    if roots:
        with atomic_text(_path(run)) as file:
            json.dump(roots, file)


async def _root(source: Source) -> str | None:
    answer = WholeResponse()
    try:
        async with open_client(source) as client, asyncio.timeout(TIMEOUT_S):
            await client.get("/models", answer)
        listed = answer.json()["data"]
        roots = [model.get("root") for model in listed if model.get("id") == source.model]
    except Exception:  # noqa: BLE001  another check reports what is wrong with the server
        return None
    return next((root[:MAX_NAME] for root in roots if isinstance(root, str) and root), None)


def _path(run: Run) -> Path:
    return run.cache / "served.json"


def _key(source: Source) -> str:
    return digest(source.base_url, source.model)
