"""The P2 Pro and TC001 class: temperatures in the lower half of what calls itself YUYV."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from devices.infiray_thermal import InfirayThermal, InfirayThermalConfig
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

ROOM = round(293.15 * 64)


def halves(cams: Any, value: int = ROOM) -> Any:
    """A grey picture above, counts below, low byte first."""
    lower = cams.counts(256, 192, value)
    return lambda number: bytes([128, 128]) * (256 * 192) + lower(number)


def plug(bench: Any, cams: Any, **settings: Any) -> Any:
    formats = {"YUYV": {(256, 192): [25.0], (256, 384): [25.0]}}
    camera = cams.Camera(card="P2 Pro", usb="0bda:5830", formats=formats, picture=halves(cams))
    for key, value in settings.items():
        setattr(camera, key, value)
    bench.plug(camera)
    return camera


def build(bench: Any, **settings: Any) -> InfirayThermal:
    config = InfirayThermalConfig.model_validate({"device": "serial:SN1", **settings})
    return InfirayThermal(config, "heat", bench.clock)


def frames(device: InfirayThermal, n: int) -> list[Chunk]:
    found = [chunk for _ in range(20 * n) if (chunk := device.read(0.1)) is not None][:n]
    assert len(found) == n
    return found


def test_the_lower_half_is_kelvin_in_sixty_fourths(bench: Any, cams: Any) -> None:
    plug(bench, cams)
    device = build(bench)
    assert (device.spec.shape, device.spec.unit, device.spec.rate_hz) == ((192, 256), "K", 25.0)
    device.open()
    chunk = frames(device, 1)[0]
    device.close()
    assert chunk.data.shape == (1, 192, 256)
    assert chunk.data.dtype == np.float32
    assert chunk.raw is not None
    assert (chunk.raw.encoding, chunk.raw.scale) == ("16UC1", 1 / 64)
    counts = np.asarray(chunk.raw.samples)
    assert counts.dtype == np.uint16
    assert np.array_equal(chunk.data, (counts / 64).astype(np.float32))
    assert abs(float(np.median(chunk.data)) - 293.15) < 0.2


def test_the_shutters_repeats_are_a_gap(bench: Any, cams: Any) -> None:
    live = halves(cams)
    plug(bench, cams, picture=lambda n: live(2) if 3 <= n < 20 else live(n))
    device = build(bench)
    device.open()
    chunks = frames(device, 5)
    device.close()
    assert [chunk.gap_before for chunk in chunks] == [False, False, False, True, False]
    assert device.counters["repeated_frames"] == 17
    device = build(bench, during_shutter="keep")
    device.open()
    assert not any(chunk.gap_before for chunk in frames(device, 5))
    device.close()


def test_a_camera_that_sends_a_picture_there_is_refused(bench: Any, cams: Any) -> None:
    plug(bench, cams, picture=lambda n: bytes([128, 128]) * (256 * 384))
    with pytest.raises(DeviceError, match="holds no temperatures: its counts") as caught:
        build(bench).open()
    assert caught.value.permanent


def test_a_camera_of_another_size_is_refused(bench: Any, cams: Any) -> None:
    plug(bench, cams, formats={"YUYV": {(640, 480): [30.0]}})
    with pytest.raises(DeviceError, match="does not offer 256x384 as YUYV; it offers YUYV 640x480"):
        build(bench).open()


def test_it_is_an_error_when_unplugged_and_comes_back(bench: Any, cams: Any) -> None:
    camera = plug(bench, cams)
    device = build(bench)
    device.open()
    before = frames(device, 2)[-1].t_ns[0]
    bench.unplug(0)
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(0.2)
    device.close()
    bench.plug(camera, 3)
    device.open()
    assert frames(device, 1)[0].t_ns[0] > before
    device.close()
