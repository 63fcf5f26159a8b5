"""The command `faq-tui`: find the subcommand, and convert every error into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from faq_tui import __version__
from faq_tui.cli.streams import drop_stdout, prepare_streams, reader_has_ended
from faq_tui.core.base import torch_free
from faq_tui.core.base.errors import ExitCode, FaqError, UsageError, shortage

# For each command, the name of its module in faq_tui.cli.commands. Only the module of the called command is loaded.
COMMANDS = {
    "demo": "demo",
    "init": "init",
    "run": "run",
    "units": "units",
    "batch": "batch",
    "status": "status",
    "pick": "pick",
    "export": "export",
    "push": "push",
    "try": "try_models",
    "report": "report",
    "compare": "compare",
    "doctor": "doctor",
    "replay": "replay",
    "serve": "serve",
    "completion": "completion",
}


APP = ""  # the name of the command that opens the app; a user cannot type this name
OWN_OPTIONS = ("-h", "--help", "-V", "--version")
EXIT_CODES = (
    "Exit codes: 0 done, 1 a stage failed, 2 bad usage or settings, 3 an endpoint is unreachable, "
    "4 stopped (finished work is kept)."
)


@contextmanager
def end_with_the_reader() -> Iterator[None]:
    """If the program that reads stdout has ended, such as `head` in `faq-tui … | head`, end with exit code 0.

    click would end with exit code 1 after every BrokenPipeError.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        if not reader_has_ended():
            raise FaqError(
                "a process that this command had started ended too early: run the command again"
            ) from error
        drop_stdout()
        raise click.exceptions.Exit(ExitCode.DONE) from None


def check_hub_address() -> None:
    """Raise UsageError if HF_ENDPOINT is no URL. The hub's library cannot even be imported then."""
    try:
        urlsplit(os.environ.get("HF_ENDPOINT", ""))
    except ValueError as error:
        raise UsageError(f"HF_ENDPOINT is not a URL ({error}): unset it, or set it to the address of a hub") from None


class LazyGroup(click.Group):
    """Loads the commands. `--help` and `--version` work without slow imports."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with end_with_the_reader():  # `--help` prints here
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with end_with_the_reader():
            check_hub_address()
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module_name = "app" if cmd_name == APP else COMMANDS.get(cmd_name)
        if module_name is None:
            return None
        module = __import__(f"faq_tui.cli.commands.{module_name}", fromlist=["command"])
        command: click.Command = module.command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """If the first argument is not a command, treat it as the folder of a run and open this run in the app."""
        if not args:
            opens = sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty())
        else:
            first = args[0]
            opens = first not in (*COMMANDS, *OWN_OPTIONS) and (first.startswith("--") or Path(first).is_dir())
        return super().parse_args(ctx, [APP, *args] if opens else args)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, "-V", "--version", message="faq-tui %(version)s")
def faq_tui() -> None:
    """Family-Aware Quantization: regenerate calibration data with a larger model of the same family, judge the
    answers, quantize with this data, and measure whether it helped.

    faq-tui [RUN] [--low-bandwidth] opens RUN in the app. Without RUN, it opens the run in the current
    folder, or shows all your runs.

    To try faq-tui without a GPU, a server or an account: faq-tui demo
    """


def main() -> None:
    """Run a command and exit with a code from `ExitCode`."""
    # Without the variable OMP_WAIT_POLICY, idle threads of torch keep the cores of a shared machine busy. torch reads
    # the variable when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch_free.declare()
    prepare_streams()
    sys.exit(_call())


def _call() -> int:
    try:
        result: Any = faq_tui.main(prog_name="faq-tui", standalone_mode=False)
        return int(result) if isinstance(result, int) else ExitCode.DONE
    except FaqError as error:
        _complain(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "faq-tui"
        _complain(f"{error.format_message().rstrip('.')}: see `{path} --help`")
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):  # click.Abort is a RuntimeError
        _complain("stopped by request; finished work is kept")
        return ExitCode.STOPPED
    except Exception as error:
        if limit := shortage(error):
            _complain(limit)
            return ExitCode.FAILED
        if isinstance(error, OSError):  # a file cannot be written, or the disk is full
            _complain(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
            drop_stdout()
            return ExitCode.FAILED
        if isinstance(error, RuntimeError) and "home directory" in str(error):  # words of Python and of platformdirs
            _complain(
                "$HOME is not set, and the system's list of users does not name this user: set $HOME to a folder"
            )
            return ExitCode.USAGE
        raise


def _complain(sentence: str) -> None:
    from faq_tui.core.base.text import sanitize

    click.echo(f"faq-tui: {sanitize(sentence)}", err=True)


if __name__ == "__main__":
    main()
