"""The minimal client for `benchmarks/regenerate.py`: it uses only aiohttp.

Usage: `bare_client.py URL STREAMS BODIES`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp  # noqa: TID253  this is what is measured


async def main(url: str, at_once: int, bodies: list[dict[str, object]]) -> None:
    """Send all requests, at most `at_once` at a time, and read every answer to its end."""
    waiting = iter(bodies)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def lane() -> None:
            for body in waiting:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    rest, said = b"", ["", ""]
                    async for piece in response.content.iter_any():
                        *lines, rest = (rest + piece).split(b"\n")
                        for line in lines:
                            if line.startswith(b"data: {"):
                                for choice in json.loads(line[6:])["choices"]:
                                    said[0] += choice["delta"].get("reasoning", "")
                                    said[1] += choice["delta"].get("content", "")
                    assert all(said)

        await asyncio.gather(*(lane() for _ in range(at_once)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())))
