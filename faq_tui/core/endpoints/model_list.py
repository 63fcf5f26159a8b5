"""Read a server's list of models.

OpenAI, Ollama, Gemini, LM Studio, OpenRouter and gateways send lists of different forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

LISTS = ("data", "models", "model_list", "items", "results", "result", "body")
_NAMES = ("id", "model", "name", "model_name", "model_id", "key", "slug")
_MORE = ("has_more", "next", "next_page", "nextPageToken", "next_page_token", "next_cursor")
# Names of fields with the model's window in tokens. If an entry has several of these fields, the first is used. The
# last fields of this list may hold a size that is larger than the window.
_WINDOWS = (
    *("loaded_context_length", "max_model_len", "context_window", "max_context_length", "max_context_len", "n_ctx"),
    *("context_length", "context_size", "context_len", "contextLength", "contextWindow", "num_ctx", "max_seq_len"),
    *("max_sequence_length", "max_input_length", "max_input_tokens", "inputTokenLimit", "n_ctx_train"),
    *("max_position_embeddings",),
)
_INSIDE = ("top_provider", "meta", "metadata", "model_info", "limits", "limit", "capabilities", "details", "config")
SMALLEST, LARGEST = 16, 10**9  # limits in tokens; a window outside these limits is treated as a mistake of the server


def models_of(body: Any) -> dict[str, dict[str, Any]] | None:
    """Map the name of each model to its entry. Returns None if the body contains no list of models."""
    if isinstance(body, Mapping):
        found = next((body[key] for key in LISTS if isinstance(body.get(key), list | dict)), None)
        if found is None and isinstance(body.get("id"), str):
            found = [body]
        elif found is None:
            lists = [body[key] for key in LISTS if key in body]
            if any(one is not None for one in lists) or (not lists and body.get("object") != "list"):
                return None
        # The object either contains a list of models, or maps the names of models to their entries.
        if isinstance(found, Mapping):
            inner = models_of(found) if any(key in found for key in LISTS) else None
            if inner is not None:
                return inner
            found = [{"id": name, **(entry if isinstance(entry, Mapping) else {})} for name, entry in found.items()]
        body = found or []
    if not isinstance(body, list):
        return None
    entries = [{"id": one} if isinstance(one, str) else one for one in body]
    named = [(_name(entry), entry) for entry in entries if isinstance(entry, dict)]
    models = {name: entry for name, entry in named if name}
    return models if models or not body else None


def is_partial(body: Any) -> bool:
    """True if the server says that the list lacks some of its models."""
    return isinstance(body, Mapping) and any(body.get(key) for key in _MORE)


def name_on(model: str, names: Iterable[str]) -> str | None:
    """The name under which the server lists `model`. None if the list does not contain this model.

    Some servers list `models/NAME` or `NAME:latest`, and gateways list patterns such as `openai/*`.
    """
    names = list(names)
    if model in names:
        return model
    wanted = _plain(model)
    plain = next((name for name in names if _plain(name) == wanted), None)
    return plain or next((name for name in names if "*" in name and fnmatchcase(model, name)), None)


def window_of(entry: Mapping[str, Any]) -> int | None:
    """The model's window for prompt and answer together, in tokens.

    None if the entry does not contain the size of the window.
    """
    inner = [entry[name] for name in _INSIDE if isinstance(entry.get(name), Mapping)]
    for field in _WINDOWS:
        sizes = [size for part in (entry, *inner) if (size := _tokens(part.get(field))) is not None]
        if sizes:
            return min(sizes)  # the limit of a provider may be lower than the limit of the model
    return None


def _name(entry: Mapping[str, Any]) -> str:
    return next((entry[key] for key in _NAMES if isinstance(entry.get(key), str) and entry[key]), "")


def _plain(name: str) -> str:
    return name.removeprefix("models/").removesuffix(":latest").casefold()


def _tokens(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    ok = isinstance(value, int) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST
    return value if ok else None
