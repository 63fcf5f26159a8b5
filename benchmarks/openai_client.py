"""Read the same streams with the official OpenAI client, as a simple script does.

Usage: `openai_client.py URL STREAMS BODIES`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx2  # noqa: TID253
from openai import AsyncOpenAI, DefaultAioHttpClient  # noqa: TID253  this is what is measured

OWN = ("top_k", "min_p", "chat_template_kwargs")  # OpenAI's API lacks these keys: send them in extra_body


async def main(url: str, at_once: int, bodies: list[dict[str, Any]]) -> None:
    """Send all requests, at most `streams` at a time, and read every answer to its end."""
    waiting = iter(bodies)
    http_client = DefaultAioHttpClient(limits=httpx2.Limits(max_connections=0), timeout=600)
    async with AsyncOpenAI(base_url=url, api_key="none", http_client=http_client) as client:

        async def lane() -> None:
            for body in waiting:
                extra = {name: body[name] for name in OWN}
                rest = {name: value for name, value in body.items() if name not in OWN}
                said = ["", ""]
                async for chunk in await client.chat.completions.create(**rest, extra_body=extra):
                    for choice in chunk.choices:
                        said[0] += getattr(choice.delta, "reasoning", None) or ""
                        said[1] += choice.delta.content or ""
                assert all(said)

        await asyncio.gather(*(lane() for _ in range(at_once)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())))
