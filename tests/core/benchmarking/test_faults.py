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


def test_a_refusal_of_the_server_is_not_a_missing_download() -> None:
    """evalscope with vLLM 0.32: the request is longer than the window. The error's cause is an HTTPError of httpx."""
    names = ["BadRequestError", "APIStatusError", "APIError", "Exception", "HTTPStatusError", "HTTPError"]
    long = "Error code: 400 - max_tokens=8192 cannot be greater than max_model_len=2048."
    assert explain("evalscope", "arc", names, long, at_server=True) == (
        f"arc of evalscope: the server refused a request ({long}): "
        "set a smaller max_tokens under [evaluate.evalscope.sampling], or serve the model with a larger window"
    )
    refused = explain("evalscope", "arc", names, "Error code: 401 - no key", at_server=True)
    assert refused.endswith("(Error code: 401 - no key): read its reason in the job's log.txt")
    gone = explain("lm_eval", "arc", ["ClientConnectorError", "ClientConnectionError"], "no route", at_server=True)
    assert gone == "arc of lm_eval: the server no longer answers (no route): check the server's log"
    assert "cannot be loaded" in explain("lm_eval", "arc", ["ConnectionError"], "no route")
