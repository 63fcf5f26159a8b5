"""Records the picture at the head of the README: the app, from an empty folder to a running run without an editor.

    python assets/make_recording.py CAST            # runs the app on a pty and records it, for a few minutes
    python assets/make_recording.py CAST --draw     # draws assets/recording.svg from a record

The recording is a real run: 20 questions, the embedded model and its server. It ends while the answers are written,
and the job is then stopped. CAST is an asciicast of version 2; `asciinema play CAST` shows it. In the drawing,
waiting is shortened: each part shows a few frames.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.on_pty import OnPty
from faq_tui.core import jobs

SIZE = (100, 30)
OUT = Path(__file__).with_name("recording.svg")
PARTS_WITHOUT_END_S = 900.0  # a part must end within this time
WATCHED_S = 20.0  # how long the answers are watched
MARK = "m"  # asciicast's kind of an event that names a place in the recording
QUESTIONS = """\
Why does a cast-iron pan rust if it is left wet?
How do I stop a wooden door from sticking in summer?
What is the difference between a virus and a bacterium?
How can I tell whether an egg is still fresh?
Why do leaves turn red in autumn?
How does a heat pump warm a house when it is cold outside?
What should I check before I buy a used bicycle?
Why is the sky blue and the sunset red?
How do I write a polite reminder about an unpaid invoice?
What does it mean that a loan has a fixed rate?
How do noise-cancelling headphones work?
Why does bread go stale faster in the fridge?
How can I keep a basil plant alive indoors?
What is a good way to learn the names of many people?
Why do we have leap years?
How do I remove candle wax from a tablecloth?
What happens in the body during a fever?
How do I plan a day trip by train with two children?
Why do ships made of steel float?
How can I make my old laptop start faster?
"""


class Recorder:
    """Presses keys in the app and waits for texts on its screen."""

    def __init__(self, app: OnPty) -> None:
        self._app = app
        self._screen = pyte.Screen(*SIZE)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0
        self.marks: list[tuple[float, str]] = []

    def mark(self, name: str) -> None:
        self.marks.append((time.perf_counter(), name))

    def press(self, keys: str, pause_s: float = 0.6) -> None:
        self._app.press(keys.encode())
        self._read(pause_s)

    def type(self, text: str) -> None:
        for character in text:
            self.press(character, 0.08)

    def see(self, *texts: str, seconds: float = PARTS_WITHOUT_END_S) -> None:
        """Wait until one of the texts is on the screen. Exits with the screen if none appears."""
        deadline = time.perf_counter() + seconds
        while not any(text in "\n".join(self._screen.display) for text in texts):
            if time.perf_counter() > deadline or self._app.is_over():
                sys.exit("\n".join([f"{texts} never came:", *self._screen.display]))
            self._read(0.2)

    def _read(self, seconds: float) -> None:
        self._app.read(seconds)
        for _at, data in self._app.chunks[self._fed :]:
            self._stream.feed(data)
        self._fed = len(self._app.chunks)


def record(cast: Path) -> None:
    """Run the app and write the asciicast."""
    with tempfile.TemporaryDirectory() as place:
        here, home = Path(place, "work"), Path(place, "home")
        here.mkdir()
        (here / "questions.txt").write_text(QUESTIONS, encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX")}
        env |= {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE")}
        with OnPty([sys.executable, "-m", "faq_tui"], SIZE, env, here) as app:
            began = time.perf_counter()
            see = Recorder(app)
            try:
                use(see)
            finally:
                stop(here)
            chunks = app.chunks
    head = {"version": 2, "width": SIZE[0], "height": SIZE[1], "title": "faq-tui: from 20 questions to a running run"}
    events = [(at - began, "o", data.decode("utf-8", "replace")) for at, data in joined(chunks)]
    events += [(at - began, MARK, name) for at, name in see.marks]
    lines = [json.dumps(head), *(json.dumps([round(at, 3), kind, text]) for at, kind, text in sorted(events))]
    cast.write_text("\n".join(lines) + "\n", encoding="utf-8")


def stop(here: Path) -> None:
    """End the job, which would go on without the app."""
    for run in here.glob("*/faq.toml"):
        job = jobs.find_live(run.parent)
        while job is not None and jobs.kill(job):
            time.sleep(0.1)


def joined(chunks: list[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """The chunks, cut so that no character is divided between two of them."""
    rest = b""
    for at, data in chunks:
        data, rest = rest + data, b""
        for back in range(1, min(4, len(data)) + 1):
            byte = data[-back]
            if byte & 0xC0 != 0x80:
                length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
                if length > back:
                    data, rest = data[:-back], data[-back:]
                break
        yield at, data


def use(app: Recorder) -> None:
    """What a person does: the five steps of the wizard, and a look at each pane while its stage runs."""
    app.see("There is no run in this folder yet")
    app.mark("wizard")
    app.press("n", 1.0)
    app.type("embedded")
    app.see("135M", "SmolLM2")
    app.press("\x13", 1.0)  # ctrl+s: the next step
    app.type("questions.txt")
    app.see("20 usable questions")
    app.press("", 1.5)
    for _step in range(3):
        app.press("\x13", 2.5)
    app.see("5 Plan")
    app.press("", 2.5)
    app.mark("start")
    app.press("\x13", 2.0)
    app.see("seeds", "regenerate")
    app.press("2", 1.0)
    app.press("a", 0.5)  # follow what is being written
    app.see("writing its")
    app.mark("regenerate")
    app.press("", WATCHED_S)
    app.see("done 3/3", " unusable")
    app.press("", 2.0)
    app.mark("seeds")
    app.press("1", 4.0)
    app.mark("home")
    app.press("H", 1.0)
    app.see("regenerate")
    app.press("", 3.0)
    app.mark("end")


# Drawing.

CELL, LINE, FONT = 8.4, 17, 14  # pixels
INK, PAPER = "#e0e0e0", "#121212"
FRAMES = {"wizard": 48, "start": 10, "regenerate": 40, "seeds": 8, "home": 8}
FRAME_S, HOLD_S = 0.22, 1.4  # seconds of a frame, and of the last frame of each part
NAMED = {
    "black": "#121212", "red": "#d27e92", "green": "#8ad4a1", "brown": "#ffc473", "blue": "#57a5e2",
    "magenta": "#ffc473", "cyan": "#7ec8e3", "white": "#e0e0e0",
}  # fmt: skip

Run = tuple[str, str, str, bool]  # (text, colour, background, bold)
Frame = tuple[tuple[Run, ...], ...]


@dataclass
class Part:
    """The frames between two marks."""

    name: str
    frames: list[Frame] = field(default_factory=list)

    def chosen(self) -> list[Frame]:
        most, count = FRAMES.get(self.name, 10), len(self.frames)
        if count <= most:
            return self.frames
        return [self.frames[round(index * (count - 1) / (most - 1))] for index in range(most)]


# Paths of the machine that recorded, and what the drawing shows instead.
PLACES = (
    (re.compile(rf"{tempfile.gettempdir()}/tmp\w+/work"), "~/work"),
    (re.compile(rf"{tempfile.gettempdir()}/tmp\w+/home/"), "~/."),
    (re.compile(rf"{Path.home()}/"), "~/"),
)


def _without_places(text: str) -> str:
    """The text without paths of this machine, as long as before."""
    shown = text
    for place, instead in PLACES:
        shown = place.sub(instead, shown)
    return shown.ljust(len(text))


def parts_of(cast: Path) -> list[Part]:
    """What the terminal shows, in parts. A frame is kept if the screen has changed."""
    head, *lines = cast.read_text(encoding="utf-8").splitlines()
    size = json.loads(head)
    screen = pyte.Screen(size["width"], size["height"])
    stream, parts, due = pyte.Stream(screen), [Part("home")], 0.0
    for line in lines:
        at, kind, text = json.loads(line)
        if kind == MARK:
            _keep(parts[-1], screen)
            parts.append(Part(text))
            continue
        if at >= due:
            _keep(parts[-1], screen)
            due = at + 0.1
        stream.feed(text)
    _keep(parts[-1], screen)
    return parts


def _keep(part: Part, screen: pyte.Screen) -> None:
    frame = tuple(_runs(screen, row) for row in range(screen.lines))
    if not part.frames or part.frames[-1] != frame:
        part.frames.append(frame)


def _runs(screen: pyte.Screen, row: int) -> tuple[Run, ...]:
    """The cells of a line, joined while colour, background and weight are the same."""
    runs: list[Run] = []
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        ink, paper = _colour(cell.fg, INK), _colour(cell.bg, PAPER)
        if cell.reverse:
            ink, paper = paper, ink
        if runs and runs[-1][1:] == (ink, paper, cell.bold):
            runs[-1] = (runs[-1][0] + cell.data, *runs[-1][1:])
        else:
            runs.append((cell.data, ink, paper, cell.bold))
    return tuple((_without_places(text), *style) for text, *style in runs)


def _colour(name: str, default: str) -> str:
    return default if name == "default" else NAMED.get(name.removeprefix("bright"), f"#{name}")


def draw(parts: list[Part]) -> str:
    """The animation as SVG. Lines that occur in several frames are stored once."""
    frames: list[tuple[Frame, float]] = []
    for part in parts:
        chosen = part.chosen()
        frames += [(frame, HOLD_S if index == len(chosen) - 1 else FRAME_S) for index, frame in enumerate(chosen)]
    width, height = SIZE[0] * CELL, SIZE[1] * LINE
    lines: dict[tuple[Run, ...], str] = {}
    film = []
    for number, (frame, _seconds) in enumerate(frames):
        uses = "".join(
            f'<use href="#{lines.setdefault(line, f"l{len(lines)}")}" y="{row * LINE}"/>'
            for row, line in enumerate(frame)
            if any(text.strip() or paper != PAPER for text, _ink, paper, _bold in line)
        )
        film.append(f'<g transform="translate({number * width:.0f} 0)">{uses}</g>')
    whole, at, steps = sum(seconds for _frame, seconds in frames), 0.0, []
    for number, (_frame, seconds) in enumerate(frames):
        steps.append(f"{at / whole:.3%}{{transform:translateX({-number * width:.0f}px)}}")
        at += seconds
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">'
        "<title>faq-tui: from 20 questions to a running run</title>"
        f"<style>text{{font:{FONT}px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}}"
        ".b{font-weight:bold}"
        f"@keyframes film{{{''.join(steps)}}}"
        f".film{{animation:film {whole:.1f}s step-end infinite}}</style>"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>'
        f"<defs>{''.join(_line(name, line) for line, name in lines.items())}</defs>"
        f'<g class="film">{"".join(film)}</g></svg>\n'
    )


def _line(name: str, line: tuple[Run, ...]) -> str:
    boxes, texts, column = "", "", 0
    for text, ink, paper, bold in line:
        x, width = column * CELL, len(text) * CELL
        column += len(text)
        if paper != PAPER:
            boxes += f'<rect x="{x:.1f}" width="{width + 0.2:.1f}" height="{LINE}" fill="{paper}"/>'
        if text.strip():
            start = len(text) - len(text.lstrip())
            words = text.strip()
            texts += (
                f'<text x="{x + start * CELL:.1f}" y="{LINE - 4}" fill="{ink}" '
                f'textLength="{len(words) * CELL:.1f}"{" class=" + chr(34) + "b" + chr(34) if bold else ""}>'
                f"{escape(words)}</text>"
            )
    return f'<g id="{name}">{boxes}{texts}</g>'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cast", type=Path)
    parser.add_argument("--draw", action="store_true", help="only draw; do not record")
    asked = parser.parse_args()
    if not asked.draw:
        record(asked.cast)
    OUT.write_text(draw(parts_of(asked.cast)), encoding="utf-8")
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
