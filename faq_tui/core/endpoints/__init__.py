"""Talking to OpenAI-compatible servers: who answers, in which dialect, and what to do when they do not."""

from faq_tui.core.endpoints.chat import Reply, stream_chat
from faq_tui.core.endpoints.client import api_key, open_client
from faq_tui.core.endpoints.flow import run_bounded
from faq_tui.core.endpoints.probe import probe
from faq_tui.core.endpoints.retry import Retrying

__all__ = ["Reply", "Retrying", "api_key", "open_client", "probe", "run_bounded", "stream_chat"]
