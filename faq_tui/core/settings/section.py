"""The base class of all sections of `faq.toml`. A section refuses unknown keys, and its values cannot be changed.

Each key has a `Field` with a short description, which becomes its comment in a new `faq.toml` (`settings.comments`).
If a key is None by default, it has an example. The description of such a key ends with `; default: ` and states what
happens without the key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

# this value stands for the small model that faq-tui downloads, or for a server with this model
EMBEDDED = "embedded"
BASELINE = "baseline"
TOKENS_SUFFIX = "-tokens"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of `faq.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def added_later_keys(cls) -> set[str]:
        """The names of the keys with `AddedLater`."""
        return {
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(one, AddedLater) for one in field.metadata)
        }

    @model_serializer(mode="wrap")
    def _without_unset(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a key with the annotation `AddedLater` if it has the value that applies to earlier runs.

        So signatures of earlier runs stay valid.
        """
        body: dict[str, Any] = serialize(self)
        for name in self.added_later_keys():
            if body.get(name) == self.earlier_value(name):
                body.pop(name, None)
        return body

    @classmethod
    def earlier_value(cls, name: str) -> Any:
        """The value of a key with `AddedLater` in runs that do not have this key: the default."""
        default = cls.model_fields[name].get_default(call_default_factory=True)
        return default.model_dump() if isinstance(default, Section) else default


@dataclass(frozen=True)
class AddedLater:
    """Annotation of a key that earlier versions did not have.

    A signature contains such a key only if the key does not have its `earlier_value`, which is usually the default.
    """


@dataclass(frozen=True)
class DescribedBy:
    """Annotation of a key with a comment that depends on the installed packages.

    `function` returns the key's comment.
    """

    function: Callable[[], str]
