"""The errors a person can cause: one sentence each (what, where, what to do), and the exit codes."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What every faq-tui command returns to the shell."""

    DONE = 0
    FAILED = 1  # a stage failed
    USAGE = 2  # bad usage or settings
    UNREACHABLE = 3  # an endpoint is unreachable, or refuses us
    STOPPED = 4  # stopped by request; finished work is kept


class FaqError(Exception):
    """A stage failed; the message is the whole sentence a person reads."""

    exit_code = ExitCode.FAILED


class UsageError(FaqError):
    """The command line, a setting or an input file is wrong."""

    exit_code = ExitCode.USAGE


class EndpointError(FaqError):
    """A server cannot be reached, or refuses the key or the model name."""

    exit_code = ExitCode.UNREACHABLE


class Stopped(FaqError):
    """The person asked to stop. What was finished is stored."""

    exit_code = ExitCode.STOPPED
