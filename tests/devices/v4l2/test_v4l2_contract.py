"""What every driver promises (devices/base.py), held against those of the kernel's video interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from devices.base import Counting, Device, Discoverable
from devices.simulated import Simulated, SimulatedConfig, twin
from stream_bind.errors import DeviceError
from stream_bind.registry import DEVICES

KINDS = {
    "colour": {"type": "v4l2_camera", "width": 64, "height": 48},
    "depth": {"type": "v4l2_camera", "modality": "depth", "width": 64, "height": 48, "depth_unit_m": 0.001},
    "lepton": {"type": "lepton_thermal", "resolution_k": 0.01},
    "infiray": {"type": "infiray_thermal"},
}


@pytest.fixture(params=KINDS)
def device(request: pytest.FixtureRequest, bench: Any, cams: Any) -> Any:
    formats, picture = {
        "colour": ({"MJPG": {(64, 48): [30.0]}}, cams.jpeg(64, 48)),
        "depth": ({"Z16 ": {(64, 48): [30.0]}}, cams.counts(64, 48)),
        "lepton": ({"Y16 ": {(160, 120): [9.0]}}, cams.counts(160, 120, 29315)),
        "infiray": ({"YUYV": {(256, 384): [25.0]}}, cams.counts(256, 384, 293 * 64)),
    }[request.param]
    bench.plug(cams.Camera(formats=formats, picture=picture))
    config = {"device": "serial:SN1", **KINDS[request.param]}
    entry: Any = DEVICES.get(config["type"])
    made = entry.cls(entry.config.model_validate(config), "s", bench.clock)
    yield made
    made.close()


def test_it_keeps_the_contract(device: Any, bench: Any) -> None:
    assert isinstance(device, Device)
    assert isinstance(device, Counting)
    assert isinstance(device, Discoverable)
    before = device.spec
    assert before.live
    assert before.rate_hz > 0
    assert not bench.kernel.asked, "building touches no hardware"
    newest = -1
    for _ in range(3):
        device.open()
        spec = device.spec
        wanted = [have if was == -1 else was for was, have in zip(before.shape, spec.shape, strict=True)]
        assert list(spec.shape) == wanted, "what was known stays so"
        for _ in range(10):
            called_ns = bench.clock.monotonic_ns()
            chunk = device.read(0.2)
            assert bench.clock.monotonic_ns() - called_ns <= 203_000_000
            if chunk is None:
                continue
            assert chunk.data.shape == (1, *spec.shape)
            assert chunk.data.dtype == np.dtype(spec.dtype)
            assert chunk.data.flags.c_contiguous
            assert chunk.t_ns.dtype == np.int64
            assert chunk.clock.domain == spec.domain == "kernel"
            assert chunk.raw is not None
            assert len(chunk.raw.samples) == 1
            assert newest < chunk.t_ns[0] <= bench.clock.unix_ns() + 1000
            newest = int(chunk.t_ns[0])
        device.close()
        device.close()
        with pytest.raises(DeviceError, match="open the device first"):
            device.read(0.0)
        bench.clock.advance(1.0)
    assert newest > 0
    assert all(isinstance(total, int) for total in device.counters.values())


def test_its_twin_has_its_shape(device: Any, bench: Any) -> None:
    spec = device.spec
    copy = Simulated(SimulatedConfig.model_validate(twin(spec)), "s", bench.clock).spec
    assert (copy.modality, copy.rate_hz, copy.dtype, copy.unit) == (spec.modality, spec.rate_hz, spec.dtype, spec.unit)


def test_it_is_listed_as_what_it_is_and_opens_by_what_is_listed(device: Any, bench: Any) -> None:
    (found,) = type(device).discover()
    assert found.modality == device.spec.modality
    entry: Any = DEVICES.get(found.config["type"])
    again = entry.cls(entry.config.model_validate(found.config), "s", bench.clock)
    again.open()
    assert any(again.read(0.2) is not None for _ in range(5))
    again.close()
