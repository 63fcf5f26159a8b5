"""`[preset]`: the published experiment that a run was made from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from faq_tui.core.settings.section import Section


class Preset(Section):
    """Written by `faq-tui init --preset`; it changes nothing but what `faq-tui status` compares with."""

    name: Annotated[str, Field(pattern=r"^paper/table([1-9]|1[01])$")]
    model: str  # the target as that table writes it
