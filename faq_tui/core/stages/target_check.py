"""Check the target and local sources before anything is paid for: their files, tokenizers and chat templates.

`faq-tui doctor` reports the same findings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import counted
from faq_tui.core.evaluation.identity import texts
from faq_tui.core.judging.identity import judge_named
from faq_tui.core.models.folder_check import check_folder, embedding_rows, read_config
from faq_tui.core.models.headers import quantized_shapes
from faq_tui.core.models.hub import cached_folder, local_folder
from faq_tui.core.models.target import local_target
from faq_tui.core.models.tokenizer_check import ModelFolder, Roles, ShapeFacts, TokenizerFacts, tokenizer_facts
from faq_tui.core.quantizing.preflight import check_readable, check_target, refuse_recipes
from faq_tui.core.quantizing.recipe_check import check_gpus, check_recipes
from faq_tui.core.regenerating.candidate_requests import has_pending
from faq_tui.core.run.run import Run
from faq_tui.core.settings import EMBEDDED, Source
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.seeds import Seed, StoredSeeds

LOADS_WEIGHTS = {"activations", "quantize", "evaluate"}
PLAIN: Roles = ("user",)
PROBES: tuple[Roles, ...] = (PLAIN, ("system", "user"), ("user", "user"), ("user", "assistant", "user"))
# The sequence of roles defines the kind of a conversation. The 64 most frequent kinds with at most 64 turns are
# checked here. The stages check every other conversation when they use it.
MOST_SHAPES, LONGEST_SHAPE = 64, 64
OWN_TEMPLATE = "use the template of the model's publisher"


@dataclass(frozen=True)
class Findings:
    """Facts about the models that are known before a run.

    Problems are not listed here: they are raised as UsageError.
    """

    notices: tuple[str, ...] = ()  # sentences about problems with seeds or tokens that do not prevent a run
    facts: TokenizerFacts | None = None  # facts about the target's tokenizer; None if the tokenizer was not tried


def check_place(run: Run) -> None:
    """Raise UsageError if `target.model` names a path without a model. This check is fast."""
    if run.settings.target.model != EMBEDDED:
        local_target(run)


def check_models(run: Run, stages: Sequence[str], cancel: CancelToken, log: Path, lenient: bool = False) -> Findings:
    """Check the target and the local sources for the stages named in `stages`.

    The check takes some seconds, or almost no time if the same files were checked before. Raises UsageError at the
    first problem. A target that cannot be downloaded now is a problem if `lenient` is false and one of `stages` loads
    the target. In all other cases, the failed download only causes a notice.
    """
    if "quantize" in stages and run.settings.recipes:
        check_gpus(run)
    chosen = seed_rows.StoredSeeds(run.store, seed_rows.ids_by_role(run.store, "chosen"))
    shapes = _shapes(chosen)
    notices: list[str] = []
    facts = None
    target = _target(run, stages, notices, lenient)
    if target is not None:
        facts = tokenizer_facts(run, target, shapes, cancel, log)
        notices += _refuse_beyond(target, facts)
        notices += _about_the_end(target, facts)
        notices += _about_seeds(run, target, facts, chosen)
        if _needs_weights(run, stages):
            logits, recipes = _needs_logits(run, stages), "quantize" in stages
            check_recipes(run, target.folder, cancel, log, logits=logits, recipes=recipes)
    for source in _local_sources(run, stages):
        if target is None or source.folder != target.folder:
            of_source = tokenizer_facts(run, source, shapes, cancel, log)
            notices += _refuse_beyond(source, of_source)
            notices += _about_prompts(source, of_source, chosen)
    return Findings(tuple(notices), facts)


def in_words(facts: TokenizerFacts) -> str:
    """A phrase for `doctor` that says what the chat template does with system turns and with repeated turns."""
    system, repeated = facts.shapes[PROBES[1]], facts.shapes[PROBES[2]]
    words = ["no system role: system turns become the beginning of the user's next turn"] if system.folded else []
    if repeated.joined:
        words.append("two turns of the same role in a row become one turn")
    return "; ".join(words) or "accepts system turns"


def _shapes(seeds: StoredSeeds) -> list[Roles]:
    """The sequences of roles to try with the chat template: `PROBES`, and the most frequent ones of the seeds."""
    counts = Counter(_roles(seed) for seed in seeds)
    frequent = [roles for roles, _ in counts.most_common(MOST_SHAPES) if len(roles) <= LONGEST_SHAPE]
    return list(dict.fromkeys((*PROBES, *frequent)))


def _roles(seed: Seed) -> Roles:
    return tuple(message["role"] for message in seed.messages)


def _target(run: Run, stages: Sequence[str], notices: list[str], lenient: bool) -> ModelFolder | None:
    """The target's folder; None if the target is embedded.

    If a hub id cannot be downloaded now, the function raises UsageError, or returns None if `lenient` is true or no
    stage needs the tokenizer.
    """
    target = run.settings.target
    if target.model == EMBEDDED:
        return None
    folder = local_target(run)
    key, name = "target.model", target.model
    if folder is not None:
        weights = _needs_weights(run, stages)
        check_folder(key, folder, weights)
        if not lenient:  # `doctor` reports these problems in its check of the target
            config = check_target(folder)
            if "quantize" in stages:
                refuse_recipes(run, config, quantized_shapes(folder))
        rows = embedding_rows(folder) if weights else _rows_if_known(folder)
        return ModelFolder(key, folder.name, folder, target.trust_remote_code, rows)
    folder = _from_hub(name, notices, lenient or not _needs_tokenizer(run, stages))
    if folder is None:
        return None
    config = check_target(folder)
    if "quantize" in stages:
        refuse_recipes(run, config, {})
    return ModelFolder(key, name, folder, target.trust_remote_code, _rows_if_known(folder))


def _from_hub(name: str, notices: list[str], may_lack: bool) -> Path | None:
    """The folder in the hub's cache. The model's small files are downloaded if they are not in the cache yet."""
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    folder = cached_folder(name)
    if folder is not None and (folder / "config.json").is_file():
        return folder
    try:
        folder = local_folder(name, only_config=True)
    except UsageError as error:
        if not may_lack or isinstance(error.__cause__, HFValidationError | RepositoryNotFoundError):
            raise
        notices.append(f"target.model {name} could not be checked, because it is not on this machine: {error}")
        return None
    return folder if (folder / "config.json").is_file() else None


def _needs_tokenizer(run: Run, stages: Sequence[str]) -> bool:
    return "assemble" in stages or _needs_weights(run, stages)


def _needs_weights(run: Run, stages: Sequence[str]) -> bool:
    if LOADS_WEIGHTS & set(stages):
        return True
    if "judge" in stages and any(judge_named(kind).needs_target for kind in run.settings.judge.kinds()):
        return bool(run.settings.sources)
    return any(source.model == run.settings.target.model for source in _pending_local(run, stages).values())


def _needs_logits(run: Run, stages: Sequence[str]) -> bool:
    """True if a stage computes the target's probabilities. Public benchmarks use another library for this."""
    settings = run.settings
    judged = "judge" in stages and "likelihood" in settings.judge.kinds() and bool(settings.sources)
    sorts = "assemble" in stages and any(one.select == "entropy" for one in settings.sets.values())
    return judged or sorts or ("evaluate" in stages and bool(texts(run)))


def _rows_if_known(folder: Path) -> int | None:
    try:
        return embedding_rows(folder)
    except UsageError:  # the weights are not needed in this call, or they will be downloaded later
        config = read_config(folder)
        size = config.get("vocab_size")
        return size if type(size) is int and size > 0 else None


def _pending_local(run: Run, stages: Sequence[str]) -> dict[str, Source]:
    """The local sources that have candidates to generate, by name.

    If no seeds are drawn yet, all local sources are returned.
    """
    if "regenerate" not in stages:
        return {}
    drawn = seed_rows.counts(run.store)["chosen"] > 0
    return {
        name: source
        for name, source in run.settings.sources.items()
        if source.is_local and source.model != EMBEDDED and (not drawn or has_pending(run, source))
    }


def _local_sources(run: Run, stages: Sequence[str]) -> Iterator[ModelFolder]:
    """The models of local sources. Raises UsageError if a model is missing or cannot be loaded."""
    target = run.settings.target
    for name, source in _pending_local(run, stages).items():
        key, folder = f"sources.{name}.model", run.resolve(source.model)
        if not folder.is_dir() and source.model == target.model:
            continue  # the source uses a hub id, which was already checked as the target
        if not folder.is_dir():
            raise UsageError(
                f"{key} {source.model}: no Hugging Face model folder at {folder}; "
                'the model of a local source is such a folder, or "target"'
            )
        check_folder(key, folder)
        check_readable(key, folder)
        yield ModelFolder(key, folder.name, folder, target.trust_remote_code, embedding_rows(folder))


def _refuse_beyond(model: ModelFolder, facts: TokenizerFacts) -> Iterator[str]:
    """Refuse a tokenizer with ids beyond the model's vocabulary. Yields a notice about unused special tokens."""
    where = f"{model.key} {model.name}"
    rows = f"but the model's embedding has only {model.rows} rows"
    for name, token, number in facts.named_beyond:
        raise UsageError(
            f"{name} of {where} is {token!r} with id {number}, {rows}: give another {name} in tokenizer_config.json, "
            "or use a model whose embedding has this id"
        )
    if facts.beyond:
        (token, number), more = facts.beyond[0], facts.beyond_count - 1
        others = f" and {counted(more, 'more token')}" if more else ""
        raise UsageError(
            f"the tokenizer of {where} has {token!r} with id {number}{others}, {rows}: "
            "use the tokenizer that belongs to these weights"
        )
    largest = max(shape.largest_id for shape in facts.shapes.values())
    if model.rows is not None and largest >= model.rows:
        raise UsageError(
            f"the chat template of {where} writes a token with id {largest}, {rows}: "
            "use the tokenizer that belongs to these weights"
        )
    if facts.special_beyond:
        token, number = facts.special_beyond[0]
        yield f"{where}: the special token {token!r} has id {number}, {rows}; no text may contain it"


def _about_the_end(model: ModelFolder, facts: TokenizerFacts) -> Iterator[str]:
    if facts.eos is None:
        yield (
            f"{model.key} {model.name} names no end token, so its answers end only at max_tokens: "
            "set eos_token in tokenizer_config.json"
        )


def _about_seeds(run: Run, model: ModelFolder, facts: TokenizerFacts, chosen: StoredSeeds) -> Iterator[str]:
    """Refuse a template that cannot render any seed with its answer. Yield notices about changed and lost seeds."""
    sources = run.settings.sources.values()
    reasons = any(source.reasoning != "off" for source in sources)

    def problem(shape: ShapeFacts) -> str:
        if not sources or shape.question:
            return shape.question
        return shape.plain or (shape.reasoned if reasons else "")

    yield from _about(model, facts, chosen, problem, facts.specials)


def _about_prompts(model: ModelFolder, facts: TokenizerFacts, chosen: StoredSeeds) -> Iterator[str]:
    yield from _about(model, facts, chosen, lambda shape: shape.prompt)


def _about(
    model: ModelFolder,
    facts: TokenizerFacts,
    chosen: StoredSeeds,
    problem: Callable[[ShapeFacts], str],
    specials: Sequence[str] = (),
) -> Iterator[str]:
    """Raise UsageError if no seed can be used. Yield notices about lost seeds and changed turns."""
    where, total = f"{model.key} {model.name}", len(chosen)
    lost, folded, joined = Counter[str](), 0, 0
    for seed in chosen:
        shape = facts.shapes.get(_roles(seed))
        why = _special_in(seed, specials) or (problem(shape) if shape else "")
        if why:
            lost[why] += 1
        elif shape:
            folded, joined = folded + shape.folded, joined + shape.joined
    reasons = ", ".join(f"{count} {reason}" for reason, count in lost.most_common())
    if lost.total() == total:
        plain = facts.shapes[PLAIN]
        if problem(plain):
            raise UsageError(_unusable(where, facts, plain, problem(plain)))
        if total:
            raise UsageError(
                f"none of the {total} seeds can be used with {where} ({reasons}): use other seeds, or another model"
            )
    if lost:
        yield f"{lost.total()} of {total} seeds cannot be used with {where} ({reasons})"
    if folded:
        yield (
            f"the chat template of {where} has no system role: in {folded} of {total} seeds, the system turn becomes "
            "the beginning of the user's next turn"
        )
    if joined:
        yield (
            f"the chat template of {where} does not accept two turns of the same role in a row: "
            f"in {joined} of {total} seeds, they become one turn"
        )


def _unusable(where: str, facts: TokenizerFacts, shape: ShapeFacts, reason: str) -> str:
    """The error sentence for a chat template that cannot render even the shortest conversation."""
    if shape.parts:
        return (
            f"the chat template of {where} reads only messages that are lists of parts, as for images: "
            "give a model whose chat template reads plain text"
        )
    if not shape.question and facts.eos is None:
        return (
            f"the chat template of {where} ends an answer with no special token, and the tokenizer names no end "
            "token: set eos_token in tokenizer_config.json"
        )
    what = "a question" if reason == shape.question else "an answer" if reason == shape.plain else "reasoning"
    instead = ', or set reasoning = "off" for each source' if what == "reasoning" else ""
    return f"the chat template of {where} cannot write {what} ({reason}): {OWN_TEMPLATE}{instead}"


def _special_in(seed: Seed, specials: Sequence[str]) -> str:
    """The reason why the seed's texts cannot be used; "" if they can."""
    texts = [message["content"] for message in seed.messages]
    found = next((special for special in specials if any(special in text for text in texts)), None)
    return f"a text holds the target's special token {found}" if found is not None else ""
