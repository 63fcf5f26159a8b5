"""Build the HTML page from the report's document."""

from __future__ import annotations

import html
from importlib.resources import files
from typing import Any

from faq_tui.core.base.text import counted
from faq_tui.core.report.answer import compared_sets, details
from faq_tui.core.report.forest import EQUALS
from faq_tui.core.report.formatting import one_line
from faq_tui.core.report.headline import verdict
from faq_tui.core.report.html.figures import forests
from faq_tui.core.report.html.from_markdown import VERDICTS, to_html
from faq_tui.core.report.html.scatter import scatter
from faq_tui.core.report.markdown import rest
from faq_tui.core.report.repeats import draw_lines

EQUAL = {
    "samples": "Both sets have the same number of samples",
    "tokens": "Both sets have the same number of tokens",
}
# With this policy, the browser runs no script and loads nothing. The page itself needs no scripts and no requests.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(body: dict[str, Any]) -> str:
    """The HTML page. `body` is what `document` returns."""
    name = html.escape(one_line(body["run"]["target"]["name"]))
    style = (files("faq_tui.core.report.html") / "report.css").read_text(encoding="utf-8")
    forest, points = forests(body), scatter(body)
    parts = [
        f'<header><p class="brand">faq-tui {html.escape(body["faq_tui"])}</p><h1>Quantizing {name}</h1>',
        f'<p class="faint">Measured {html.escape(body["measured"])} on {html.escape(_where(body))}</p></header>',
        f'<section class="answer">{to_html(verdict(body))}</section>',
    ]
    if forest:
        note = "Each bar is a 95% interval. If a bar crosses the zero line, the difference is within noise."
        parts.append(f"<section><h2>Differences from the baseline</h2>{forest}<p>{note}</p></section>")
    parts += [
        f'<section class="answer">{to_html(draw_lines(body))}</section>',
        _cards(body),
        f'<section class="answer">{to_html(details(body))}</section>',
    ]
    if points:
        note = (
            "Each point is a model; the lines are its 95% intervals. A square marks a model that takes part in a "
            "comparison at equal tokens. A circle marks any other model."
        )
        parts.append(f"<section><h2>General and specialised text</h2><p>{note}</p>{points}</section>")
    parts.append(f"<section>{to_html(rest(body))}</section>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Quantizing {name}: did it help?</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _where(body: dict[str, Any]) -> str:
    evaluation = body["evaluation"]
    return one_line(f"{evaluation['device_name'] or evaluation['device']} in {evaluation['dtype']}")


def _cards(body: dict[str, Any]) -> str:
    """The verdicts as cards: one card per comparison, with one line per text."""
    texts = {one["name"]: one for one in body["texts"]}
    cards = []
    for c in sorted(body["comparisons"], key=lambda c: EQUALS.index(c["equal"])):
        rows = "".join(_verdict(texts[name], outcomes) for name, outcomes in c["texts"].items())
        what = html.escape(one_line(f"{c['recipe']}: {compared_sets(c)}"))
        size = f"Ours: {counted(c['our_samples'], 'sample')}, {counted(c['our_tokens'], 'token')}. "
        size += f"Other set: {counted(c['baseline_samples'], 'sample')}, {counted(c['baseline_tokens'], 'token')}."
        size += f" These are means of {c['draws']} draws." if c["draws"] > 1 else ""
        cards.append(
            f'<article class="card"><h3>{what}</h3><p class="equal">{EQUAL[c["equal"]]}</p>'
            f'<ul class="verdicts">{rows}</ul><p class="faint">{size}</p></article>'
        )
    return f'<section class="cards">{"".join(cards)}</section>' if cards else ""


def _verdict(text: dict[str, Any], outcomes: dict[str, Any]) -> str:
    verdict = outcomes[text["metrics"][0]]["verdict"]
    where = html.escape(one_line(text["title"]))
    return f'<li><span class="verdict {VERDICTS[verdict]}">{verdict}</span> on {where}</li>'
