"""Hostile model folders: config, index, safetensors headers, tokenizer and chat template.

    python benchmarks/reliability/model_folders.py [--count 1000] [--seed 0] [--seconds 600] [--commands 40]

Each folder is given to the checks that `faq-tui run` makes before it costs anything, and to the readers of `status`,
`doctor` and the app. In a forked process, its tokenizer is loaded, and its chat template is tried with the same
limits of time and memory as in a run.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from campaign import ROOT, code_of, first_failure, main, void
from mutations import TEXTS, of_bytes, of_json, of_safetensors

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, FaqError, UsageError
from faq_tui.core.family.check import check_sources, suggestions, target_profile, warnings
from faq_tui.core.models import tokenizer_task
from faq_tui.core.models.headers import packed_shapes, quantized_shapes
from faq_tui.core.models.memory_need import memory_need
from faq_tui.core.models.model_code import named_code, untrusted_code
from faq_tui.core.models.target import fingerprint
from faq_tui.core.models.tokenizer import control_tokens, special_tokens
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import target_check
from faq_tui.core.status import status_of
from tests.support.shell import make_run

INDEX = "model.safetensors.index.json"
MODELS = """
import sys
from pathlib import Path
from tests.support.published import make_tiny_deepseek, make_tiny_gpt_oss
from tests.support.tiny import make_tiny_mixture, make_tiny_model
folder = Path(sys.argv[1])
make_tiny_model(folder / "llama", hidden=64, layers=1)
make_tiny_mixture(folder / "mixture", experts=4)
make_tiny_deepseek(folder / "deepseek", folder / "deepseek-plain")
make_tiny_gpt_oss(folder / "oss", folder / "oss-plain")
"""
STAGES = ("seeds", "regenerate", "judge", "assemble", "activations", "quantize", "evaluate")
RECIPES = '[[recipes]]\nmethod = "gptq"\ngroup_size = 32\n[[recipes]]\nmethod = "spqr"\ngroup_size = 32\n'
PATHS = ("../outside.safetensors", "/etc/passwd", "a/../../x", "sub/model.safetensors", "\0", "", ".", "x.bin", "~")
TEMPLATES = (
    "{% for a in range(10**9) %}{% for b in range(10**9) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ 'x' * 10**10 }}",
    "{{ 10 ** 10 ** 8 }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ raise_exception('no') }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% set ns = namespace(t='x') %}{% for i in range(40) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}{{ ns.t }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{{ messages | tojson(indent=10**8) }}",
    "{{ 'a' | center(10**10) }}",
    "{% if",
    "{{ messages[0].content.__class__ }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{% generation %}{% endgeneration %}",
    "{{ lipsum(10**6) }}",
    "(" * 3000 + "{{ " + "(" * 3000,
    "",
)


class ModelFolders:
    def __init__(self, work: Path) -> None:
        subprocess.run([sys.executable, "-c", MODELS, str(work)], cwd=ROOT, check=True, capture_output=True)
        import torch  # noqa: F401  forked processes then start with the libraries
        from transformers import AutoTokenizer
        from transformers.models.auto import modeling_auto  # noqa: F401

        AutoTokenizer.from_pretrained(work / "llama")

        self.models = [
            {path.name: path.read_bytes() for path in sorted((work / name).iterdir()) if path.is_file()}
            for name in ("llama", "llama", "mixture", "deepseek", "oss")
        ]
        self.work = work
        self.run = make_run(work / "run", rest=RECIPES, target="../model")

    def make(self, dice: random.Random) -> dict[str, bytes]:
        files = dict(dice.choice(self.models))
        for _ in range(dice.choice((1, 1, 1, 2))):
            kind = dice.choice(("config", "config", "index", "header", "tokenizer", "template", "template", "lost"))
            weights = [name for name in files if name.endswith(".safetensors")]
            if kind == "config":
                name = dice.choice([one for one in files if one.endswith("config.json")] or ["config.json"])
                files[name] = of_json(dice, files.get(name, b"{}"))
            elif kind == "index":
                listed = files.get(INDEX) or _index(files)
                tree = json.loads(listed)
                names = tree["weight_map"]
                if names and dice.random() < 0.6:
                    for one in dice.sample(sorted(names), dice.choice((1, len(names)))):
                        names[one] = dice.choice(PATHS)
                    files[INDEX] = json.dumps(tree).encode()
                else:
                    files[INDEX] = of_json(dice, listed)
            elif kind == "header" and weights:
                name = dice.choice(weights)
                files[name] = of_safetensors(dice, files[name])
            elif kind == "tokenizer":
                name = dice.choice(("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"))
                files[name] = of_json(dice, files.get(name, b"{}"))
            elif kind == "template":
                old = files.get("chat_template.jinja", b"{{ messages }}")
                new = dice.choice((*TEMPLATES, *TEXTS)).encode("utf-8", "surrogatepass")
                files["chat_template.jinja"] = of_bytes(dice, old) if dice.random() < 0.4 else new
            else:
                del files[dice.choice(sorted(files))]
                files[dice.choice(("README.md", "x.py", "adapter_config.json", "a.gguf", "params.json"))] = b"\xff{"
        return files

    def attempt(self, files: Mapping[str, bytes]) -> ExitCode | None:
        folder = self.work / "model"
        _write(folder, files)
        outside = self.work / "outside.safetensors"
        if not outside.exists():
            outside.write_bytes(self.models[0]["model.safetensors"])
        for path in (*self.run.glob("faq.db*"), *self.run.glob(".cache/*")):
            path.unlink()
        with open_run(self.run) as run:
            return first_failure(
                lambda: void(target_check._target(run, STAGES, [], False)),
                lambda: _readers(run, folder),
                lambda: void(memory_need(folder, 2)),
                lambda: void(quantized_shapes(folder)),
                lambda: void(packed_shapes(folder, 4)) if b"qweight" in b"".join(files.values()) else None,
                lambda: _tokenizer(folder),
            )

    def command(self, files: Mapping[str, bytes], folder: Path) -> Sequence[str]:
        _write(folder / "model", files)
        (folder / "outside.safetensors").write_bytes(self.models[0]["model.safetensors"])
        make_run(folder / "run", rest=RECIPES, target="../model")
        return ["run", str(folder / "run")]


def _index(files: Mapping[str, bytes]) -> bytes:
    data = files.get("model.safetensors", b"")
    if not data:
        return b'{"metadata": {}, "weight_map": {"a": "model.safetensors"}}'
    (length,) = struct.unpack("<Q", data[:8])
    try:
        names = [name for name in json.loads(data[8 : 8 + length]) if name != "__metadata__"]
    except (ValueError, RecursionError, TypeError):
        names = ["a"]
    return json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "model.safetensors")}).encode()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _readers(run: Run, folder: Path) -> None:
    """The readers that only show facts about a folder, and never refuse it."""
    target_profile(run)
    check_sources(run)
    warnings(run)
    suggestions(run)
    special_tokens(run)
    control_tokens(run, run.settings.target.model)
    named_code(folder)
    untrusted_code(run)
    fingerprint(run)
    status_of(run)


def _tokenizer(folder: Path) -> None:
    """Run the worker's task in a forked process, as a run does. Another exception or a signal ends only the worker
    process; `tokenizer_facts` turns this end into a UsageError, so it counts as USAGE.
    """
    roles = [list(one) for one in target_check.PROBES]
    spec = {
        "key": "target.model",
        "name": "m",
        "path": str(folder),
        "trust_remote_code": False,
        "rows": 512,
        "shapes": roles,
    }
    child = os.fork()
    if child == 0:
        status = 99
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            status = int(code_of(lambda: tokenizer_task.run(spec, lambda *_, **__: None, CancelToken())))
        except BaseException:  # noqa: BLE001  the parent process reports it
            (folder.parent / "worker.txt").write_text(traceback.format_exc())
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise {1: FaqError}.get(code, UsageError)(f"the worker ended with {code}")


if __name__ == "__main__":
    main("Hostile model folders", "model_folders", ModelFolders, 1000, ("safetensors",))
