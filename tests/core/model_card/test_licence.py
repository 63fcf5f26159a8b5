"""Which licences a person must think about before they publish a changed model."""

from __future__ import annotations

import pytest

from faq_tui.core.model_card.licence import UNKNOWN, Licence


@pytest.mark.parametrize("licence", [Licence("apache-2.0"), Licence("cc-by-nc-4.0"), Licence("other", "own")])
def test_a_known_licence_is_no_concern(licence: Licence) -> None:
    assert licence.concern == "" and licence.title


@pytest.mark.parametrize(
    "licence",
    [
        Licence("cc-by-nd-4.0"),
        Licence("other", "CC BY NC ND 4.0"),
        Licence("other", "cc_by_nd_4.0"),
        Licence("other", "Attribution-NoDerivatives"),
    ],
)
def test_a_licence_without_derivatives_is_one(licence: Licence) -> None:
    assert "does not allow to share changed versions" in licence.concern


@pytest.mark.parametrize("licence", [UNKNOWN, Licence("other")])
def test_so_is_one_that_is_unknown(licence: Licence) -> None:
    assert licence.concern == "its licence is unknown" and not licence.known and licence.title == ""
