"""Settings in `[target]`, `[seeds]` and `[preset]`: the model that is quantized, and the questions."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import Field, field_validator

from faq_tui.core.extensions import SEED_FORMATS
from faq_tui.core.settings.section import AddedLater, Count, DescribedBy, Section

# Encodings of host names. Files do not use these encodings, and decoding a long line with them is very slow.
NAMES_OF_HOSTS = ("idna", "punycode")


def seed_kinds() -> str:
    """The comment of the key `seeds.path`. The comment lists the suffixes of seed files and all other possible
    values."""
    formats = SEED_FORMATS.all()
    endings = [suffix.removeprefix(".") for one in formats for suffix in one.suffixes]
    others = [one.title for one in formats if not one.suffixes]
    return ", ".join([*endings, *others, 'or "starter"'])


class Target(Section):
    """The model that is quantized."""

    model: Annotated[str, Field(description='hub id, local folder, or "embedded"')]
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="where the model is loaded")] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(description="data type of the weights in judging and evaluation"),
    ] = "auto"
    read: Annotated[
        Literal["auto", "whole", "layers"],
        Field(description="how weights are read; layers: one layer at a time; auto: as the free memory allows"),
        AddedLater(),
    ] = "auto"
    trust_remote_code: Annotated[bool, Field(description="if true, Python code in the model's folder is run")] = False


FieldName = Literal[
    "rows", "messages", "system", "prompt", "input", "answer", "id", "category", "language"
]  # in a JSON object, the list of seeds may be in the field `rows`


class Seeds(Section):
    """Where the questions come from, and how many are used."""

    path: Annotated[
        str, Field(description='a file, the id of a data set on the hub, or "starter"'), DescribedBy(seed_kinds)
    ]
    count: Annotated[Count, Field(description="number of seeds that are regenerated")] = 256
    heldout: Annotated[int, Field(ge=0, description="number of further seeds, which only the evaluation uses")] = 32
    sample_seed: Annotated[
        int, Field(description="number that fixes the random draw; with another number, other seeds are drawn")
    ] = 0
    shape: Annotated[
        Literal["auto", "messages", "prompt", "text"], Field(description="form of the question in a record")
    ] = "auto"
    prompt_field: Annotated[
        str | None,
        Field(description="field with the question; default: a field with a common name", examples=["question"]),
    ] = None
    answer_field: Annotated[
        str | None,
        Field(description="field with the original answer; default: a field with a common name", examples=["answer"]),
    ] = None
    split: Annotated[str, Field(description="which split of a data set on the hub is read")] = "train"
    config: Annotated[
        str | None,
        Field(
            min_length=1,
            description="configuration (subset) of a data set on the hub; default: the only one",
            examples=["main"],
        ),
        AddedLater(),
    ] = None
    revision: Annotated[
        str | None,
        Field(
            min_length=1,
            description="branch, tag or commit of a data set on the hub; default: its main branch",
            examples=["main"],
        ),
        AddedLater(),
    ] = None
    streaming: Annotated[
        bool,
        Field(description="if false, the whole split of a hub data set is downloaded before the first row is read"),
        AddedLater(),
    ] = True
    # A key is a field of faq-tui, and its value is the name of this field in the file. "a.b" is the field b of the
    # object in the field a. If system is "", system columns are ignored.
    fields: Annotated[
        dict[FieldName, str] | None,
        Field(
            description="names of faq-tui's fields in the file; default: common names",
            examples=[{"prompt": "data.ask"}],
        ),
        AddedLater(),
    ] = None
    encoding: Annotated[
        str | None,
        Field(description="encoding of a text file; default: UTF-8", examples=["latin-1"]),
        AddedLater(),
    ] = None
    on_problem: Annotated[
        Literal["skip", "refuse"], Field(description="what to do if a line is broken, empty or repeated")
    ] = "skip"

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                "".encode(encoding)  # some codecs do not turn text into bytes; for them, this line raises an error
                b"".decode(encoding)
                if codecs.lookup(encoding).name in NAMES_OF_HOSTS:
                    raise LookupError
            except (LookupError, ValueError):
                raise ValueError(
                    'there is no text encoding of this name; try "utf-16", "latin-1" or "cp1252"'
                ) from None
        return encoding


class Preset(Section):
    """The published table that `faq-tui status` compares the results with.

    `faq-tui init --preset` writes this section.
    """

    name: Annotated[
        str,
        Field(
            pattern=r"^paper/table([1-9]|1[01])$",
            description="table of the FAQ paper that `faq-tui status` compares the results with",
            examples=["paper/table1"],
        ),
    ]
    model: Annotated[str, Field(description="the target's name in that table", examples=["Qwen3-8B"])]
