"""How many artefacts are made at the same time, and where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.models.devices import GpuInfo
from faq_tui.core.quantizing import parallel
from faq_tui.core.quantizing.cost_model import QuantizationCost
from faq_tui.core.quantizing.parallel import (
    SMALL_TARGET,
    Hardware,
    MissingArtefact,
    WorkerPlace,
    assignable,
    gpus_refusal,
    places,
    places_on,
    thread_limit,
)
from faq_tui.core.settings import build_recipe
from tests.support.tiny import make_tiny_model

GIB = 1 << 30
UUIDS = ("GPU-aa", "GPU-bb", "GPU-cc", "GPU-dd")
GPUS = [GpuInfo("H200", 100 * GIB, uuid) for uuid in UUIDS]
FOUR = Hardware(gpus=UUIDS, free=dict.fromkeys(UUIDS, 100 * GIB), gpu_name="H200", cores=32, host=500 * GIB)
CPU = Hardware(cores=4, host=16 * GIB)


def cost(gpu: float = 0, host: float = 2) -> QuantizationCost:
    return QuantizationCost(60.0, gpu * GIB, host * GIB, "")


def visible(found: list[WorkerPlace]) -> list[str | None]:
    return [place.env.get("CUDA_VISIBLE_DEVICES") for place in found]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, UUIDS),
        ("0,2", ("0", "2")),
        (" 3 , 1 ", ("3", "1")),
        ("GPU-bb,GPU-aa", ("GPU-bb", "GPU-aa")),
        ("MIG-11,MIG-22", ("MIG-11", "MIG-22")),
        ("1,7,2", ("1",)),  # CUDA ignores a wrong entry and all entries after it
        ("1,-1,2", ("1",)),
        ("2,2,3", ("2",)),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
    ],
)
def test_each_visible_gpu_is_assigned_by_its_own_entry(value: str | None, expected: tuple[str, ...]) -> None:
    assert assignable(value, GPUS) == expected


def test_without_an_nvidia_gpu_nothing_is_assigned() -> None:
    assert assignable("0,1", []) == assignable(None, []) == ()


def test_a_gpu_that_mig_splits_is_assigned_only_by_an_entry_of_the_variable() -> None:
    split = [replace(gpu, split=True) for gpu in GPUS]
    assert assignable(None, split) == ()
    assert assignable("MIG-11,MIG-22", split) == ("MIG-11", "MIG-22")


def test_auto_gives_each_gpu_one_artefact() -> None:
    assert visible(places_on(FOUR, "auto", 9, [cost(20)] * 9, 0)) == list(UUIDS)
    assert visible(places_on(FOUR, "auto", 2, [cost(20)] * 2, 0)) == ["GPU-aa", "GPU-bb"]


def test_a_single_artefact_may_use_every_gpu() -> None:
    assert places_on(FOUR, "auto", 1, [cost(20)], 0) == [WorkerPlace()]
    assert places("auto", "auto", None, ()) == [WorkerPlace()]


def test_auto_leaves_out_a_gpu_that_is_too_full() -> None:
    full = replace(FOUR, free={**FOUR.free, "GPU-aa": 10 * GIB})
    assert visible(places_on(full, "auto", 9, [cost(20)] * 9, 0)) == ["GPU-bb", "GPU-cc", "GPU-dd"]
    # If no GPU has enough memory alone, one worker sees all GPUs.
    assert places_on(FOUR, "auto", 9, [cost(200)] * 9, 0) == [WorkerPlace()]
    # The free memory of an entry such as "0" is not known.
    assert len(places_on(replace(FOUR, gpus=("0", "1")), "auto", 9, [cost(200)] * 9, 0)) == 2


def test_auto_counts_the_host_memory_of_all_workers_together() -> None:
    assert len(places_on(FOUR, "auto", 4, [cost(20, 200), cost(20, 200), cost(20, 90), cost(20, 90)], 0)) == 3
    assert places_on(CPU, "auto", 2, [cost(0, 9), cost(0, 9)], GIB) == [WorkerPlace()]
    assert len(places_on(replace(CPU, host=None), "auto", 2, [cost(0, 9), cost(0, 9)], GIB)) == 2


@pytest.mark.parametrize("short_of", ["gpu", "host"])
def test_the_memory_of_waiting_workers_counts_as_free(
    short_of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of an earlier stage waits for a task, which may never come."""
    full = replace(FOUR, free={**FOUR.free, "GPU-aa": GIB}) if short_of == "gpu" else replace(FOUR, host=GIB)
    waiting = ["worker"]

    def end_kept() -> bool:
        ended = bool(waiting)
        waiting.clear()
        return ended

    monkeypatch.setattr(parallel, "hardware_for", lambda device: full if waiting else FOUR)
    monkeypatch.setattr(parallel, "costs_on", lambda machine, target, missing: (0, [cost(20)] * len(missing)))
    monkeypatch.setattr(parallel, "end_kept", end_kept)
    missing = [MissingArtefact(build_recipe({"method": "gptq"}), 8, 400, 64)] * 9
    assert len(places(1, "auto", tmp_path, missing)) == 1 and len(places(3, "auto", tmp_path, missing)) == 3
    assert waiting, "a number does not depend on the free memory"
    assert len(places("auto", "auto", tmp_path, missing)) == 4 and not waiting
    waiting.append("worker")
    monkeypatch.setattr(parallel, "hardware_for", lambda device: FOUR)
    assert len(places("auto", "auto", tmp_path, missing)) == 4 and waiting, "it gets the next task"


def test_auto_makes_two_artefacts_of_a_small_target_on_a_cpu() -> None:
    two = [cost()] * 5
    assert places_on(CPU, "auto", 5, two, SMALL_TARGET) == [WorkerPlace(threads=2)] * 2
    assert places_on(CPU, "auto", 5, two, SMALL_TARGET + 1) == [WorkerPlace()]
    assert places_on(replace(CPU, cores=1), "auto", 5, two, 1) == [WorkerPlace()]
    assert places_on(replace(CPU, other_gpu=True), "auto", 5, two, 1) == [WorkerPlace()]
    assert places_on(CPU, "auto", 5, None, 0) == [WorkerPlace()], "the costs are not known yet"


def test_a_number_is_taken_as_it_is_but_not_above_the_missing_artefacts() -> None:
    assert places_on(CPU, 3, 5, None, 0) == [WorkerPlace(threads=1)] * 3
    assert len(places_on(CPU, 3, 2, None, 0)) == 2
    assert visible(places_on(FOUR, 6, 9, None, 0)) == [*UUIDS, "GPU-aa", "GPU-bb"]


def test_a_worker_knows_how_many_workers_share_its_gpu() -> None:
    def sharing(machine: Hardware, count: int) -> set[int]:
        return {place.sharing for place in places_on(machine, count, 9, None, 0)}

    assert sharing(FOUR, 4) == {1}
    assert sharing(FOUR, 6) == {2}
    assert sharing(CPU, 3) == {1}
    assert sharing(replace(CPU, other_gpu=True), 3) == {3}


def test_several_gpus_make_an_artefact_together() -> None:
    pairs = ["GPU-aa,GPU-bb", "GPU-cc,GPU-dd"]
    assert visible(places_on(FOUR, "auto", 9, [cost(20)] * 9, 0, each=2)) == pairs
    assert visible(places_on(FOUR, 3, 9, None, 0, each=2)) == [*pairs, pairs[0]]
    assert visible(places_on(FOUR, 2, 9, None, 0, each=1)) == list(UUIDS[:2])
    # Three GPUs of four, or too little host memory for a second artefact: one worker sees all GPUs.
    assert places_on(FOUR, "auto", 9, [cost(20)] * 9, 0, each=3) == [WorkerPlace()]
    assert places_on(FOUR, "auto", 2, [cost(20, 300)] * 2, 0, each=2) == [WorkerPlace()]
    assert places_on(FOUR, 2, 9, None, 0, each=8) == [WorkerPlace()]
    full = replace(FOUR, free={**FOUR.free, "GPU-aa": 10 * GIB})
    assert places_on(full, "auto", 9, [cost(20)] * 9, 0, each=2) == [WorkerPlace()]
    assert places_on(CPU, 2, 9, None, 0, each=2) == [WorkerPlace(threads=2)] * 2


@pytest.mark.parametrize(
    ("each", "device", "env", "gpus", "expected"),
    [
        (1, "cpu", {}, [], ""),
        (2, "auto", {}, GPUS, ""),
        (4, "cuda", {}, GPUS, ""),
        (2, "cpu", {}, GPUS, 'but target.device is "cpu": set gpus_per_artefact = 1, or target.device = "auto"'),
        (2, "auto", {}, [], "but this machine has no GPUs: set gpus_per_artefact = 1"),
        (8, "auto", {}, GPUS, "but this machine has 4 GPUs: set gpus_per_artefact = 4"),
        (2, "auto", {"CUDA_VISIBLE_DEVICES": "3"}, GPUS, "has 1 GPU that CUDA_VISIBLE_DEVICES shows: set gpus_per_"),
        (2, "auto", {"CUDA_VISIBLE_DEVICES": "MIG-11,MIG-22"}, GPUS, "only one part of a GPU that MIG splits"),
        (2, "cuda", {}, [], ""),  # GPUs that only the worker can count
    ],
)
def test_gpus_that_are_not_there_are_known_before(
    each: int, device: str, env: dict[str, str], gpus: list[GpuInfo], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parallel, "all_gpus", lambda: tuple(gpus))
    monkeypatch.setattr(parallel, "GPU_DRIVERS", ())
    found = gpus_refusal(each, device)
    assert expected in found and bool(found) == bool(expected)
    assert not found or found.startswith(f"quantize.gpus_per_artefact is {each}, ")


@pytest.mark.parametrize(
    ("device", "env", "gpus", "expected"),
    [
        ("auto", {}, GPUS[:2], {"gpus": UUIDS[:2], "other_gpu": False}),
        ("cpu", {}, GPUS[:2], {"gpus": (), "other_gpu": False}),
        ("auto", {"CUDA_VISIBLE_DEVICES": "1"}, GPUS[:2], {"gpus": ("1",), "other_gpu": False}),
        ("auto", {"CUDA_VISIBLE_DEVICES": ""}, GPUS[:2], {"gpus": (), "other_gpu": False}),
        ("auto", {}, [replace(GPUS[0], split=True)], {"gpus": (), "other_gpu": True}),
        ("cuda", {}, [], {"gpus": (), "other_gpu": True}),
        ("auto", {}, [], {"gpus": (), "other_gpu": False}),
        ("cpu", {"OMP_NUM_THREADS": "1"}, [], {"cores": 1}),
    ],
)
def test_the_machine_is_what_the_person_left_visible(
    device: str, env: dict[str, str], gpus: list[GpuInfo], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parallel, "all_gpus", lambda: tuple(gpus))
    monkeypatch.setattr(parallel, "GPU_DRIVERS", ())
    machine = parallel.hardware_for(device)
    assert {key: getattr(machine, key) for key in expected} == expected


def test_the_threads_for_a_small_target_do_not_depend_on_other_artefacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    machine = replace(CPU, cores=8)
    for setting, missing in (("auto", 1), ("auto", 5), (1, 5), (2, 1), (2, 5)):
        found = places_on(machine, setting, missing, [cost()] * missing, SMALL_TARGET)  # type: ignore[arg-type]
        assert {thread_limit(place.threads, SMALL_TARGET, "cpu") for place in found} == {4}
    assert thread_limit(2, SMALL_TARGET, "cpu") == 2, "four artefacts at the same time"
    assert thread_limit(None, SMALL_TARGET + 1, "cpu") is thread_limit(None, 1, "cuda") is None
    assert thread_limit(3, SMALL_TARGET + 1, "cpu") == 3
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    assert thread_limit(None, 1, "cpu") == 1


@pytest.mark.slow
def test_the_costs_come_from_the_target_and_the_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_tiny_model(tmp_path / "target")
    missing = [MissingArtefact(build_recipe({"method": "gptq"}), 8, 400, 64)] * 3
    machine = replace(CPU, host=64 * GIB)
    monkeypatch.setattr(parallel, "hardware_for", lambda device: machine)
    assert places("auto", "cpu", target, missing) == [WorkerPlace(threads=2)] * 2
    machine = replace(CPU, host=2 * GIB)
    assert places("auto", "cpu", target, missing) == [WorkerPlace()]
    assert places("auto", "cpu", tmp_path / "nothing", missing) == [WorkerPlace()]
    assert places("auto", "cpu", None, missing) == [WorkerPlace()]
