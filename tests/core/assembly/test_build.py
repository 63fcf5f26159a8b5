"""Calibration sets of `[sets]`: what they are made from, in which form, order and size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from faq_tui.core.activations.capture import measure
from faq_tui.core.activations.compare import outlier_channels, reference, threshold
from faq_tui.core.assembly.coverage_task import greedy_cover
from faq_tui.core.assembly.selection_task import routed
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.chat.token_kinds import KINDS, read_kinds
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.models.dense import load_dense
from faq_tui.core.overrides import reject
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, Note, SetAssembled
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings import parse_settings
from faq_tui.core.stages import assemble
from faq_tui.core.store import candidates, picks
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from faq_tui.core.store.sets import all_sets
from tests.support.tiny import make_tiny_mixture, make_tiny_model

TOML = """
[target]
model = "../target"
[seeds]
path = "seeds.jsonl"
[sources.elder]
base_url = "http://127.0.0.1:9/v1"
model = "Big"
[assemble]
max_tokens = 400
"""
COUNT, RESERVE = 24, 80


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_tiny_model(tmp_path_factory.mktemp("sets") / "target", hidden=32, layers=1)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():  # channels that some samples drive hard and others do not
        rows = model.model.layers[0].self_attn.v_proj.weight
        rows[:6] *= torch.linspace(2.0, 4.5, 6)[:, None]
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def run(target: Path) -> Iterator[Run]:
    """24 chosen seeds, every other one with an original answer, and 80 in reserve; all regenerated and judged."""
    folder = target.parent / "run"
    folder.mkdir(exist_ok=True)
    (folder / "faq.toml").write_text(TOML)
    (folder / "faq.db").unlink(missing_ok=True)
    with open_run(folder) as made:
        fill(made)
        yield made


def fill(run: Run) -> None:
    asked = [f"Question {n}: what is {n} times {n}, and why does it matter?" for n in range(COUNT + RESERVE)]
    answer = "It is the product of the number with itself."
    seeds = [
        Seed(({"role": "user", "content": text},), answer if n % 2 else None, "x") for n, text in enumerate(asked)
    ]
    seed_rows.replace_all(run.store, seeds)
    seed_rows.assign_roles(run.store, [seed.id for seed in seeds[:COUNT]], [])
    source_hash, judge = source_hash_of(run.settings.sources["elder"]), judge_id(run)
    for n, seed in enumerate(seeds[:COUNT]):
        reasoning = " ".join(["I multiply, then check."] * (2 + n % 5))
        body = ("Big", "none", reasoning, f"The answer is {n * n}.", "stop", (), 5, 9, 1.0, "none")
        candidate = candidates.add(run.store, Candidate(seed.id, "elder", 1, source_hash, *body))
        picks.add_picks(run.store, [(seed.id, "elder", "pick", candidate)], "judge", judge, "best score")
        picks.add_score(run.store, picks.ScoreRow(candidate, judge, "likelihood", float(n % 7)))


def assembled(run: Run, sets: str) -> tuple[Run, dict[str, list[dict[str, Any]]], list[Event]]:
    """The run under these further settings, its sets as their files hold them, and what was said."""
    made = Run(run.folder, parse_settings(TOML + sets), run.store)
    events: list[Event] = []
    assemble.execute(Context(made, events.append, CancelToken(), "job"))
    found = {}
    for name in made.settings.set_names():
        text = (made.calibration / f"{name}.jsonl").read_text(encoding="utf-8")
        found[name] = [json.loads(line) for line in text.splitlines()]
    return made, found, events


def size(lines: list[dict[str, Any]]) -> int:
    return sum(line["n_tokens"] for line in lines)


def seeds_of(lines: list[dict[str, Any]]) -> list[str]:
    return [line["seed_id"] for line in lines]


def warned(events: list[Event]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Note) and event.level == "warning")


def test_without_sections_the_default_sets_and_no_others(run: Run) -> None:
    made, sets, events = assembled(run, "")
    assert list(sets) == ["baseline", "elder", "baseline-tokens", "elder-tokens"]
    assert list(all_sets(made.store)) == list(sets)
    assert seeds_of(sets["baseline"]) == seeds_of(sets["elder"]) and len(sets["elder"]) == COUNT
    assert size(sets["baseline-tokens"]) == size(sets["elder-tokens"]) == size(sets["elder"])
    assert len(sets["baseline-tokens"]) > COUNT  # the reserve made up for the tokens of answers
    assert [event.set for event in events if isinstance(event, SetAssembled)] == list(sets)


def test_the_kinds_of_every_sets_tokens_are_recorded_beside_it(run: Run) -> None:
    made, sets, _ = assembled(run, "[sets.baseline-raw]\n[sets.short]\nfrom = 'elder'\ntokens_per_sample = 64\n")
    hashes = {name: row.ids_hash for name, row in all_sets(made.store).items()}
    assert {path.stem for path in made.token_kinds.iterdir()} == sets.keys() == hashes.keys()
    for name, lines in sets.items():
        kinds = read_kinds(made.token_kinds / f"{name}.jsonl", hashes[name], [line["n_tokens"] for line in lines])
        assert kinds is not None
        named = [{KINDS[kind] for kind in row} for row in kinds]
        assert all(KINDS[row[0]] == "sink" and "question" in names for row, names in zip(kinds, named, strict=True))
        replied = [bool(names & {"reasoning", "answer"}) for names in named]
        assert all(replied) == (not name.startswith("baseline")), name


def test_three_kinds_of_baseline(run: Run) -> None:
    _, sets, events = assembled(
        run, "[sets.baseline-raw]\n[sets.baseline-original]\n[sets.asked]\nkind = 'template'\n"
    )
    raw, original, asked = sets["baseline-raw"], sets["baseline-original"], sets["asked"]
    assert len(raw) == len(asked) == COUNT and len(original) == COUNT // 2
    assert all("<|im_start|>" not in line["text"] for line in raw)
    assert all(line["text"].count("product of the number") == 1 for line in original)
    assert all("product of" not in line["text"] and line["text"].startswith("<|im_start|>user") for line in asked)
    seeds = {line["seed_id"]: line["text"] for line in raw}
    for line in original:  # raw and original hold the same texts
        question, answer = seeds[line["seed_id"]].split("\n\n")
        assert question in line["text"] and answer in line["text"]
    assert "12 the seed has no original answer" in warned(events)


def test_a_known_kind_needs_no_section_when_a_recipe_asks_for_it(run: Run) -> None:
    made, sets, _ = assembled(run, '[[recipes]]\ngroup_size = 16\nsets = ["baseline-raw", "elder"]\n')
    assert list(sets)[-1] == "baseline-raw" and "<|im_start|>" not in sets["baseline-raw"][0]["text"]
    assert made.settings.sets_of(made.settings.recipes[0]) == ("baseline-raw", "elder")


def test_a_mixture_is_made_by_samples_and_always_the_same(run: Run) -> None:
    text = "[sets.blend]\nfrom = {elder = 0.25, baseline = 0.75}\n"
    _, sets, _ = assembled(run, text)
    blend = sets["blend"]
    assert sorted(seeds_of(blend)) == sorted(seeds_of(sets["elder"]))
    by = [line["source"] for line in blend]
    assert (by.count("elder"), by.count("baseline")) == (6, 18)
    whole = {name: {line["seed_id"]: line for line in sets[name]} for name in ("elder", "baseline")}
    assert all(line == whole[line["source"]][line["seed_id"]] for line in blend)
    assert assembled(run, text)[1]["blend"] == blend
    other = assembled(run, f"{text}[evaluate]\n".replace("blend", "other"))[1]["other"]
    assert [line["source"] for line in other] != by  # another set draws anew


def test_answers_only_and_a_budget_a_sample(run: Run) -> None:
    _, sets, events = assembled(
        run, "[sets.bare]\nfrom = 'elder'\nanswer_only = true\n[sets.short]\nfrom = 'elder'\ntokens_per_sample = 80\n"
    )
    assert all("I multiply" not in line["text"] and "The answer is" in line["text"] for line in sets["bare"])
    whole = {line["seed_id"]: line for line in sets["elder"]}
    assert len(sets["short"]) == COUNT and {line["n_tokens"] for line in sets["short"]} == {80}
    for line in sets["short"]:
        assert line["input_ids"] == whole[line["seed_id"]]["input_ids"][:80]
        assert line["n_tokens_full"] == whole[line["seed_id"]]["n_tokens"]
    row = all_sets(run.store)["short"]
    assert (row.answered, row.whole_answers) == (COUNT, 0) and row.kept is not None and row.kept < 1
    assert (all_sets(run.store)["elder"].whole_answers, all_sets(run.store)["elder"].kept) == (COUNT, 1.0)
    said = [event.message for event in events if isinstance(event, Note)]
    assert "set short: 24 of 24 samples contain only a part of the answer" in said


MATCHED = """
[sets.fewer]
from = "elder"
count = 10
[sets.by-samples]
match = {samples = "fewer"}
[sets.by-tokens]
match = {tokens = "elder"}
kind = "template"
[sets.raw-by-tokens]
kind = "raw"
match = {tokens = "by-tokens"}
[sets.blend]
from = {elder = 0.5, baseline = 0.5}
match = {tokens = "baseline"}
[sets.both]
from = "elder"
match = {samples = "fewer", tokens = "asked"}
[sets.asked]
kind = "template"
count = 10
"""


def test_sets_take_each_others_size(run: Run) -> None:
    _, sets, events = assembled(run, MATCHED)
    assert len(sets["by-samples"]) == len(sets["fewer"]) == len(sets["both"]) == 10
    for one, other in [("by-tokens", "elder"), ("raw-by-tokens", "elder"), ("blend", "baseline"), ("both", "asked")]:
        assert abs(size(sets[one]) - size(sets[other])) < 0.005 * size(sets[other]), (one, other)
    assert len(sets["by-tokens"]) > COUNT  # the reserve made up for the tokens of answers
    assert min(line["n_tokens"] for lines in sets.values() for line in lines) >= 11
    assert seeds_of(sets["both"]) == seeds_of(sets["fewer"])
    assert "cutting cannot make them equal" not in warned(events)


def test_a_size_that_cannot_be_met_is_said(run: Run) -> None:
    _, sets, events = assembled(run, "[sets.big]\nfrom = 'elder'\ncount = 99\n")
    assert len(sets["big"]) == COUNT and "set big has 24 samples, but 99 were requested" in warned(events)
    text = "[sets.much]\nfrom = 'elder'\ncount = 2\nmatch = {tokens = 'elder'}\n"
    _, sets, events = assembled(run, text)
    assert len(sets["much"]) == 2
    assert "set much has" in warned(events) and "cutting cannot make them equal" in warned(events)


def test_selection_by_judge_takes_the_best_marks(run: Run) -> None:
    _, sets, _ = assembled(run, "[sets.best]\nfrom = 'elder'\nselect = 'judge'\ncount = 6\n")
    marks = picks.scores_of(run.store, judge_id(run))
    best = sorted((marks[line["candidate_id"]] or 0 for line in sets["elder"]), reverse=True)[:6]
    assert [marks[line["candidate_id"]] for line in sets["best"]] == best


def test_a_set_without_samples_and_one_of_the_default_names(run: Run) -> None:
    with pytest.raises(FaqError, match=r"set loud has no sample .*the question alone is longer"):
        assembled(run, "[sets.loud]\nfrom = 'elder'\ntokens_per_sample = 16\n")
    _, sets, _ = assembled(run, "[sets.elder]\nanswer_only = true\n")
    assert list(sets) == ["baseline", "elder", "baseline-tokens", "elder-tokens"]
    assert all("I multiply" not in line["text"] for name in ("elder", "elder-tokens") for line in sets[name])


def test_a_set_that_left_the_settings_is_gone(run: Run) -> None:
    assembled(run, "[sets.short]\ncount = 3\n")
    made, _, _ = assembled(run, "")
    assert "short" not in all_sets(made.store) and not (made.calibration / "short.jsonl").exists()


def test_what_makes_the_stage_stale(run: Run) -> None:
    def signature(sets: str) -> str:
        return assemble.signature(Run(run.folder, parse_settings(TOML + sets), run.store))

    found = [
        signature(text) for text in ("", "[sets.a]\ncount = 3\n", "[sets.a]\ncount = 4\n", "[sets.b]\ncount = 4\n")
    ]
    assert len(set(found)) == 4 and found[0] == signature("")


PROSE = """
[sets.mixed]
from = {elder = 0.8, prose = 0.2}
prose_file = "articles.txt"
[sets.counted]
from = {elder = 0.7, prose = 0.3}
prose_file = "articles.txt"
count = 20
[sets.budgeted]
from = {baseline = 0.9, prose = 0.1}
prose_file = "articles.txt"
match = {tokens = "elder"}
[sets.both]
from = {elder = 0.5, prose = 0.5}
prose_file = "articles.txt"
match = {tokens = "baseline", samples = "baseline"}
[sets.text]
from = {prose = 1.0}
prose_file = "articles.txt"
match = {tokens = "elder"}
[sets.elder]
from = {elder = 0.75, prose = 0.25}
prose_file = "articles.txt"
"""


@pytest.fixture
def articles(run: Run) -> Path:
    path = run.folder / "articles.txt"
    words = (f"Article {n} says that the number {n} follows the number {n - 1}." for n in range(4000))
    path.write_text("\n\n".join(words), encoding="utf-8")
    return path


def share_of(lines: list[dict[str, Any]]) -> float:
    return size([line for line in lines if line["source"] == "prose"]) / size(lines)


@pytest.mark.slow
@pytest.mark.usefixtures("articles")
def test_prose_has_its_share_of_the_tokens_at_every_size(run: Run) -> None:
    made, sets, events = assembled(run, PROSE)
    shares = {"mixed": 0.2, "counted": 0.3, "budgeted": 0.1, "both": 0.5, "text": 1.0, "elder": 0.25}
    for name, share in {**shares, "elder-tokens": 0.25}.items():
        assert abs(share_of(sets[name]) - share) * size(sets[name]) <= 1, name
        assert all(11 <= line["n_tokens"] <= 400 for line in sets[name]), name
    assert len(sets["counted"]) == 20 and len(sets["both"]) == len(sets["baseline"]) == COUNT
    for one, other in [("budgeted", "elder"), ("both", "baseline"), ("text", "elder"), ("elder-tokens", "elder")]:
        assert size(sets[one]) == size(sets[other]), one
    assert size(sets["baseline-tokens"]) == size(sets["elder-tokens"])
    assert not warned(events)
    rows = [line for lines in sets.values() for line in lines if line["source"] == "prose"]
    text = (run.folder / "articles.txt").read_text()
    assert all(line["text"] in text and line["candidate_id"] is None for line in rows)
    assert all_sets(made.store)["counted"].ways["prose"] == sum(line["source"] == "prose" for line in sets["counted"])
    assert assembled(run, PROSE)[1] == sets


@pytest.mark.usefixtures("articles")
def test_too_few_seeds_keep_the_share_of_prose(run: Run) -> None:
    text = "[sets.big]\nfrom = {elder = 0.8, prose = 0.2}\nprose_file = 'articles.txt'\ncount = 99\n"
    _, sets, events = assembled(run, text)
    assert abs(share_of(sets["big"]) - 0.2) < 0.005 and len(seeds_of(sets["big"])) < 99
    assert "samples, but 99 were requested" in warned(events)


def test_prose_alone_is_no_set_of_conversations(run: Run, articles: Path) -> None:
    """No seed with an original answer is in the other sets, so only the prose would be left."""
    text = f"[sets.mixed]\nfrom = {{baseline = 0.8, prose = 0.2}}\nkind = 'original'\nprose_file = '{articles}'\n"
    for seed in seed_rows.by_role(run.store, "chosen"):
        if seed.answer:
            reject(run, seed.id, "elder", "no")
    with pytest.raises(FaqError, match="set mixed has no seed in common with the other sets"):
        assembled(run, text)


def test_a_text_that_is_too_short_or_changes(run: Run, articles: Path) -> None:
    text = "[sets.mixed]\nfrom = {elder = 0.1, prose = 0.9}\nprose_file = 'articles.txt'\n"
    made = Run(run.folder, parse_settings(TOML + text), run.store)
    before = assemble.signature(made)
    articles.write_text("A short text of two dozen tokens that nobody needs to read.", encoding="utf-8")
    assert assemble.signature(made) != before
    with pytest.raises(FaqError, match=r"set mixed needs [\d,]+ tokens of prose, but articles.txt gives only"):
        assembled(run, text)


def test_answers_are_cut_after_a_number_of_tokens(run: Run) -> None:
    text = "[sets.short]\nfrom = 'elder'\nanswers_cut = 30\n[sets.long]\nfrom = 'elder'\nanswers_cut = 9999\n"
    text += "[sets.plain]\nanswers_cut = 4\n"
    made, sets, _ = assembled(run, text)
    assert sets["long"] == sets["elder"]
    hashes = {name: row.ids_hash for name, row in all_sets(made.store).items()}
    whole = {line["seed_id"]: line for line in sets["elder"]}
    kinds = read_kinds(made.token_kinds / "short.jsonl", hashes["short"], [n["n_tokens"] for n in sets["short"]])
    assert kinds is not None
    for line, row in zip(sets["short"], kinds, strict=True):
        full = whole[line["seed_id"]]
        assert (
            line["input_ids"] == full["input_ids"][: line["n_tokens"]] and line["n_tokens_full"] == full["n_tokens"]
        )
        named = [KINDS[kind] for kind in row]
        assert sum(kind in ("reasoning", "answer") for kind in named) == 30 and named[-1] in ("reasoning", "answer")
        assert line["text"].count("<|im_end|>") == 1  # of the question only
    stored = all_sets(made.store)["short"]
    assert (stored.answered, stored.whole_answers) == (COUNT, 0)
    originals = {line["seed_id"]: line for line in sets["baseline"]}
    for line in sets["plain"]:
        answered = "product" in originals[line["seed_id"]]["text"]
        assert (line["n_tokens"] < originals[line["seed_id"]]["n_tokens"]) == answered


def test_new_keys_leave_the_plans_of_old_sets_as_they_were(run: Run) -> None:
    plans = Run(run.folder, parse_settings(TOML + MATCHED), run.store).settings.set_plans()
    keys = {"made_from", "kind", "answer_only", "tokens_per_sample", "select", "count", "match"}
    assert all(set(plan.model_dump()) == keys for plan in plans.values())


BAD = {
    "[sets.elder-tokens]\n": "sets.elder-tokens: faq-tui uses this name for a set that it makes",
    "[sets.x]\nfrom = 'nobody'\n": "sets.x.from: there is no source 'nobody'; the possible values are baseline",
    "[sets.x]\nfrom = {elder = 0.5, baseline = 0.4}\n": "the shares sum to 0.9, but must sum to 1",
    "[sets.x]\nfrom = {elder = 1.5, baseline = -0.5}\n": "sets.x.from",
    "[sets.x]\nfrom = 'elder'\nkind = 'raw'\n": "the key `kind` is only for sets made from",
    "[sets.x]\nmatch = {tokens = 'y'}\n": "sets.x.match: there is no set 'y'",
    "[sets.x]\nmatch = {tokens = 'x'}\n": "the key `match` of x leads back to the same set",
    "[sets.x]\nmatch = {tokens = 'y'}\n[sets.y]\nmatch = {samples = 'x'}\n": "`match` of x, y leads back",
    "[sets.x]\nmatch = {samples = 'elder'}\ncount = 3\n": "the keys `count` and `match.samples` both set the number",
    "[sets.x]\nfrm = 'elder'\n": "unknown key `sets.x.frm`; did you mean `from`",
    "[sets.x]\nselect = 'best'\n": "sets.x.select",
    "[sets.'../x']\n": "use only letters, digits",
    "[sets.x]\ntokens_per_sample = 2\n": "sets.x.tokens_per_sample",
    "[sets.x]\nfrom = {elder = 0.8, prose = 0.2}\n": "the part prose needs a text file: set sets.x.prose_file",
    "[sets.x]\nprose_file = 'a.txt'\n": "`prose_file` needs a share of prose in `from`",
    "[sets.x]\nfrom = {prose = 1.0}\nprose_file = 'a.txt'\n": "a set of only prose needs a size",
    "[sets.x]\nfrom = {elder = 0.8, prose = 0.2}\nprose_file = 'a'\ncount = 1\n": "has at least two samples",
    "[sets.x]\nfrom = {prose = 1}\nprose_file = 'a'\ncount = 2\nselect = 'judge'\n": "only prose cannot be sorted",
    "[sets.elder]\nfrom = {prose = 1}\nprose_file = 'a'\ncount = 2\n": "a default set must not be only prose",
    "[sources.prose]\nbase_url = 'http://h/v1'\nmodel = 'B'\n[sets.x]\nfrom = {prose = 0.5, elder = 0.5}\n"
    "prose_file = 'a'\n": "a source also has the name prose: rename the source",
    "[sets.x]\nselect = 'centroid'\n": 'select = "centroid" needs the size of the set',
    "[sets.x]\nanswers_cut = 0\n": "sets.x.answers_cut",
    "[sets.x]\nkind = 'template'\nanswers_cut = 9\n": "no sample has an answer: remove one of the keys",
}


@pytest.mark.parametrize("text", BAD)
def test_mistakes_are_told_with_their_key(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings(TOML + text)
    assert BAD[text] in str(caught.value) and "\n" not in str(caught.value)


# ---- diversity


def test_a_diverse_set(run: Run) -> None:
    _, sets, _ = assembled(run, "[sets.wide]\nfrom = 'elder'\nselect = 'diversity'\ncount = 8\n")
    assert len(set(seeds_of(sets["wide"]))) == 8 and set(seeds_of(sets["wide"])) < set(seeds_of(sets["elder"]))
    assert seeds_of(sets["wide"]) != seeds_of(sets["elder"])[:8]


# ---- coverage


@pytest.mark.slow
def test_a_covering_set_covers_more_outlier_channels(run: Run) -> None:
    _, sets, _ = assembled(run, "[sets.wide]\nfrom = 'elder'\nselect = 'coverage'\n")
    order = seeds_of(sets["wide"])
    assert sorted(order) == sorted(seeds_of(sets["elder"])) and order != seeds_of(sets["elder"])
    model = AutoModelForCausalLM.from_pretrained(run.resolve("../target"), dtype=torch.float32)
    measured = measure(model, [line["input_ids"] for line in sets["wide"]], per_row=True)
    (place,) = measured.places
    absmaxes = [row[place][1] for row in measured.rows]
    whole = reference(absmaxes)
    driven = np.stack(absmaxes)[:, outlier_channels(whole)] > threshold(whole)
    assert driven.any() and greedy_cover(driven)[0] == 0  # the first one covers as many as any
    assert driven[0].sum() == driven.sum(axis=1).max()


# ---- centroid, entropy


@pytest.mark.slow
def test_orders_by_the_target(run: Run) -> None:
    text = "[sets.wide]\nfrom = 'elder'\nselect = 'centroid'\ncount = 6\n"
    text += "[sets.unsure]\nfrom = 'elder'\nselect = 'entropy'\ncount = 6\n"
    text += "[sets.asked]\nselect = 'entropy'\n"
    _, sets, events = assembled(run, text)
    for name in ("wide", "unsure"):
        assert len(set(seeds_of(sets[name]))) == 6 and set(seeds_of(sets[name])) < set(seeds_of(sets["elder"]))
        assert seeds_of(sets[name]) != seeds_of(sets["elder"])[:6]
    said = [event.message for event in events if isinstance(event, Note)]
    assert '12 of 24 samples have no answer, so select = "entropy" puts them last' in said
    answered = ["product" in line["text"] for line in sets["asked"]]
    assert answered == sorted(answered, reverse=True)
    assert assembled(run, text)[1] == sets


@pytest.mark.slow
def test_an_order_by_experts(run: Run, tmp_path: Path) -> None:
    make_tiny_mixture(tmp_path / "mixture")
    toml = f'[target]\nmodel = "{tmp_path / "mixture"}"\n[seeds]\npath = "seeds.jsonl"\n'
    made = Run(run.folder, parse_settings(toml + '[sets.wide]\nselect = "experts"\n'), run.store)
    assemble.execute(Context(made, lambda _: None, CancelToken(), "job"))
    rows = [json.loads(line) for line in (made.calibration / "wide.jsonl").read_text("utf-8").splitlines()]
    driven = routed(
        load_dense(tmp_path / "mixture", torch.bfloat16, "cpu"), [row["input_ids"] for row in rows], lambda: None
    )
    assert len(rows) == COUNT and driven[0].sum() == driven.sum(axis=1).max()


@pytest.mark.usefixtures("articles")
def test_each_draw_reads_other_prose(run: Run) -> None:
    text = "[sets.mixed]\nfrom = {elder = 0.8, prose = 0.2}\nprose_file = 'articles.txt'\n[evaluate]\nrepeats = 2\n"
    made, sets, _ = assembled(run, text)
    second = [json.loads(line) for line in (made.calibration / "mixed-r2.jsonl").read_text("utf-8").splitlines()]
    first, other = (
        {line["seed_id"] for line in lines if line["source"] == "prose"} for lines in (sets["mixed"], second)
    )
    assert first and other and not first & other
    assert abs(share_of(second) - 0.2) * size(second) <= 1


@pytest.mark.usefixtures("articles")
def test_a_baseline_with_prose_gets_its_twin_from_the_reserve(run: Run) -> None:
    text = "[sets.baseline]\nfrom = {baseline = 0.9, prose = 0.1}\nprose_file = 'articles.txt'\n"
    _, sets, events = assembled(run, text)
    twin = sets["baseline-tokens"]
    assert size(twin) == size(sets["elder-tokens"]) == size(sets["elder"]) and not warned(events)
    assert abs(share_of(sets["baseline"]) - 0.1) * size(sets["baseline"]) <= 1
    assert abs(share_of(twin) - 0.1) * size(twin) <= 11  # the last conversation may be dropped
    conversations = [line["seed_id"] for line in twin if line["source"] == "baseline"]
    assert len(conversations) == len(set(conversations)) > COUNT
