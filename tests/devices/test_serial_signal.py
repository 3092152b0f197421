"""Text lines of any sensor type over a real pty: channels named, scaled and stamped; what does not fit is refused."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from devices.serial_signal import SerialSignal, SerialSignalConfig
from devices.simulated import Simulated, SimulatedConfig, twin
from stream_bind.clock import ManualClock, SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

BARO = {"modality": "barometer", "rate_hz": 50, "columns": ["pressure"], "unit": "Pa", "batch_s": 0.0}


def signal(port: object, **settings: object) -> SerialSignal:
    config = SerialSignalConfig.model_validate({"port": str(port), **BARO, **settings})
    return SerialSignal(config, "baro", SystemClock())


def read_n(source: SerialSignal, n: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    deadline = time.monotonic() + 10
    while sum(map(len, chunks)) < n and time.monotonic() < deadline:
        chunk = source.read(0.2)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def test_columns_become_channels_with_the_device_clock(far_end: Any) -> None:
    source = signal(
        far_end.link,
        modality="emg",
        columns=["counter", "time", "left", "-", "right"],
        time_unit="ms",
        unit="mV",
        scale=[0.5, 2.0],
    )
    source.open()
    far_end.opened()
    far_end.write(b"cut\n" + b"".join(b"%d,%d,%d,x,%d\n" % (i, i * 20, i, -i) for i in range(10)) + b"12,240,1,x,1\n")
    chunks = read_n(source, 11)
    data = np.concatenate([c.data for c in chunks])
    assert source.spec.axes == ("left", "right")
    assert (source.spec.modality, source.spec.unit, source.spec.domain) == ("emg", "mV", "device")
    assert data.dtype == np.float32
    assert data[9].tolist() == [4.5, -18.0]
    t_ns = np.concatenate([c.t_ns for c in chunks])
    assert np.diff(t_ns[:10]).tolist() == pytest.approx([20_000_000] * 9, abs=2)
    assert [c.gap_before for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert source.counters["lost_samples"] == 2
    source.close()


def test_json_lines_and_prefixes_are_read(far_end: Any) -> None:
    source = signal(far_end.link, format="json", columns={"pressure": "p"}, prefix="B:")
    source.open()
    far_end.opened()
    far_end.write(b'\nB:{"p": 101325}\nhello\nB:{"p": 101330.5}\n')
    assert np.concatenate([c.data for c in read_n(source, 2)])[:, 0].tolist() == [101325, 101330.5]
    assert source.counters["other_packets"] == 1
    source.close()


def test_blanks_may_stand_between_columns(far_end: Any) -> None:
    source = signal(far_end.link, columns=["a", "b"], delimiter=" ")
    source.open()
    far_end.opened()
    far_end.write(b"\n1  2\n3\t4\n")
    assert np.concatenate([c.data for c in read_n(source, 2)]).tolist() == [[1, 2], [3, 4]]
    source.close()


def test_bytes_that_never_make_a_line_name_the_settings(far_end: Any) -> None:
    source = signal(far_end.link)
    source.open()
    far_end.opened()
    said = ""
    deadline = time.monotonic() + 20
    while not said and time.monotonic() < deadline:
        far_end.write(b"1,2\n" * 100)
        try:
            source.read(0.1)
        except DeviceError as error:
            said = str(error)
    assert said.startswith("serial_signal ")
    assert "baud (115200), format (csv), columns and prefix" in said
    source.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"modality": "imu"}, "imu has drivers of its own"),
        ({"columns": ["time"], "time_unit": "ms"}, "at least one channel"),
        ({"columns": ["a", "a"]}, "nothing twice"),
        ({"columns": ["time", "a"]}, "time_unit is needed"),
        ({"columns": {"a": "b"}}, "a list for format csv"),
        ({"columns": ["a", "b"], "scale": [1.0]}, "one number or 2"),
        ({"unit": ""}, "unit"),
        ({"delimiter": ""}, "delimiter"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SerialSignalConfig.model_validate({"port": "-", **BARO, **settings})


def test_its_twin_has_its_channels_rate_and_unit() -> None:
    spec = signal("/nowhere", modality="emg", columns=["time", "l", "r"], time_unit="us", unit="uV").spec
    stand_in = Simulated(SimulatedConfig.model_validate(twin(spec)), "baro", ManualClock())
    found = stand_in.spec
    assert (found.modality, found.axes, found.rate_hz, found.unit) == ("emg", ("l", "r"), 50, "uV")
