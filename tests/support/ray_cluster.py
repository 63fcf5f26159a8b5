"""A real Ray cluster of three machines on this one, whose ports are open only on the loopback address."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# Ray reads these variables when it is imported. With the first one, it uses the loopback address for everything.
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
    # a lost machine is noticed within seconds
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@contextmanager
def three_machines(cpus: int = 1) -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster`. The variable RAY_ADDRESS names it meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        size = {"num_cpus": cpus, "object_store_memory": 80 << 20, "memory": 6 << 30, "node_ip_address": "127.0.0.1"}
        cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
        try:
            for _ in range(2):
                cluster.add_node(**size)
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield cluster
        finally:
            cluster.shutdown()


def open_ports(pids: set[int]) -> set[str]:
    """The addresses at which the processes listen."""
    import psutil

    listening = (one for one in psutil.net_connections("inet") if one.status == psutil.CONN_LISTEN)
    return {one.laddr.ip for one in listening if one.pid in pids}


def processes() -> set[int]:
    """All children of this process, to which the machines of a cluster belong."""
    import psutil

    return {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
