"""Judges as objects: what each must have, the ids of their scores, and a judge of another package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.extensions import JUDGES
from faq_tui.core.judging.identity import column_id, judge_id, judge_named, shown_id
from faq_tui.core.judging.judges.base import WORDS, Item, Judge, OnScore, Score
from faq_tui.core.regenerating import source_hash_of
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Event, ScoreReady
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.settings import JudgeSettings, parse_settings
from faq_tui.core.settings.write import Choices, init_text
from faq_tui.core.stages import judge, regenerate
from faq_tui.core.store import candidates, seeds
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed
from tests.support.fake_server import Asked, Behaviour, FakeServer, answer_of
from tests.support.paths import EXTENSION_PACKAGE, ROOT
from tests.support.schemas import valid
from tests.support.shell import environment, faq_tui_process, make_run, refused, rows

INSTALLED: dict[str, Any] = {"PYTHONPATH": f"{ROOT}{os.pathsep}{EXTENSION_PACKAGE}"}  # as if it were installed
SHARED = {"kind", "columns", "pick_by", "length_control"}  # keys of [judge] that are of no single judge
ALL_THREE = """
[judge]
kind = "llm"
base_url = "http://127.0.0.1:9/v1"
model = "judge-72b"
columns = ["activation"]
pick_by = { llm = 1.0, likelihood = 0.5 }
"""


@pytest.fixture(params=JUDGES.names())
def each(request: pytest.FixtureRequest) -> Judge:
    return judge_named(request.param)


def test_every_judge_has_its_words(each: Judge) -> None:
    assert all(getattr(each, word).strip() for word in WORDS)
    assert each.help.endswith(".") and each.help[0].isupper() and each.help.count(". ") == 0
    assert len(each.short) <= 4 and each.close > 0
    assert each.name in init_text(Choices("org/model", "s.jsonl")).partition("[judge]")[2].splitlines()[1]
    assert f"| `{each.name}`" in (ROOT / "docs/guide/judging.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("word", WORDS)
def test_a_judge_without_its_words_is_no_judge(word: str) -> None:
    words = {name: "x" for name in WORDS if name != word}
    kind = type("Silent", (Judge,), {**words, "score_all": lambda *_: None})
    with pytest.raises(TypeError, match=f"the judge Silent has no {word}"):
        kind()


def test_every_key_of_the_section_is_shared_or_read_by_a_judge() -> None:
    read = {key for judge in JUDGES.all() for key in judge.keys}
    assert set(JudgeSettings.model_fields) - SHARED == read
    for judge_ in JUDGES.all():
        assert set(judge_.required) <= set(judge_.keys) and set(judge_.shaping) <= set(judge_.keys)
    names = list(JudgeSettings.model_fields)
    first = names.index("base_url")
    assert 'this and all keys below are for kind "llm"' in str(JudgeSettings.model_fields["base_url"].description)
    assert set(names[first:]) == set(judge_named("llm").keys)


# ---- ids


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Two chosen seeds of four candidates each, of which three are asked for; one in four is unusable."""
    with open_run(make_run(tmp_path / "run", rest=ALL_THREE)) as made:
        all_seeds = [Seed(({"role": "user", "content": text},), None, "x") for text in ("one", "two", "three")]
        seeds.replace_all(made.store, all_seeds)
        seeds.assign_roles(made.store, [seed.id for seed in all_seeds[:2]], [])
        source_hash = source_hash_of(made.settings.sources["elder"])
        for seed in all_seeds:
            for number in (1, 2, 3, 4):
                texts = (f"r{number}", "a", "stop", ("loop",) if number == 2 else ())
                row = Candidate(seed.id, "elder", number, source_hash, "m", "none", *texts, 5, 9, 1.0, "none")
                candidates.add(made.store, row)
        yield made


def test_ids_and_signatures_are_those_of_runs_made_before_judges_were_objects(run: Run) -> None:
    """As computed by version 55c8f1c: otherwise every run would be judged again."""
    kinds = ("llm", "likelihood", "activation")
    assert [column_id(run, kind) for kind in kinds] == ["7509a260e469c37f", "d906eb27f1a0137e", "9de7fc828482e414"]
    assert [shown_id(run, kind) for kind in kinds] == ["7509a260e469c37f", "4b785cbfb8c24476", "5155dbeccdfd9715"]
    assert judge_id(run) == "8dd556ec9a5d772f"
    assert (judge.signature(run), regenerate.signature(run)) == ("8c1c1bf1275ac2c5", "fb3572bfc91d0fff")


class Lengthy(Judge):
    name, title, help, measures, short = "lengthy", "long answers", "Prefers long answers.", "length", "len"
    shaping = ("reasoning_tokens",)

    def score_all(self, context: Context, items: Sequence[Item], on_score: OnScore) -> None:
        for _, candidate in items:
            on_score(candidate, Score(float("inf"), "", details={}))


def test_a_judges_own_id_changes_with_name_version_its_keys_and_the_target(run: Run) -> None:
    class Renamed(Lengthy):
        name = "renamed"

    class Newer(Lengthy):
        version = "2"

    class OnTarget(Lengthy):
        needs_target = True

    class Keyless(Lengthy):
        shaping = ()  # type: ignore[assignment]

    kinds = (Lengthy, Renamed, Newer, OnTarget, Keyless)
    assert len({kind().column_id(run) for kind in kinds}) == len(kinds)
    changed = run.settings.judge.model_copy(update={"reasoning_tokens": 7})
    other = Run(run.folder, run.settings.model_copy(update={"judge": changed}), run.store)
    assert Lengthy().column_id(other) != Lengthy().column_id(run)
    assert Keyless().column_id(other) == Keyless().column_id(run)


def test_an_infinite_score_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JUDGES._loaded, "likelihood", Lengthy())
    judge_settings = JudgeSettings(kind="likelihood")
    alone = Run(run.folder, run.settings.model_copy(update={"judge": judge_settings}), run.store)
    said: list[Event] = []
    judge.execute(Context(alone, said.append, CancelToken(), "job"))
    assert [event.score for event in said if isinstance(event, ScoreReady)] == [None] * 4
    stored = run.store.db.execute("SELECT DISTINCT score, reason FROM scores").fetchall()
    assert [tuple(row) for row in stored] == [(None, "likelihood gave no finite score")]


@pytest.mark.parametrize("kind", ["lenghty", "mix", ""])
def test_no_judge_has_no_id(run: Run, kind: str) -> None:
    with pytest.raises(UsageError, match="available: llm, likelihood, activation"):
        column_id(run, kind)


def test_mix_is_no_judges_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JUDGES.builtin, "mix", "faq_tui.core.judging.judges.likelihood:JUDGE")
    with pytest.raises(UsageError, match=r"`judge\.kind`: input should be"):
        parse_settings('[target]\nmodel = "x"\n[seeds]\npath = "s"\n[judge]\nkind = "mix"\n')


# ---- a judge of another package, as docs/extending/judge.md shows it


def test_the_page_shows_the_code_that_is_tested() -> None:
    page = (ROOT / "docs" / "extending" / "judge.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert blocks == [(EXTENSION_PACKAGE / "faq_toy" / "judge.py").read_text(encoding="utf-8")]
    name, value = re.findall(r'"faq_tui.judges"\]\n(\w+) = "(.+)"', page)[0]
    points = (EXTENSION_PACKAGE / "faq_toy-1.0.dist-info" / "entry_points.txt").read_text(encoding="utf-8")
    assert f"[faq_tui.judges]\n{name} = {value}\n" in points


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """The second candidate has the shortest answer."""

    def reply(asked: Asked) -> str:
        return answer_of(asked.question, asked.number, (9, 3, 15)[asked.number % 3])

    with FakeServer(Behaviour(models=("fake-8b",), reply=reply)) as running:
        yield running


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, server: FakeServer) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(folder, server.url, seeds=3, source='reasoning = "off"', rest='[judge]\nkind = "shortest"\n')
    result = faq_tui_process("run", folder, "--until", "judge", **INSTALLED)
    assert result.code == ExitCode.DONE, result.err
    assert "3 of 3 seeds have a pick, 0 candidates unscored" in result.err + result.out
    return folder


def test_a_judge_of_another_package_scores_and_picks(judged: Path) -> None:
    query = (
        "SELECT c.number, m.score, c.answer FROM picks p JOIN candidates c ON c.id = p.candidate_id"
        " JOIN scores m ON m.candidate_id = c.id WHERE p.picked_by = 'judge' AND m.kind = 'shortest'"
    )
    found = rows(judged, query)
    assert [number for number, _, _ in found] == [2, 2, 2]
    assert all(score == -len(answer.split()) for _, score, answer in found)
    assert rows(judged, "SELECT count(*) FROM scores") == [(9,)]


def test_a_second_run_scores_nothing_anew(judged: Path) -> None:
    before = rows(judged, "SELECT id, created FROM scores")
    result = faq_tui_process("run", judged, "--until", "judge", **INSTALLED)
    assert result.code == ExitCode.DONE and "up to date" in result.err + result.out
    assert rows(judged, "SELECT id, created FROM scores") == before


def test_status_shows_its_column(judged: Path) -> None:
    body = json.loads(faq_tui_process("status", judged, "--json", **INSTALLED).out)
    valid("status", body)
    (column,) = body["judging"]["columns"]
    assert (column["kind"], column["scored"], column["picks"]) == ("shortest", 9, True)
    assert body["judging"]["picks_by"] == "shortest" and body["sources"]["elder"]["scored"] == 9
    assert "shortest" in faq_tui_process("status", judged, **INSTALLED).out


def test_doctor_reports_what_it_needs(judged: Path) -> None:
    found = " ".join(faq_tui_process("doctor", judged, **INSTALLED).out.split())
    assert "judge shortest" in found and "ready: it needs neither a server nor the target" in found


def test_new_settings_name_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made = faq_tui_process("init", folder, "--target", "embedded", "--seeds", "starter", **INSTALLED)
    assert made.code == ExitCode.DONE, made.err
    assert "llm (needs base_url and model) | likelihood | activation | shortest" in (folder / "faq.toml").read_text()


SHOWN = """
import sys
from pathlib import Path
from faq_tui.core.report.facts import judge_lines
from faq_tui.core.run.run import open_run
from faq_tui.core.judging.picking import close_margin
from faq_tui.core.judging.summary import judging_of
from faq_tui.core.source_views import views_of
from faq_tui.core.store.judged import standings
from faq_tui.tui.panes.judge.case import read_case
from faq_tui.tui.panes.judge.candidate import columns_in_words, parts_of_scores, reason_of, score_in_words
with open_run(Path(sys.argv[1])) as run:
    view = views_of(run)[0]
    case = read_case(run.store, view, standings(run.store, view)[0])
    score = case.scores[case.standing.judge_pick]
    words = [score_in_words(score), columns_in_words([score]), reason_of(score, [score])]
    print(*words, *parts_of_scores(score, [score]))
    print(close_margin("shortest"))
    print(*judge_lines({"kind": "shortest", "model": None, "url": None, "judging": judging_of(run)}), sep="\\n")
"""


def test_pane_and_report_use_its_words(judged: Path) -> None:
    command = [sys.executable, "-c", "import faq_tui.core.stages\n" + SHOWN, str(judged)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**INSTALLED), check=False)
    assert done.returncode == 0, done.stderr
    pane, close, *report = done.stdout.splitlines()
    words = len(rows(judged, "SELECT answer FROM candidates WHERE number = 2")[0][0].split())
    assert pane == f"{words} words len {words} {words} words shortest: {words} words in the answer"
    assert close == "2.0"
    assert report[0] == "- **Judge**: shortest (how few words an answer has)"
    assert report[1].startswith("  - shortest: 9 scored, 0 unscored, mean -")


def test_without_its_package_the_settings_say_which_judges_there_are(judged: Path) -> None:
    said = refused(ExitCode.USAGE, "status", judged)
    assert "`judge.kind`: input should be 'llm', 'likelihood' or 'activation', not 'shortest'" in said
