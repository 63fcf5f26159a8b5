"""What `benchmarks/regenerate.py` compares with: asyncio and nothing else, counting tokens. Prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit


async def main(url: str, at_once: int, seconds: float) -> None:
    """Keeps so many streams open; counts the tokens that come between its warm-up and its end."""
    parts = urlsplit(url)
    body = {
        "model": "fake-8b",
        "messages": [{"role": "user", "content": "Question?"}],
        "stream": True,
        "max_tokens": 8192,
    }
    data = json.dumps({**body, "stream_options": {"include_usage": True}}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    tokens = 0

    async def lane() -> None:
        nonlocal tokens
        while True:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(head + data)
            rest, done = b"", False
            while not done and (piece := await reader.read(1 << 16)):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        choices = json.loads(line[6:])["choices"]
                        tokens += bool(choices and choices[0]["delta"])
                    done = done or line.startswith(b"data: [DONE]")
            writer.close()

    lanes = [asyncio.create_task(lane()) for _ in range(at_once)]
    await asyncio.sleep(float(sys.argv[4]))
    before, began, cpu = tokens, time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    wall, used = time.monotonic() - began, time.process_time() - cpu
    print(json.dumps({"tokens_per_s": (tokens - before) / wall, "cpu_per_million": used / (tokens - before) * 1e6}))
    for task in lanes:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
