"""Make the worker's job description of an evaluation from the settings and the database."""

from __future__ import annotations

from collections.abc import Mapping

from faq_tui.core.base.errors import UsageError
from faq_tui.core.base.text import counted
from faq_tui.core.chat.render import fitting_turns
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.evaluation import documents, labelled
from faq_tui.core.evaluation.heldout import Heldout, Item, encode_pair, windows
from faq_tui.core.evaluation.identity import UNQUANTIZED, answers_of, evaluation_hash, subjects, texts
from faq_tui.core.evaluation.kinds import ANSWERS, CHOICES, GREEDY, LAST_WORD, PROSE, WORDS, kind_of, named
from faq_tui.core.evaluation.metrics import all_metrics, token_metrics
from faq_tui.core.evaluation.source_answers import source_answers
from faq_tui.core.evaluation.spec import HeldoutQuestion, Spec, longest_input, prose_window
from faq_tui.core.evaluation.texts import load_head
from faq_tui.core.models.target import TargetModel
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.settings.evaluate import TARGET_ANSWERS
from faq_tui.core.store import measurements as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.measurements import replace_items
from faq_tui.core.store.seeds import Seed


def make_spec(context: Context, target: TargetModel, tokenizer: object) -> Spec:
    """Describe everything that the worker must measure. Raises UsageError if a held-out text cannot be used."""
    run, settings = context.run, context.run.settings.evaluate
    for name in settings.perplexity:
        if kind_of(name) != PROSE:
            raise UsageError(
                f'evaluate.perplexity: "{name}" is the name of another kind of held-out text: '
                f'if you mean a file, write "./{name}"'
            )
    template, names = Template(tokenizer), texts(run)
    loaded = _files(context, target, tokenizer)
    prompts = _prompts(context, template) if ANSWERS in names or GREEDY in names else {}
    answers = _answers(context, prompts) if ANSWERS in names else []
    if GREEDY in names:
        items = [Item(tuple(prompt), len(prompt)) for prompt in prompts.values()]
        loaded[GREEDY] = Heldout(GREEDY, items, new_tokens=settings.greedy_tokens)
    for name in settings.answers:
        if name != TARGET_ANSWERS and answers_of(name) in names:
            loaded[answers_of(name)] = Heldout(ANSWERS, source_answers(context, template, name))
    nonempty = {name: text for name, text in loaded.items() if len(text)}
    if not nonempty and not answers and not (settings.lm_eval.tasks or settings.evalscope.tasks):
        raise UsageError(
            'nothing to evaluate on: set seeds.heldout, evaluate.perplexity = ["pydoc"], or tasks under '
            "[evaluate.lm_eval]"
        )
    subject_hashes = subjects(run)
    stored: dict[str, dict[str, str]] = {}
    for (subject, text), measurement in rows.all_measurements(run.store).items():
        if measurement.items.keys() >= {metric.token_column for metric in token_metrics(kind_of(text))}:
            stored.setdefault(subject, {})[text] = measurement.signature
    return Spec(
        model=target.path,
        trust_remote_code=target.trust_remote_code,
        device=target.device,
        dtype=target.dtype,
        batch_size=settings.batch_size,
        answer_tokens=settings.answer_tokens,
        cache=str(run.cache),
        texts=nonempty,
        answers=answers,
        subjects={
            name: (identity, "" if name == UNQUANTIZED else str(run.models / name))
            for name, identity in subject_hashes.items()
        },
        stored={subject: of_text for subject, of_text in stored.items() if subject in subject_hashes},
        metrics=tuple(metric.name for metric in all_metrics() if metric.token_column),
        read=target.read,
    )


def _files(context: Context, target: TargetModel, tokenizer: object) -> dict[str, Heldout]:
    """Load all held-out texts that come from files. Labelled items are also stored as readable text."""
    run, settings = context.run, context.run.settings.evaluate
    longest = longest_input(target)
    loaded = {name: Heldout(PROSE, _prose(context, target, tokenizer, name)) for name in settings.perplexity}
    if loaded and settings.window > longest:
        message = (
            f"evaluate.window = {settings.window} is more than this target can read, so windows have {longest} tokens"
        )
        context.emit(Note(message, "warning"))
    for name in settings.word_perplexity:
        window = longest if settings.word_window == "model" else settings.word_window
        loaded[named(WORDS, name)] = documents.heldout_documents(
            documents.load_documents(run, name), tokenizer, min(window, longest)
        )
    for name in settings.last_word:
        text = named(LAST_WORD, name)
        loaded[text], passages = labelled.heldout_passages(labelled.load_passages(run, name), tokenizer, longest)
        replace_items(run.store, text, loaded[text].digest, [{"passage": passage} for passage in passages])
    for name in settings.multiple_choice:
        text = named(CHOICES, name)
        loaded[text], cases = labelled.heldout_questions(labelled.load_questions(run, name), tokenizer, longest)
        replace_items(run.store, text, loaded[text].digest, [case.to_json() for case in cases])
    for name, heldout in loaded.items():
        if not len(heldout):
            context.emit(
                Note(f"{name} is left out, because the target's tokenizer makes no usable item from it", "warning")
            )
    return loaded


def _prose(context: Context, target: TargetModel, tokenizer: object, name: str) -> list[Item]:
    settings = context.run.settings.evaluate
    ids = encode_pair(tokenizer, load_head(context.run, name), special=False)[: settings.prose_tokens]
    items = windows(ids, prose_window(context.run, target), _leading_bos(tokenizer))
    if not items:
        raise UsageError(f"{name} of evaluate.perplexity is shorter than two tokens: give a longer text")
    if len(ids) < settings.prose_tokens:
        context.emit(
            Note(
                f"{name} has {counted(len(ids), 'token')}, fewer than evaluate.prose_tokens = {settings.prose_tokens}"
            )
        )
    return items


def _leading_bos(tokenizer: object) -> int | None:
    """The bos token if this tokenizer puts it before every text. Otherwise None."""
    bos: int | None = getattr(tokenizer, "bos_token_id", None)
    return bos if bos is not None and encode_pair(tokenizer, "a", special=True)[:1] == [bos] else None


def _answers(context: Context, prompts: Mapping[str, list[int]]) -> list[HeldoutQuestion]:
    stored = rows.heldout(context.run.store, evaluation_hash(context.run))
    return [
        HeldoutQuestion(seed_id, prompt, list(stored[seed_id].answer_ids) if seed_id in stored else [])
        for seed_id, prompt in prompts.items()
    ]


def _prompts(context: Context, template: Template) -> dict[str, list[int]]:
    """The token ids of each held-out question, by seed id. Questions that cannot be rendered are left out."""
    run = context.run
    stored = rows.heldout(run.store, evaluation_hash(run))
    prompts, refused = {}, 0
    for seed in seed_rows.by_role(run.store, "heldout"):
        old = stored.get(seed.id)
        prompt = list(old.prompt_ids) if old else _prompt(template, seed)
        if prompt is None:
            refused += 1
        else:
            prompts[seed.id] = prompt
    if refused:
        context.emit(
            Note(
                f"{counted(refused, 'held-out seed is', 'held-out seeds are')} left out, because of special "
                "tokens or because the chat template refuses the conversation",
                "warning",
            )
        )
    return prompts


def _prompt(template: Template, seed: Seed) -> list[int] | None:
    """The prompt's token ids.

    Returns None if a message has a special token, or if the chat template refuses the seed.
    """
    if any(special in message["content"] for message in seed.messages for special in template.specials):
        return None
    turns = fitting_turns(lambda messages: template.render(messages, add_generation_prompt=True), seed.messages)
    try:
        prompt = template.render(turns, add_generation_prompt=True)
        return list(template.encode(prompt)[0])
    except NotAssembledError:
        return None
