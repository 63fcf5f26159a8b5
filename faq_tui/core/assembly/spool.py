"""Keep the texts and token ids of samples in a temporary file, so that the memory holds only facts about the samples.

A set of 100,000 samples has gigabytes of token ids as Python integers. The order and the size of a set depend only on
the facts, so the texts and ids are read one sample at a time when the set is written.
"""

from __future__ import annotations

import os
import struct
import tempfile
from array import array
from pathlib import Path
from typing import NamedTuple

from faq_tui.core.assembly.sample import Sample
from faq_tui.core.base.files import full_disk_is_clear

HEAD = struct.Struct("<III")  # number of bytes of the text, of the token ids and of the kinds
BUFFER = 1 << 20


class Content(NamedTuple):
    """The long parts of a sample."""

    text: str
    input_ids: tuple[int, ...]
    kinds: bytes


class SampleSpool:
    """A temporary file without a name. It is gone when the object is closed, or when the process ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=BUFFER)  # noqa: SIM115  `close` closes it
        self._end = 0
        self._flushed = 0

    def close(self) -> None:
        self._file.close()

    def keep(self, sample: Sample) -> Sample:
        """An equal sample whose text, ids and kinds are in the file."""
        text, ids = sample.text.encode("utf-8", "surrogatepass"), array("I", sample.input_ids).tobytes()
        record = HEAD.pack(len(text), len(ids), len(sample.kinds)) + text + ids + sample.kinds
        with full_disk_is_clear(self._folder):
            self._file.write(record)
        stored = StoredSample.of(sample, self, self._end)
        self._end += len(record)
        return stored

    def read(self, offset: int) -> Content:
        if offset >= self._flushed:
            with full_disk_is_clear(self._folder):
                self._file.flush()
            self._flushed = self._end
        number = self._file.fileno()
        lengths = HEAD.unpack(os.pread(number, HEAD.size, offset))
        record = os.pread(number, sum(lengths), offset + HEAD.size)
        ids, kinds = lengths[0], lengths[0] + lengths[1]
        return Content(
            record[:ids].decode("utf-8", "surrogatepass"), tuple(array("I", record[ids:kinds])), record[kinds:]
        )


class StoredSample(Sample):
    """A sample in a spool. Its text, ids and kinds are read from the file whenever they are used."""

    __slots__ = ("_offset", "_spool")
    _spool: SampleSpool
    _offset: int

    @classmethod
    def of(cls, sample: Sample, spool: SampleSpool, offset: int) -> StoredSample:
        stored = object.__new__(cls)
        for name in FACTS:
            object.__setattr__(stored, name, getattr(sample, name))
        object.__setattr__(stored, "_spool", spool)
        object.__setattr__(stored, "_offset", offset)
        return stored

    def content(self) -> Content:
        return self._spool.read(self._offset)

    @property
    def text(self) -> str:
        return self.content().text

    @property
    def input_ids(self) -> tuple[int, ...]:
        return self.content().input_ids

    @property
    def kinds(self) -> bytes:
        return self.content().kinds


FACTS = tuple(name for name in Sample.__dataclass_fields__ if name not in Content._fields)
