"""The section `[cluster]`: a Ray cluster that makes and evaluates artefacts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from faq_tui.core.base.errors import UsageError
from faq_tui.core.settings.section import Count, Section

SCHEME = "ray://"


class ClusterSettings(Section):
    """A Ray cluster whose machines make and evaluate the artefacts. It has no effect on results."""

    address: Annotated[
        str | None,
        Field(
            description='"auto" (the cluster of this machine), "local" (a new one), or "ray://HOST:PORT"; '
            "default: no cluster",
            examples=["auto"],
        ),
    ] = None
    cpus: Annotated[Count, Field(description="processor cores that each artefact or evaluation reserves")] = 1
    retries: Annotated[int, Field(ge=0, description="how often a task is started again if its machine is lost")] = 3

    @field_validator("address")
    @classmethod
    def _known(cls, address: str | None) -> str | None:
        if (
            address is None
            or address in ("auto", "local")
            or (len(address) > len(SCHEME) and address.startswith(SCHEME))
        ):
            return address
        raise ValueError('must be "auto", "local" or "ray://HOST:PORT"')


def cluster_at(address: str, settings: ClusterSettings) -> ClusterSettings:
    """The settings with another address. Raises UsageError if the address has another form."""
    try:
        return ClusterSettings.model_validate({**settings.model_dump(), "address": address})
    except ValidationError:
        raise UsageError(f'--cluster {address}: the address must be "auto", "local" or "ray://HOST:PORT"') from None
