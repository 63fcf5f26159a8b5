"""The parent's side: from settings and store to the worker's order."""

from __future__ import annotations

from faq_tui.core.assembly.template import RefusedError, Template
from faq_tui.core.errors import UsageError
from faq_tui.core.evaluation.identity import ANSWERS, UNQUANTIZED, generation, subjects, texts
from faq_tui.core.evaluation.items import Item, windows
from faq_tui.core.evaluation.spec import Answer, Spec
from faq_tui.core.evaluation.texts import load_text
from faq_tui.core.events import Note
from faq_tui.core.stage import Context
from faq_tui.core.store import artefacts as rows
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.target import TargetModel


def make_spec(context: Context, target: TargetModel, tokenizer: object) -> Spec:
    """All that the worker is to measure. Raises UsageError where a held-out text cannot be used."""
    run, settings = context.run, context.run.settings.evaluate
    if ANSWERS in settings.perplexity:
        raise UsageError(
            f'evaluate.perplexity: "{ANSWERS}" names the held-out answers; write "./{ANSWERS}" for a file'
        )
    prose = {name: _prose(context, tokenizer, name) for name in texts(run) if name != ANSWERS}
    answers = _answers(context, Template(tokenizer))
    if not prose and not answers:
        raise UsageError('nothing to evaluate on: set seeds.heldout, or evaluate.perplexity = ["pydoc"]')
    found = subjects(run)
    stored: dict[str, dict[str, str]] = {}
    for (subject, text), measurement in rows.all_measurements(run.store).items():
        stored.setdefault(subject, {})[text] = measurement.signature
    return Spec(
        model=target.path,
        trust_remote_code=target.trust_remote_code,
        device=target.device,
        dtype=target.dtype,
        batch_size=settings.batch_size,
        answer_tokens=settings.answer_tokens,
        cache=str(run.cache),
        prose=prose,
        answers=answers,
        subjects={
            name: (identity, "" if name == UNQUANTIZED else str(run.models / name))
            for name, identity in found.items()
        },
        stored={subject: of_text for subject, of_text in stored.items() if subject in found},
    )


def _prose(context: Context, tokenizer: object, name: str) -> list[Item]:
    settings = context.run.settings.evaluate
    text = load_text(context.run, name)
    ids = _ids(tokenizer, text)[: settings.prose_tokens]
    items = windows(ids, settings.window, _leading_bos(tokenizer))
    if not items:
        raise UsageError(f"{name} of evaluate.perplexity is shorter than two tokens: name a longer text")
    if len(ids) < settings.prose_tokens:
        context.emit(
            Note(f"{name} has {len(ids)} tokens, fewer than evaluate.prose_tokens = {settings.prose_tokens}")
        )
    return items


def _ids(tokenizer: object, text: str, special: bool = False) -> list[int]:
    assert callable(tokenizer)
    return list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])


def _leading_bos(tokenizer: object) -> int | None:
    """The token that this tokenizer puts before any text, if it does."""
    bos: int | None = getattr(tokenizer, "bos_token_id", None)
    return bos if bos is not None and _ids(tokenizer, "a", special=True)[:1] == [bos] else None


def _answers(context: Context, template: Template) -> list[Answer]:
    run = context.run
    there = rows.heldout(run.store, generation(run))
    answers, refused = [], 0
    for seed in seed_rows.by_role(run.store, "heldout"):
        if any(special in message["content"] for message in seed.messages for special in template.specials):
            refused += 1  # it would end its own turn
            continue
        old = there.get(seed.id)
        try:
            prompt = template.render([dict(message) for message in seed.messages], add_generation_prompt=True)
            prompt_ids = list(old.prompt_ids) if old else template.encode(prompt)[0]
        except RefusedError:
            refused += 1
            continue
        answers.append(Answer(seed.id, prompt_ids, list(old.answer_ids) if old else []))
    if refused:
        context.emit(
            Note(
                f"{refused} held-out seeds with a special token, or unfit for the chat template, are left out",
                "warning",
            )
        )
    return answers
