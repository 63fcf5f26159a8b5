"""Greedy answers of each model: what is compared, and when the target writes its answers again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faq_tui.core.base.errors import FaqError
from faq_tui.core.evaluation import greedy_answers
from faq_tui.core.evaluation.greedy_metrics import GREEDY_DEPARTURE, GREEDY_LENGTH, GREEDY_UNENDED
from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import GREEDY
from faq_tui.core.models import opening
from faq_tui.core.stats.sums import Sums
from tests.core.evaluation.test_task import evaluate, folders, measurements  # noqa: F401  a fixture

END = 9
MODEL = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[END], pad_token_id=None))
PROMPTS = [(3, 4, 5), (6, 7), (8, 9, 10, 11)]
LONGEST = 12
TEXT = Heldout(GREEDY, [Item(prompt, len(prompt)) for prompt in PROMPTS], new_tokens=LONGEST)
ANSWERS = st.lists(st.integers(0, 9), min_size=1, max_size=8)


@given(st.lists(st.tuples(ANSWERS, ANSWERS), min_size=1, max_size=5))
def test_the_metrics_against_their_definitions(pairs: list[tuple[list[int], list[int]]]) -> None:
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    sums = Sums.of(greedy_answers.columns(ours, theirs, MODEL))
    same = [max(n for n in range(len(a) + 1) if a[:n] == b[:n]) for a, b in pairs]
    assert GREEDY_DEPARTURE.value_of(sums) == pytest.approx(sum(same) / len(pairs))
    difference = sum(abs(len(a) - len(b)) for a, b in pairs)
    assert GREEDY_LENGTH.value_of(sums) == pytest.approx(difference / sum(map(len, theirs)))
    assert GREEDY_UNENDED.value_of(sums) == pytest.approx(sum(a[-1] != END for a in ours) / len(pairs))
    itself = Sums.of(greedy_answers.columns(theirs, theirs, MODEL))
    assert GREEDY_DEPARTURE.value_of(itself) == pytest.approx(sum(map(len, theirs)) / len(pairs))
    assert GREEDY_LENGTH.value_of(itself) == 0.0


def greedy_of(model: Any, prompt: tuple[int, ...]) -> list[int]:
    """The reference: one token after the other, without a cache."""
    import torch

    ids, ends = list(prompt), model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else list(ends or [])
    for _ in range(LONGEST):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in ends:
            break
    return ids[len(prompt) :]


def test_each_model_writes_its_own_answers(folders: dict[str, Path], tmp_path: Path) -> None:  # noqa: F811
    from faq_tui.core.models.dense import load_dense

    messages = evaluate(folders, tmp_path, "whole", texts={GREEDY: TEXT})
    found = measurements(messages)
    import torch

    models = {name: load_dense(path, torch.bfloat16, "cpu", False) for name, path in folders.items()}
    answers = {name: [greedy_of(model, prompt) for prompt in PROMPTS] for name, model in models.items()}
    assert answers["gptq"] != answers[UNQUANTIZED], "the test needs a model that answers otherwise"
    for name, ours in answers.items():
        expected = greedy_answers.columns(ours, answers[UNQUANTIZED], models[name])
        assert found[name, GREEDY]["items"] == expected, name
    last = [one for one in messages if one["kind"] == "progress"][-1]
    assert last["done"] == last["total"] == 3 * LONGEST * len(PROMPTS)


def test_what_is_measured_is_not_measured_again(folders: dict[str, Path], tmp_path: Path) -> None:  # noqa: F811
    first = measurements(evaluate(folders, tmp_path, "whole", texts={GREEDY: TEXT}))
    stored = {name: {GREEDY: one["signature"]} for (name, _), one in first.items()}
    assert not measurements(evaluate(folders, tmp_path, "whole", texts={GREEDY: TEXT}, stored=stored))
    del stored["gptq"]
    again = measurements(evaluate(folders, tmp_path, "whole", texts={GREEDY: TEXT}, stored=stored))
    assert again == {("gptq", GREEDY): first["gptq", GREEDY]}
    for path in (tmp_path / "greedy").iterdir():
        path.write_text("[[1,")  # a damaged file: the target writes its answers again
    again = measurements(evaluate(folders, tmp_path, "whole", texts={GREEDY: TEXT}, stored=stored))
    assert again == {("gptq", GREEDY): first["gptq", GREEDY]}
    longer = dataclasses.replace(TEXT, new_tokens=LONGEST + 1)
    assert len(measurements(evaluate(folders, tmp_path, "whole", texts={GREEDY: longer}, stored=stored))) == 3


def test_a_target_that_does_not_fit_cannot_write_them(
    folders: dict[str, Path],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "free_bytes", lambda device: 1 << 20)
    with pytest.raises(FaqError, match=r"set evaluate\.greedy_tokens to 0$"):
        evaluate(folders, tmp_path, "auto", texts={GREEDY: TEXT})
