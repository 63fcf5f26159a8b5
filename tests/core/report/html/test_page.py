"""The HTML report: one file, no request, no foreign markup, and a browser that can show it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.report.formats import render
from tests.core.report.test_document import HOSTILE, MIXED
from tests.support.html_page import Page
from tests.support.made_up import TOML, add_made_up_measurement, made_up_run, measure_all
from tests.support.shell import faq_tui

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)

_QUOTED = json.dumps(HOSTILE, ensure_ascii=True)
HOSTILE_TOML = (
    TOML.replace('"Big-8B"', _QUOTED).replace('"seeds.jsonl"', _QUOTED).replace('["pydoc"]', f"[{_QUOTED}]")
)


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
    clean, hostile = (
        Page(page_of(tmp_path / str(n), t, (name, "answers")))
        for n, (t, name) in enumerate([(TOML, "pydoc"), (HOSTILE_TOML, HOSTILE)])
    )
    assert set(hostile.tags) <= set(clean.tags) | {"blockquote", "strong"} and not hostile.open
    assert "<script>alert(1)</script>" in hostile.seen and "\x1b" not in hostile.seen and "\u202e" not in hostile.seen


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("toml", "text"), [(TOML, "pydoc"), (HOSTILE_TOML, HOSTILE)], ids=["plain", "hostile"])
def test_a_browser_shows_it_without_a_network(tmp_path: Path, toml: str, text: str) -> None:
    path, picture = tmp_path / "report.html", tmp_path / "report.png"
    path.write_text(page_of(tmp_path / "run", toml, (text, "answers")))
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
