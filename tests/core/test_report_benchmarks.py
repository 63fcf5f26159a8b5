"""What the report says of benchmarks: each model against the baseline of its own recipe and draw."""

from __future__ import annotations

from pathlib import Path

from made_up import TOML, made_up_result, made_up_run

from faq_tui.core.benchmarking.plan import wanted
from faq_tui.core.report.benchmarks import benchmarks
from faq_tui.core.store.benchmarks import replace_results

DRAWN = TOML + 'repeats = 2\n[evaluate.lm_eval]\ntasks = ["piqa"]\n'
SETS = tuple(f"{name}{draw}" for draw in ("", "-r2") for name in ("baseline", "elder", "elder-tokens"))


def test_each_draw_is_held_against_the_baseline_of_the_same_draw(tmp_path: Path) -> None:
    with made_up_run(tmp_path, DRAWN, (*SETS, "baseline-tokens", "baseline-tokens-r2")) as run:
        for number, request in enumerate(wanted(run)):
            items = tuple(float(number * item) for item in range(1, 5))
            replace_results(run.store, [made_up_result(request, items)])
        rows = {row["subject"]: row for row in benchmarks(run)["results"]}
    against = {name: row["difference"]["to"] for name, row in rows.items() if row["difference"]}
    name = "gptq-w4g64-{}".format
    assert against == {
        name(f"elder{more}{draw}"): name(f"baseline{more}{draw}") for more in ("", "-tokens") for draw in ("", "-r2")
    }
    ours, theirs = rows[name("elder-r2")], rows[name("baseline-r2")]
    assert ours["difference"]["value"] == ours["value"] - theirs["value"] != 0
