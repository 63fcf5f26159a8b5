"""The first `faq.toml` of a run, with the words a person needs to change it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import atomic_text
from faq_tui.core.base.sanitize import storable
from faq_tui.core.settings import default_comments, judge
from faq_tui.core.settings.load import parse_settings
from faq_tui.core.settings.section import EMBEDDED
from faq_tui.core.settings.target import seed_kinds


@dataclass(frozen=True)
class Choices:
    """What `faq-tui init` was told."""

    target: str
    seeds: str
    elder_url: str | None = None
    elder_model: str | None = None
    judge_url: str | None = None
    judge_model: str | None = None


def demo_text() -> str:
    """The settings of `faq-tui demo`."""
    return (files("faq_tui.core") / "data" / "demo.toml").read_text(encoding="utf-8")


def init_text(choices: Choices) -> str:
    """A complete `faq.toml`. Raises UsageError on choices that do not go together."""
    c = choices
    for url, model, name in ((c.elder_url, c.elder_model, "elder"), (c.judge_url, c.judge_model, "judge")):
        if bool(url) != bool(model):
            raise UsageError(f"--{name}-url and --{name}-model go together: give both or neither")
    return f"""\
# Settings of one faq-tui run. Edit freely: what a change makes stale is done again, nothing else.
# A line after # is a key at its default, or an example where it says "left out".

[target]
model = {quoted(c.target)}              # hub id, local folder, or "embedded"
{default_comments.TARGET}
[seeds]
path = {quoted(c.seeds)}                # {seed_kinds()}
count = 256                      # seeds that are regenerated
heldout = 32                     # further seeds, kept apart for the evaluation
{default_comments.SEEDS}{_source(c)}
{_judge(c)}
[assemble]
max_tokens = 2048                # special tokens counted
overflow = "keep_answer"         # keep_answer | head | tail | drop
{default_comments.ASSEMBLE}
{default_comments.SETS}
{default_comments.ACTIVATIONS}
[[recipes]]                      # several of them, or lists in one, make a queue
method = "gptq"                  # gptq | gptaq | awq | spqr | w8a8
bits = 4                         # 3 (spqr) | 4 | 8
group_size = {_group_size(c.target)}
{default_comments.RECIPE}
{default_comments.QUANTIZE}
[evaluate]
perplexity = ["pydoc"]           # "pydoc" (no network needed), "wikitext2", or a text file
{default_comments.EVALUATE}
{default_comments.PRESET}"""


def _source(c: Choices) -> str:
    if c.elder_url:
        return f"\n{_elder(c.elder_url, c.elder_model or '')}"
    if c.target == EMBEDDED:
        source = re.search(r"^\[sources\.self\].*?(?=^\[judge\])", demo_text(), re.MULTILINE | re.DOTALL)
        assert source is not None
        return f"\n{source[0].rstrip()}\n{default_comments.SOURCE}"
    example = _elder("http://elder:8000/v1", "Qwen/Qwen3-235B-A22B")
    return f"""
# No source yet: only the baseline will be made. Name a larger model of the target's family:
{_commented(example)}"""


def _elder(url: str, model: str) -> str:
    return f"""[sources.elder]                  # any number of sources, under any names
base_url = {quoted(url)}
model = {quoted(model)}
candidates = 3
concurrency = 32
reasoning = "native"             # native | prompted | off
sampling = {{ temperature = 0.6, top_p = 0.95, top_k = 20, min_p = 0.0, max_tokens = 8192, seed = 0 }}
{default_comments.SOURCE}"""


def _judge(c: Choices) -> str:
    if not c.judge_url:
        return f"""[judge]
kind = "likelihood"              # {judge.kind_comment()}
{judge.further_comments()}# base_url = "http://judge:8000/v1"  # left out: none. Of kind "llm", as are all below
# model = "Qwen/Qwen2.5-72B-Instruct"  # left out: none
{default_comments.JUDGE_SERVER}"""
    return f"""[judge]
kind = "llm"                     # {judge.kind_comment()}
base_url = {quoted(c.judge_url)}
model = {quoted(c.judge_model or "")}
{judge.further_comments()}{default_comments.JUDGE_SERVER}"""


def _commented(text: str) -> str:
    return "".join(line if line.startswith("#") else f"# {line}" for line in text.splitlines(keepends=True))


def _group_size(target: str) -> str:
    """128 as in the paper, where the target's widths are multiples of it; else the largest that divides them."""
    if target == EMBEDDED:
        return "64                  # 576 input features are no multiple of 128"
    try:
        config = json.loads((Path(target).expanduser() / "config.json").read_text(encoding="utf-8"))
        widths = [int(config[key]) for key in ("hidden_size", "intermediate_size") if key in config]
    except (OSError, ValueError, TypeError, RuntimeError):
        return "128"
    size = next((size for size in (128, 64, 32, 16) if all(width % size == 0 for width in widths)), 128)
    if size == 128:
        return "128"
    return f"{size}                  # the largest that divides {' and '.join(map(str, widths))}"


def write_settings(folder: Path, text: str) -> Path:
    """Write a checked `faq.toml` into a new or empty run. Raises UsageError if there is one already."""
    path = folder / "faq.toml"
    parse_settings(text, "the settings")
    if path.exists():
        raise UsageError(f"{path} is there already: edit it, or choose another folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: a run is a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_text(path) as file:
        file.write(text)
    return path


def quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's, which asks for DEL's too."""
    if not text.isascii() and text != storable(text):
        raise UsageError(f"{text!r} is not UTF-8 text, which faq.toml must be: rename it")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
