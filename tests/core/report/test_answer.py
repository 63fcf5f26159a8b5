"""The first lines of the report: what a newcomer takes from it is what the verdicts say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from faq_tui.core.evidence import BETTER, LEANS_BETTER, LEANS_WORSE, SAME, UNKNOWN, WITHIN_NOISE, WORSE
from faq_tui.core.report.answer import details, headline, in_short
from faq_tui.core.report.document import document
from faq_tui.core.report.forest import forest_lines
from faq_tui.core.report.formats import render
from tests.support.made_up import TOML, add_made_up_measurement, made_up_run, measure_all


@pytest.mark.parametrize(
    ("samples", "tokens", "says"),
    [
        ([BETTER] * 2, [BETTER, WITHIN_NOISE], "Yes."),
        ([BETTER] * 2, [WORSE, WITHIN_NOISE], "No."),
        ([BETTER] * 2, [BETTER, UNKNOWN], r"Yes\. .* On 1 of 2 held-out texts, too little was measured to tell$"),
        ([BETTER] * 2, [WORSE, BETTER], "Mixed"),
        ([BETTER, WITHIN_NOISE], [WITHIN_NOISE] * 2, "No. The gain comes from having more text"),
        ([WITHIN_NOISE] * 2, [LEANS_WORSE, WITHIN_NOISE], r"No gain was seen\. .* looks worse"),
        ([WITHIN_NOISE] * 2, [LEANS_BETTER, WITHIN_NOISE], r"Perhaps\. .* looks better"),
        ([WITHIN_NOISE] * 2, [WITHIN_NOISE] * 2, "No difference could be seen"),
        ([WORSE] * 2, [WITHIN_NOISE] * 2, "No difference could be seen"),
        ([SAME] * 2, [SAME] * 2, "No difference is possible"),
        ([BETTER, WORSE], [WITHIN_NOISE] * 2, "No difference could be seen"),
        ([BETTER] * 2, [UNKNOWN] * 2, r"Unknown\. "),
        ([BETTER] * 2, [UNKNOWN, WITHIN_NOISE], r"Unknown\. "),
        ([UNKNOWN] * 2, [UNKNOWN] * 2, r"Unknown\. "),
        ([BETTER] * 4, [BETTER, LEANS_WORSE, LEANS_WORSE, LEANS_WORSE], "Mixed"),
        ([BETTER] * 2, [WORSE, LEANS_BETTER], "Mixed"),
        ([BETTER] * 2, [LEANS_WORSE, LEANS_BETTER], "Unclear"),
        ([BETTER] * 2, None, "Better with the same number of samples. .* was not made"),
        (
            [BETTER, WORSE, WORSE, WORSE],
            None,
            "Mixed with the same number",
        ),
        ([LEANS_BETTER, WITHIN_NOISE], None, "Perhaps better with the same number"),
        ([LEANS_BETTER, LEANS_WORSE], None, "Unclear with the same number"),
        ([LEANS_WORSE] * 2, None, "Perhaps worse with the same number"),
        ([WORSE] * 4, None, "Worse with the same number"),
        ([WITHIN_NOISE] * 2, None, "No visible difference with the same number"),
        ([UNKNOWN] * 2, None, "Unknown with the same number"),
        ([SAME] * 2, None, "The same model with the same number"),
    ],
)
def test_the_fairer_comparison_decides(samples: list[str], tokens: list[str] | None, says: str) -> None:
    import re

    counts = {"samples": Counter(samples)} | ({} if tokens is None else {"tokens": Counter(tokens)})
    assert re.match(says, headline(counts, more_text=True))


@pytest.mark.parametrize(
    ("tokens", "says"),
    [(2000, "No. The gain comes from having more text"), (900, "No difference could be seen")],
)
def test_only_a_longer_set_can_gain_from_more_text(tokens: int, says: str, tmp_path: Path) -> None:
    with made_up_run(tmp_path, TOML) as run:
        measure_all(run, {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.30})
        body = document(run)
    for c in body["comparisons"]:
        if c["equal"] == "samples":
            c["our_tokens"], c["baseline_tokens"] = tokens, 1000
    assert f"**In short: {says}" in in_short(body)[0]
    page = "\n".join(map(str, forest_lines(body, 100))) + "".join(details(body))
    assert "regenerated set has more text" not in page and "questions;" not in "".join(in_short(body))


def test_the_verdict_stands_in_the_first_ten_lines_without_a_term_of_the_field(tmp_path: Path) -> None:
    with made_up_run(tmp_path, TOML) as run:
        measure_all(run, {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.30})
        head = render(run, "md").splitlines()[:10]
        page = render(run, "html")
    text = "\n".join(head)
    assert "**In short: No. The gain comes from having more text" in text
    assert "- With the same number of samples: clearly better on 2 of 2 held-out texts" in text
    assert "- With the same amount of text: no visible difference on 2 of 2 held-out texts" in text
    assert not {"KL", "perplexity", "logit"} & set(text.replace(".", " ").split())
    assert "No. The gain comes from having more text" in page


def test_the_fairer_comparison_is_not_made_yet_if_the_settings_ask_for_it(tmp_path: Path) -> None:
    measured = {"baseline": 0.30, "elder": 0.20}
    with made_up_run(tmp_path / "planned", TOML) as run:
        measure_all(run, measured)
        assert "The fairer comparison, with the same amount of text, is not made yet" in render(run, "md")
    toml = TOML.replace("group_size = 64", 'group_size = 64\nsets = ["baseline", "elder"]')
    with made_up_run(tmp_path / "not planned", toml) as run:
        measure_all(run, measured)
        report = render(run, "md")
        assert "was not made" in report and "not made yet" not in report


def test_sides_that_no_held_out_text_is_measured_of_in_common_are_not_compared(tmp_path: Path) -> None:
    """As where a run was stopped between the two."""
    with made_up_run(tmp_path, TOML) as run:
        measure_all(run, {})
        for set_name, text in (("baseline", "pydoc"), ("elder", "answers")):
            add_made_up_measurement(run, run.settings.recipes[0].folder(set_name), 0.2, texts=(text,))
        report, page = render(run, "md"), render(run, "html")
    assert "There is nothing to compare" in report and "In short" not in report + page
