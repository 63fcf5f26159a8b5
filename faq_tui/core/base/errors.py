"""The exit codes, and errors that a person can cause. A message says what failed, where, and what to do."""

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
