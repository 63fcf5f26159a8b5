"""Send the same requests with distilabel's OpenAILLM, one batch of prompts after another, as a pipeline does.

Usage: `distilabel_client.py URL STREAMS BODIES`, with the Python of an environment that has
`distilabel[openai]==1.5.3` and `requests`. This client reads whole answers, not streams.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from distilabel.models import OpenAILLM  # type: ignore[import-not-found]


def main(url: str, at_once: int, bodies: list[dict[str, Any]]) -> None:
    llm = OpenAILLM(model="fake-8b", base_url=url, api_key="none", timeout=600)
    llm.load()
    prompts = [body["messages"] for body in bodies]
    for start in range(0, len(prompts), at_once):
        for found in llm.generate(inputs=prompts[start : start + at_once], max_new_tokens=8192):
            assert found["generations"]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text()))
