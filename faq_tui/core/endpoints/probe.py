"""The first question to a server: are you there, do you take our key, do you serve this model?"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from faq_tui.core.endpoints.faults import explain, no_api
from faq_tui.core.errors import EndpointError
from faq_tui.core.settings import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PROBE_TIMEOUT_S = 10.0


async def probe(client: AsyncOpenAI, endpoint: Endpoint) -> list[str]:
    """Names of the served models ([] where the server cannot list them).

    Raises EndpointError: not reachable, key refused, or another model is served.
    """
    try:
        models = await client.with_options(timeout=PROBE_TIMEOUT_S).models.list()
        names = [str(model.id) for model in models.data or ()]
    except Exception as error:
        fault = explain(error, endpoint)
        status = getattr(error, "status_code", 0)
        if status in (404, 405, 501) or status >= 500:
            return []  # some servers have no model list, or break on it; the first answer will tell
        if fault is None:
            if isinstance(error, AttributeError | TypeError):
                raise EndpointError(no_api(endpoint)) from None
            raise
        raise EndpointError(fault.advice) from None
    if names and endpoint.model not in names:
        near = difflib.get_close_matches(endpoint.model, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"it serves {', '.join(names[:5])}"
        raise EndpointError(f"{endpoint.base_url} does not serve model {endpoint.model!r}; {hint}")
    return names
