"""Read facts from a model's own files: config, tokenizer, chat template, model card.

No network is used, and no code in the files is run.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import FaqError
from faq_tui.core.models.headers import tensors_of

NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md")
MAX_BYTES = 64 << 20
# Two vocabularies count as the same if at least this share of the larger vocabulary's tokens has the same id in both.
SAME_SHARE = 0.99


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model that are on this machine. `paths` maps their names to their paths.

    Broken or huge files are ignored.
    """

    paths: dict[str, Path]

    @classmethod
    def of_folder(cls, folder: Path) -> ModelFiles | None:
        """The model's files in `folder`; None if the folder has none of them."""
        paths = {name: folder / name for name in NAMES if (folder / name).is_file()}
        return cls(paths) if paths else None

    @classmethod
    def cached(cls, hub_id: str) -> ModelFiles | None:
        """The files of a hub id in this machine's hub cache; None if the cache has none of them."""
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = {name: try_to_load_from_cache(hub_id, name) for name in NAMES}
        except (HFValidationError, OSError):
            return None
        paths = {name: Path(path) for name, path in cached.items() if isinstance(path, str)}
        return cls(paths) if paths else None

    @property
    def model_type(self) -> str | None:
        name = self._config.get("model_type")
        return name if isinstance(name, str) else None

    @property
    def vocab_size(self) -> int | None:
        text = self._config.get("text_config")
        size = self._config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
        return size if isinstance(size, int) else None

    @property
    def lineage(self) -> tuple[str, ...]:
        """The models from which this model was made.

        The names of these models come from the config (`_name_or_path`) and from the model card (`base_model`).
        """
        named = self._config.get("_name_or_path")
        card = self._text("README.md").partition("\n---")[0]
        base = re.search(r"^base_model:[ \t]*(?:\n[ \t]*-[ \t]*)?[\"']?([\w./-]+)", card, re.MULTILINE)
        return tuple(name for name in (base[1] if base else None, named) if isinstance(name, str) and name)

    @cached_property
    def parameters(self) -> int | None:
        """The number of parameters, from the headers of the weights; None if the weights are not on this machine."""
        if "config.json" not in self.paths:
            return None
        try:
            tensors = tensors_of(self.paths["config.json"].parent)
        except (FaqError, OSError):
            return None
        return sum(math.prod(shape) for _, shape, _ in tensors.values()) or None

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Maps each token, except the added tokens, to its id. The dict is empty if there is no tokenizer.json."""
        vocab = self._model.get("vocab")
        if isinstance(vocab, list):  # a unigram tokenizer has a list of [piece, score], sorted by id
            return {str(entry[0]): i for i, entry in enumerate(vocab) if isinstance(entry, list) and entry}
        if not isinstance(vocab, dict):
            return {}
        return {token: i for token, i in vocab.items() if isinstance(i, int) and token not in self._added}

    @cached_property
    def merges(self) -> tuple[str, ...]:
        merges = self._model.get("merges")
        merges = merges if isinstance(merges, list) else []
        return tuple(" ".join(map(str, m)) if isinstance(m, list) else str(m) for m in merges)

    @cached_property
    def special_tokens(self) -> frozenset[str]:
        """The tokens that begin, end or separate turns. The set is empty if these tokens are unknown."""
        return frozenset(token for token, special in self._added.items() if special)

    @cached_property
    def chat_template(self) -> str:
        """The chat template without white space at its beginning and end; "" if the model has no chat template."""
        template = self._text("chat_template.jinja") or self._json("tokenizer_config.json").get("chat_template")
        return template.strip() if isinstance(template, str) else ""

    def same_vocabulary(self, other: ModelFiles) -> bool | None:
        """True if both models have the same tokens (except added tokens) and the same merges.

        The result is None if one of the two vocabularies is unknown.
        """
        if not (self.vocabulary and other.vocabulary):
            return None
        small, large = sorted((self.vocabulary, other.vocabulary), key=len)
        shared = sum(large.get(token) == i for token, i in small.items())
        return shared >= SAME_SHARE * len(large) and self.merges == other.merges

    @cached_property
    def _config(self) -> dict[str, Any]:
        return self._json("config.json")

    @cached_property
    def _tokenizer(self) -> dict[str, Any]:
        return self._json("tokenizer.json")

    @property
    def _model(self) -> dict[str, Any]:
        model = self._tokenizer.get("model")
        return model if isinstance(model, dict) else {}

    @property
    def _added(self) -> dict[str, bool]:
        added = self._tokenizer.get("added_tokens")
        entries = [entry for entry in added if isinstance(entry, dict)] if isinstance(added, list) else []
        return {str(entry.get("content")): bool(entry.get("special")) for entry in entries}

    def _json(self, name: str) -> dict[str, Any]:
        try:
            body = json.loads(self._text(name) or "{}")
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}

    def _text(self, name: str) -> str:
        path = self.paths.get(name)
        try:
            if path is None or path.stat().st_size > MAX_BYTES:
                return ""
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
