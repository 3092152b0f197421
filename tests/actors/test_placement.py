"""Where Ray puts the actors of a rig: on the node that has the sensor, on one host, in a cluster that runs already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import launch_ray  # before ray itself: its settings have to be in the environment by then
from actors.supervise import Snapshot
from actors.transport import free_port
from stream_bind import load_config, run
from stream_bind.errors import StreamBindError

CONFIG = """\
version: 1
rig: test
encoder: {{model: imagebind, weights: random, size: small, resources: {{bench: 1}}}}
streams:
  - id: thermal
    modality: thermal
    device: {{type: simulated, modality: thermal}}
    resources: {{headset: 1}}
publish: {{endpoint: "tcp://127.0.0.1:{port}"}}
runtime: {{launcher: ray}}
"""


def config(tmp_path: Path, text: str = CONFIG) -> Any:
    path = tmp_path / "rig.yaml"
    path.write_text(text.format(port=free_port()))
    return load_config(path)


@pytest.mark.parametrize(
    ("node", "resources", "here", "wanted"),
    [
        (None, {}, None, {}),
        (None, {}, "10.0.0.1", {"resources": {"node:10.0.0.1": 0.001}}),
        ("10.0.0.2", {}, "10.0.0.1", {"resources": {"node:10.0.0.2": 0.001}}),
        (None, {"headset": 1.0}, "10.0.0.1", {"resources": {"headset": 1.0}}),
        ("10.0.0.2", {"headset": 1.0}, None, {"resources": {"headset": 1.0, "node:10.0.0.2": 0.001}}),
    ],
    ids=["anywhere", "here", "node", "resource", "both"],
)
def test_what_is_placed_goes_there_and_the_rest_stays_here(
    node: str | None, resources: dict[str, float], here: str | None, wanted: dict[str, Any]
) -> None:
    assert launch_ray._where(node, resources, here) == wanted


def test_two_nodes_of_one_host_are_one_place_and_two_hosts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = launch_ray.RayLauncher()
    launcher._last = {name: {"name": name, "node": name} for name in ("publish", "capture-cam")}
    launcher._last["encode"] = {"name": "encode", "away": True}
    addresses = {"publish": "10.0.0.1", "capture-cam": "10.0.0.1"}
    monkeypatch.setattr(launch_ray, "_addresses", lambda: addresses)
    launcher._check_hosts()
    addresses["capture-cam"] = "10.0.0.2"
    with pytest.raises(StreamBindError, match=r"2 hosts \(10\.0\.0\.1, 10\.0\.0\.2\).*CURVE"):
        launcher._check_hosts()


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    """A cluster of two Ray nodes on this machine; the first has the bench, the second the headset."""
    from ray.cluster_utils import Cluster

    bench = {"num_cpus": 1, "include_dashboard": False, "resources": {"bench": 1}}
    cluster = Cluster(initialize_head=True, head_node_args=bench)
    try:
        headset = cluster.add_node(num_cpus=1, resources={"headset": 1})
        cluster.wait_for_nodes()
        yield cluster, headset
    finally:
        launch_ray.ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
def test_in_a_running_cluster_a_capture_actor_lands_on_the_node_with_its_sensor(tmp_path: Path, two_nodes: Any) -> None:
    cluster, headset = two_nodes
    nodes: dict[str, str] = {}

    def look(snapshot: Snapshot) -> None:
        for health in (snapshot.publisher, *snapshot.encoders, *snapshot.captures):
            if health.get("node"):
                nodes[health["name"]] = health["node"]

    result = run(config(tmp_path), local=False, address=cluster.address, duration_s=4, on_poll=look)
    assert set(nodes) == {"publish", "encode-imagebind-0", "capture-thermal"}
    assert nodes["capture-thermal"] == headset.node_id
    assert nodes["encode-imagebind-0"] == cluster.head_node.node_id
    assert result.accounts["thermal", "imagebind"].vectors >= 2
    assert not result.dropped
    assert not launch_ray.ray.is_initialized()
    assert cluster.wait_for_nodes() is None  # it was joined, not taken down


def test_a_process_in_which_ray_runs_already_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_ray.ray, "is_initialized", lambda: True)
    with pytest.raises(StreamBindError, match=r"ray\.shutdown\(\)"):
        run(config(tmp_path), local=False, duration_s=1)


@pytest.mark.slow
def test_a_service_manager_that_stops_the_run_gets_a_drain_and_an_account(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(
        CONFIG.format(port=free_port())
        .replace("    resources: {headset: 1}\n", "")
        .replace(", resources: {bench: 1}", "")
    )
    command = [sys.executable, "-m", "stream_bind.cli", "run", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        lines: list[str] = []
        running = threading.Event()

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if "vectors" in line and " 0 vectors" not in line:
                    running.set()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        assert running.wait(60.0), lines
        asked = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30.0) == 130
        assert time.monotonic() - asked < 15.0
        thread.join(5.0)
    text = "".join(lines)
    assert "stopping: serving what waits" in text
    assert "account:" in text
    assert "dropped" not in text
