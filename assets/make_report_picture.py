"""Takes assets/report.png: the head of a run's HTML report, as headless Chromium shows it.

    python assets/make_report_picture.py RUN [OUT] [--dark]

RUN holds reports/report.html (`faq-tui demo --headless` makes one). Chromium gets no network.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1040, 1500)


def take(page: Path, picture: Path, dark: bool) -> None:
    """Write `picture` (PNG), SIZE in CSS pixels. Exits with a sentence where there is no browser or no page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium on this machine: install chromium, or take the picture by hand")
    if not page.is_file():
        sys.exit(f"no report at {page}: run the report stage of this run first")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
                *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
                *(f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}"),
                *(["--blink-settings=preferredColorScheme=0"] if dark else []),
                *("--host-resolver-rules=MAP * ~NOTFOUND", f"--screenshot={picture.resolve()}"),
                page.resolve().as_uri(),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent / "report.png")
    parser.add_argument("--dark", action="store_true", help="as on a dark desktop")
    asked = parser.parse_args()
    take(asked.run / "reports" / "report.html", asked.out, asked.dark)


if __name__ == "__main__":
    main()
