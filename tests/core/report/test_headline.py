"""One sentence answers the whole report."""

from __future__ import annotations

from typing import Any

from faq_tui.core.report.headline import NOTHING, one_sentence, verdict

TEXT = {"name": "t", "title": "t", "kind": "prose", "metrics": ["kl"]}
NUMBERS = {"ours": 0.15, "baseline": 0.2, "difference": {"value": -0.05, "low": -0.06, "high": -0.04}}


def body_of(*verdicts: tuple[str, str, str, str]) -> dict[str, Any]:
    """A report with comparisons (recipe, source, equal, verdict) on one text."""
    made: list[dict[str, Any]] = [
        {"recipe": recipe, "source": source, "equal": equal, "texts": {"t": {"kl": {"verdict": word, **NUMBERS}}}}
        for recipe, source, equal, word in verdicts
    ]
    sizes = {
        "our_samples": 1,
        "our_tokens": 2,
        "baseline_samples": 1,
        "baseline_tokens": 1,
        "draws": 1,
        "same": False,
    }
    made = [{**one, **sizes, "baseline": "gptq-baseline"} for one in made]
    return {"comparisons": made, "texts": [TEXT], "outdated": None, "notices": []}


def test_a_single_pair_has_the_headline_of_its_section() -> None:
    body = body_of(("gptq", "elder", "samples", "better"), ("gptq", "elder", "tokens", "within noise"))
    assert one_sentence(body).startswith("No. The gain comes from having more text")
    assert sum("**" in line for line in verdict(body)) == 1
    assert one_sentence(body_of()) == NOTHING


def test_several_pairs_are_counted_by_verdict_at_equal_tokens() -> None:
    body = body_of(
        ("gptq", "elder", "samples", "worse"),
        ("gptq", "elder", "tokens", "better"),
        ("spqr", "elder", "tokens", "better"),
        ("w8a8", "elder", "tokens", "within noise"),
        ("awq", "elder", "samples", "worse"),
    )
    sentence = one_sentence(body)
    assert sentence == (
        "With the same amount of text on both sides, the quantized model is clearly better in 2 (gptq elder, spqr "
        "elder), not visibly different in 1 (w8a8 elder) of 3 comparisons"
    )
    assert verdict(body)[2] == f"**{sentence}.**"


def test_without_equal_tokens_it_is_about_equal_samples() -> None:
    body = body_of(("gptq", "a", "samples", "worse"), ("gptq", "b", "samples", "leans worse"))
    assert one_sentence(body) == (
        "With the same number of samples on both sides, the quantized model is perhaps worse in 1 (gptq b), "
        "clearly worse in 1 (gptq a) of 2 comparisons"
    )


def test_the_numbers_follow_the_words() -> None:
    body = body_of(("gptq", "elder", "tokens", "better"))
    body["cost"] = {"generated": {"elder": 6834}, "seconds": {"seeds": 0.2, "regenerate": 57.7, "quantize": 80.0}}
    lines = verdict(body)
    times = "regenerate 57.7 s, quantize 1 min 20 s"
    assert f"What it cost: elder wrote 6,834 tokens, and the stages took 2 min 18 s ({times})." in lines
    assert (
        "- gptq, elder, at equal tokens: KL on t 0.1500, and 0.2000 with baseline; difference -0.0500 (-25%), "
        "95% interval [-0.0600, -0.0400] from 1 draw."
    ) in [line.replace("−", "-") for line in lines]
    one = {"recipe": "gptq", "model": "gptq-elder", "text": "t", "kl": 0.15, "models": 3, "serve": "vllm serve /m"}
    body["closest"] = [one]
    assert (
        "- Closest to the unquantized model is **gptq-elder**: KL on t 0.1500, the lowest of 3 models of gptq. "
        "Serve it with `vllm serve /m`."
    ) in verdict(body)
    body["comparisons"][0]["texts"]["t"]["kl"]["difference"] = {"value": None, "low": None, "high": None}
    assert any("difference not finite, no interval from 1 draw." in line for line in verdict(body))
    body["comparisons"][0]["same"] = True  # the same model twice has no difference to state
    assert not any(" interval" in line for line in verdict(body))
