"""A set is compared with its baseline on the held-out answers of each category of seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faq_tui.core.base.hashing import digest
from faq_tui.core.evaluation.identity import UNQUANTIZED, measurement_signature, subjects
from faq_tui.core.evidence import collect
from faq_tui.core.evidence.model import CategoryOutcome
from faq_tui.core.run.run import Run
from faq_tui.core.store import seeds
from faq_tui.core.store.measurements import Measurement, add_measurement, replace_items
from faq_tui.core.store.seeds import Seed
from tests.support.made_up import made_up_run

CATEGORIES = ("math", "code", None)  # the categories of the items, in turn
ITEMS = 30
TOKENS = np.arange(10.0, 10.0 + ITEMS)


def hold_out(run: Run, categories: tuple[str | None, ...] = CATEGORIES) -> None:
    """Store one held-out seed and one item for each number."""
    made = [
        Seed(({"role": "user", "content": f"question {number}"},), None, f"seeds.jsonl:{number}", category=category)
        for number, category in ((n, categories[n % len(categories)]) for n in range(ITEMS))
    ]
    seeds.replace_all(run.store, made)
    seeds.assign_roles(run.store, [], [seed.id for seed in made])
    replace_items(run.store, "answers", digest("answers"), [{"question": f"question {n}"} for n in range(ITEMS)])


def measure(run: Run, subject: str, kl_of: dict[str | None, float]) -> None:
    kl = np.array([kl_of[CATEGORIES[number % len(CATEGORIES)]] for number in range(ITEMS)]) * TOKENS
    columns = {"tokens": TOKENS, "nll": 2 * TOKENS + kl, "kl": kl, "agree": TOKENS}
    signature = measurement_signature(subjects(run)[subject], digest("answers"), "float32", "cpu")
    values = {name: column.tolist() for name, column in columns.items()}
    add_measurement(run.store, Measurement(subject, "answers", signature, values))


def measured(run: Run) -> tuple[CategoryOutcome, ...]:
    measure(run, UNQUANTIZED, {"math": 0.0, "code": 0.0, None: 0.0})
    for name, math, code in (("baseline", 0.4, 0.2), ("elder", 0.1, 0.3)):
        measure(run, run.settings.recipes[0].folder(name), {"math": math, "code": code, None: 9.0})
    return collect(run).by_category


def test_each_category_has_the_mean_over_its_own_tokens(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        hold_out(run)
        code, math = measured(run)
    assert (code.category, code.items, code.text) == ("code", 10, "answers")
    assert (code.source, code.equal, math.category) == ("elder", "samples", "math")
    assert [code.ours, code.baseline, math.ours, math.baseline] == pytest.approx([0.3, 0.2, 0.1, 0.4])
    assert math.difference.value == pytest.approx(-0.3) and math.difference.excludes(0.0)
    assert code.difference.value == pytest.approx(0.1) and code.difference.excludes(0.0)


@pytest.mark.parametrize(
    "categories", [(None,), ("math",), ("math", None), ("math", *[str(number) for number in range(9)])]
)
def test_fewer_than_two_categories_with_enough_items_give_no_outcomes(
    categories: tuple[str | None, ...], tmp_path: Path
) -> None:
    with made_up_run(tmp_path) as run:
        hold_out(run, categories)
        assert measured(run) == ()


def test_items_that_were_not_stored_have_no_category(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        hold_out(run)
        replace_items(run.store, "answers", digest("answers"), [{"question": "question 1"}])
        assert measured(run) == ()
