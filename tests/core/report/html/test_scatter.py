"""Every model of the scatter has its label in the picture."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from faq_tui.core.report.formats import render
from tests.support.made_up import TOML, made_up_run, measure_all


@pytest.mark.parametrize("sources", [18, 30])
def test_every_model_of_the_scatter_has_its_label_in_the_picture(tmp_path: Path, sources: int) -> None:
    """Also where many models are alike, and one is far from them."""
    names = [f"s{number}" for number in range(sources)]
    toml = TOML + "".join(f'[sources.{name}]\nbase_url = "http://x/v1"\nmodel = "M"\n' for name in names)
    with made_up_run(tmp_path, toml, ("baseline", "elder", *names)) as run:
        measure_all(run, {"baseline": 0.9, "elder": 0.2} | {name: 0.1 + n * 1e-4 for n, name in enumerate(names)})
        page = render(run, "html")
    (picture,) = re.findall(r"<svg [^>]*>(?:(?!</svg>).)*general and on specialised.*?</svg>", page, re.DOTALL)
    (height,) = re.findall(r'viewBox="0 0 952 (\d+)"', picture)
    labels = re.findall(r'<text x="\S+" y="(\S+)" class="label \w+"[^>]*>gptq', picture)
    places = sorted(map(float, labels))
    assert len(places) == sources + 2
    assert places[0] > 10 and places[-1] < int(height) - 20
    assert all(lower - upper > 15 for upper, lower in pairwise(places))
