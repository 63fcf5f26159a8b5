"""The base class of all sections of `faq.toml`. It refuses unknown keys, and its values cannot be changed.

Each key has a `Field` with a short description, which becomes its comment in a new `faq.toml` (`settings.comments`).
If a key is None by default, it has an example. The description of such a key ends with `; default: ` and states what
happens without the key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

EMBEDDED = "embedded"  # value of `model` or `base_url` for the small model, and its server, that ship with faq-tui
BASELINE = "baseline"
TOKENS_SUFFIX = "-tokens"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _unset: ClassVar[tuple[str, ...]] = ()  # later keys: `model_dump` has them only if they differ from the default

    @model_serializer(mode="wrap")
    def _without_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Signatures and reports contain dumps. With a new key that is not set, they must stay the same."""
        dumped: dict[str, Any] = serialize(self)
        for name in self._unset:
            if name in dumped and getattr(self, name) == type(self).model_fields[name].get_default(
                call_default_factory=True
            ):
                del dumped[name]
        return dumped


@dataclass(frozen=True)
class DescribedBy:
    """Annotation of a key whose comment depends on the installed packages: `function` returns the comment."""

    function: Callable[[], str]
