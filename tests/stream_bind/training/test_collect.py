"""Collected moments are those of the pipeline, whatever shortcut was taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from devices.simulated import Simulated, SimulatedConfig
from devices.simulated.scenarios import LABELS
from stream_bind.clock import ManualClock
from stream_bind.config import parse_config
from stream_bind.encoders.imagebind import ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.errors import ConfigError
from stream_bind.messages import Window
from stream_bind.training.collect import SIMULATED_BEGIN_NS, Take, collected, file_digests, read_captions
from stream_bind.window import Windower

RIG = """
version: 1
rig: test
encoder: {model: imagebind, size: small, weights: random}
streams:
  - {id: cam, modality: vision, delay_ms: 17, window: {hop_s: 1},
     device: {type: simulated, seed: 3, width: 64, height: 48}}
  - {id: imu, modality: imu, window: {hop_s: 1}, device: {type: simulated, seed: 3}}
"""
SETTINGS = ImageBindEncoderConfig(size="small", weights="random")
MAKERS = {m: ImageBindEncoder.clip_maker(SETTINGS, m) for m in ("vision", "imu")}


def take_of(text: str = RIG, **more) -> Take:  # type: ignore[no-untyped-def]
    streams = parse_config(text).streams
    return Take("world:3", streams, MAKERS, **({"duration_s": 16.0, "wanted": ("vision", "imu")} | more))


def test_a_simulated_take_gives_the_pipelines_clips_in_order_and_repeats_itself() -> None:
    moments = list(collected(take_of()))
    assert [m.t_end_ns - SIMULATED_BEGIN_NS for m, _ in moments] == [n * 10**9 for n in range(6, 17)]
    assert all(set(clips) == {"vision", "imu"} for _, clips in moments)
    assert all(m.t_start_ns == m.t_end_ns - 5 * 10**9 for m, _ in moments)
    clock = ManualClock(SIMULATED_BEGIN_NS)
    device = Simulated(SimulatedConfig(modality="vision", seed=3, width=64, height=48), "cam", clock)
    device.open()
    windower = Windower(device.spec, length_ns=2 * 10**9, hop_ns=10**9, payload="edges")
    expected = {}
    for _ in range(9 * 30):
        chunk = device.read(1.0)
        assert chunk is not None
        chunk = type(chunk)(chunk.data, chunk.t_ns - 17_000_000)
        for window in windower.push(chunk):
            if isinstance(window, Window) and window.status == "ok":
                expected[window.t_end_ns] = np.asarray(MAKERS["vision"].make(window, device.spec)).tobytes()
    both = [m.t_end_ns for m, _ in moments if m.t_end_ns in expected]
    assert len(both) >= 3
    for moment, clips in moments:
        if moment.t_end_ns in both:
            assert clips["vision"].tobytes() == expected[moment.t_end_ns]
    again = list(collected(take_of()))
    assert [m for m, _ in again] == [m for m, _ in moments]


def test_only_windows_inside_one_scene_are_labelled_and_captioned() -> None:
    moments = [m for m, _ in collected(take_of())]
    inside = [m for m in moments if m.t_start_ns // 10**10 == (m.t_end_ns - 1) // 10**10]
    assert 0 < len(inside) < len(moments)
    assert all(bool(m.label in LABELS and m.captions and m.group) == (m in inside) for m in moments)


def test_captions_of_a_table_hold_where_they_hold_the_whole_window(tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    table.write_text('start_s,end_s,text\n0,9.5,"walking, slowly"\n4,30,outside\n')
    mixed = RIG.replace("{type: simulated, seed: 3}}", "{type: simulated, seed: 4}}")
    moments = [m for m, _ in collected(take_of(mixed, captions=read_captions(table)))]
    told = {(m.t_end_ns - SIMULATED_BEGIN_NS) // 10**9: m.captions for m in moments}
    assert told[8] == ("walking, slowly",)
    assert told[9] == ("walking, slowly",)
    assert told[12] == ("outside",)
    assert told[14] == ("outside",)


@pytest.mark.parametrize("body", ["start_s,end_s\n0,1\n", "start_s,end_s,text\n5,1,back\n", "start_s,end_s,text\n"])
def test_a_table_of_captions_that_makes_no_sense_is_refused_by_line(body: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(body)
    with pytest.raises(ConfigError, match=r"c\.csv"):
        read_captions(tmp_path / "c.csv")


def test_a_stretch_of_a_take_leaves_windows_across_its_ends_out() -> None:
    moments = [m for m, _ in collected(take_of(start_s=3.0, duration_s=8.0))]
    first = min(m.t_start_ns for m in moments) - SIMULATED_BEGIN_NS
    last = max(m.t_end_ns for m in moments) - SIMULATED_BEGIN_NS
    assert 3 * 10**9 <= first <= 4.1 * 10**9
    assert 10 * 10**9 <= last <= 11.1 * 10**9


def test_a_recorded_table_of_motion_is_read_to_its_end_at_full_speed(tmp_path: Path) -> None:
    table = tmp_path / "walk.csv"
    device = (
        f'{{type: imu_csv, path: "{table}", accel_unit: m/s2, gyro_unit: rad/s, start_time: "2024-01-01T00:00:00Z"}}'
    )
    rows = (f"{n / 100},{n % 7},0,9.8,0,0,0" for n in range(2000))
    table.write_text("t_s,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z\n" + "\n".join(rows) + "\n")
    text = f"""
version: 1
rig: test
encoder: {{model: imagebind, size: small, weights: random}}
streams:
  - {{id: imu, modality: imu, window: {{hop_s: 1}},
     device: {device}}}
"""
    streams = parse_config(text).streams
    digests = file_digests(streams)
    assert list(digests) == [str(table)]
    moments = list(collected(Take("file:walk", streams, MAKERS, wanted=("imu",), files=digests)))
    assert 14 <= len(moments) <= 16


def test_a_simulated_take_needs_a_duration() -> None:
    with pytest.raises(ConfigError, match="duration"):
        list(collected(take_of(duration_s=None)))
