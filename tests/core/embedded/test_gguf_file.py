"""A file that is no GGUF is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from faq_tui.core.base.errors import FaqError
from faq_tui.core.embedded import EmbeddedModel
from faq_tui.core.embedded.convert import hf_name
from faq_tui.core.embedded.gguf_file import open_gguf


def test_a_file_that_is_no_gguf_is_refused(embedded_model: EmbeddedModel, tmp_path: Path) -> None:
    whole = embedded_model.gguf.read_bytes()[:4096]
    for number, content in enumerate([b"GGUX" + whole[4:], whole, whole[:11], whole[:40] + b"\xff" * 64]):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(content)
        with pytest.raises(FaqError, match="cannot be read as a GGUF"):
            open_gguf(path)
    with pytest.raises(FaqError, match="not"):
        hf_name("blk.0.attn_rotation.weight")
