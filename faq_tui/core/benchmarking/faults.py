"""Explain in one sentence why a task failed, and what to do."""

from __future__ import annotations

import re

from faq_tui.core.settings.evaluate import EVALSCOPE

# Errors of the clients with which evalscope (openai) and lm_eval (aiohttp, requests) call a server.
REFUSED = frozenset({"APIStatusError", "ClientResponseError", "HTTPError"})
NO_ANSWER = frozenset(
    {"APIConnectionError", "APITimeoutError", "ClientConnectionError", "ConnectionError", "Timeout", "TimeoutError"}
)
WINDOW = re.compile(r"max_tokens|max_model_len|context.{0,9}(?:length|size|window)", re.IGNORECASE)
SHORTER = "set a smaller max_tokens under [evaluate.evalscope.sampling], or serve the model with a larger window"
NO_DATA = frozenset(
    {
        *("ConnectionError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "DatasetNotFoundError"),
        *("DataFilesNotFoundError", "FileNotFoundError", "HfHubHTTPError", "GatedRepoError", "NotExistError"),
        *("RepositoryNotFoundError", "_DownloadDeadlineError", "HTTPError", "ConnectTimeout", "MaxRetryError"),
    }
)
LONGEST = 200  # messages of other programs are cut to this number of characters


def explain(engine: str, task: str, names: list[str], message: str, at_server: bool = False) -> str:
    """Explain an error in one sentence.

    `names` is the result of `names_of(error)`, and `message` is the text of the error. `at_server` is True if the
    error occurred during a request to the server of the model.
    """
    reason = " ".join(message.split())[:LONGEST]
    if "not a registered task" in message or ("Benchmark" in message and "not found" in message):
        return f"{engine} has no task {task!r}: check its name, or set include_path to the folder of your own task"
    if {"ModuleNotFoundError", "ImportError"} & set(names):
        return f"{task} of {engine} needs a package that is not installed ({reason}): install it"
    if at_server and REFUSED & set(names):
        advice = SHORTER if engine == EVALSCOPE and WINDOW.search(message) else "read its reason in the job's log.txt"
        return f"{task} of {engine}: the server refused a request ({reason}): {advice}"
    if at_server and NO_ANSWER & set(names):
        return f"{task} of {engine}: the server no longer answers ({reason}): check the server's log"
    if NO_DATA & set(names):
        return (
            f"the data of {task} ({engine}) cannot be loaded ({reason}): check the network, or download it beforehand"
        )
    return f"{task} of {engine} failed with {names[0]}: {reason}"


def names_of(error: BaseException) -> list[str]:
    """The class names of the error and of all errors that caused it. The names of base classes are included."""
    names, seen = list[str](), set[int]()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        names += [kind.__name__ for kind in type(at).__mro__]
        at = at.__cause__ or at.__context__
    return names
