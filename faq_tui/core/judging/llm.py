"""An LLM as judge, over any OpenAI-compatible endpoint: one candidate a request, a JSON schema for the reply."""

from __future__ import annotations

import asyncio

from faq_tui.core.endpoints import Retrying, open_client, probe, run_bounded, stream_chat
from faq_tui.core.endpoints.resolve import reachable
from faq_tui.core.endpoints.retry import GaveUpError
from faq_tui.core.errors import EndpointError, FaqError
from faq_tui.core.judging.mark import OnMark
from faq_tui.core.judging.parse import SCHEMA, parse_mark
from faq_tui.core.prompts import JUDGE, load_prompt
from faq_tui.core.settings import Sampling
from faq_tui.core.stage import Context
from faq_tui.core.store.candidates import Candidate
from faq_tui.core.store.seeds import Seed

# Both spellings that servers take; one that knows neither answers in prose, which the parser reads too.
AS_JSON = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "mark", "strict": True, "schema": SCHEMA},
    },
    "chat_template_kwargs": {"enable_thinking": False},
}


def mark_all(context: Context, items: list[tuple[Seed, Candidate]], on_mark: OnMark) -> None:
    """Mark every candidate; each mark is handed over when it is there. Raises FaqError if some got none."""
    asyncio.run(_mark_all(context, items, on_mark))


async def _mark_all(context: Context, items: list[tuple[Seed, Candidate]], on_mark: OnMark) -> None:
    judge = context.run.settings.judge
    endpoint = reachable(context, judge.endpoint())
    prompt, sampling = load_prompt(JUDGE), Sampling(temperature=0.0, top_p=1.0, max_tokens=judge.max_tokens)
    retrying, failures = Retrying(endpoint), list[str]()

    async with open_client(endpoint) as client:

        async def one(item: tuple[Seed, Candidate]) -> None:
            seed, candidate = item
            text = prompt.fill(
                question="\n\n".join(message["content"] for message in seed.messages),
                reasoning=shorten(candidate.reasoning, judge.reasoning_characters) or "(none given)",
                answer=candidate.answer,
            )
            messages = [{"role": "user", "content": text}]
            try:
                reply = await retrying(
                    lambda: stream_chat(client, endpoint.model, messages, sampling, sampling.seed, AS_JSON)
                )
            except GaveUpError as gave_up:
                if gave_up.fault.unreachable:
                    raise EndpointError(f"{gave_up.fault.advice}; the marks so far are kept") from None
                failures.append(gave_up.fault.reason)
                return
            on_mark(candidate, parse_mark(reply.answer))

        await probe(client, endpoint)
        await run_bounded(items, one, endpoint.concurrency, context.cancel)
    if failures:
        raise FaqError(
            f"the judge failed on {len(failures)} of {len(items)} candidates ({failures[-1]}); "
            "the other marks are kept: run the same command again"
        )


def shorten(text: str, limit: int) -> str:
    """Head and tail of a text over `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[len(text) - half :]}"
