"""The line of `faq-tui units` about the needs of a unit."""

from __future__ import annotations

from faq_tui.cli.unit_table import needs_in_words
from faq_tui.core.units.unit import Needs


def test_the_memory_is_that_of_each_gpu() -> None:
    assert needs_in_words(Needs()) == ""
    assert needs_in_words(Needs(1, 2 * 10**9, 10**9)) == "1 GPU, 2.0 GB GPU memory, 1.0 GB memory"
    assert needs_in_words(Needs(2, 2 * 10**9, 10**9)) == "2 GPUs, 2.0 GB memory on each GPU, 1.0 GB memory"
