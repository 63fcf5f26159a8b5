"""The kinds that need no judge server, on a tiny model, against direct computations; and a mix of all three."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fake_server import Asked, Behaviour, FakeServer, answer_of, reasoning_of
from tests.support.judge_bench import is_judge, marks
from tests.support.schemas import valid
from tests.support.shell import faq_tui, make_run, rows
from tests.support.tiny import make_tiny_model

pytestmark = pytest.mark.slow

SEEDS, KINDS = 4, ("llm", "likelihood", "activation")
MARKS = "SELECT candidate_id, score, details FROM scores"
CONVERSATIONS = (
    "SELECT c.id, c.seed_id, s.messages, c.reasoning, c.answer FROM candidates c JOIN seeds s ON s.id = c.seed_id"
    " WHERE c.flags = '[]' ORDER BY c.id"
)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With channels planted that stick out: the values of two heads, six and nine times as large."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = make_tiny_model(tmp_path_factory.mktemp("model") / "tiny", hidden=64, layers=4, dtype="float32")
    file = folder / "model.safetensors"
    state = load_file(file)
    for layer, channel, by in ((1, 3, 6.0), (2, 17, 9.0), (2, 20, 4.0)):
        state[f"model.layers.{layer}.self_attn.v_proj.weight"][channel] *= by
    save_file({name: torch.clone(tensor) for name, tensor in state.items()}, file, {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """Answers of several lengths; the judge likes the even ones."""

    def reply(asked: Asked) -> str:
        if is_judge(asked):
            return marks(asked, lambda text, _: 4 + len(text) % 5)
        thought = reasoning_of(asked.question, asked.number, 4 + 3 * asked.number)
        return f"<think>{thought}</think>{answer_of(asked.question, asked.number, 6 + 7 * asked.number)}"

    with FakeServer(Behaviour(models=("fake-8b", "judge-72b"), reply=reply)) as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, target: Path, server: FakeServer) -> Path:
    """Judged by all three, a mix of two picks."""
    judge = f"""
[judge]
kind = "llm"
base_url = "{server.url}"
model = "judge-72b"
probe = 0
columns = ["activation"]
pick_by = {{ llm = 1.0, likelihood = 0.5 }}
"""
    folder = tmp_path_factory.mktemp("runs") / "run"
    make_run(folder, server.url, seeds=SEEDS, rest=judge, target=str(target))
    result = faq_tui("run", folder, "--until", "judge")
    assert result.code == 0, result
    return folder


def column(run: Path, kind: str, controlled: bool = False) -> dict[int, tuple[float, dict[str, Any]]]:
    """Candidate id to (score, details)."""
    found = {}
    for candidate_id, score, text in rows(run, f"{MARKS} WHERE kind = '{kind}'"):
        details = json.loads(text)
        if ("slope" in details) == controlled:
            found[candidate_id] = (score, details)
    return found


def groups_of(run: Path) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for candidate_id, seed_id, *_ in rows(run, CONVERSATIONS):
        groups.setdefault(seed_id, []).append(candidate_id)
    return list(groups.values())


class Direct:
    """The tiny model, straight from transformers."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def render(self, messages: Any, reasoning: str, answer: str) -> tuple[list[int], dict[str, list[int]]]:
        """(ids, tokens of reasoning and of answer), by the texts' places in the rendered text."""
        said = [*messages, {"role": "assistant", "content": f"{reasoning}\n\n{answer}"}]
        text = self.tokenizer.apply_chat_template(said, tokenize=False)
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = {}
        for name, part in (("reasoning", reasoning), ("answer", answer)):
            start = text.index(part)
            end = start + len(part)
            places[name] = [i for i, (a, b) in enumerate(coded["offset_mapping"]) if a < end and b > start]
        return coded["input_ids"], places

    def logprobs(self, ids: list[int]) -> Any:
        """[tokens]: log p(ids[t] | ids[:t]), the first is nan."""
        with self.torch.no_grad():
            logits = self.model(input_ids=self.torch.tensor([ids])).logits[0].double()
        found = self.torch.log_softmax(logits[:-1], -1).gather(1, self.torch.tensor(ids[1:])[:, None])[:, 0]
        return np.concatenate([[math.nan], found.numpy()])

    def inputs(self, ids: list[int]) -> dict[int, Any]:
        """Layer to the inputs of o_proj, [tokens, channels], without the first token."""
        found: dict[int, Any] = {}
        hooks = [
            layer.self_attn.o_proj.register_forward_pre_hook(
                lambda _, args, i=index: found.__setitem__(i, args[0][0, 1:].double().numpy())
            )
            for index, layer in enumerate(self.model.model.layers)
        ]
        with self.torch.no_grad():
            self.model(input_ids=self.torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return found


@pytest.fixture(scope="module")
def direct(target: Path) -> Direct:
    return Direct(target)


def test_likelihood_is_the_mean_logprob_of_reasoning_and_of_answer_apart(run: Path, direct: Direct) -> None:
    found = column(run, "likelihood")
    assert len(found) == 3 * SEEDS
    for candidate_id, _, messages, reasoning, answer in rows(run, CONVERSATIONS):
        ids, places = direct.render(json.loads(messages), reasoning, answer)
        logprobs = direct.logprobs(ids)
        score, details = found[candidate_id]
        for name, tokens in places.items():
            assert details[name]["tokens"] == len(tokens)
            assert details[name]["mean_logprob"] == pytest.approx(logprobs[tokens].mean(), abs=2e-4)
        both = [*places["reasoning"], *places["answer"]]
        assert details["tokens"] == len(both)
        assert score == pytest.approx(logprobs[both].mean(), abs=2e-4)


def test_length_control_is_the_residual_of_a_regression_with_a_level_for_each_seed(run: Path) -> None:
    """Least squares over [log tokens, one column a seed], solved whole by numpy."""
    raw, controlled = column(run, "likelihood"), column(run, "likelihood", controlled=True)
    groups = groups_of(run)
    ids = [i for group in groups for i in group]
    logs = np.log([raw[i][1]["tokens"] for i in ids])
    seeds = np.array([[float(i in group) for group in groups] for i in ids])
    values = np.array([raw[i][0] for i in ids])
    slope = np.linalg.lstsq(np.column_stack([logs, seeds]), values, rcond=None)[0][0]
    assert abs(slope) > 1e-4
    for i, log, value in zip(ids, logs, values, strict=True):
        score, details = controlled[i]
        assert details["slope"] == pytest.approx(slope, abs=1e-5)
        assert details["raw"] == pytest.approx(value, abs=1e-5)
        assert score == pytest.approx(value - slope * (log - logs.mean()), abs=1e-5)
        assert details["answer"] == raw[i][1]["answer"]


def test_activation_is_as_by_brute_force(run: Path, direct: Direct) -> None:
    """All activations at once in numpy: outlier channels by three medians, layers by crest."""
    from faq_tui.core.judging.judges.activation import EVERY
    from faq_tui.core.seeds.read import starter_path

    asked = [
        json.loads(line)["question"] for line in starter_path().read_text(encoding="utf-8").splitlines()[::EVERY]
    ]
    reference: dict[int, list[Any]] = {}
    for question in asked:
        text = direct.tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False)
        for layer, x in direct.inputs(direct.tokenizer(text, add_special_tokens=False)["input_ids"]).items():
            reference.setdefault(layer, []).append(x)
    whole = {layer: np.concatenate(parts) for layer, parts in reference.items()}
    absmax = {layer: np.abs(x).max(0) for layer, x in whole.items()}
    limit = {layer: 3 * np.median(channels) for layer, channels in absmax.items()}
    crest = {layer: np.abs(x).max() / np.sqrt((x**2).mean()) for layer, x in whole.items()}
    layers = [max(crest, key=lambda layer: crest[layer])]  # a quarter of four
    outliers = {layer: channels > limit[layer] for layer, channels in absmax.items()}
    total = int(sum(mask.sum() for mask in outliers.values()))
    found = column(run, "activation")
    assert len(found) == 3 * SEEDS
    for candidate_id, _, messages, reasoning, answer in rows(run, CONVERSATIONS):
        ids, places = direct.render(json.loads(messages), reasoning, answer)
        inputs = direct.inputs(ids)
        covered = sum(int((np.abs(x).max(0) > limit[i])[outliers[i]].sum()) for i, x in inputs.items())
        score, details = found[candidate_id]
        assert (details["covered"], details["outliers"], details["layers"]) == (covered, total, layers)
        assert 0 < covered < total and score == pytest.approx(covered / total)
        assert details["tokens"] == sum(map(len, places.values()))
        x = inputs[layers[0]]
        assert details["crest"] == pytest.approx(np.abs(x).max() / np.sqrt((x**2).mean()), rel=1e-3)
        apart = x - x.mean()
        assert details["kurtosis"] == pytest.approx((apart**4).mean() / (apart**2).mean() ** 2, rel=1e-3)


def test_the_mix_picks_as_computed_by_hand(run: Path) -> None:
    llm, likelihood = column(run, "llm"), column(run, "likelihood", controlled=True)
    groups, weights = groups_of(run), {"llm": 1.0, "likelihood": 0.5}
    mixed: dict[int, float] = {i: 0.0 for group in groups for i in group}
    for kind, marks_of in (("llm", llm), ("likelihood", likelihood)):
        apart = {i: marks_of[i][0] - np.mean([marks_of[j][0] for j in group]) for group in groups for i in group}
        spread = np.sqrt(np.mean([value**2 for value in apart.values()]))
        for i, value in apart.items():
            mixed[i] += weights[kind] * value / spread
    stored = {i: score for i, (score, _) in column(run, "mix").items()}
    assert stored == pytest.approx(mixed, abs=1e-4)
    picked = {row[0] for row in rows(run, "SELECT candidate_id FROM picks WHERE picked_by = 'judge'")}
    assert picked == {max(group, key=lambda i: mixed[i]) for group in groups}
    alone = {max(group, key=lambda i: (llm[i][0], -i)) for group in groups}
    assert picked != alone, "the second kind changed nothing: this test shows too little"


def test_status_shows_every_column_and_validates(run: Path) -> None:
    body = json.loads(faq_tui("status", run, "--json").out)
    valid("status", body)
    judging = body["judging"]
    assert (judging["picks_by"], judging["weights"]) == ("mix", {"llm": 1.0, "likelihood": 0.5})
    assert [(c["kind"], c["scored"], c["picks"]) for c in judging["columns"]] == [
        ("llm", 12, True),
        ("likelihood", 12, True),
        ("activation", 12, False),
    ]
    by_kind = {c["kind"]: c for c in judging["columns"]}
    assert by_kind["llm"]["length_slope"] is None and by_kind["likelihood"]["length_slope"] is not None
    assert body["sources"]["elder"]["scored"] == 12 and body["sources"]["elder"]["picked"] == SEEDS
    words = " ".join(faq_tui("status", run).out.split())
    assert re.search(r"likelihood 12 0 -\d", words) and "activation 12 0 0." in words


def test_another_weight_picks_anew_without_marking_or_asking_anything(run: Path, server: FakeServer) -> None:
    settings = run / "faq.toml"
    before, text = rows(run, "SELECT id FROM scores WHERE kind <> 'mix'"), settings.read_text()
    asked = len(server.requests)
    try:
        settings.write_text(text.replace("likelihood = 0.5", "likelihood = 0.25"))
        assert faq_tui("run", run, "--until", "judge").code == 0
    finally:
        settings.write_text(text)
    assert len(server.requests) == asked
    assert rows(run, "SELECT id FROM scores WHERE kind <> 'mix'") == before
    assert rows(run, "SELECT count(DISTINCT judge) FROM scores WHERE kind = 'mix'") == [(2,)]
