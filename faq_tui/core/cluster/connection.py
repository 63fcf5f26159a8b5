"""Connect to a Ray cluster, or start one on this machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from faq_tui.core.base.errors import EndpointError, UsageError

LOCAL = "local"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # otherwise Ray sends statistics to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# With this value, a cluster that this process starts listens only on the loopback address, on any system.
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True)
class ClusterNode:
    """One machine of the cluster. Memory is in bytes, as Ray counts it."""

    name: str
    cpus: float
    gpus: float
    memory: float

    def in_words(self) -> str:
        parts = [f"{self.gpus:g} GPU"] if self.gpus else []
        return f"{self.name} ({', '.join([*parts, f'{self.cpus:g} CPU'])})"


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield the module `ray`, connected to the cluster at `address`: "local", "auto" or "ray://HOST:PORT".

    "local" starts a cluster of this machine alone, whose ports are open only for this machine. Raises UsageError if
    Ray is not installed, and EndpointError if the cluster does not answer.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("a cluster needs Ray: pip install 'faq-tui[ray]'")
    wanted = QUIET | (LOOPBACK_ONLY if address == LOCAL else {})
    os.environ |= {name: os.environ.get(name, value) for name, value in wanted.items()}
    import ray

    handlers = {number: signal.getsignal(number) for number in STOPPING}
    common: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    try:
        if address == LOCAL:
            ray.init(address=LOCAL, include_dashboard=False, **common)
        else:
            ray.init(address=address, **common)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EndpointError(
            f"no Ray cluster answers at cluster.address = {address!r} ({reason}): start one with `ray start --head`, "
            'or set "local"'
        ) from None
    _restore(handlers)
    try:
        yield ray
    finally:
        ray.shutdown()


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    """Undo Ray's handlers of signals: its handler of SIGTERM ends the job at once, without a safe point."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)


def nodes_of(ray: Any) -> list[ClusterNode]:
    """The machines that are alive."""
    found = []
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            name = node["NodeManagerHostname"]
            found.append(ClusterNode(name, has.get("CPU", 0.0), has.get("GPU", 0.0), has.get("memory", 0.0)))
    return sorted(found, key=lambda node: node.name)
