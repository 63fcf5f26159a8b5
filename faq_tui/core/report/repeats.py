"""Say how many draws of the calibration sets (`evaluate.repeats`) an interval of a wanted width needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from faq_tui.core.base.text import duration, in_a_row
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, LAST_WORD, PROSE, WORDS, kind_of
from faq_tui.core.evidence.draws_needed import DRAWS, ITEMS, MOST, SEEDS
from faq_tui.core.extensions import METRICS
from faq_tui.core.report.formatting import escape

LACKING = {
    ITEMS: "more held-out items (raise {setting})",
    SEEDS: "more seeds (a longer file at `seeds.path`)",
    DRAWS: f"more than {MOST} draws",
}
# The setting that limits the number of held-out items, by the kind of the held-out text.
SETTINGS = {
    PROSE: "`evaluate.prose_tokens`",
    WORDS: "`evaluate.word_documents`",
    ANSWERS: "`seeds.heldout`",
    GREEDY: "`seeds.heldout`",
    LAST_WORD: "`evaluate.items`, or use a longer text",
    CHOICES: "`evaluate.items`, or use a longer text",
}


def draw_sentences(body: dict[str, Any], shown: Callable[[str], str] = str) -> list[str]:
    """One sentence for each text, about the comparison with the widest interval.

    `shown` converts the names of texts and metrics. By default, the sentences are plain text: Markdown characters in
    the names are not escaped.
    """
    widest: dict[str, dict[str, Any]] = {}
    for one in body.get("draws_needed", []):
        other = widest.get(one["text"])
        if other is None or one["half_width"] > other["half_width"]:
            widest[one["text"]] = one
    titles = {text["name"]: text["title"] for text in body["texts"]}
    return [_sentence(one, titles[text], shown) for text, one in widest.items()]


def _sentence(one: dict[str, Any], title: str, shown: Callable[[str], str]) -> str:
    metric = METRICS.get(one["metric"])
    unit = " points" if metric.percent else "%"
    now = f"±{_percent(one['half_width'])}{unit} after {_draws(one['draws'])}"
    wanted = one["wanted"]
    if one["draws"] == 1:
        now += ". One draw does not show how much draws differ."
        assumed = " If they differ as much as in our own tests," if one["assumed"] else ""
    else:
        wanted = [width for width in wanted if width["share"] < one["half_width"]]
        now += ";"
        assumed = " if draws differ as much as in our own tests," if one["assumed"] else ""
    needs = "; ".join(_needs(wanted, unit, one["text"])) or "the interval is narrow enough"
    return f"{shown(metric.title)} on {shown(title)}: {now}{assumed} {needs}."


def _needs(wanted: Sequence[dict[str, Any]], unit: str, text: str) -> Iterator[str]:
    """Say what an interval of each width needs: a number of draws, or more items of the text or more seeds.

    If several widths in a row need more items (or more seeds), one phrase names all of these widths.
    """
    for lacking, group in groupby(wanted, key=lambda width: width["lacking"]):
        widths = list(group)
        if lacking is None:
            yield from (
                f"±{_percent(width['share'])}{unit} needs {_draws(width['draws'])}{_time(width)}" for width in widths
            )
        else:
            listed = in_a_row([f"±{_percent(width['share'])}{unit}" for width in widths])
            needed = LACKING[lacking].format(setting=SETTINGS[kind_of(text)])
            yield f"{listed} need{'s' if len(widths) == 1 else ''} {needed}"


def _time(wanted: dict[str, Any]) -> str:
    return f", about {duration(wanted['seconds'])} more" if wanted["seconds"] else ""


def _draws(count: int) -> str:
    return f"{count} draw" if count == 1 else f"{count} draws"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if share < 1 else f"{100 * share:.0f}"


def draw_lines(body: dict[str, Any]) -> list[str]:
    """The sentences as lines of Markdown. Returns [] if nothing is known about draws."""
    sentences = draw_sentences(body, escape)
    if not sentences:
        return []
    intro = (
        "How wide each interval is, as a share of the baseline's value, and how many draws (`evaluate.repeats`) a "
        "narrower interval needs:"
    )
    return [intro, "", *(f"- {sentence}" for sentence in sentences), ""]
