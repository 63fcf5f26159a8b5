"""distilabel's OpenAILLM asking the paced server as a pipeline would: batches of as many prompts. Prints JSON.

Run by the Python of an environment with `distilabel[openai]==1.5.3`; it reads whole answers, so tokens are counted
with the batches that end in the time of the measurement.
"""

from __future__ import annotations

import json
import sys
import time

from distilabel.models import OpenAILLM  # type: ignore[import-not-found]


def main(url: str, at_once: int, seconds: float) -> None:
    llm = OpenAILLM(model="fake-8b", base_url=url, api_key="none", timeout=600)
    llm.load()
    batch = [[{"role": "user", "content": "Question?"}]] * at_once
    llm.generate(inputs=batch[:1], max_new_tokens=8192)
    tokens, began, cpu = 0, time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        for found in llm.generate(inputs=batch, max_new_tokens=8192):
            tokens += sum(found["statistics"]["output_tokens"])
    wall, used = time.monotonic() - began, time.process_time() - cpu
    print(json.dumps({"tokens_per_s": tokens / wall, "cpu_per_million": used / tokens * 1e6}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
