"""Each fault of a benchmark is one sentence that says what to do."""

from __future__ import annotations

from faq_tui.core.benchmarking.faults import explain, names_of


def test_each_fault_is_one_sentence_that_says_what_to_do() -> None:
    def said(error: BaseException) -> str:
        return explain("lm_eval", "piqa", names_of(error), str(error))

    assert "check the network" in said(ConnectionError("Couldn't reach\nthe Hub"))
    assert "not installed (No module named 'langdetect')" in said(ModuleNotFoundError("No module named 'langdetect'"))
    assert said(ZeroDivisionError("by\nzero")) == "piqa of lm_eval failed with ZeroDivisionError: by zero"
    try:
        try:
            raise ConnectionError("no route")
        except ConnectionError as cause:
            raise RuntimeError("could not load") from cause
    except RuntimeError as error:
        assert "cannot be loaded (could not load)" in said(error), "a cause counts as well"
