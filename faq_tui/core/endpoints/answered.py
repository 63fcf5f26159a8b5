"""Remember which servers have answered a request of this run.

If one of these servers is down when a stage begins, the stage waits for the server.
"""

from __future__ import annotations

from collections.abc import Iterable

from faq_tui.core.base.files import private_folder
from faq_tui.core.base.hashing import digest
from faq_tui.core.run.run import Run
from faq_tui.core.settings import Endpoint

# each line is the hash of a URL; the URL itself is not stored, because it may contain a password
FILE = "answered_servers.txt"


class AnsweredServers:
    """The servers that have answered a request of this run.

    Hashes of their URLs are stored in a file in the run's cache.

    If this file does not exist, no server has answered.
    """

    def __init__(self, run: Run) -> None:
        self._path = run.cache / FILE
        try:
            self._known = set(self._path.read_text(encoding="utf-8", errors="replace").split())
        except OSError:
            self._known = set()

    def add(self, url: str) -> None:
        key = digest(url)
        if key in self._known:
            return
        self._known.add(key)
        private_folder(self._path.parent)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")

    def waits_for(self, endpoints: Iterable[Endpoint]) -> bool:
        """Call this function if all servers of `endpoints` are down when a stage begins.

        The result is True if the stage should wait for the servers. A stage should wait if the settings contain
        `patience_s`, or if one of the servers has answered a request of this run. If no server has ever answered, a
        URL may be wrong, so the stage should fail at once.
        """
        return any(
            endpoint.patience_s > 0
            and ("patience_s" in endpoint.model_fields_set or digest(endpoint.base_url) in self._known)
            for endpoint in endpoints
        )
