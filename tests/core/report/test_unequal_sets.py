"""Sets that should have equal sizes, but have not, are named with their sizes."""

from __future__ import annotations

from pathlib import Path

from faq_tui.core.base.hashing import digest
from faq_tui.core.report.unequal_sets import not_compared, unequal_notices
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.made_up import TOML, made_up_run

CUT = '[sets.cut]\nfrom = "elder"\nanswers_cut = 20\nmatch = { tokens = "baseline" }\n'


def test_the_sizes_are_means_over_the_draws_and_sets_without_a_recipe_are_left_out(tmp_path: Path) -> None:
    three = TOML.replace("[evaluate]", "[evaluate]\nrepeats = 2")
    for number, only in enumerate(("", 'sets = ["baseline", "elder"]\n')):
        text = three.replace("group_size = 64\n", f"group_size = 64\n{only}") + CUT
        with made_up_run(tmp_path / str(number), text) as run:
            for name, tokens in {"baseline": 400, "cut": 400, "baseline-r2": 300, "cut-r2": 241}.items():
                add_set(run.store, SetRow(name, digest(name), 4, tokens, tokens, 0, {}))
            found = unequal_notices(run)
            sentences = not_compared({"notices": [{"source": "elder", "message": "No elder was used"}, *found]})
        message = (
            "It is not compared with baseline at equal tokens, because it has 320 tokens, and baseline has 350. "
            "To compare them, match baseline to cut instead, or use more seeds"
        )
        assert found == ([] if only else [{"source": "cut", "message": message, "equal": "tokens"}])
        assert sentences == ([] if only else [f"cut: {message}."])
