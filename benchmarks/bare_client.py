"""The minimal client for `benchmarks/regenerate.py`: it uses only asyncio.

Usage: `bare_client.py URL STREAMS BODIES`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit


async def main(url: str, at_once: int, bodies: list[dict[str, object]]) -> None:
    """Send all requests, at most `streams` at a time, and read every answer to its end."""
    parts = urlsplit(url)
    waiting = iter(bodies)

    async def lane() -> None:
        for body in waiting:
            data = json.dumps(body).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(head + data)
            rest, done, said = b"", False, ["", ""]
            while not done and (piece := await reader.read(1 << 16)):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        for choice in json.loads(line[6:])["choices"]:
                            said[0] += choice["delta"].get("reasoning", "")
                            said[1] += choice["delta"].get("content", "")
                    done = done or line.startswith(b"data: [DONE]")
            writer.close()
            assert all(said)

    await asyncio.gather(*(lane() for _ in range(at_once)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())))
