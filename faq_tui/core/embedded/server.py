"""`python -m faq_tui.core.embedded.server [--port N]`: llama.cpp's server on 127.0.0.1, in this process.

When the server is ready, it prints one line of JSON on stdout: `{"base_url": ..., "model": ...}`. All other output
goes to stderr. `running_server` uses the option `--lifeline`. With this option, the server ends when its stdin is
closed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from faq_tui.core.base.errors import FaqError, UsageError
from faq_tui.core.base.process import lower_priority
from faq_tui.core.embedded.gguf_file import MODEL_NAME
from faq_tui.core.embedded.served_file import ensure_served
from faq_tui.core.worker.child import follow_lifeline
from faq_tui.core.worker.parent import QUIET_THREADS

HOST = "127.0.0.1"
SLOTS = 8  # number of concurrent requests; 8 requests give 1.6 times the tokens per second of 1 request
SLOT_TOKENS = 1024  # largest number of tokens in a prompt and its answer; with this limit, the cache takes 190 MB
HEALTH_TIMEOUT_S = 60.0


def start(gguf: Path, port: int) -> Any:
    """Load the model and listen on `port`, or on a free port if `port` is 0.

    Returns the server as an object. When the object is deleted, the server ends. Raises UsageError if xllamacpp is
    not installed, and FaqError if the model does not load or the port is taken.
    """
    # llama.cpp's OpenMP reads these variables when it is loaded. Without these variables, OpenMP's idle threads would
    # use the CPU while they wait. On a busy machine, this can block the server.
    for name, value in QUIET_THREADS.items():
        os.environ.setdefault(name, value)
    try:
        import xllamacpp
    except ImportError as error:
        raise UsageError(f"the embedded server needs xllamacpp ({error}): pip install 'faq-tui[embedded]'") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    # xllamacpp expects a set of names. From a string, xllamacpp would take each letter as a name.
    params.model_alias = {MODEL_NAME}
    params.hostnames, params.port = [HOST], port
    params.n_parallel, params.n_ctx = SLOTS, SLOTS * SLOT_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads()
    # Without these settings, llama.cpp would keep the prompts of finished requests in up to 8 GB of memory.
    params.cache_ram_mib, params.cache_idle_slots = 0, False
    params.endpoint_metrics, params.ui = True, False
    params.cors_origins = f"http://{HOST}"  # web pages of other sites must not use the server
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise FaqError(f"the embedded server did not start on port {port or 'any'}: {reason}") from None


def threads() -> int:
    """The number of server threads.

    One core is left for the pipeline. The server's threads wait for each other without sleeping. With a thread on
    every core, the server would become many times slower whenever another process computes. More than 8 threads do
    not make the embedded model faster.
    """
    return max(1, min(8, (os.cpu_count() or 1) - 1))


def wait_until_healthy(port: int) -> None:
    """Wait until `/health` answers with status 200. Raises FaqError after `HEALTH_TIMEOUT_S`."""
    deadline = time.monotonic() + HEALTH_TIMEOUT_S
    while time.monotonic() < deadline:
        # If the environment names a proxy, urllib would send the request to the proxy. http.client ignores proxies.
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise FaqError(f"the embedded server on port {port} did not answer for {HEALTH_TIMEOUT_S:.0f} s: run again")


def claim_stdout() -> TextIO:
    """Return the original stdout, and redirect file descriptor 1 to stderr.

    llama.cpp prints its messages to file descriptor 1. The redirection keeps them out of the original stdout.
    """
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faq_tui.core.embedded.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free port")
    parser.add_argument("--lifeline", action="store_true", help="end when stdin is closed")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    stdout = claim_stdout()
    if arguments.lifeline:
        follow_lifeline()
        lower_priority()
    try:
        server = start(ensure_served(lambda line: print(line, file=sys.stderr)), arguments.port)
        port = urlsplit(server.listening_address).port
        assert port is not None
        wait_until_healthy(port)
    except FaqError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print(json.dumps({"base_url": f"http://{HOST}:{port}/v1", "model": MODEL_NAME}), file=stdout, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
