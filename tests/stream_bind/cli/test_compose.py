"""From a checked config to the plan: who runs, where it is placed, and what talks to what."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.plan import RunPlan
from stream_bind.cli.compose import Endpoints, plan_run
from stream_bind.config import load_config

CONFIG = """\
version: 1
rig: robot
encoders:
  small: {model: imagebind, weights: random, size: small, num_gpus: 0.5, num_cpus: 2, workers: 2, node: 10.0.0.7,
          max_batch: 4, batch_wait_ms: 3, threads: 1, resources: {gpu_host: 1}}
  other: {model: imagebind, weights: random, size: small}
streams:
  - id: cam
    modality: vision
    encoder: [small, other]
    device: {type: simulated, modality: vision}
    node: 10.0.0.8
    resources: {headset: 1}
    queue_policy: backpressure
    queue_depth: 4
    window: {length_s: 1, hop_s: 0.25}
  - id: imu
    modality: imu
    encoder: small
    device: {type: serial_imu, port: /dev/ttyNONE, rate_hz: 100}
    group: wrist
    delay_ms: 12
    restart: {first_s: 1, limit_s: 5}
  - id: thermal
    modality: thermal
    encoder: other
    device: {type: simulated, modality: thermal}
    group: wrist
    resources: {lepton: 1}
publish: {endpoint: "tcp://127.0.0.1:5999", hwm: 77, dtype: "<f2", wait_for_subscriber_s: 3}
runtime: {address: "10.0.0.1:6379", object_store_mb: 100}
"""


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    made = Endpoints("ipc")
    yield made
    made.close()


@pytest.fixture
def config(tmp_path: Path) -> Any:
    path = tmp_path / "rig.yaml"
    path.write_text(CONFIG)
    return load_config(path)


@pytest.fixture
def plan(config: Any, endpoints: Endpoints) -> RunPlan:
    return plan_run(config, endpoints)


def test_placement_reaches_the_actors(plan: RunPlan) -> None:
    cam, _ = plan.captures
    assert (cam.name, cam.node, cam.resources) == ("capture-cam", "10.0.0.8", {"headset": 1.0})
    small = [e for e in plan.encoders if e.encoder == "small"]
    assert [e.name for e in small] == ["encode-small-0", "encode-small-1"]
    for encode in small:
        assert (encode.num_gpus, encode.num_cpus, encode.node) == (0.5, 2.0, "10.0.0.7")
        assert encode.resources == {"gpu_host": 1.0}
        assert (encode.workers, encode.threads, encode.max_batch, encode.batch_wait_s) == (2, 1, 4, 0.003)
    (other,) = [e for e in plan.encoders if e.encoder == "other"]
    assert (other.num_gpus, other.node, other.resources) == (0.0, None, {})
    assert plan.address == "10.0.0.1:6379"
    assert plan.object_store_bytes == 100_000_000


def test_an_address_of_the_command_line_wins(config: Any, endpoints: Endpoints) -> None:
    assert plan_run(config, endpoints, address="127.0.0.1:1").address == "127.0.0.1:1"


def test_a_group_is_one_actor_that_needs_what_each_of_its_sensors_needs(plan: RunPlan) -> None:
    _, wrist = plan.captures
    assert (wrist.name, [s.stream for s in wrist.sensors]) == ("group-wrist", ["imu", "thermal"])
    assert wrist.resources == {"lepton": 1.0}


def test_every_lane_goes_to_its_encoder_its_sensor_and_the_publisher(plan: RunPlan) -> None:
    lanes = {("cam", "small"), ("cam", "other"), ("imu", "small"), ("thermal", "other")}
    assert {(la.stream, la.encoder) for la in plan.publisher.lanes} == lanes
    assert {(la.stream, la.encoder) for c in plan.captures for s in c.sensors for la in s.lanes} == lanes
    for encode in plan.encoders:
        assert {(la.stream, la.encoder) for la in encode.lanes} == {key for key in lanes if key[1] == encode.encoder}


def test_queue_window_and_adjustments_reach_the_lane_and_the_sensor(plan: RunPlan) -> None:
    cam, wrist = plan.captures
    lane = cam.sensors[0].lanes[0]
    assert (lane.policy, lane.depth, lane.length_ns, lane.hop_ns) == ("backpressure", 4, 10**9, 250_000_000)
    imu = wrist.sensors[0]
    assert imu.lanes[0].policy == "drop_oldest"
    assert imu.adjust["delay_ms"] == 12
    assert imu.restart["first_s"] == 1
    assert (imu.device_type, imu.device_config["port"]) == ("serial_imu", "/dev/ttyNONE")


def test_the_data_socket_is_as_configured_and_a_waiting_rig_holds_its_sensors(plan: RunPlan) -> None:
    publisher = plan.publisher
    assert (publisher.endpoint, publisher.hwm, publisher.dtype) == ("tcp://127.0.0.1:5999", 77, "<f2")
    assert plan.wait_for_subscriber_s == 3
    assert all(c.wait_ready for c in plan.captures)


def test_simulating_swaps_every_device_for_its_twin_and_nothing_else(
    config: Any, plan: RunPlan, endpoints: Endpoints
) -> None:
    twins = plan_run(config, endpoints, simulate=True)
    sensors = [s for c in twins.captures for s in c.sensors]
    assert {s.device_type for s in sensors} == {"simulated"}
    imu = next(s for s in sensors if s.stream == "imu")
    assert imu.device_config["rate_hz"] == 100
    assert [s.lanes for s in sensors] == [s.lanes for c in plan.captures for s in c.sensors]


def test_capture_actors_meet_only_the_encoders_they_feed(plan: RunPlan) -> None:
    boxes = {c.name: c.endpoint for c in plan.captures}
    for encode in plan.encoders:
        assert set(encode.mailboxes) == set(boxes.values())  # cam and one of the group each
        assert encode.publish_endpoint == plan.publisher.inlet
    assert len({*boxes.values(), plan.publisher.inlet}) == 3


def test_every_lane_has_room_for_two_clips_at_a_worker(plan: RunPlan) -> None:
    assert all(e.capacity >= max(2 * len(e.lanes), 2 * e.max_batch) for e in plan.encoders)


def test_an_encoder_that_no_stream_uses_is_not_started(config: Any, endpoints: Endpoints) -> None:
    lean = config.model_copy(update={"streams": tuple(s for s in config.streams if s.id == "thermal")})
    assert [e.encoder for e in plan_run(lean, endpoints).encoders] == ["other"]


def test_a_plan_can_be_sent_to_another_process(plan: RunPlan) -> None:
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_sockets_lie_in_a_private_directory_with_short_names_that_goes_away() -> None:
    endpoints = Endpoints("ipc")
    path = Path(endpoints.name("capture-" + "x" * 20).removeprefix("ipc://"))
    assert os.stat(path.parent).st_mode & 0o077 == 0
    assert len(str(path)) < 107
    endpoints.close()
    assert not path.parent.exists()


def test_two_runs_of_one_process_do_not_meet() -> None:
    assert Endpoints("inproc").name("publish") != Endpoints("inproc").name("publish")
    assert Endpoints("tcp").name("publish").startswith("tcp://127.0.0.1:")
