"""Explain in one sentence why a task failed, and what to do."""

from __future__ import annotations

NO_DATA = frozenset(
    {
        *("ConnectionError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "DatasetNotFoundError"),
        *("DataFilesNotFoundError", "FileNotFoundError", "HfHubHTTPError", "GatedRepoError", "NotExistError"),
        *("RepositoryNotFoundError", "_DownloadDeadlineError", "HTTPError", "ConnectTimeout", "MaxRetryError"),
    }
)
LONGEST = 200  # messages of other programs are cut to this number of characters


def explain(engine: str, task: str, names: list[str], message: str) -> str:
    """Explain an error in one sentence.

    `names` is the result of `names_of(error)`, and `message` is the text of the error.
    """
    reason = " ".join(message.split())[:LONGEST]
    if "not a registered task" in message or ("Benchmark" in message and "not found" in message):
        return f"{engine} has no task {task!r}: check its name, or set include_path to the folder of your own task"
    if {"ModuleNotFoundError", "ImportError"} & set(names):
        return f"{task} of {engine} needs a package that is not installed ({reason}): install it"
    if "APIConnectionError" in names or "APITimeoutError" in names:
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
