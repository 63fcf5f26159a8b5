"""Text that attacks the terminal, in every place of a run where others write: it is shown, and does nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.run import events as e
from faq_tui.core.run.job_record import new_id
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages.quantize import artefact_signature
from faq_tui.core.store import seeds, stages
from faq_tui.core.store.artefacts import Artefact, add_artefact
from faq_tui.core.store.sets import SetRow
from tests.support.evidence_run import TEXTS, add_items, measure
from tests.support.judged_run import TOML, make_judged_run
from tests.support.on_terminal import OnTerminal
from tests.support.shell import FAQ_TUI

pytestmark = pytest.mark.slow

ATTACK = "[red]x[/red] \x1b]52;c;SEVMTE8=\x07 \x1b[2J \x9b2J \u202egnp.exe \u2066iso \x00 end"
LONG = "w" * 1_000_000
TWIN = "".join(char if char.isascii() and char.isprintable() else "-" for char in ATTACK)
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
RECIPE = '\n[[recipes]]\nbits = 4\ngroup_size = 64\nsets = ["baseline"]\n'
ARTEFACT = "gptq-w4g64-baseline"
STEPS: tuple[tuple[bytes, str], ...] = (  # keys, and what must then be on the screen
    (b"2", "Zoom"),
    (b"lz", "Retry failed"),  # choosing one alone changes colours only
    (b"z", "Retry failed"),
    (b"j", "2 of"),
    (b"1", "Search"),
    (b"v", "Search"),
    (b"\r", "Exclude"),
    (b"\x1b", "Search"),
    (b"3", "0 Reject"),
    (b"l", "0 Reject"),
    (b"b", "not reviewed"),  # or the judge's endless reason hides what folding does
    (b"z", "0 Reject"),
    (b"b", "0 Reject"),
    (b"F", "Which seeds to show"),
    (b"\x1b", "0 Reject"),
    (b"s", "source teacher"),
    (b"\x1b[15~", "New recipe"),  # f5: the digits pick candidates here
    (b"v", "largest loss of each layer"),
    (b"v", "log of job"),
    (b"v", "layer by module"),
    (b"[", "No activations yet"),
    (b"[", "0 Reject"),
    (b"[", "Zoom"),
    (b"[", "Search"),
    (b"]", "Zoom"),
    (b"]", "0 Reject"),
    (b"]", "No activations yet"),
    (b"]", "New recipe"),
    (b"]", "KL on pydoc"),
    (b"v", "general: KL"),
    (b"v", "Left model"),
    (b"\r", "The last word must be"),
    (b"\x1b", "Left model"),
    (b"G", "Left model"),
    (b"[", "New recipe"),
    (b"?", "esc to close"),
    (b"\x1b", "New recipe"),
    (b"\x10", "Search for"),
    (b"colours", "Choose the colour"),
    (b"\x1b", "New recipe"),
)


def make_run(folder: Path, bad: str) -> Path:
    """Judged, quantized and over; `bad` is in every text that a model, a server or a file gave."""
    long = bad + LONG
    model = f"model = {json.dumps('Big-32B ' + bad.replace(chr(0), ''))}"
    make_judged_run(folder, TOML.replace('model = "Big-32B"', model) + RECIPE, hostile=long)
    job = new_id()
    with open_run(folder) as run:
        seed_id = seeds.ids(run.store)[0]
        with run.store.writing() as db:
            db.execute("UPDATE seeds SET label = ?, category = ?, origin = ?", (bad, bad, bad))
            db.execute("UPDATE candidates SET model = ?", (bad,))
        stages.begin(run.store, "quantize", "signature", job)
        stages.end(run.store, "quantize", "failed", bad)
        log = run.log(job)
        log.parent.mkdir(parents=True)
        log.write_bytes((long + "\n" + bad + "\n").encode())
        add_evidence(run, bad)
    told: list[e.Event] = [
        e.StageStarted("regenerate", 3, "candidates"),
        e.CandidateStarted(seed_id, "elder", 4),
        e.CandidateDelta(seed_id, "elder", 4, long, bad),
        e.CandidateRetried(seed_id, "elder", 4, 1, 1.0, bad),
        e.CandidateStarted(seed_id, "elder", 4),
        e.CandidateDelta(seed_id, "elder", 4, bad, long),
        e.CandidateFailed(seed_id, "elder", 4, bad),
        e.StageProgress("regenerate", 1, 3, bad),
        e.Note(long),
        e.StageDone("regenerate", 1.0, bad),
        e.StageStarted("quantize", 1, bad),
        e.ArtefactStarted(ARTEFACT, 2, 3, 40),
        e.LayerStarted(ARTEFACT, 0, (bad, "mlp.up_proj")),
        e.ModuleQuantized(ARTEFACT, 0, bad, 1e-3, 1.0, bad),
        e.ModuleQuantized(ARTEFACT, 0, "mlp.up_proj", 2e-3, 1.0, bad),
        e.LayerDone(ARTEFACT, 0),
        e.ArtefactDone(ARTEFACT, bad, 2.0, 4.3),
        e.StageDone("quantize", 1.0, bad),
    ]
    place = folder / "jobs" / job
    (place / "events.jsonl").write_text("".join(e.to_json(event, 1.8e9) + "\n" for event in told), encoding="utf-8")
    record = {"pid": 1, "began": "long ago", "only": None, "until": "quantize", "started": 1.8e9}
    (place / "job.json").write_text(json.dumps({**record, "stages": ["regenerate", "quantize"]}))
    return folder


def add_evidence(run: Run, bad: str) -> None:
    """One artefact and the unquantized model, measured; what files said of the items is `bad`."""
    signature = artefact_signature(run, run.settings.recipes[0], SetRow("baseline", "hash", 3, 120, 120, 0, {}))
    add_artefact(run.store, Artefact(ARTEFACT, signature, {}, "baseline", None, 3, 120, 4.3, 1.0))
    add_items(run.store, bad)
    for subject, kl in ((UNQUANTIZED, 0.0), (ARTEFACT, 0.3)):
        measure(run, subject, kl)
    run.reports.mkdir(parents=True, exist_ok=True)
    (run.reports / "evaluation.json").write_text(json.dumps({"texts": dict.fromkeys(TEXTS, bad)}))


def walk(folder: Path) -> tuple[bytes, list[str], list[float]]:
    """All that the terminal got, the screen after each step, and how long each took."""
    shown = OnTerminal(*FAQ_TUI, folder)
    try:
        shown.wait_to_see("Finished. quantize", "Search")
        screens, took = ["\n".join(shown.lines())], list[float]()
        for keys, text in STEPS:
            before = screens[-1]
            shown.press(keys)
            took.append(shown.wait_until(changed(before, text), 10, f"after {keys!r}, number {len(took)}:"))
            settle(shown)
            screens.append("\n".join(shown.lines()))
        shown.press(b"q")
        assert shown.wait(5) == 0
    finally:
        shown.kill()
    return shown.got, screens, took


def settle(shown: OnTerminal) -> None:
    """Until the pane is drawn whole: a key after half a picture, or right after escape, means something else."""
    picture, since = below("\n".join(shown.lines())), time.monotonic()
    while time.monotonic() - since < 0.25:
        now = below("\n".join(shown.lines()))
        if now != picture:
            picture, since = now, time.monotonic()


def changed(before: str, text: str) -> Callable[[list[str]], bool]:
    """In the pane: the machine's figures above it change by themselves."""
    return lambda seen: text in "\n".join(seen) and below("\n".join(seen)) != below(before)


def below(screen: str) -> str:
    """The pane: the line of jobs, which says it too, stands above."""
    return screen.split("\n", 3)[3]


def test_nothing_of_it_reaches_the_terminal(tmp_path: Path) -> None:
    got, screens, took = walk(make_run(tmp_path / "run", ATTACK))
    text = got.decode("utf-8")  # raises if a C1 byte stands alone
    assert "\x1b]52" not in text and "\x1b]52;c;SEVMTE8=" not in text
    assert "\x9b" not in text and "\x00" not in text
    assert not set(BIDI) & set(text)
    assert max(took) < 2, [(keys, f"{s:.2f}") for (keys, _), s in zip(STEPS, took, strict=True) if s >= 2]
    log = next((tmp_path / "home").rglob("app.log")).read_text()
    assert "Traceback" not in log, log[-3000:]

    twin, _, _ = walk(make_run(tmp_path / "twin", TWIN))
    assert got.count(b"\x1b[2J") <= twin.count(b"\x1b[2J")
    assert got.count(b"\x07") <= twin.count(b"\x07")

    # It was there to be seen, as it is written: in every pane that shows what others wrote.
    for words in ("Retry failed", "Search", "0 Reject", "New recipe", "Left model", "The last word must be"):
        assert any(words in screen and "[red]x[/red]" in below(screen) for screen in screens), words
