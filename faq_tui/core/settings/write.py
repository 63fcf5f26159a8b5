"""Write the first `faq.toml` of a run, with comments that explain each key."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.files import atomic_text, private_folder
from faq_tui.core.base.shell import command_line
from faq_tui.core.settings.cluster import ClusterSettings
from faq_tui.core.settings.comments import head_text, keys_text, recipe_text
from faq_tui.core.settings.evaluate import Evalscope, Evaluate, LmEval, Serve
from faq_tui.core.settings.judge import JudgeSettings
from faq_tui.core.settings.load import load_settings, parse_settings
from faq_tui.core.settings.recipe import DEFAULT_METHOD, Quantize, model_of
from faq_tui.core.settings.schema import Activations, Settings
from faq_tui.core.settings.section import BASELINE, EMBEDDED, TOKENS_SUFFIX, Section
from faq_tui.core.settings.sets import Assemble, SetPlan
from faq_tui.core.settings.source import LOCAL, TARGET, Source
from faq_tui.core.settings.target import Preset, Seeds, Target

SETTINGS = Settings.model_fields
BENCHMARKS: dict[str, type[Section]] = {"lm_eval": LmEval, "evalscope": Evalscope, "serve": Serve}
HEAD = """\
# Settings of one faq-tui run. You can edit this file at any time. The next run redoes only what your changes affect.
# In a line such as "# retries = 5", the "#" means that the key `retries` is not set, and 5 is the key's default.
# If the comment of a key contains "default:", the comment states the default, and the value after "=" is an example.
"""
# The beginning of the demo's settings, now and in earlier versions of faq-tui.
DEMO_HEADS = ("# Settings of the demo.", "# The demo:")
NO_SOURCE = """\
# There is no source yet, so faq-tui will make only the baseline. Give a larger model of the target's family:
"""

# Without a GPU, the evaluation takes much of a small run's time, and its time is proportional to these numbers of
# tokens. The windows are shorter, too, because the intervals are computed from the windows, and 8 would be too few.
SHORT_EVALUATION = {"window": 256, "prose_tokens": 4096, "answer_tokens": 128}
SHORT_ACTIVATIONS = {"tokens": 2048}


@dataclass(frozen=True)
class Choices:
    """The options of `faq-tui init` and the answers of the app's wizard. A key that is None gets its default.

    If `itself` is True, the target regenerates the answers on this machine. If `short` is True, the run makes only
    the two models of the comparison at an equal number of tokens, and measures fewer tokens than by default, because
    this machine has no GPU.
    """

    target: str
    seeds: str
    elder_url: str | None = None
    elder_model: str | None = None
    judge_url: str | None = None
    judge_model: str | None = None
    elder_key_env: str | None = None
    itself: bool = False
    count: int | None = None
    heldout: int | None = None
    method: str = DEFAULT_METHOD
    bits: int | None = None
    group_size: int | None = None
    short: bool = False


def demo_text() -> str:
    """The text of `faq.toml` for `faq-tui demo`."""
    return (files("faq_tui.core") / "data" / "demo.toml").read_text(encoding="utf-8")


def write_demo(folder: Path) -> None:
    """Write the demo's `faq.toml` if the folder has none. Raises UsageError if the folder holds another run.

    A person may have changed the settings of the demo since, so only the first comment is compared.
    """
    path = folder / "faq.toml"
    if not path.exists():
        write_settings(folder, demo_text())
        return
    load_settings(path)
    if not path.read_text(encoding="utf-8-sig").lstrip().startswith(DEMO_HEADS):
        raise UsageError(
            f"{folder} holds a run that is not the demo: choose another folder, or continue this run with "
            f"`{command_line('run', folder)}`"
        )


def init_text(choices: Choices) -> str:
    """The text of a complete `faq.toml`. Raises UsageError if two choices contradict each other."""
    c = choices
    for url, model, name in ((c.elder_url, c.elder_model, "elder"), (c.judge_url, c.judge_model, "judge")):
        if bool(url) != bool(model):
            raise UsageError(f"--{name}-url and --{name}-model must be used together: give both or neither")
    sizes = {"count": c.count, "heldout": c.heldout}
    given = {key: value for key, value in sizes.items() if value is not None}
    group_size = _group_size(c.target, c.method) if c.group_size is None else str(c.group_size)
    parts = [
        HEAD,
        _section("target", Target, {"model": c.target}),
        _section("seeds", Seeds, {"path": c.seeds, **given}, live=("count", "heldout")),
        _source(c),
        _judge(c),
        _section("assemble", Assemble, live=("max_tokens", "overflow")),
        head_text("# [sets.mixed]", SETTINGS["sets"]) + keys_text(SetPlan),
        _activations(c.short),
        recipe_text(group_size, c.method, c.bits, _sets(c)),
        _section("quantize", Quantize),
        _section("cluster", ClusterSettings),
        _evaluate(c.short),
        *(
            head_text(f"[evaluate.{name}]", Evaluate.model_fields[name]) + keys_text(model)
            for name, model in BENCHMARKS.items()
        ),
        head_text("# [preset]", SETTINGS["preset"]) + keys_text(Preset),
    ]
    return "\n".join(parts)


def _section(
    name: str,
    model: type[Section],
    values: Mapping[str, Any] | None = None,
    live: Collection[str] = (),
    without: Collection[str] = (),
) -> str:
    """The text of the section `[name]` of `Settings`. The other parameters are those of `keys_text`."""
    return head_text(f"[{name}]", SETTINGS[name]) + keys_text(model, values, live, without)


def _source(c: Choices) -> str:
    """The text of the first source."""
    if c.elder_url:
        return _elder(c.elder_url, c.elder_model or "", c.elder_key_env)
    if c.itself and c.target != EMBEDDED:
        return _itself()
    if c.target == EMBEDDED:
        source = re.search(r"^\[sources\.self\].*?(?=^\[judge\])", demo_text(), re.MULTILINE | re.DOTALL)
        assert source is not None
        written = re.findall(r"^(\w+) = ", source[0], re.MULTILINE)
        return f"{source[0].rstrip()}\n{keys_text(Source, without=written)}"
    example = _elder("http://elder:8000/v1", "Qwen/Qwen3-235B-A22B")
    return f"{NO_SOURCE}{_commented(example)}"


def _elder(url: str, model: str, key_env: str | None = None) -> str:
    live = ("candidates", "concurrency", "reasoning", "sampling")
    head = head_text("[sources.elder]", SETTINGS["sources"])
    key = {} if key_env is None else {"api_key_env": key_env}
    return head + keys_text(Source, {"base_url": url, "model": model, **key}, live)


def _itself() -> str:
    """The section `[sources.self]` of faq.toml. This source is the target, which runs on this machine."""
    head = head_text("[sources.self]", SETTINGS["sources"])
    return head + keys_text(
        Source, {"base_url": LOCAL, "model": TARGET}, ("candidates", "concurrency", "reasoning", "sampling")
    )


def _judge(c: Choices) -> str:
    if c.judge_url:
        return _section(
            "judge", JudgeSettings, {"kind": "llm", "base_url": c.judge_url, "model": c.judge_model or ""}
        )
    return _section("judge", JudgeSettings, live=("kind",))


def _sets(c: Choices) -> tuple[str, ...]:
    """The two sets of a short run; none if every set is used, or if no model regenerates answers."""
    source = "elder" if c.elder_url else "self" if c.itself or c.target == EMBEDDED else ""
    return (f"{source}{TOKENS_SUFFIX}", f"{BASELINE}{TOKENS_SUFFIX}") if c.short and source else ()


def _activations(short: bool) -> str:
    values = SHORT_ACTIVATIONS if short else {}
    return _why_short(Activations, values) + _section("activations", Activations, values)


def _evaluate(short: bool) -> str:
    """The section `[evaluate]` without its benchmarks."""
    values = SHORT_EVALUATION if short else {}
    why = _why_short(Evaluate, values, "; the intervals in the report become narrower")
    return why + _section("evaluate", Evaluate, values, live=("perplexity",), without=BENCHMARKS)


def _why_short(model: type[Section], values: Mapping[str, int], effect: str = "") -> str:
    """The comment that says why `values` are smaller than the defaults, and how to measure more."""
    if not values:
        return ""
    usual = ", ".join(f"{key} = {model.model_fields[key].default}" for key in values)
    return (
        "# This machine has no GPU, so fewer tokens than usual are measured. To measure more, set\n"
        f"# {usual}, and run again{effect}.\n"
    )


def _commented(text: str) -> str:
    return "".join(line if line.startswith("#") else f"# {line}" for line in text.splitlines(keepends=True))


def _group_size(target: str, method: str = DEFAULT_METHOD) -> str:
    """The group size of a new recipe.

    If the method has only one group size, the result is this size. If 128 divides the target's widths, the size is
    128, as in the paper. Otherwise the group size is the largest of 64, 32 and 16 that divides the widths.
    """
    possible = model_of(method).choices("group_size")
    if len(possible) == 1:
        return str(possible[0])
    if target == EMBEDDED:
        return "64                  # 576 input features are not a multiple of 128"
    try:
        config = json.loads((Path(target).expanduser() / "config.json").read_text(encoding="utf-8"))
        widths = [int(config[key]) for key in ("hidden_size", "intermediate_size") if key in config]
    except (OSError, ValueError, TypeError, RuntimeError):
        return "128"
    size = next((size for size in (128, 64, 32, 16) if all(width % size == 0 for width in widths)), 128)
    if size == 128:
        return "128"
    return f"{size}                  # the largest size that divides {' and '.join(map(str, widths))}"


def write_settings(folder: Path, text: str) -> Path:
    """Check `text` and write it as `faq.toml` into `folder`. Raises UsageError if the file exists already."""
    path = folder / "faq.toml"
    parse_settings(text, "the settings")
    if path.exists():
        raise UsageError(f"{path} exists already: edit it, or choose another folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, but a run is a folder: choose another path")
    folder.parent.mkdir(parents=True, exist_ok=True)
    private_folder(folder)
    with atomic_text(path) as file:
        file.write(text)
    return path
