"""Request held-out answers from a source: answers to questions that are in no calibration set."""

from __future__ import annotations

import asyncio

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.base.hashing import digest
from faq_tui.core.base.text import counted
from faq_tui.core.chat.render import render_answered
from faq_tui.core.chat.template import NotAssembledError, Template
from faq_tui.core.endpoints import Reply, Retrying, run_bounded, stream_chat
from faq_tui.core.endpoints.opened import open_pool
from faq_tui.core.endpoints.pool import Server
from faq_tui.core.endpoints.retry import GaveUpError
from faq_tui.core.endpoints.window import room
from faq_tui.core.evaluation.heldout import Item
from faq_tui.core.evaluation.identity import VERSION
from faq_tui.core.models.target import fingerprint
from faq_tui.core.regenerating import flags_of, question_for, source_hash_of
from faq_tui.core.regenerating.candidate_requests import parts_of
from faq_tui.core.run.context import Context
from faq_tui.core.run.events import Note
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Source
from faq_tui.core.store import seeds as seed_rows
from faq_tui.core.store.measurements import HeldoutAnswer, add_heldout, heldout
from faq_tui.core.store.seeds import Seed


def source_generation(run: Run, source: Source) -> str:
    """A hash of everything that can change the token ids of a source's held-out answers."""
    return digest("heldout-source", VERSION, fingerprint(run), source_hash_of(source))


def source_answers(context: Context, template: Template, name: str) -> list[Item]:
    """Make an item for each held-out seed with a usable answer. The model predicts only the answer's tokens.

    Missing answers are requested from the source. Each answer is stored as soon as it arrives. An answer is unusable
    if it is cut off, empty or repetitive. An unusable answer is stored without token ids, so that it is not requested
    again. Raises EndpointError or FaqError under the same conditions as the stage regenerate.
    """
    run = context.run
    source, seeds = run.settings.sources[name], seed_rows.by_role(run.store, "heldout")
    source_hash = source_generation(run, source)
    stored = heldout(run.store, source_hash)
    missing = [seed for seed in seeds if seed.id not in stored]
    if missing:
        context.emit(Note(f"asking {name} for {counted(len(missing), 'held-out answer')}"))
        asyncio.run(_ask(context, template, source, source_hash, missing))
        stored = heldout(run.store, source_hash)
    answers = [stored[seed.id] for seed in seeds if seed.id in stored]
    fit = [answer for answer in answers if answer.answer_ids]
    if len(fit) < len(seeds):
        words = f"held-out answer of {name} is", f"held-out answers of {name} are"
        context.emit(Note(f"{counted(len(seeds) - len(fit), *words)} unusable and left out", "warning"))
    limit = run.settings.evaluate.answer_tokens
    return [Item((*a.prompt_ids, *a.answer_ids[:limit]), len(a.prompt_ids)) for a in fit]


async def _ask(context: Context, template: Template, source: Source, source_hash: str, seeds: list[Seed]) -> None:
    failed: list[str] = []
    async with open_pool(context, source) as pool:
        retrying = Retrying(source, pool)

        async def one(seed: Seed) -> None:
            question, sampling = question_for(seed, source), source.sampling

            async def send(server: Server) -> Reply:
                left = room(server.max_model_len, question.messages)
                cut_here = left is not None and left < sampling.most_tokens
                about = (question.messages, sampling, sampling.first_seed, question.extra)
                return await stream_chat(server.client, source.model, *about, cut_here=cut_here)

            try:
                reply = await retrying(send)
            except GaveUpError as gave_up:
                if gave_up.fault.unreachable:
                    raise EndpointError(f"{gave_up.fault.advice}; finished held-out answers are kept") from None
                failed.append(gave_up.fault.reason)
                return
            add_heldout(context.run.store, source_hash, _in_ids(template, seed, source, reply))

        await run_bounded(seeds, one, source.concurrency * len(pool.servers), context.cancel)
    if failed:
        raise FaqError(
            f"{len(failed)} of {len(seeds)} held-out answers failed ({failed[-1]}); the rest are stored: run the "
            "same command again to request the failed answers"
        )


def _in_ids(template: Template, seed: Seed, source: Source, reply: Reply) -> HeldoutAnswer:
    """Render the answer like a calibration sample. If the answer is unusable, its list of token ids is empty."""
    reasoning, answer = parts_of(reply, source)
    unfit = HeldoutAnswer(seed.id, (), (), answer)
    if flags_of(reply, reasoning, answer):
        return unfit
    try:
        rendered = render_answered(template, seed.messages, reasoning, answer)
    except NotAssembledError:
        return unfit
    first = rendered.reasoning[0] or rendered.answer[0]
    return HeldoutAnswer(seed.id, rendered.ids[:first], rendered.ids[first:], answer)
