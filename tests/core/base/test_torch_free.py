"""A process that needs only tokenizers loads them without torch, and can import torch itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.tiny import make_tiny_tokenizer

HIDDEN = """
import importlib.util, os, sys
from faq_tui.core.base import torch_free
found = importlib.util.find_spec
with torch_free.hidden_torch():
    assert importlib.util.find_spec("torch") is None and importlib.util.find_spec("json") is not None
    assert os.environ[torch_free.QUIET] == "1"
    try:
        import torch
    except ModuleNotFoundError:
        pass
    else:
        raise AssertionError("torch was imported")
assert importlib.util.find_spec is found and found("torch") is not None and torch_free.QUIET not in os.environ
"""
LOADED = """
import sys
from faq_tui.core.base import torch_free
from faq_tui.core.models.tokenizer import tokenizer_of
torch_free.declare()
tokenizer = tokenizer_of(sys.argv[1], False)
assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == sys.argv[2]
assert "torch" not in sys.modules
import torch
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_torch_is_hidden_only_inside_the_block() -> None:
    run(HIDDEN)


@pytest.mark.slow
def test_a_tokenizer_is_loaded_without_torch_and_without_a_warning(tmp_path: Path) -> None:
    tokenizer = make_tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    shown = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert "PyTorch" not in run(LOADED, str(tmp_path), shown)
