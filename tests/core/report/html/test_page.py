"""The HTML report: one file, no request, no foreign markup, and a browser that can show it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.report.formats import render
from faq_tui.core.report.formatting import escape
from faq_tui.core.report.html.figures import scale
from faq_tui.core.report.html.from_markdown import inline, to_html
from tests.core.report.test_document import HOSTILE, MIXED
from tests.support.made_up import TOML, add_made_up_measurement, made_up_run, measure_all
from tests.support.shell import faq_tui

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags in order, whether they nest, attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.seen = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen += data


def page_of(folder: Path, toml: str = TOML, texts: tuple[str, str] = ("pydoc", "answers")) -> str:
    with made_up_run(folder, toml) as run:
        add_made_up_measurement(run, UNQUANTIZED, texts=texts)
        for set_name, kl in MIXED.items():
            name = run.settings.recipes[0].folder(set_name)
            add_made_up_measurement(run, name, kl, agree=1.0 - kl, texts=texts)
        return render(run, "html")


def test_the_page_says_what_the_markdown_says(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, MIXED)
        page, text = Page(render(run, "html")), render(run, "md")
    assert not page.open
    for words in ("Did it help?", "At equal samples: better on pydoc; better on answers.", "What was run"):
        assert words in page.seen and words in text
    assert page.tags.count("svg") == 2 and page.tags.count("table") >= 2
    assert page.tags.count("circle") == 4 + 3  # verdicts of KL; models at equal samples, the unquantized one
    assert page.tags.count("rect") == 2  # models at equal tokens


def test_nothing_in_it_comes_from_elsewhere(tmp_path: Path) -> None:
    text = page_of(tmp_path)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "a", "use", "image"} & set(page.tags)
    assert not {"src", "href", "srcset", "action", "data", "poster"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"@import|url\s*\(", text)
    assert "default-src 'none'" in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    quoted = json.dumps(HOSTILE, ensure_ascii=True)
    toml = TOML.replace('"Big-8B"', quoted).replace('"seeds.jsonl"', quoted).replace('["pydoc"]', f"[{quoted}]")
    clean, hostile = (
        Page(page_of(tmp_path / str(n), t, (name, "answers")))
        for n, (t, name) in enumerate([(TOML, "pydoc"), (toml, HOSTILE)])
    )
    assert set(hostile.tags) <= set(clean.tags) | {"blockquote", "strong"} and not hostile.open
    assert "<script>alert(1)</script>" in hostile.seen and "\x1b" not in hostile.seen and "\u202e" not in hostile.seen


@given(st.text() | st.text(alphabet="\\|`*_<>[]()!#~&@:/w.a\"'\n\t\u202e$"))
def test_escaped_text_reads_as_itself(text: str) -> None:
    """What `escape` made literal in Markdown is the same words in HTML, and brings no tag in."""
    page = Page(f"<p>{inline(escape(text))}</p>")
    assert page.tags == ["p"] and not page.open
    assert page.seen == re.sub(r"\\(.)", r"\1", escape(text))


def test_markdown_of_the_report_becomes_html() -> None:
    lines = [
        "## A *b*",
        "",
        "> **c**: d.",
        "",
        "- e",
        "  - f `g`",
        "- h",
        "",
        "| i | j |",
        "| :- | --: |",
        "| k \\| | better |",
    ]
    assert to_html(lines).replace("\n", "") == (
        "<h2>A <em>b</em></h2><blockquote><strong>c</strong>: d.</blockquote>"
        "<ul><li>e</li><ul><li>f <code>g</code></li></ul><li>h</li></ul>"
        '<div class="wide"><table><thead><tr><th>i</th><th class="number">j</th></tr></thead>'
        '<tbody><tr><td>k |</td><td class="number"><span class="verdict better">better</span></td></tr></tbody>'
        "</table></div>"
    )


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=6))
def test_a_scale_holds_its_values_and_has_round_ticks(values: list[float]) -> None:
    found = scale(values, 100, 500)
    assert all(100 <= found(value) <= 500 for value in values)
    ticks = found.ticks()
    assert 1 <= len(ticks) <= 7 and all(99 <= found(tick) <= 501 for tick in ticks)


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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_a_network(tmp_path: Path) -> None:
    path, picture = tmp_path / "report.html", tmp_path / "report.png"
    path.write_text(page_of(tmp_path / "run"))
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"),
            *("--window-size=1000,1400", f"--screenshot={picture}", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert picture.is_file() and picture.stat().st_size > 30_000, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr  # the policy, or a broken document, would be told of there


def test_the_command_prints_the_page(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, MIXED)
        page = render(run, "html")
    printed = faq_tui("report", tmp_path, "--format", "html")
    assert printed.code == 0 and printed.out.strip() == page.strip()
