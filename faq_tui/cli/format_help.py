"""The help of a command that can write several formats."""

from __future__ import annotations

from typing import Any

import click

from faq_tui.core.extensions import Registry


class FormatCommand(click.Command):
    """A command whose help describes every available format."""

    def __init__(self, *args: Any, formats: Registry, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.formats = formats

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Formats"):
            formatter.write_dl([(one.name, one.help) for one in self.formats.all()])
        super().format_epilog(ctx, formatter)
