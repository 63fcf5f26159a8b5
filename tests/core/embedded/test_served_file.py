"""The server's file has the metadata and the weights of the published file, in a type with a fast kernel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faq_tui.core.embedded import EmbeddedModel, gguf_file, served_file
from faq_tui.core.embedded.served_file import ensure_served, write_served


@pytest.mark.slow
def test_the_file_of_the_server_has_the_published_weights(embedded_model: EmbeddedModel, tmp_path: Path) -> None:
    from gguf.quants import dequantize

    old = gguf_file.open_gguf(embedded_model.gguf)
    write_served(old, tmp_path / "served.gguf")
    new = gguf_file.open_gguf(tmp_path / "served.gguf")
    assert [tensor.name for tensor in new.tensors] == [tensor.name for tensor in old.tensors]
    assert {tensor.tensor_type.name for tensor in new.tensors} == {"F32", "Q8_0"}
    assert new.fields.keys() == old.fields.keys()
    for before, after in zip(old.tensors, new.tensors, strict=True):
        assert after.shape.tolist() == before.shape.tolist()
        wanted, found = (dequantize(one.data, one.tensor_type).reshape(-1, 32) for one in (before, after))
        limit = np.abs(wanted).max(-1, keepdims=True) / 254 * 1.2  # half a step, and the scale's rounding to float16
        assert (np.abs(found - wanted) <= limit).all(), before.name
    for key in ("tokenizer.ggml.tokens", "llama.rope.freq_base", "tokenizer.chat_template"):
        assert gguf_file.value(new, key) == gguf_file.value(old, key)


def test_the_file_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAQ_TUI_CACHE", str(tmp_path))
    monkeypatch.setattr(served_file, "ensure_gguf", lambda say: tmp_path / "old.gguf")
    monkeypatch.setattr(gguf_file, "open_gguf", lambda path: path)
    monkeypatch.setattr(served_file, "write_served", lambda reader, path: path.write_bytes(reader.name.encode()))
    said: list[str] = []
    found = [ensure_served(said.append) for _ in range(2)]
    assert found[0] == found[1] and found[0].read_bytes() == b"old.gguf"
    assert len(said) == 1 and "for the embedded server" in said[0]
    assert sorted(path.name for path in found[0].parent.iterdir()) == [found[0].name, "lock"]
