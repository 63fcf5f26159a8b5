"""Collect facts about the run: target, sources, candidates, judge, picks, sets, recipes.

The facts contain no credentials and no text that a model wrote.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from faq_tui.core.assembly.draws import overlap
from faq_tui.core.base.secrets import without_credentials
from faq_tui.core.extensions import JUDGES
from faq_tui.core.judging.identity import chosen_picks, judge_named
from faq_tui.core.judging.summary import judging_in_words, judging_of, named_in
from faq_tui.core.models.target import fingerprint
from faq_tui.core.regenerating.candidate_requests import prompt_version, source_hash_of
from faq_tui.core.report.family_notices import kinships, target_name
from faq_tui.core.report.formatting import escape
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Recipe, Source
from faq_tui.core.settings.sets import plain_name
from faq_tui.core.settings.weights import sink_share_of
from faq_tui.core.store import candidates as candidate_rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.sets import all_sets


def what_was_run(run: Run) -> dict[str, Any]:
    settings = run.settings
    sets = all_sets(run.store)
    judge = settings.judge
    kin, plans = kinships(run), settings.set_plans()
    return {
        "target": {"model": settings.target.model, "name": target_name(settings), "fingerprint": fingerprint(run)},
        "seeds": {
            "path": settings.seeds.path,
            "sample_seed": settings.seeds.sample_seed,
            **seed_rows.counts(run.store),
        },
        "sources": [{**_source(run, name, source), "family": kin[name]} for name, source in settings.sources.items()],
        "judge": {
            "kind": judge.kind,
            "model": judge.model,
            "url": None if judge.base_url is None else without_credentials(judge.base_url),
            "judging": judging_of(run) if settings.sources else None,
        },
        "assemble": settings.assemble.model_dump(),
        "sets": [
            {
                "name": s.name,
                "samples": s.samples,
                "tokens": s.tokens,
                "cut": s.tokens_full - s.tokens,
                "kept": s.kept,
                "answered": s.answered,
                "whole_answers": s.whole_answers,
                "ways": s.ways,
                "plan": plan.model_dump() if (plan := plans.get(name, plans.get(plain_name(name)))) else None,
                "refused": s.refused,
            }
            for name in settings.all_set_names()
            if (s := sets.get(name)) is not None
        ],
        "shared_seeds": None if (shared := overlap(run)) is None else asdict(shared),
        "recipes": [_recipe(recipe) for recipe in settings.recipes],
        "evaluate": settings.evaluate.model_dump(
            exclude={"lm_eval", "evalscope", "serve"}
        ),  # The section on benchmarks already shows these keys.
    }


def _source(run: Run, name: str, source: Source) -> dict[str, Any]:
    wanted = run.store, source_hash_of(source), source.candidates
    counts = candidate_rows.tally(*wanted)
    picks = chosen_picks(run, name).values()
    used = Counter(pick.picked_by for pick in picks if pick.candidate_id is not None)
    return {
        "name": name,
        "model": source.model,
        "url": without_credentials(source.base_url),
        "reasoning": source.reasoning,
        "prompt_version": prompt_version(source),
        "sampling": source.sampling.model_dump(),
        "candidates_per_seed": source.candidates,
        "candidates": counts.candidates,
        "fit": counts.candidates - counts.unusable,
        "unfit": dict(candidate_rows.flag_counts(*wanted)),
        "with_reasoning": counts.candidates - candidate_rows.count_unreasoned(*wanted),
        "picked_by_judge": used["judge"],
        "picked_by_person": used["person"],
        "without_pick": sum(pick.candidate_id is None for pick in picks),
    }


# Maximum number of characters in the description of a judge: its name, model and URL.
LONGEST_JUDGE = 450


def judge_lines(judge: dict[str, Any]) -> list[str]:
    """Describe the judge in lines of Markdown. `judge` is `run.judge` of the report's document."""
    judging = judge["judging"]
    if judging is None:
        return [f"- **Judge**: {_kind(judge, judge['kind'])}"]
    weights = judging["weights"]
    by = " + ".join(f"{weight:g} × {_kind(judge, kind)}" for kind, weight in weights.items())
    if judging["picks_by"] == "mix":
        by = f"a weighted mix of the judges' scores (z-scores within each seed): {by}"
    else:
        by = _kind(judge, judging["picks_by"])
    lines = [f"- **Judge**: {by}"]
    further = [line for name in named_in(judging) for line in judge_named(name).report_lines(judging)]
    lines += [f"  - {escape(line)}" for line in further]
    lines += [f"  - {_column(column)}" for column in judging["columns"]]
    return lines + [f"  - {escape(part)}" for part in judging_in_words(judging)]


def _kind(judge: dict[str, Any], kind: str) -> str:
    """The name of the judge `kind` as the report shows it.

    If the package of the judge is not installed, returns `kind`.
    """
    return escape(judge_named(kind).in_report(judge) if kind in JUDGES else kind, LONGEST_JUDGE)


def _column(column: dict[str, Any]) -> str:
    text = f"{column['kind']}: {column['scored']:,} scored, {column['unscored']:,} unscored"
    if column["mean"] is not None:
        text += f", mean {column['mean']:.3f} ({column['low']:.3f} to {column['high']:.3f})"
    if column["length_slope"] is not None:
        text += "; the effect of length is removed "
        text += f"({column['length_slope']:+.3f} per unit of ln(number of tokens))"
    return text


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """The keys of all methods. A key that earlier versions did not have is left out if it has its default value.

    `sink_share` is a number, or it is left out if the recipe has no sink share.
    """
    fields, later, share = type(recipe).model_fields, recipe.added_later_keys(), sink_share_of(recipe)
    body = {
        key: value
        for key, value in recipe.with_keys_of_all().items()
        if key != "sink_share" and (key not in later or value != fields[key].default)
    }
    return body if share is None else {**body, "sink_share": share}
