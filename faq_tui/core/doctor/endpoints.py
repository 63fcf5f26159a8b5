"""Do the run's servers answer, take our key, and serve the model named in the settings?"""

from __future__ import annotations

import asyncio

from faq_tui.core.doctor.check import Check
from faq_tui.core.endpoints import open_client, probe
from faq_tui.core.errors import FaqError
from faq_tui.core.settings import EMBEDDED, Endpoint, Settings
from faq_tui.core.settings.source import LOCAL


def endpoint_checks(settings: Settings) -> list[Check]:
    named: dict[str, Endpoint] = {f"source {name}": source for name, source in settings.sources.items()}
    if "llm" in settings.judge.kinds():
        named["judge"] = settings.judge.endpoint()
    return [
        _check(name, endpoint.model_copy(update={"base_url": url, "also_at": ()}))
        for name, endpoint in named.items()
        for url in endpoint.urls
    ]


def _check(name: str, endpoint: Endpoint) -> Check:
    if endpoint.base_url == EMBEDDED:
        return Check(name, "ok", "embedded: started when it is needed")
    if endpoint.base_url == LOCAL:
        return Check(name, "ok", f"local: {endpoint.model} is loaded when it is needed")
    try:
        served = asyncio.run(_probe(endpoint))
    except FaqError as error:
        return Check(name, "failed", endpoint.base_url, str(error))
    listed = endpoint.model if served else "it lists no models: the first answer will tell"
    return Check(name, "ok", f"{endpoint.base_url}: {listed}")


async def _probe(endpoint: Endpoint) -> list[str]:
    async with open_client(endpoint) as client:
        return await probe(client, endpoint)
