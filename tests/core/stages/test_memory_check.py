"""A person learns before a run how the target is read, and that a target which does not fit writes no answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faq_tui.core.doctor import memory_checks
from faq_tui.core.models.devices import GpuInfo
from faq_tui.core.models.memory_need import GIB, MemoryNeed
from faq_tui.core.run.run import Run, open_run
from faq_tui.core.stages import memory_check
from faq_tui.core.stages.memory_check import TargetMemory, memory_notices, target_memory
from tests.support.tiny import TINY_RUN, make_tiny_run

NEED = MemoryNeed(whole=140 * GIB, resident=4 * GIB, layer=2 * GIB, layers=68)
ANSWERS = "only a model that is read as a whole can write held-out answers"


@pytest.fixture(params=[TINY_RUN])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    make_tiny_run(tmp_path, request.param)
    with open_run(tmp_path) as opened:
        yield opened


def given(monkeypatch: pytest.MonkeyPatch, host: int, gpu: int | None) -> None:
    monkeypatch.setattr(memory_check, "free_bytes", lambda _device: host)
    monkeypatch.setattr(memory_check, "first_gpu", lambda: None if gpu is None else GpuInfo("a GPU", gpu))


@pytest.mark.parametrize(
    ("read", "host", "gpu", "by_layers", "too_small"),
    [
        ("auto", 200, None, False, ""),
        ("auto", 100, None, True, ""),
        ("auto", 7, None, True, "host"),
        ("auto", 200, 80, True, ""),
        ("auto", 100, 160, True, ""),
        ("auto", 200, 5, True, "GPU"),
        ("layers", 200, 160, True, ""),
        ("whole", 100, None, False, "host"),
        ("whole", 200, 80, False, "GPU"),
    ],
)
def test_how_the_target_is_read(read: str, host: int, gpu: int | None, by_layers: bool, too_small: str) -> None:
    memory = TargetMemory(NEED, read, host * GIB, None if gpu is None else gpu * GIB)
    assert (memory.by_layers, memory.too_small) == (by_layers, too_small)
    words = memory.in_words()
    assert "140.0 GiB" in words and f"{host:.1f} GiB of host memory" in words
    assert ("need 6.0 GiB of GPU memory and 8.0 GiB of host memory" in words) == (by_layers and gpu is not None)


def test_the_need_depends_on_the_data_type_of_the_computation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, 1 << 40, None)
    on_cpu = target_memory(run)
    given(monkeypatch, 1 << 40, 1 << 40)
    on_gpu = target_memory(run)
    assert on_cpu is not None and on_gpu is not None
    assert on_cpu.need.whole == 2 * on_gpu.need.whole  # float32, and the target's own bfloat16


def test_a_target_that_does_not_fit_is_named_before_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, 1 << 40, None)
    assert memory_notices(run, ["evaluate"]) == []
    (check,) = memory_checks(run)
    assert (check.name, check.state) == ("target memory", "ok") and "as a whole" in check.found
    given(monkeypatch, GIB, None)
    (notice,) = memory_notices(run, ["quantize", "evaluate"])
    assert ANSWERS in notice
    assert memory_notices(run, ["quantize"]) == []
    (check,) = memory_checks(run)
    assert check.state == "warning" and "layer by layer" in check.found and ANSWERS in check.advice


@pytest.mark.parametrize("run", [TINY_RUN + "[evaluate]\nanswers = []\n"], indirect=True)
def test_without_answers_of_the_target_there_is_nothing_to_say(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, GIB, None)
    assert memory_notices(run, ["evaluate"]) == []
    (check,) = memory_checks(run)
    assert check.state == "ok" and "layer by layer" in check.found
