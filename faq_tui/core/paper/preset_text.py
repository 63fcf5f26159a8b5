"""Write the complete faq.toml of one of the paper's experiments.

If the paper does not publish a setting, a comment marks the value as our choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from faq_tui.core.base.errors import UsageError
from faq_tui.core.paper.evaluation import evaluation
from faq_tui.core.paper.experiments import Experiment, find_experiment, others
from faq_tui.core.settings.comments import quoted
from faq_tui.core.settings.recipe import model_of
from faq_tui.core.settings.target import seed_kinds
from faq_tui.core.settings.weights import OFF

SELF, TEACHER, ELDER = "self", "teacher", "elder"
ELDERS = {"Llama3.1-8B-Instruct": "meta-llama/Llama-3.1-70B-Instruct"}
USUAL_ELDER = "Qwen/Qwen3-235B-A22B"
TEACHER_MODEL = "deepseek-ai/DeepSeek-R1-0528"
JUDGE_MODEL = "Qwen/Qwen2.5-72B-Instruct"
SEEDS = "starter"
LOCAL = """\
base_url = "local"               # faq-tui loads the target itself; or give the URL of a server that serves the target
model = "target"
"""


@dataclass(frozen=True)
class PresetChoices:
    """The options of `faq-tui init` that change a preset. If an option is None, the preset's value is kept."""

    target: str | None = None
    seeds: str | None = None
    elder_url: str | None = None
    elder_model: str | None = None
    judge_url: str | None = None
    judge_model: str | None = None


def preset_text(name: str, choices: PresetChoices) -> str:
    """Write a complete `faq.toml`.

    A run has one target, even if the paper's table has several. If the table does not have the chosen target, the
    settings for the table's first target are used. Raises UsageError if there is no such preset, or if an elder is
    chosen for a preset without an elder.
    """
    experiment = find_experiment(name, choices.target)
    if ELDER not in experiment.sets() and (choices.elder_url or choices.elder_model):
        raise UsageError(
            f"{name} uses no elder for {experiment.model} (it uses the sets {', '.join(experiment.sets())}): "
            "leave out --elder-url and --elder-model"
        )
    sources = [source for source in experiment.sets() if source != "baseline"]
    parts = [_head(experiment, choices), *(_source(experiment, source, choices) for source in sources)]
    parts += [_judge(choices), ASSEMBLE, *(_recipe(experiment, *recipe) for recipe in experiment.recipes())]
    return "\n".join([*parts, evaluation(experiment)])


def _head(experiment: Experiment, c: PresetChoices) -> str:
    further = others(experiment)
    more = (
        f"# The table has further targets. Each needs a separate run: use --target {' or '.join(further)}.\n"
        if further
        else ""
    )
    return f"""\
# Table {experiment.table} of the FAQ paper (arXiv 2601.11200): {experiment.model}.
# Settings from the paper are marked (paper). The paper does not publish its seeds, prompts, sampling, sample length
# or damping. It does not publish the prompt and the scale of its judge, either. Settings marked (our choice) are
# ours, so figures may differ from the paper's.
{more}
[preset]
name = {quoted(experiment.name)}  # `faq-tui status` shows which of the table's cells this run has filled
model = {quoted(experiment.model)}

[target]
model = {quoted(c.target if c.target and not _names(experiment, c.target) else experiment.hub_id)}

[seeds]
path = {quoted(c.seeds or SEEDS)}  # (our choice) {seed_kinds()}
count = 256                      # (paper)
heldout = 32                     # (our choice) further seeds, which only the evaluation uses
"""


def _names(experiment: Experiment, target: str) -> bool:
    """True if `target` is the target's name in the paper. Names in the paper are not hub ids."""
    return target == experiment.model


def _source(experiment: Experiment, source: str, c: PresetChoices) -> str:
    if source == SELF:
        where = LOCAL
    elif source == TEACHER:
        where = (
            'base_url = "http://teacher:8000/v1"  # yours\n'
            f"model = {quoted(TEACHER_MODEL)}  # (paper) the model that the target was distilled from\n"
        )
    else:
        model = c.elder_model or ELDERS.get(experiment.model, USUAL_ELDER)
        comment = "" if c.elder_model else '  # (our choice) the paper says only "a larger model of the family"'
        where = (
            f"base_url = {quoted(c.elder_url or 'http://elder:8000/v1')}  # yours\nmodel = {quoted(model)}{comment}\n"
        )
    return f"""\
[sources.{source}]
{where}candidates = 3                   # (paper)
reasoning = "native"             # (paper) the answers reason step by step; the paper does not say how
sampling = {{ temperature = 0.6, top_p = 0.95, top_k = 20, min_p = 0.0, max_tokens = 8192 }}  # (our choice)
"""


def _judge(c: PresetChoices) -> str:
    return f"""\
[judge]
kind = "llm"                     # (paper) an expert model picks the best of the three
base_url = {quoted(c.judge_url or "http://judge:8000/v1")}  # yours
model = {quoted(c.judge_model or JUDGE_MODEL)}  # (our choice)
"""


ASSEMBLE = """\
[assemble]
max_tokens = 2048                # (our choice)
overflow = "keep_answer"         # (our choice)
"""


PLAIN_WEIGHTS = """\
sink_share = "off"               # (paper) all tokens have the same weight
"""


def _recipe(experiment: Experiment, method: str, bits: int) -> str:
    sets = ", ".join(quoted(name) for name in experiment.sets())
    share = model_of(method).model_fields.get("sink_share")
    weights = "" if share is None or share.default == OFF else PLAIN_WEIGHTS
    return f"""\
[[recipes]]
method = {quoted(method)}
bits = {bits}
preset = "paper"                 # {_preset(method)}
{weights}\
# (paper) These sets have the same number of samples. If you also want sets with the same number of tokens, add their
# names to the list. Their names end in -tokens.
sets = [{sets}]
"""


def _preset(method: str) -> str:
    if method == "w8a8":
        return "(paper) INT8 weights and activations; the solver is our choice"
    return "(paper) groups of 128; all other options of the method are our choice"
