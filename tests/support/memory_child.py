"""A child process that runs one worker task on a large model and prints the peak of its own memory.

Called as `python -m tests.support.memory_child TASK SPEC.json`. Only anonymous memory counts: pages of mapped files
are the system's cache, which it drops when memory is short.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faq_tui.core.base.cancel import CancelToken


def anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not report RssAnon")


def task_of(name: str) -> Callable[..., None]:
    from faq_tui.core.activations import task as activations
    from faq_tui.core.evaluation import task as evaluate
    from faq_tui.core.judging.judges import activation_task, likelihood

    return {
        "evaluate": evaluate.run,
        "activations": activations.run,
        "likelihood": likelihood.run_task,
        "judge_activations": activation_task.run,
    }[name]


def main(name: str, spec: dict[str, Any]) -> None:
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.AutoModelForCausalLM, transformers.LlamaForCausalLM  # noqa: B018  imported before the measurement
    task, done = task_of(name), threading.Event()
    before = peak = anonymous_bytes()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    messages: list[str] = []
    try:
        task(spec, lambda kind, **_: messages.append(kind), CancelToken())
    finally:
        done.set()
        watcher.join()
    print(json.dumps({"peak": peak - before, "messages": sorted(set(messages))}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()))
