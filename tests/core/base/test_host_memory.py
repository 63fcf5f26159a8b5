"""Free memory is limited by the control groups of this process."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from faq_tui.core.base.host_memory import free_host_bytes

GIB = 1 << 30


def machine(root: Path, files: dict[str, str], available_gib: int = 100) -> Path:
    for name, text in {"proc/meminfo": f"MemAvailable: {available_gib << 20} kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(path: str, limit: str, use_gib: int, inactive_gib: int = 0) -> dict[str, str]:
    folder = f"sys/fs/cgroup/{path}"
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{use_gib * GIB}\n",
        f"{folder}/memory.stat": f"anon 1\ninactive_file {inactive_gib * GIB}\n",
    }


def test_without_groups_it_is_the_available_memory(tmp_path: Path) -> None:
    assert free_host_bytes(machine(tmp_path, {})) == 100 * GIB
    assert free_host_bytes(tmp_path / "nothing") is None


def test_a_limit_of_a_group_or_of_its_ancestor_counts(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/slurm/job_1/step\n", **v2("slurm/job_1/step", "max", 3)}
    assert free_host_bytes(machine(tmp_path, files)) == 100 * GIB
    files |= v2("slurm/job_1", str(16 * GIB), 10)
    assert free_host_bytes(machine(tmp_path, files)) == 6 * GIB
    assert free_host_bytes(machine(tmp_path, files, available_gib=2)) == 2 * GIB


def test_file_pages_that_the_kernel_can_drop_are_free(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/a\n", **v2("a", str(16 * GIB), 15, inactive_gib=12)}
    assert free_host_bytes(machine(tmp_path, files)) == 13 * GIB


def test_in_a_container_the_mounted_folder_is_the_group(tmp_path: Path) -> None:
    for path in ("/", "/not/shown/here", "/../../other"):
        root = machine(tmp_path / str(len(path)), {"proc/self/cgroup": f"0::{path}\n", **v2(".", str(8 * GIB), 9)})
        assert free_host_bytes(root) == 0


@pytest.mark.parametrize("limit", [8 * GIB, 9223372036854771712])
def test_version_1(tmp_path: Path, limit: int) -> None:
    folder = "sys/fs/cgroup/memory/docker/abc"
    files = {
        "proc/self/cgroup": "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n",
        f"{folder}/memory.limit_in_bytes": str(limit),
        f"{folder}/memory.usage_in_bytes": str(6 * GIB),
        f"{folder}/memory.stat": f"cache 5\ntotal_inactive_file {GIB}\n",
    }
    assert free_host_bytes(machine(tmp_path, files)) == min(100 * GIB, limit - 5 * GIB)


def test_here() -> None:
    free = free_host_bytes()
    assert free is not None and 0 < free <= 1.2 * psutil.virtual_memory().total
