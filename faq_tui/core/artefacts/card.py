"""The facts about one artefact: its size, its place and the servers that can load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faq_tui.core.artefacts.quality import quality_in_words
from faq_tui.core.base.errors import FaqError
from faq_tui.core.base.shell import command_line
from faq_tui.core.models.dense import SERVERS, format_of, quantization_of
from faq_tui.core.quantizing.output import is_whole
from faq_tui.core.quantizing.servable import doubts, serve_commands
from faq_tui.core.run.delete_run import disk_bytes
from faq_tui.core.run.run import Run
from faq_tui.core.store.artefacts import Artefact

TITLES = {"vllm": "vLLM", "sglang": "SGLang"}


@dataclass(frozen=True)
class ArtefactCard:
    """`commands` maps each server that can load the folder to the command that serves it."""

    artefact: Artefact
    folder: Path
    size: int  # bytes on the disk
    commands: dict[str, str]
    doubts: tuple[str, ...]  # reasons why a server may refuse the folder
    quality: str = ""  # the artefact's KL, and the lowest KL of the run's artefacts

    @property
    def command(self) -> str:
        """The command of the first server; "" if no server can load the folder."""
        return next(iter(self.commands.values()), "")

    @property
    def push_command(self) -> str:
        """The command that uploads the folder to the hub. A person must replace USER."""
        name = self.artefact.name
        return command_line("push", self.folder.parent.parent, name, f"USER/{name}")

    @property
    def servers(self) -> str:
        """The servers that can load the folder, in words."""
        names = [TITLES.get(name, name) for name in SERVERS if name in self.commands]
        unknown = "faq-tui knows no server that can load this folder; the key t tries the artefact"
        return ", ".join(names) if names else unknown


def card_of(run: Run, artefact: Artefact) -> ArtefactCard:
    """Read the folder of an artefact. Raises FaqError if the folder is not complete."""
    folder = run.models / artefact.folder
    if not is_whole(folder):
        raise FaqError(f"{artefact.name} has no complete folder {folder}: quantize it again")
    try:
        format = format_of((quantization_of(folder) or {}).get("quant_method"))
        commands = serve_commands(folder, format) if format is not None else {}
        reasons = doubts(folder) if format is not None else ["faq-tui does not know the format of the weights"]
    except (OSError, ValueError, AttributeError) as error:
        commands, reasons = {}, [f"config.json cannot be read ({type(error).__name__})"]
    quality = quality_in_words(run.store, artefact)
    return ArtefactCard(artefact, folder, disk_bytes(folder), commands, tuple(reasons), quality)
