"""`[activations]`: where the target is looked at while a calibration set goes through it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from faq_tui.core.settings.section import Count, Fraction, Section


class Activations(Section):
    """What the spikes pane and the report are made of; it changes no artefact."""

    enabled: bool = True
    modules: tuple[str, ...] = ("o_proj",)  # last parts of module names, looked at their input; "experts": of MoE
    samples: Count = 64  # at most, of each set, from its beginning
    tokens: Count = 16384  # at most, of each set; whole samples, but at least one
    expert_minimum: Fraction = 0.005  # of a set's tokens: experts that get fewer are named
    layer_error_tokens: Annotated[int, Field(ge=0)] = 1024  # of held-out text, for each artefact; 0: not measured
