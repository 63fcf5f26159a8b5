"""Text files that `faq.toml` names: the prompt and the system turn of a source, and the rubric of the judge.

Each text is read together with the settings, because its hash is part of the keys of candidates or scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

MOST_BYTES = 1 << 20
QUESTION = "{question}"


class PromptFile(str):
    """The path of a text file, as it is written in `faq.toml`.

    `text` is the content of the file, without white space at the beginning and the end.
    """

    text: str


def _read(value: str, info: ValidationInfo) -> PromptFile:
    """Read the file. A relative path is resolved from the folder in the validation context."""
    file = PromptFile(value)
    file.text = ""
    folder: Path | None = (info.context or {}).get("folder")
    if folder is None:  # the settings are being checked before the run's folder exists
        return file
    try:
        path = folder / Path(value).expanduser()
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        file.text = data.decode("utf-8-sig").replace("\r\n", "\n").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{value} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot read {value} ({error.strerror}): write the file, or remove the key") from None
    # the path has a NUL character, or begins with ~ and the name of an unknown user
    except (ValueError, RuntimeError):
        raise ValueError("this is not the path of a file") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{value} is longer than 1 MiB: is it the right file?")
    if not file.text:
        raise ValueError(f"{value} is empty: write the text, or remove the key")
    if "\0" in file.text:
        raise ValueError(f"{value} contains a NUL character: is it a text file?")
    return file


def _with_question(file: PromptFile) -> PromptFile:
    if file.text and QUESTION not in file.text:
        raise ValueError(f"{file} does not contain {QUESTION}: write it where the question belongs")
    return file


TextFile = Annotated[str, AfterValidator(_read)]
QuestionFile = Annotated[str, AfterValidator(_read), AfterValidator(_with_question)]


def text_of(path: str | None) -> str | None:
    """The text of a key of the type TextFile or QuestionFile; None if the key has no value."""
    return path.text if isinstance(path, PromptFile) else None
