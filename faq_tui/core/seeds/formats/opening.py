"""Open a seed file as UTF-8 bytes: decompress it while it is read, and convert other encodings.

The first bytes of a file, not its suffix, show how it is compressed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from faq_tui.core.base.errors import UsageError

PACKED_SUFFIXES = (".gz", ".gzip", ".bz2", ".xz", ".lzma", ".zst", ".zstd")
_PACKED = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x04\x22\x4d\x18": "an LZ4 file",
    b"\xff\x06\x00\x00sNaPpY": "a Snappy file",
}
_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
PARQUET = b"PAR1"
TAR_AT = 257  # position of the text `ustar` in a tar archive

# Compression makes the text of real data sets 3 to 30 times smaller. A file that grows much more when it is unpacked
# is treated as an attack.
MOST_GROWTH = 250
FREE_BYTES = 1 << 28  # the growth is checked only after this many bytes were unpacked
BUFFER = 1 << 17
# number of compressed bytes that are unpacked in one step; even so few bytes may become 100 MiB of text
ZSTD_CHUNK = 1 << 12
ENDS_EARLY = (EOFError, OSError, zlib.error, lzma.LZMAError)


def plain_suffix(path: Path) -> str:
    """The suffix of the file in lower case, without a suffix for compression. For `a.JSONL.gz`, the result is
    `.jsonl`.

    The result is "" if the file has no other suffix.
    """
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in PACKED_SUFFIXES else suffix


def packing_of(path: Path) -> str:
    """The compression of the file: gzip, bzip2, xz or zstd; "" for a file that is not compressed.

    Raises UsageError for an archive of several files.
    """
    with path.open("rb") as file:
        head = file.read(1 << 11)
    if head[TAR_AT : TAR_AT + 5] == b"ustar":
        raise UsageError(f"{path} is a tar archive: unpack it, and name its file or folder")
    if head.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in head:
        raise UsageError(
            f"{path} does not match its file extension: it is an Excel or other Office file; save it as CSV in UTF-8"
        )
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            raise UsageError(
                f"{path} does not match its file extension: it is {name}; unpack it, and give the "
                "file or folder with the seeds"
            )
    packing = next((name for magic, name in _PACKED.items() if head.startswith(magic)), "")
    if packing == "bzip2" and not (head[3:4].isdigit() and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
        return ""
    return packing


@contextmanager
def opened(path: Path, encoding: str | None = None) -> Iterator[BinaryIO]:
    """The file's bytes in UTF-8, unpacked. `encoding` is the encoding of the text; None means UTF-8.

    Raises UsageError if the file is in another encoding, broken or an archive. The error may be raised only later,
    when the bytes are read.
    """
    with _unpacked(path) as file:
        if encoding is not None and encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
            yield cast(BinaryIO, io.BufferedReader(_Converted(file, path, encoding), BUFFER))
            return
        head = file.peek(4)[:4]
        other = next((name for mark, name in _MARKS.items() if head.startswith(mark)), _unmarked(head))
        if other is not None:
            raise UsageError(
                f"{path} does not match its file extension: it is text in {other.upper()}, not in UTF-8; set "
                f'seeds.encoding = "{other}"'
            )
        yield cast(BinaryIO, file)


def _unmarked(head: bytes) -> str | None:
    """The name of the encoding if the text begins like UTF-16 without a byte order mark; None for other text."""
    if len(head) < 4:
        return None
    zeros = "".join("0" if byte == 0 else "x" for byte in head[:4])
    return {"x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(zeros)


@contextmanager
def as_plain_file(path: Path) -> Iterator[Path]:
    """The path of the unpacked file. If the file is packed, this is a temporary copy, which is removed at the end."""
    if not packing_of(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="faq-tui-") as folder:
        plain = Path(folder) / f"unpacked{plain_suffix(path)}"
        with _unpacked(path) as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out, BUFFER)
        yield plain


def first_bytes(path: Path, count: int = 1 << 16) -> bytes:
    """The first bytes of the unpacked file. Raises the same errors as `opened`."""
    with _unpacked(path) as file:
        return file.read(count)


@contextmanager
def _unpacked(path: Path) -> Iterator[io.BufferedReader[Any]]:
    packing = packing_of(path)
    with path.open("rb") as raw:
        if not packing:
            yield raw
            return
        with _decompressor(raw, packing, path) as source:
            file: io.BufferedReader[Any] = io.BufferedReader(_Unpacked(source, raw, path, packing), BUFFER)
            if file.peek(TAR_AT + 5)[TAR_AT : TAR_AT + 5] == b"ustar":
                raise UsageError(f"{path} is a tar archive: unpack it, and give its file or folder")
            yield file


def _decompressor(raw: BinaryIO, packing: str, path: Path) -> IO[bytes]:
    if packing == "gzip":
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if packing == "bzip2":
        return bz2.BZ2File(raw)
    if packing == "xz":
        return lzma.LZMAFile(raw)
    try:
        import zstandard
    except ImportError:
        raise UsageError(
            f"{path} is packed with zstd: `pip install zstandard`, or unpack it with `zstd -d`"
        ) from None
    return cast(IO[bytes], io.BufferedReader(_Zstd(raw, zstandard.ZstdDecompressor()), BUFFER))


class _Pieces(io.RawIOBase):
    """A readable file whose bytes are produced in pieces of any size."""

    # a memoryview, because slices of bytes would copy the rest at each read and take quadratic time
    _left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or memoryview(self._next())
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def _next(self) -> bytes:
        """The next piece; empty at the end of the file."""
        raise NotImplementedError


class _Zstd(_Pieces):
    """A readable file with the decompressed frames of a zstd file.

    The library's own reader does not report a truncated file.
    """

    def __init__(self, raw: BinaryIO, zstd: Any) -> None:
        self._raw, self._zstd = raw, zstd
        self._frame: Any = None
        self._packed = b""

    def _next(self) -> bytes:
        data = b""
        while not data:
            self._packed = self._packed or self._raw.read(ZSTD_CHUNK)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the end of the file is missing")
                break
            self._frame = self._frame or self._zstd.decompressobj()
            data, self._packed = self._frame.decompress(self._packed), b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        return data


class _Unpacked(io.RawIOBase):
    """The output of a decompressor.

    Reading fails if the file is truncated, or if the output is more than MOST_GROWTH times longer than the file.
    """

    def __init__(self, source: IO[bytes], raw: BinaryIO, path: Path, packing: str) -> None:
        self._source, self._raw, self._path, self._packing = source, raw, path, packing
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        # `except` cannot name zstandard's error class, because zstandard may not be installed
        except Exception as error:
            if not isinstance(error, ENDS_EARLY) and type(error).__name__ != "ZstdError":
                raise
            reason = " ".join(str(error).split())[:100]
            raise UsageError(
                f"{self._path} is not a complete {self._packing} file ({reason}): fetch it again"
            ) from None
        self._count += len(data)
        if self._count > FREE_BYTES and self._count > MOST_GROWTH * self._raw.tell():
            raise UsageError(
                f"{self._path} grows to more than {MOST_GROWTH} times its size when it is unpacked, which is too "
                "much for text: unpack it yourself if you trust it"
            )
        buffer[: len(data)] = data
        return len(data)


class _Converted(_Pieces):
    """A text file converted to UTF-8."""

    def __init__(self, file: BinaryIO, path: Path, encoding: str) -> None:
        self._text = io.TextIOWrapper(file, encoding=encoding, errors="strict", newline="")
        self._path, self._encoding = path, encoding

    def _next(self) -> bytes:
        try:
            return self._text.read(BUFFER).encode("utf-8")
        except UnicodeError:
            raise UsageError(f"{self._path} is not text in {self._encoding}: set another seeds.encoding") from None
