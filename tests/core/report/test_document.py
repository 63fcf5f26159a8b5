"""What the report says, and that text from models, files and servers stays text in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.secrets import without_credentials
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.judging.identity import judge_id
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.report.document import document
from faq_tui.core.report.formats import render
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, ReportWritten
from faq_tui.core.run.run import Run
from faq_tui.core.stages import report
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.candidates import add as add_candidate
from faq_tui.core.store.picks import add_picks
from faq_tui.core.store.seeds import Seed, assign_roles, replace_all
from faq_tui.core.store.sets import SetRow, add_set
from tests.support.made_up import SETS, TOML, add_made_up_artefact, add_made_up_measurement, made_up_run, measure_all
from tests.support.report_text import assert_inert

MIXED = {"baseline": 0.30, "elder": 0.20, "baseline-tokens": 0.30, "elder-tokens": 0.30}


def report_of(folder: Path, toml: str = TOML, kls: dict[str, float] = MIXED) -> str:
    with made_up_run(folder, toml) as run:
        measure_all(run, kls)
        return render(run, "md")


def add_candidates(run: Run) -> None:
    """Two seeds: two fit candidates and a cut one; one pick by the judge, one by a person."""
    seeds = [Seed(({"role": "user", "content": text},), None, "x") for text in ("one", "two")]
    replace_all(run.store, seeds)
    assign_roles(run.store, [seed.id for seed in seeds], [])
    source_hash, ids = source_hash_of(run.settings.sources["elder"]), []
    for seed, number, flags in [(seeds[0], 1, ()), (seeds[0], 2, ("truncated",)), (seeds[1], 1, ())]:
        body = ("Big-8B", "none", "because", "so", "stop", flags, 5, 9, 1.0, "none")
        ids.append(add_candidate(run.store, Candidate(seed.id, "elder", number, source_hash, *body)))
    judge = judge_id(run)
    add_picks(
        run.store, [(s.id, "elder", "pick", i) for s, i in zip(seeds, ids[::2], strict=True)], "judge", judge, ""
    )
    add_picks(run.store, [(seeds[1].id, "elder", "pick", ids[2])], "person", "me", "nicer")
    add_set(run.store, SetRow("elder", "h", 2, 77, 80, 1, {"the answer is empty": 3}))


def test_the_answer_comes_first_and_in_words(tmp_path: Path) -> None:
    text = report_of(tmp_path)
    assert text.index("## Did it help?") < text.index("## The models") < text.index("## What was run")
    assert "**gptq-w4g64, calibrated on elder instead of the plain seeds:**" in text
    assert "**At equal samples: better on pydoc; better on answers.** elder: 11 samples, 1,100 tokens; " in text
    assert "**At equal tokens: within noise on pydoc; within noise on answers.**" in text
    assert re.search(r"On pydoc: KL 0\.\d{4} against 0\.\d{4}: better \(-0\.\d{4}, 95% interval \[-", text)
    assert "loss recovered 3" in text
    assert "do not account for the random choice of calibration seeds" in text
    assert "can change its sign with another draw" in text  # the even pair is nearer than draws are
    assert "No elder" not in text


def test_worse_is_said_as_plainly(tmp_path: Path) -> None:
    assert "At equal samples: worse on pydoc" in report_of(tmp_path, kls={"baseline": 0.2, "elder": 0.3})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sources.elder", "sources.self", "the target regenerated its own data, so FAQ does not promise a gain"),
        ('"./target"', '"embedded"', "the target regenerated its own data, so FAQ does not promise a gain"),
        ('"Big-8B"', '"Org/Target"', "the target regenerated its own data, so FAQ does not promise a gain"),
        ('"http://elder:8000/v1"', '"embedded"', "the small embedded model regenerated the data"),
    ],
)
def test_no_elder_is_said_plainly(tmp_path: Path, old: str, new: str, words: str) -> None:
    name = "self" if "self" in new else "elder"
    toml = TOML.replace(old, new)
    if old == '"./target"':  # a source elsewhere that serves the embedded model by its own name
        toml = toml.replace("Big-8B", "SmolLM2-135M-Instruct")
    sets = tuple(set_name.replace("elder", name) for set_name in SETS)
    with made_up_run(tmp_path, toml, sets) as run:
        measure_all(run, {"baseline": 0.3, name: 0.2})
        text = render(run, "md")
    answer = text[: text.index("## The models")]
    assert "No elder was used" in answer and words in answer


def test_one_artefact_under_two_names_is_said(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, {"baseline": 0.3})
        add_made_up_artefact(run, "elder", same_as="gptq-w4g64-baseline")
        text = render(run, "md")
    assert "At equal samples: same model on pydoc" in text
    assert "Both sets have the same token ids" in text
    assert "gptq-w4g64-elder shares the weights of gptq-w4g64-baseline" in text


def test_what_was_run_is_named(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, MIXED)
        add_candidates(run)
        text = render(run, "md")
    assert "- **Source elder**: Big-8B at http\\://elder:8000/v1, reasoning native, prompt version none; temp" in text
    counts = "3 candidates (3 requested per seed): 2 finished and usable, unusable: 1 truncated; 3 with reasoning"
    assert counts in text
    assert "picks: 1 by the judge, 1 by a person, 0 seeds without a pick" in text
    assert (
        "- **Set elder**: 2 samples, 77 tokens, 3 tokens cut off (96% kept); left out: 3 the answer is empty" in text
    )
    assert "- **Held-out text pydoc**: prose; 32 items" in text and "- **Held-out text answers**: answers; 32" in text
    assert "**Judge**: likelihood" in text and "**Evaluated on**: cpu in float32" in text


def test_no_credentials_in_it(tmp_path: Path) -> None:
    toml = TOML.replace("http://elder:8000/v1", "https://user:hunter2@elder:8000/v1?key=hunter2#hunter2")
    toml += '[judge]\nkind = "llm"\nbase_url = "http://:hunter2@judge/v1"\nmodel = "J"\n'
    with made_up_run(tmp_path, toml) as run:
        measure_all(run, MIXED)
        for text in (render(run, "md"), render(run, "json")):
            assert "hunter2" not in text and "elder:8000/v1" in text and "judge/v1" in text
    assert without_credentials("http://[::1") == "(a URL that cannot be read)"
    assert without_credentials("http://u@p@[::1]:8/v1") == "http://[::1]:8/v1"


HOSTILE = (
    "<script>alert(1)</script>|x\n# head `code` ![i](http://evil) \x1b[31mred\x07 \u202egnp\u2028 *b* _i_ $a$ ~s~"
)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    quoted = json.dumps(HOSTILE, ensure_ascii=True)
    toml = TOML.replace('"Big-8B"', quoted).replace('"seeds.jsonl"', quoted).replace('["pydoc"]', f"[{quoted}]")
    toml += f'[judge]\nkind = "llm"\nbase_url = "http://judge/v1"\nmodel = {quoted}\n'
    with made_up_run(tmp_path, toml) as run:
        texts = (HOSTILE, "answers")
        add_made_up_measurement(run, UNQUANTIZED, texts=texts)
        for set_name, kl in MIXED.items():
            add_made_up_measurement(run, run.settings.recipes[0].folder(set_name), kl, texts=texts)
        add_set(run.store, SetRow("elder", "h", 2, 77, 80, 1, {HOSTILE: 3}))
        assert_inert(render(run, "md"))
        body = render(run, "json")
        assert body.isascii() and not re.search(r"[\x00-\x09\x0b-\x1f]", body)
        assert json.loads(body)["run"]["judge"]["model"] == HOSTILE


def context_of(run: Run, events: list[Event]) -> Context:
    return Context(run, events.append, CancelToken(), "job")


def test_the_stage_writes_both_files_and_knows_what_makes_them_stale(tmp_path: Path) -> None:
    events: list[Event] = []
    with made_up_run(tmp_path) as run:
        measure_all(run, MIXED)
        assert report.execute(context_of(run, events)) == "against the baseline: 2 better, 0 worse, 2 within noise"
        paths = [Path(event.path) for event in events if isinstance(event, ReportWritten)]
        assert [path.name for path in paths] == ["report.md", "report.json", "report.html"]
        assert [path.read_text() for path in paths] == [render(run, fmt) for fmt in ("md", "json", "html")]
        assert sorted(p.name for p in run.reports.iterdir()) == ["report.html", "report.json", "report.md"]
        signatures = [report.signature(run), report.signature(run)]
        assert signatures[0] == signatures[1]
        add_candidates(run)
        signatures.append(report.signature(run))
        add_made_up_measurement(run, "gptq-w4g64-elder", 0.2, items=31)
        signatures.append(report.signature(run))
        add_made_up_artefact(run, "elder", samples=99)
        signatures.append(report.signature(run))
        assert len(set(signatures[1:])) == 4


def test_the_json_is_whole(tmp_path: Path) -> None:
    with made_up_run(tmp_path) as run:
        measure_all(run, {"baseline": 0.3})
        add_made_up_measurement(run, "gptq-w4g64-elder", float("nan"))
        body: dict[str, Any] = json.loads(render(run, "json"))
        assert body == json.loads(json.dumps(document(run)))
        text = render(run, "md")
    assert body["schema"] == 2
    assert [model["name"] for model in body["models"]][:2] == [UNQUANTIZED, "gptq-w4g64-baseline"]
    outcome = body["comparisons"][0]["texts"]["pydoc"]["kl"]
    assert outcome["ours"] is None and outcome["verdict"] == "cannot be told" and outcome["recovered"] is None
    assert "KL not finite against 0." in text


def test_without_anything_to_compare_it_says_so(tmp_path: Path) -> None:
    assert "There is nothing to compare" in report_of(tmp_path, kls={"baseline": 0.3})
    with made_up_run(tmp_path / "new") as run:
        with pytest.raises(UsageError, match="nothing is measured yet"):
            render(run, "md")
        add_made_up_measurement(run, UNQUANTIZED)
        with pytest.raises(UsageError, match="no report format 'pdf'"):
            render(run, "pdf")
        assert len(all_artefacts(run.store)) == len(SETS)
