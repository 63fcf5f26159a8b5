"""Send requests to OpenAI-compatible servers, stream the responses, and retry after faults. Use several servers."""

from faq_tui.core.endpoints.bounded import run_bounded
from faq_tui.core.endpoints.chat import Reply, stream_chat, stream_choices
from faq_tui.core.endpoints.client import Client, api_key
from faq_tui.core.endpoints.pool import Pool
from faq_tui.core.endpoints.probe import look, probe
from faq_tui.core.endpoints.retry import Retrying

__all__ = [
    "Client",
    "Pool",
    "Reply",
    "Retrying",
    "api_key",
    "look",
    "probe",
    "run_bounded",
    "stream_chat",
    "stream_choices",
]
