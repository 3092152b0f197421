"""The Lepton on a PureThermal board: counts, telemetry rows and the shutter."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from devices.lepton_thermal import LeptonThermal, LeptonThermalConfig, parse_telemetry
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

BARE, TALL = (160, 120), (160, 122)
ROOM = 29315
"""20 degrees Celsius at 0.01 K a count."""


def rows(
    number: int = 0, *, ffc: int = 3, agc: bool = False, tlinear: bool = True, fine: bool = True, n: int = 320
) -> bytes:
    """Telemetry as the datasheet lays it out: rows A, B, C of 80 words, 32-bit values low word first."""
    words = [0] * n
    status = ffc << 4 | agc << 12
    words[0], words[1], words[2] = 0x0E0A, (123456 + 111 * number) & 0xFFFF, (123456 + 111 * number) >> 16
    words[3], words[4] = status & 0xFFFF, status >> 16
    words[20], words[21] = 3 * number & 0xFFFF, 3 * number >> 16
    if n > 209:
        words[160 + 48], words[160 + 49] = int(tlinear), int(fine)
    return struct.pack(f"<{n}H", *words)


def lepton(cams: Any, *, value: int = ROOM, tell: Any = None, sizes: tuple[tuple[int, int], ...] = (BARE, TALL)) -> Any:
    """A PureThermal: pictures of `value` with noise; `tell(number)` gives the telemetry's settings."""

    def extra(number: int) -> bytes:
        return rows(number, **(tell(number) if tell else {}))

    tall = (160, 122) in sizes
    picture = cams.counts(160, 122, value, 2, extra) if tall else cams.counts(160, 120, value)
    formats = {"YUYV": {BARE: [9.0]}, "Y16 ": {size: [9.0] for size in sizes}}
    return cams.Camera(card="PureThermal", usb="1e4e:0100", formats=formats, picture=picture)


def build(bench: Any, **settings: Any) -> LeptonThermal:
    config = {"device": "serial:SN1", "resolution_k": 0.01, **settings}
    return LeptonThermal(LeptonThermalConfig.model_validate(config), "heat", bench.clock)


def frames(device: LeptonThermal, n: int) -> list[Chunk]:
    found = [chunk for _ in range(20 * n) if (chunk := device.read(0.2)) is not None][:n]
    assert len(found) == n
    return found


@pytest.mark.parametrize(("resolution_k", "value"), [(0.01, 29315), (0.1, 2931)])
def test_counts_become_kelvin(resolution_k: float, value: int, bench: Any, cams: Any) -> None:
    bench.plug(lepton(cams, value=value, sizes=(BARE,)))
    device = build(bench, resolution_k=resolution_k)
    assert device.spec.shape == (-1, -1)
    assert (device.spec.unit, device.spec.modality, device.spec.rate_hz) == ("K", "thermal", 9.0)
    device.open()
    assert device.spec.shape == (120, 160)
    chunk = frames(device, 1)[0]
    device.close()
    assert chunk.data.dtype == np.float32
    assert chunk.raw is not None
    assert (chunk.raw.encoding, chunk.raw.scale, chunk.raw.offset) == ("16UC1", resolution_k, 0.0)
    counts = np.asarray(chunk.raw.samples)
    assert counts.dtype == np.uint16
    assert np.allclose(chunk.data, counts * resolution_k)
    assert abs(float(np.median(chunk.data)) - 293.15) < 0.6
    assert chunk.clock.domain == "kernel"


def test_telemetry_rows_are_asked_for_and_cut_off(bench: Any, cams: Any) -> None:
    bench.plug(lepton(cams))
    device = build(bench, resolution_k="telemetry")
    device.open()
    chunk = frames(device, 1)[0]
    assert chunk.data.shape == (1, 120, 160)
    assert device.telemetry is not None
    assert (device.telemetry.ffc_state, device.telemetry.agc, device.telemetry.resolution_k) == (3, False, 0.01)
    device.close()


def test_a_lepton_2_has_its_own_size(bench: Any, cams: Any) -> None:
    picture = cams.counts(80, 63, 2950, 3, lambda n: rows(n, fine=False, n=240))
    formats = {"Y16 ": {(80, 60): [9.0], (80, 63): [9.0]}}
    bench.plug(cams.Camera(formats=formats, picture=picture))
    device = build(bench, resolution_k="telemetry")
    device.open()
    chunk = frames(device, 1)[0]
    device.close()
    assert chunk.data.shape == (1, 60, 80)
    assert abs(float(chunk.data.mean()) - 295) < 1


def test_telemetry_is_read_as_the_datasheet_says() -> None:
    told = parse_telemetry(np.frombuffer(rows(70000, ffc=2), "<u2").reshape(2, 160))
    assert told.uptime_ms == 123456 + 111 * 70000
    assert told.frame == 3 * 70000
    assert told.ffc_state == 2
    assert told.tlinear is True
    assert told.resolution_k == 0.01
    short = parse_telemetry(np.frombuffer(rows(n=160), "<u2").reshape(2, 80))
    assert (short.tlinear, short.resolution_k) == (None, None)


def test_frames_of_a_closed_shutter_are_a_gap(bench: Any, cams: Any) -> None:
    bench.plug(lepton(cams, tell=lambda n: {"ffc": 2 if 3 <= n < 11 else 3}))
    device = build(bench)
    device.open()
    chunks = frames(device, 6)
    device.close()
    assert [chunk.gap_before for chunk in chunks] == [False, False, False, True, False, False]
    assert chunks[3].t_ns[0] - chunks[2].t_ns[0] == pytest.approx(1e9, rel=0.01)
    assert device.counters["ffc_frames"] == 8
    bench.nodes["video0"].picture = lepton(cams, tell=lambda n: {"ffc": 2}).picture
    device = build(bench, during_ffc="keep")
    device.open()
    assert not frames(device, 3)[-1].gap_before
    device.close()


def test_a_long_calibration_is_no_stall(bench: Any, cams: Any) -> None:
    bench.plug(lepton(cams, tell=lambda n: {"ffc": 2 if 2 <= n < 60 else 3}))
    device = build(bench, stall_timeout_s=1.0)
    device.open()
    assert frames(device, 3)[-1].gap_before
    device.close()


def test_without_telemetry_repeated_frames_are_noticed(bench: Any, cams: Any) -> None:
    live = cams.counts(160, 120, ROOM)
    frozen = set(range(3, 12))
    picture = lambda n: live(2) if n in frozen else live(6) if n == 14 else live(6) if n == 15 else live(n)  # noqa: E731
    camera = lepton(cams, sizes=(BARE,))
    camera.picture = picture
    bench.plug(camera)
    device = build(bench)
    device.open()
    chunks = frames(device, 7)
    device.close()
    assert device.counters["repeated_frames"] == 10
    # Nine repeats are a closed shutter; a single one is how a slow sensor fills a fast stream.
    assert [chunk.gap_before for chunk in chunks] == [False, False, False, True, False, False, False]


@pytest.mark.parametrize(
    ("value", "resolution_k", "words"),
    [
        (8192, 0.01, "(median 8196) would be 82 K (-191 °C) at 0.01 K a count"),
        (8192, 0.1, "would be 820 K"),
        (29315, 0.1, "would be 2932 K"),
        (2931, 0.01, "would be 29 K"),
        (120, 0.01, "would be 1 K"),
    ],
)
def test_counts_that_cannot_be_temperatures_are_refused_at_opening(
    value: int, resolution_k: float, words: str, bench: Any, cams: Any
) -> None:
    bench.plug(lepton(cams, value=value, sizes=(BARE,)))
    device = build(bench, resolution_k=resolution_k)
    with pytest.raises(DeviceError) as caught:
        device.open()
    assert caught.value.permanent
    assert words in str(caught.value)
    assert "switch TLinear on" in str(caught.value)


def test_a_hot_scene_later_on_is_believed(bench: Any, cams: Any) -> None:
    camera = lepton(cams, sizes=(BARE,))
    bench.plug(camera)
    device = build(bench)
    device.open()
    camera.picture = cams.counts(160, 120, 65000 - 8, 0)
    frames(device, 1)
    camera.picture = lambda n: bytes(160 * 120 * 2 - 2) + bytes([n % 256, 1])
    last = frames(device, 6)[-1].data
    assert np.isnan(last[0, :100]).all(), "0 is no measurement"
    assert last[0, -1, -1] > 2.56
    device.close()


@pytest.mark.parametrize(
    ("tell", "settings", "words"),
    [
        ({"agc": True}, {}, "AGC is on"),
        ({"tlinear": False}, {}, "TLinear is off"),
        ({"fine": False}, {}, "resolution_k is 0.01, the camera's telemetry says 0.1; set resolution_k: 0.1"),
    ],
)
def test_telemetry_that_contradicts_is_an_error(
    tell: dict[str, Any], settings: dict[str, Any], words: str, bench: Any, cams: Any
) -> None:
    bench.plug(lepton(cams, tell=lambda n: tell))
    device = build(bench, **settings)
    with pytest.raises(DeviceError, match=words) as caught:
        device.open()
    assert caught.value.permanent


def test_telemetry_cannot_be_relied_on_where_it_is_not_sent(bench: Any, cams: Any) -> None:
    bench.plug(lepton(cams, sizes=(BARE,)))
    with pytest.raises(DeviceError, match="sends no telemetry rows"):
        build(bench, resolution_k="telemetry").open()


def test_telemetry_can_be_left_alone(bench: Any, cams: Any) -> None:
    camera = lepton(cams)
    camera.picture = cams.counts(160, 120, ROOM)
    bench.plug(camera)
    device = build(bench, telemetry="off")
    device.open()
    assert frames(device, 1)[0].data.shape == (1, 120, 160)
    assert device.telemetry is None
    device.close()


def test_an_unplugged_lepton_is_an_error_and_comes_back(bench: Any, cams: Any) -> None:
    camera = lepton(cams)
    bench.plug(camera)
    device = build(bench)
    device.open()
    before = frames(device, 2)[-1].t_ns[0]
    bench.unplug(0)
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(0.2)
    device.close()
    device.close()
    bench.plug(camera, 5)
    device.open()
    assert frames(device, 1)[0].t_ns[0] > before
    device.close()
    with pytest.raises(DeviceError, match="open the device first"):
        device.read(0.0)


def test_the_resolution_has_no_default() -> None:
    with pytest.raises(ValidationError, match="resolution_k"):
        LeptonThermalConfig.model_validate({"device": "serial:1"})
    with pytest.raises(ValidationError, match="0\\.01, 0\\.1 or telemetry"):
        LeptonThermalConfig.model_validate({"device": "serial:1", "resolution_k": 0.05})
