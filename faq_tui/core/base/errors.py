"""The exit codes, and errors that a person can cause. A message says what failed, where, and what to do."""

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every faq-tui command."""

    DONE = 0
    FAILED = 1  # a stage failed
    USAGE = 2  # bad usage or settings
    UNREACHABLE = 3  # an endpoint is unreachable, or refuses the key or the model name
    STOPPED = 4  # stopped by request; finished work is kept


class FaqError(Exception):
    """A stage failed. The message is shown to the person unchanged."""

    exit_code = ExitCode.FAILED


class UsageError(FaqError):
    """The command line, a setting or an input file is wrong."""

    exit_code = ExitCode.USAGE


class EndpointError(FaqError):
    """A server cannot be reached, or refuses the key or the model name."""

    exit_code = ExitCode.UNREACHABLE


class Stopped(FaqError):
    """The person asked to stop. All finished work is stored."""

    exit_code = ExitCode.STOPPED


def system_reason(error: Exception) -> str:
    """The operating system's own text for an error. If the error has no such text, returns `str(error)`."""
    return getattr(error, "strerror", None) or str(error)


def shortage(error: BaseException) -> str:
    """A sentence that names the limit of this machine that caused the error. "" if no limit caused it."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM or "failed to map segment" in str(error):
        return "the memory is full, or `ulimit -v` is too low: close other programs, or raise the limit"
    if number in (errno.EMFILE, errno.ENFILE):
        return "too many files are open: raise the limit, for example with `ulimit -n 4096`"
    if number == errno.EAGAIN or "can't start new thread" in str(error):
        return (
            "the system starts no more threads or processes: close other programs, or raise the limit of `ulimit -u`"
        )
    return ""
