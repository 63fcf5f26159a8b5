"""When the card of an artefact is written, and what does not depend on it."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.artefact_queue import queue_of
from faq_tui.core.model_card.files import write_cards, write_first_card
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.report.document import document
from faq_tui.core.stages import report
from tests.support.made_up import made_up_run, measure_all
from tests.support.model_cards import make_folders

ELDER = "gptq-w4g64-elder"


def test_the_card_says_first_that_nothing_is_measured_and_then_the_verdict(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run") as run:
        make_folders(run)
        card = run.models / ELDER / "README.md"
        write_first_card(run, card.parent, ELDER, "elder")
        assert "No evidence exists yet" in card.read_text()
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        assert write_cards(run, document(run)) == []
        text = card.read_text()
        assert "No evidence exists yet" not in text and "### Comparisons with the baseline" in text
        assert "No evidence exists yet" not in (run.models / "gptq-w4g64-baseline" / "README.md").read_text()
        assert not (run.models / "gptq-w4g64-elder-tokens" / "README.md").exists(), "nothing was measured of it"


def test_a_card_that_is_up_to_date_is_not_written_again(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run") as run:
        make_folders(run)
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        write_cards(run, document(run))
        card = run.models / ELDER / "README.md"
        before = card.stat()
        write_cards(run, document(run))
        assert (card.stat().st_mtime_ns, card.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_card_of_a_person_stays(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run") as run:
        make_folders(run)
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        card = run.models / ELDER / "README.md"
        card.write_text("# My own words\n")
        write_cards(run, document(run))
        assert card.read_text() == "# My own words\n"


def test_a_folder_that_cannot_be_written_does_not_stop_the_others(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run") as run:
        make_folders(run)
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        (run.models / "gptq-w4g64-baseline" / "README.md").mkdir()  # even root cannot write a file there
        problems = write_cards(run, document(run))
        assert len(problems) == 1 and problems[0].startswith("the card of gptq-w4g64-baseline could not be written: ")
        assert (run.models / ELDER / "README.md").is_file()


def test_neither_completeness_nor_signatures_depend_on_the_card(tmp_path: Path) -> None:
    with made_up_run(tmp_path / "run") as run:
        make_folders(run)
        measure_all(run, {"baseline": 0.30, "elder": 0.20})
        states, signature = [(one.name, one.state) for one in queue_of(run)], report.signature(run)
        write_cards(run, document(run))
        assert [(one.name, one.state) for one in queue_of(run)] == states and report.signature(run) == signature
        (run.models / ELDER / "README.md").unlink()
        assert is_whole(run.models / ELDER) and report.signature(run) == signature
