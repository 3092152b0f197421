"""The MLX90640 module over a pty: kelvin out, commands in, losses, silence and unplugging."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from devices.mlx90640_thermal import Mlx90640Thermal, Mlx90640ThermalConfig
from stream_bind.clock import ManualClock, SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk
from stream_bind.registry import DEVICES


def camera(port: object, clock: Any = None, **settings: object) -> Mlx90640Thermal:
    config = Mlx90640ThermalConfig.model_validate({"port": str(port), **settings})
    return Mlx90640Thermal(config, "thermal", clock or SystemClock())


def pictures(n: int) -> np.ndarray:
    """(n, 24, 32) int16, hundredths of a degree: a cold window and a warm hand."""
    images = np.arange(n * 768).reshape(n, 24, 32) % 997 + 2000
    images[:, 0, 0] = -1250
    images[:, 23, 31] = 30_000
    return images.astype(np.int16)


def read_n(source: Mlx90640Thermal, n: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    end = time.monotonic() + 10
    while len(chunks) < n and time.monotonic() < end:
        chunk = source.read(0.2)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def test_frames_come_out_one_by_one_in_kelvin_with_what_was_sent(far_end: Any, motion: Any) -> None:
    source = camera(far_end.link)
    source.open()
    far_end.opened()
    images = pictures(3)
    stream = motion.mlx(images)
    far_end.write(stream[-700:])
    writer = threading.Thread(target=far_end.write, args=(stream,))
    writer.start()
    chunks = read_n(source, 3)
    writer.join()
    assert [c.data.shape for c in chunks] == [(1, 24, 32)] * 3
    data = np.concatenate([c.data for c in chunks])
    assert data.dtype == np.float32
    assert np.abs(data - (images / 100 + 273.15)).max() < 0.001
    assert data[0, 0, 0] == pytest.approx(260.65, abs=1e-3)
    for chunk, image in zip(chunks, images, strict=True):
        assert chunk.raw is not None
        assert (chunk.raw.samples == image).all()
        assert chunk.raw.samples.dtype == np.int16
        assert np.abs(chunk.raw.samples * chunk.raw.scale + chunk.raw.offset - chunk.data).max() < 0.001
    assert {c.clock.domain for c in chunks} == {source.spec.domain} == {"host"}
    assert (np.diff([int(c.t_ns[0]) for c in chunks]) > 0).all()
    assert source.counters["bad_bytes"] == 700
    source.close()


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, "a52501cb a53502dc"),
        ({"rate_hz": 8, "baud": 460800}, "a52504ce a53502dc"),
        ({"rate_hz": 2}, "a53502dc"),
        ({"commands": False}, ""),
    ],
)
def test_the_module_is_told_its_rate_and_to_start(settings: dict[str, Any], sent: str, far_end: Any) -> None:
    source = camera(far_end.link, **settings)
    source.open()
    os.set_blocking(far_end.master, False)
    time.sleep(0.05)
    try:
        got = os.read(far_end.master, 100)
    except BlockingIOError:
        got = b""
    assert got == bytes.fromhex(sent)
    source.close()


def test_a_damaged_frame_is_a_gap_before_the_next(far_end: Any, motion: Any) -> None:
    source = camera(far_end.link)
    source.open()
    far_end.opened()
    good = motion.mlx(pictures(1))
    damaged = good[:800] + bytes([good[800] ^ 4]) + good[801:]
    for part in (good, damaged, good):
        threading.Thread(target=far_end.write, args=(part,)).start()
        time.sleep(0.1)
        if part is good:
            last = read_n(source, 1)
    assert last[0].gap_before
    assert source.counters["bad_packets"] == 1
    assert source.counters["lost_frames"] == 1
    source.close()


def test_frames_are_stamped_at_the_pace_they_are_taken_not_as_reads_fall(
    monkeypatch: pytest.MonkeyPatch, motion: Any
) -> None:
    clock = ManualClock(10**18)
    source = camera("socket://x:1", clock)
    rng = np.random.default_rng(3)
    frame = motion.mlx(pictures(1))
    monkeypatch.setattr(source._port, "open", lambda: None)
    monkeypatch.setattr(source._port, "write", lambda _: None)
    monkeypatch.setattr(source._port, "read", lambda _: frame)
    source.open()
    out = []
    for i in range(100):
        late_s = float(rng.uniform(0, 0.05))
        clock.advance(i * 0.25 + late_s - clock.monotonic_ns() / 1e9)
        chunk = source.read(0.0)
        assert chunk is not None
        out.append(int(chunk.t_ns[0]) - 10**18)
    steps_ms = np.diff(out)[40:] / 1e6
    assert np.abs(steps_ms - 250).max() < 10


def test_a_module_that_falls_silent_or_is_unplugged_comes_back(far_end: Any, motion: Any) -> None:
    source = camera(far_end.link, stall_timeout_s=0.8)
    source.open()
    far_end.opened()
    far_end.write(motion.mlx(pictures(1)))
    assert len(read_n(source, 1)) == 1
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"stalled: no sample for 0.8 s"):
        read_n(source, 1)
    assert time.monotonic() - began < 8
    source.open()
    far_end.write(motion.mlx(pictures(1)))
    last = read_n(source, 1)
    far_end.unplug()
    with pytest.raises(DeviceError, match="lost"):
        read_n(source, 1)
    source.close()
    with pytest.raises(DeviceError, match="there is no"):
        source.open()
    far_end.plug()
    source.open()
    far_end.opened()
    far_end.write(motion.mlx(pictures(1)))
    again = read_n(source, 1)
    assert again[0].t_ns[0] > last[0].t_ns[0]
    assert source.counters["stalls"] == 1
    source.close()
    source.close()


def test_bytes_of_something_else_are_named(far_end: Any) -> None:
    source = camera(far_end.link)
    source.open()
    far_end.opened()
    written = iter([far_end.write] * 50)

    def read_more() -> None:
        for write in written:
            write(b"nonsense" * 100)
            source.read(0.05)

    with pytest.raises(DeviceError, match=r"wanted frames 5A 5A 02 06 of 1544 bytes; check that 115200 baud"):
        read_more()
    source.close()


def test_a_rate_that_the_line_cannot_carry_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"rate_hz 8 takes 123520 baud, and baud is 115200: 7.5 frames"):
        Mlx90640ThermalConfig.model_validate({"port": "/dev/x", "rate_hz": 8})


def test_it_is_registered_for_thermal_streams() -> None:
    entry = DEVICES.get("mlx90640_thermal")
    assert (entry.cls, entry.modalities) == (Mlx90640Thermal, ("thermal",))
    spec = camera("/dev/x").spec
    assert (spec.shape, spec.unit, spec.rate_hz) == ((24, 32), "K", 4.0)


def test_it_opens_and_closes_as_often_as_one_likes_and_keeps_to_its_timeout(far_end: Any, motion: Any) -> None:
    source = camera(far_end.link)
    for _ in range(2):
        with pytest.raises(DeviceError, match="open the device first"):
            source.read(0.0)
        source.open()
        assert source.spec == camera(far_end.link).spec
        began = time.monotonic()
        assert source.read(0.1) is None
        assert time.monotonic() - began < 0.6
        far_end.write(motion.mlx(pictures(1)))
        assert len(read_n(source, 1)) == 1
        source.close()
        source.close()
