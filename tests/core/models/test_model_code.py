"""No stage runs code of a model's folder unless `trust_remote_code` is true.

The tests call the task of each stage directly, without the check at the start of a run. The model's folder has a file
evil.py, which writes a marker file when it is imported. If the folder is trusted, the same task writes the marker
file; this shows that the marker works.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.activations import layer_error_task
from faq_tui.core.activations import task as activations_task
from faq_tui.core.assembly import coverage_task, selection_task
from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, UsageError
from faq_tui.core.benchmarking import lm_eval_task
from faq_tui.core.benchmarking.serving import Subject, served
from faq_tui.core.evaluation import task as evaluation_task
from faq_tui.core.evaluation.heldout import Heldout, Item
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.kinds import PROSE
from faq_tui.core.evaluation.spec import HeldoutQuestion, Spec
from faq_tui.core.judging.judges import activation_task
from faq_tui.core.judging.judges.likelihood import run_task as run_likelihood
from faq_tui.core.models.model_code import named_code, without_code
from faq_tui.core.models.target import TargetModel
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.quantizing import task as quantize_task
from faq_tui.core.regenerating import local_task
from faq_tui.core.run.context import Context
from faq_tui.core.run.run import open_run
from faq_tui.core.settings.evaluate import SERVE, LmEval
from tests.support.benchmark_bench import offline, write_tasks
from tests.support.shell import faq_tui, make_run, refused
from tests.support.tiny import make_rows, make_tiny_model

EVIL = """
from pathlib import Path
Path({marker!r}).write_text("it ran")
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class EvilConfig(LlamaConfig):
    pass
class EvilModel(LlamaForCausalLM):
    config_class = EvilConfig
class EvilTokenizer(PreTrainedTokenizerFast):
    pass
def generate(*arguments, model, **options):
    return LlamaForCausalLM.generate(model, *arguments, **options)
"""
NAMES = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.EvilModel"}
TOKENIZER = {"AutoTokenizer": [None, "evil.EvilTokenizer"]}
IDS = list(range(40, 72))


@dataclass(frozen=True)
class Evil:
    root: Path
    folder: Path
    marker: Path

    def file(self, name: str, *lines: Any) -> str:
        (self.root / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(self.root / name)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder without code; what transformers imports is copied beside it, not into the home of a person."""
    root = tmp_path_factory.mktemp("code")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(root / "modules"))
        patch.setattr("sys.path", [*__import__("sys").path])
        for name, value in offline().items():
            patch.setenv(name, value)
        yield make_tiny_model(root / "plain", layers=1)


@pytest.fixture
def evil(plain: Path, tmp_path: Path) -> Evil:
    return make_evil(plain, tmp_path)


def make_evil(plain: Path, root: Path) -> Evil:
    folder, marker = root / "evil-model", root / "marker"
    shutil.copytree(plain, folder)
    add(folder / "config.json", auto_map=NAMES)
    add(folder / "tokenizer_config.json", auto_map=TOKENIZER)
    add(folder / "generation_config.json", custom_generate="evil")
    (folder / "processor_config.json").write_text(json.dumps({"auto_map": {"AutoProcessor": "evil.EvilTokenizer"}}))
    for place in (folder, folder / "custom_generate", folder / "additional_chat_templates"):
        place.mkdir(exist_ok=True)
        (place / "evil.py").write_text(EVIL.format(marker=str(marker)))
    (folder / "tokenization_evil.py").write_text(EVIL.format(marker=str(marker)))
    (folder / "custom_generate" / "generate.py").write_text(EVIL.format(marker=str(marker)))
    return Evil(root, folder, marker)


def add(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


# --- every stage that loads the model ---


def common(evil: Evil, trusted: bool) -> dict[str, Any]:
    return {"model": str(evil.folder), "trust_remote_code": trusted, "device": "cpu", "dtype": "auto"}


def activations(evil: Evil, trusted: bool) -> dict[str, Any]:
    rows = evil.file("set.jsonl", {"input_ids": IDS, "text": "a calm answer"})
    files = {"rows": rows, "out": str(evil.root / "out.safetensors"), "kinds": str(evil.root / "never-recorded")}
    one = {"name": "baseline", "signature": "x", "ids_hash": "x", **files}
    return {**common(evil, trusted), "modules": ["o_proj"], "samples": 4, "tokens": 99, "sets": [one]}


def likelihood(evil: Evil, trusted: bool) -> dict[str, Any]:
    items = evil.file("items.jsonl", {"id": 0, "input_ids": IDS, "spans": {"answer": [4, 9]}})
    return {**common(evil, trusted), "items": items}


def judge_activations(evil: Evil, trusted: bool) -> dict[str, Any]:
    return {**likelihood(evil, trusted), "reference": evil.file("reference.jsonl", {"input_ids": IDS})}


def coverage(evil: Evil, trusted: bool) -> dict[str, Any]:
    rows = evil.file("rows.jsonl", [IDS, [3, 4]], [IDS[::-1], []])
    return {**common(evil, trusted), "modules": ["o_proj"], "rows": rows}


def by_centroid(evil: Evil, trusted: bool) -> dict[str, Any]:
    return {**coverage(evil, trusted), "select": "centroid", "wanted": 1}


def by_entropy(evil: Evil, trusted: bool) -> dict[str, Any]:
    return {**coverage(evil, trusted), "select": "entropy", "wanted": None}


def layer_error(evil: Evil, trusted: bool) -> dict[str, Any]:
    out, subjects = str(evil.root / "out.npy"), {"artefact": str(evil.folder)}
    return {**common(evil, trusted), "rows": evil.file("rows.json", [IDS]), "out": out, "subjects": subjects}


def generate(evil: Evil, trusted: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x"}]
    item = {"id": 0, "messages": messages, "template": {}, "seed": 0, "max_tokens": 4}
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0}
    return {**common(evil, trusted), "items": evil.file("items.jsonl", item), "sampling": sampling, "batch": 1}


def evaluate(evil: Evil, trusted: bool) -> dict[str, Any]:
    order = Spec(
        **common(evil, trusted),
        batch_size=1,
        answer_tokens=4,
        cache=str(evil.root),
        texts={"prose": Heldout(PROSE, [Item(tuple(IDS), 1)])},
        answers=[HeldoutQuestion("seed", IDS[:8], [])],
        subjects={UNQUANTIZED: ("a", ""), "artefact": ("b", str(evil.folder))},
        stored={},
    )
    return {"order": evil.file("order.json", order.to_json())}


def lm_eval(evil: Evil, trusted: bool) -> dict[str, Any]:
    pytest.importorskip("lm_eval")
    settings = LmEval(tasks=("local_choice", "local_word"), max_length=64).model_dump(mode="json")
    models = [
        {"subject": UNQUANTIZED, "folder": "", "tasks": ["local_choice", "local_word"]},
        {"subject": "artefact", "folder": str(evil.folder), "tasks": ["local_choice"]},
    ]
    return {
        **common(evil, trusted),
        "target": str(evil.folder),
        "models": models,
        "served": None,
        "resamples": 10,
        "settings": {**settings, "include_path": str(write_tasks(evil.root / "tasks"))},
    }


STAGES = [
    pytest.param(activations_task.run, activations, id="activations"),
    pytest.param(run_likelihood, likelihood, id="likelihood"),
    pytest.param(activation_task.run, judge_activations, id="judge_activations"),
    pytest.param(coverage_task.run, coverage, id="coverage"),
    pytest.param(selection_task.run, by_centroid, id="centroid"),
    pytest.param(selection_task.run, by_entropy, id="entropy"),
    pytest.param(layer_error_task.run, layer_error, id="layer_error"),
    pytest.param(local_task.run, generate, id="generate"),
    pytest.param(evaluation_task.run, evaluate, id="evaluate"),
    pytest.param(lm_eval_task.run, lm_eval, marks=pytest.mark.slow, id="lm_eval"),
]


@pytest.mark.parametrize(("task", "spec_of"), STAGES)
def test_a_stage_runs_the_folders_code_only_with_trust(
    evil: Evil, monkeypatch: pytest.MonkeyPatch, task: Callable[..., None], spec_of: Callable[..., dict[str, Any]]
) -> None:
    monkeypatch.chdir(evil.root)
    for trusted in (False, True):
        sent: list[str] = []
        task(spec_of(evil, trusted), lambda kind, sent=sent, **_body: sent.append(kind), CancelToken())
        assert sent and "failed" not in sent and "unfit" not in sent
        assert evil.marker.exists() == trusted


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("gptq", {"group_size": 32}),
        ("gptaq", {"group_size": 32}),
        ("awq", {"group_size": 32}),
        ("spqr", {"group_size": 32}),
        ("w8a8", {"bits": 8, "group_size": -1}),
    ],
)
def test_a_quantizer_neither_runs_nor_copies_code(evil: Evil, method: str, how: dict[str, Any]) -> None:
    make_rows(evil.root / "rows.jsonl", 4)
    spec = {
        **common(evil, False),
        "artefact": "artefact",
        "recipe": {"method": method, "bits": 4, **how},
        "rows": str(evil.root / "rows.jsonl"),
        "out": str(evil.root / "artefact"),
    }
    quantize_task.run(spec, lambda _kind, **_body: None, CancelToken())
    assert not evil.marker.exists()
    made = evil.root / "artefact"
    assert not list(made.rglob("*.py")) and not (made / "custom_generate").exists()
    assert json.loads((made / "config.json").read_text())["model_type"] == "llama"
    for path in made.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "auto_map" not in text and "custom_generate" not in text and "/faq-tui-" not in text, path
    assert (made / "tokenizer.json").read_bytes() == (evil.folder / "tokenizer.json").read_bytes()


def test_a_trusted_quantizer_runs_and_copies_it(evil: Evil) -> None:
    make_rows(evil.root / "rows.jsonl", 4)
    recipe = {"method": "gptq", "bits": 4, "group_size": 32}
    how = {"artefact": "a", "recipe": recipe, "rows": str(evil.root / "rows.jsonl")}
    spec = {**common(evil, True), **how, "out": str(evil.root / "artefact")}
    quantize_task.run(spec, lambda _kind, **_body: None, CancelToken())
    assert evil.marker.exists() and (evil.root / "artefact" / "evil.py").is_file()


def test_the_vocabularys_size_is_asked_for_without_code(evil: Evil) -> None:
    for trusted in (False, True):
        assert quantize_task.vocab_size({}, evil.folder, trusted) == 512
        assert evil.marker.exists() == trusted


def test_a_tokenizer_is_loaded_without_code(evil: Evil) -> None:
    pytest.importorskip("lm_eval")
    for trusted in (False, True):
        load_tokenizer(TargetModel("evil", str(evil.folder), trusted, "cpu", "auto"))
        assert evil.marker.exists() == trusted
    evil.marker.unlink()
    served_at = {"base_url": "http://127.0.0.1:9/v1", "model": "evil"}
    lm_eval_task._served({**lm_eval(evil, False), "served": served_at})
    assert not evil.marker.exists()


def test_a_server_is_given_a_folder_without_code(evil: Evil) -> None:
    """The command looks at the folder that it was given, and ends."""
    look = "import os, sys; print(sorted(os.listdir(sys.argv[1])), open(sys.argv[1] + '/config.json').read())"
    serve = f"[evaluate.serve]\ncommand = ['python3', '-c', {json.dumps(look)}, '{{folder}}']\n"
    folder = make_run(evil.root / "run", rest=serve)
    with open_run(folder) as run:
        context = Context(run, lambda _event: None, CancelToken(), "job")
        run.log("job").parent.mkdir(parents=True)
        target = TargetModel("evil", str(evil.folder), False, "cpu", "auto")
        with pytest.raises(Exception, match="ended"), served(context, Subject("a", evil.folder, target), SERVE, None):
            pass
        shown = run.log("job").read_text()
    assert "tokenizer.json" in shown and '"llama"' in shown
    assert "evil.py" not in shown and "auto_map" not in shown and "custom_generate" not in shown


@pytest.mark.slow
def test_a_worker_has_no_api_keys(plain: Path, tmp_path: Path) -> None:
    """The trusted code of a local source writes down what it finds in its environment."""
    evil = make_evil(plain, tmp_path)
    look = f"import os, pathlib; pathlib.Path({str(evil.marker)!r}).write_text(repr(dict(os.environ)))\n"
    for path in evil.folder.rglob("*.py"):
        path.write_text(path.read_text() + look)
    source = f'model = "{evil.folder}"\nsampling = {{ max_tokens = 4 }}\n'
    judge = '[judge]\nkind = "llm"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\napi_key_env = "THE_JUDGES_KEY"\n'
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "seeds.jsonl").write_text('{"question": "Why?"}\n')
    (tmp_path / "run" / "faq.toml").write_text(
        f'[target]\nmodel = "{plain}"\ndevice = "cpu"\ntrust_remote_code = true\n[seeds]\npath = "seeds.jsonl"\n'
        f'heldout = 0\n[sources.here]\nbase_url = "local"\n{source}{judge}'
    )
    env = {"HF_MODULES_CACHE": str(tmp_path / "modules"), "THE_JUDGES_KEY": "sk-secret", "HF_TOKEN": "hf-token"}
    done = faq_tui("run", tmp_path / "run", "--until", "regenerate", **env)
    seen = evil.marker.read_text()
    assert done.code == ExitCode.DONE and "THE_JUDGES_KEY" in seen and "sk-secret" not in seen and "hf-token" in seen


# --- the refusal at the start of a run ---


def test_a_run_is_refused_before_anything_is_asked(plain: Path, tmp_path: Path) -> None:
    evil = make_evil(plain, tmp_path)
    run = make_run(tmp_path / "run", target=str(evil.folder))
    said = refused(ExitCode.USAGE, "run", run)
    assert said.startswith(f"target.model {evil.folder} contains Python code (auto_map in config.json)")
    assert "trust_remote_code = true under [target]" in said and "a folder that names no code" in said
    assert not (run / "jobs").exists() and not evil.marker.exists()
    doctor = faq_tui("doctor", run)
    assert "NO  model code" in doctor.out and said in " ".join(doctor.out.split())
    settings = run / "faq.toml"
    settings.write_text(settings.read_text().replace("[target]\n", "[target]\ntrust_remote_code = true\n"))
    assert "contains Python code" not in refused(ExitCode.UNREACHABLE, "run", run, "--until", "regenerate")
    assert "trust_remote_code = true, so Python code" in faq_tui("doctor", run).out


def test_seeds_can_be_read_first(plain: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", target=str(make_evil(plain, tmp_path).folder))
    assert faq_tui("run", run, "--until", "seeds").code == ExitCode.DONE


def test_a_local_source_is_asked_about_too(plain: Path, tmp_path: Path) -> None:
    evil = make_evil(plain, tmp_path)
    run = make_run(tmp_path / "run", target=str(plain))
    settings = run / "faq.toml"
    more = f'\n[sources.here]\nbase_url = "local"\nmodel = "{evil.folder}"\n'
    settings.write_text(settings.read_text() + more)
    assert refused(ExitCode.USAGE, "run", run).startswith(f"sources.here.model {evil.folder} contains Python code")


def test_a_hub_id_is_looked_at_where_it_was_fetched(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = make_evil(plain, tmp_path)
    run = make_run(tmp_path / "run", target="some/model")
    assert "Python code" not in refused(ExitCode.UNREACHABLE, "run", run, "--until", "regenerate")
    monkeypatch.setattr("faq_tui.core.models.model_code.cached_folder", lambda _model: evil.folder)
    assert refused(ExitCode.USAGE, "run", run).startswith("target.model some/model contains Python code")


# --- what names code ---


@pytest.mark.parametrize(
    ("name", "body", "found"),
    [
        ("config.json", {"auto_map": {"AutoModel": "other/repo--evil.Evil"}}, "auto_map"),
        ("config.json", {"text_config": {"auto_map": {"AutoConfig": "evil.Evil"}}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": ["evil.Evil", None]}, "auto_map"),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "evil.Evil"}}, "auto_map"),
        ("video_preprocessor_config.json", {"auto_map": {"AutoVideoProcessor": "evil.Evil"}}, "auto_map"),
        ("generation_config.json", {"custom_generate": "other/repo"}, "custom_generate"),
        ("config.json", {"custom_pipelines": {"x": {"impl": "evil.Evil"}}}, "custom_pipelines"),
        ("config.json", {"configuration_files": ["sub/config.4.0.0.json"]}, "configuration_files"),
        ("config.json", {"configuration_files": ["config.4.0.0.json.txt"]}, "configuration_files"),
        ("config.json", {"configuration_files": ["config.4.0.0.json"]}, ""),
        ("config.4.0.0+tokenizer.json", {"auto_map": {"AutoModel": "evil.Evil"}}, "auto_map"),
        ("config.json", {"auto_map": {}}, ""),
        ("vocab.json", {"auto_map": 7, "custom_generate": 8}, ""),
    ],
)
def test_keys_that_name_code(tmp_path: Path, name: str, body: dict[str, Any], found: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps({**body, "kept": [1, 2.5, "ß"]}), encoding="utf-8")
    assert named_code(tmp_path) == (f"{found} in {name}" if found else "")
    with without_code(tmp_path, trusted=False) as view:
        assert (view != tmp_path) == bool(found)
        assert named_code(view) == "" and json.loads((view / name).read_text(encoding="utf-8"))["kept"] == [
            1,
            2.5,
            "ß",
        ]
    assert view == tmp_path or not view.exists()


def test_nesting_that_cannot_be_checked_counts_as_code(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000)
    assert named_code(tmp_path) == "config.json is nested too deeply to be checked"
    with pytest.raises(UsageError, match="cannot be read"), without_code(tmp_path, trusted=False):
        pass


def test_a_folder_without_code_is_handed_on_as_it_is(plain: Path, evil: Evil) -> None:
    with without_code(plain, trusted=False) as view:
        assert view == plain
    with without_code(evil.folder, trusted=True) as view:
        assert view == evil.folder
