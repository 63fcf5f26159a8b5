"""Eight artefacts on a real Ray cluster: a machine is lost, the driver is killed, and the weights stay the same."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faq_tui.core.base.cancel import CancelToken
from faq_tui.core.base.errors import ExitCode, Stopped, UsageError
from faq_tui.core.cluster.connection import connected
from faq_tui.core.cluster.pool import ClusterPool, TaskNeeds
from faq_tui.core.run.run import open_run
from faq_tui.core.settings import build_recipe
from faq_tui.core.store.artefacts import all_artefacts
from faq_tui.core.store.measurements import all_measurements
from faq_tui.core.worker.pool import Ended
from tests.support.ray_cluster import needs_ray, open_ports, processes, three_machines
from tests.support.schemas import valid
from tests.support.shell import FAQ_TUI, environment, faq_tui
from tests.support.tiny import TINY_RUN, make_tiny_run

pytestmark = [pytest.mark.slow, needs_ray]

SETS = ("s3", "s5", "s7", "s9")
SETTINGS = (
    TINY_RUN
    + "".join(f"[sets.{name}]\ncount = {name[1:]}\n" for name in SETS)
    + f"""
[[recipes]]
method = "gptq"
bits = [4, 8]
group_size = 32
sets = {json.dumps(SETS)}
"""
)

EVALUATE = """
[evaluate]
perplexity = ["seeds.txt"]
window = 32
prose_tokens = 128
answer_tokens = 4
last_word = []
multiple_choice = []
"""


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assembled")
    make_tiny_run(folder, SETTINGS, layers=2)
    assert faq_tui("run", folder, "--until", "assemble").code == 0
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with three_machines() as cluster:
        yield cluster


def events(run: Path) -> list[dict[str, Any]]:
    """The events of all jobs, in order. Only the last line of a killed job may be incomplete."""
    found = []
    for path in sorted((run / "jobs").glob("2*/events.jsonl")):
        *lines, _half = path.read_text(encoding="utf-8").split("\n")
        found += [json.loads(line) for line in lines]
    return found


def quantize(run: Path) -> subprocess.Popen[bytes]:
    command = [*FAQ_TUI, "run", str(run), "--until", "quantize", "--cluster", "auto"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())


def wait_for(process: subprocess.Popen[bytes], seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 240
    while not seen():
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def weights(run: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (run / "models").glob("*/model.safetensors")}


def test_a_lost_machine_and_a_killed_driver_cost_nothing_that_was_finished(
    assembled: Path, cluster: Any, tmp_path: Path
) -> None:
    alone, run = tmp_path / "alone", tmp_path / "run"
    shutil.copytree(assembled, alone)
    shutil.copytree(assembled, run)
    assert open_ports(processes()) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}

    def done() -> list[str]:
        return [event["artefact"] for event in events(run) if event["event"] == "ArtefactDone"]

    first = quantize(run)
    # Each machine has one artefact, and needs some seconds before it has made it.
    wait_for(first, lambda: sum(event["event"] == "UnitStarted" for event in events(run)) == 3)
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
    wait_for(first, lambda: done() and any(event.get("attempt") == 2 for event in events(run)))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert 0 < len(done()) < 8
    second = quantize(run)
    assert second.wait(300) == 0, second.stderr and second.stderr.read().decode()

    assert faq_tui("run", alone, "--until", "quantize").code == 0
    assert len(weights(alone)) == 8 and weights(run) == weights(alone)
    with open_run(run) as opened:
        assert sorted(all_artefacts(opened.store)) == sorted(weights(alone))
    assert set(Counter(done()).values()) == {1} and sorted(done()) == sorted(weights(alone))
    found = events(run)
    for event in found:
        valid("event", event)
    started = [event for event in found if event["event"] == "UnitStarted"]
    again = {event["unit"].removeprefix("quantize/") for event in started if event["attempt"] > 1}
    assert again, "no artefact was on the lost machine"
    machines = [event["nodes"] for event in found if event["event"] == "ClusterNodes"]
    assert len(machines[0]) == 3 and len(machines[-1]) == 2
    assert not list((run / "models").glob(".half-*"))


def test_a_stop_ends_the_job_at_a_safe_point(assembled: Path, cluster: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(assembled, run)
    process = quantize(run)
    wait_for(process, lambda: any(event["event"] == "UnitStarted" for event in events(run)))
    process.terminate()
    assert process.wait(60) == ExitCode.STOPPED
    last = events(run)[-1]
    assert last["event"] == "StageFailed" and last["exit_code"] == ExitCode.STOPPED
    assert not list((run / "models").glob(".half-*"))


def test_an_evaluation_on_the_cluster_measures_the_same(assembled: Path, cluster: Any, tmp_path: Path) -> None:
    text = (assembled / "faq.toml").read_text(encoding="utf-8")
    text = text.replace("bits = [4, 8]", "bits = 4").replace(json.dumps(SETS), '["s3", "s5"]')
    runs = tmp_path / "alone", tmp_path / "run"
    for run in runs:
        shutil.copytree(assembled, run)
        (run / "faq.toml").write_text(text + EVALUATE, encoding="utf-8")
    assert faq_tui("run", runs[0], "--until", "evaluate").code == 0
    result = faq_tui("run", runs[1], "--until", "evaluate", "--cluster", "auto", "--json")
    assert result.code == 0, result
    found = [json.loads(line) for line in result.out.splitlines()]
    units = {event["unit"] for event in found if event["event"] == "UnitStarted"}
    assert {"evaluate/unquantized", "evaluate/gptq-w4g32-s3", "quantize/gptq-w4g32-s5"} <= units
    measured = []
    for run in runs:
        with open_run(run) as opened:
            rows = all_measurements(opened.store).items()
            measured.append({key: (row.signature, row.items) for key, row in rows})
    assert len(measured[0]) == 6 and measured[1] == measured[0]
    again = faq_tui("run", runs[1], "--until", "evaluate", "--cluster", "auto", "--json")
    assert "UnitStarted" not in again.out and again.code == 0


def test_files_go_through_the_object_store_and_a_stop_ends_the_tasks(
    assembled: Path, cluster: Any, tmp_path: Path
) -> None:
    """A machine that does not see the run's folder gets its files, and sends the artefact back."""
    said: list[str] = []
    with connected("auto") as ray:
        cancel = CancelToken()
        with ClusterPool(ray, tmp_path, tmp_path / "log.txt", cancel, 1, said.append, lambda _: None) as pool:
            for probe in (tmp_path / ".cache").glob("probe-*"):
                probe.unlink()
            for name in ("first", "second"):
                pool.start(name, "quantize", spec(assembled, tmp_path / name), {})
            ends: dict[str, Any] = {}
            while len(ends) < 2:
                key, what = pool.next()
                if isinstance(what, Ended):
                    ends[key] = what.error
                    cancel.set()
            done = [name for name, error in ends.items() if error is None]
            assert done and all(error is None or isinstance(error, Stopped) for error in ends.values())
    assert len(said) == 1 and "go through Ray's object store" in said[0]
    files = {path.name for path in (tmp_path / done[0]).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files


def test_a_task_that_no_machine_can_hold_is_refused(cluster: Any, tmp_path: Path) -> None:
    with connected("auto") as ray:
        pool = ClusterPool(ray, tmp_path, tmp_path / "log.txt", CancelToken(), 1, print, lambda _: None)
        with pool, pytest.raises(UsageError, match=r"big needs 1 CPU, 0 GPU, 900\.0 GiB of memory, but no machine"):
            pool.start("big", "quantize", {}, {}, TaskNeeds(memory=900 * (1 << 30)))


def test_an_artefact_reserves_its_gpus_on_one_machine(assembled: Path, cluster: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(assembled, run)
    with (run / "faq.toml").open("a", encoding="utf-8") as file:
        file.write("\n[quantize]\ngpus_per_artefact = 2\n")
    result = faq_tui("run", run, "--until", "quantize", "--cluster", "auto")
    assert result.code == 2 and "1 CPU, 2 GPU" in result.err and "but no machine of the cluster has it" in result.err
    assert not any(event["event"] == "UnitStarted" for event in events(run))


def spec(run: Path, out: Path) -> dict[str, Any]:
    return {
        "artefact": out.name,
        "recipe": build_recipe({"method": "gptq", "bits": 4, "group_size": 32}).identity(),
        "model": str(run / "target"),
        "trust_remote_code": False,
        "device": "cpu",
        "rows": str(run / "calibration" / "s3.jsonl"),
        "out": str(out),
        "checkpoints": str(out.with_suffix(".checkpoints")),
        "checkpoint_s": 600.0,
        "threads": 1,
    }
