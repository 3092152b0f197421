"""Recordings of real devices and programs: counts, rates, gaps and durations as other readers measured them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.job import Imported, measure

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("STREAM_BIND_SHARED", ROOT.parent / "shared")) / "data" / "dev"
pytestmark = pytest.mark.requires("shared")


@dataclass(frozen=True)
class Wanted:
    samples: int
    duration_s: float | None = None
    rate_hz: float | None = None
    gaps: int | None = None
    longest_gap_s: float | None = None
    repeated: int = 0


FILES: dict[str, dict[str, Wanted]] = {
    "vrs/aria_gen1_timecode.vrs": {
        "imu_1": Wanted(150, 0.149, 999.5),
        "imu_2": Wanted(121, 0.149, 807.4),
        "camera-rgb_1": Wanted(4),
        "camera-slam_1": Wanted(4),
        "camera-slam_2": Wanted(4),
        "camera-eye_1": Wanted(4),
    },
    "vrs/adt_depth_images.vrs": {f"depth_{i}": Wanted(2, 0.033) for i in (1, 2, 3)},
    "gopro/karma.mp4": {
        "camera": Wanted(362, 12.0787 - 1 / 29.97, 29.97, 0),
        "microphone": Wanted(566 * 1024, 12.0747, 48000, 0),
        "accel": Wanted(2397, 12.078),
        "gyro": Wanted(4795, 12.08),
    },
    "gopro/hero5.raw": {"accel": Wanted(199), "gyro": Wanted(399)},
    "ros1/ardrone_imu.bag": {"ardrone.imu": Wanted(4308, 92.402, 46.6, None, 1.0)},
    "ros1/sparkfun_razor.bag": {"imu": Wanted(2144, 31.046, 69.03, 0)},
    "ulog/sample_log_small.ulg": {"imu": Wanted(1298, 6.496, 199.7, 1, 0.161)},
    "imu_csv/xio_short_walk.csv": {"imu": Wanted(16539, 41.618, 397.4, 0, None, 205)},
    "imu_csv/sensorlogger_pixel6": {
        "accelerometer": Wanted(23455, 416.97, 56.25),
        "gyroscope": Wanted(23593, None, 56.56),
        "totalacceleration": Wanted(23487, None, 56.31),
    },
    "euroc": {"imu0": Wanted(29120, 145.595, 200.0, 0), "cam0": Wanted(32, 4.65, 6.67, 0)},
    "rgbd/slambook_ch5": {"color": Wanted(5), "depth": Wanted(5)},
    "thermal/flir_frame.fff": {"thermal": Wanted(1)},
    "thermal/flir_rjpeg.jpg": {"thermal": Wanted(1)},
    "audio/esc50/1-100032-A-0.wav": {"microphone": Wanted(220500, 5.0, 44100)},
    "audio/multimic/speech_-0.82918_0.55279_-0.082918.flac": {"microphone": Wanted(160000, 10.0, 16000)},
    "audio/fsdd/9_yweweler_7.wav": {"microphone": Wanted(2815, None, 8000)},
    "audio/nasa_8k.mp3": {"microphone": Wanted(104448, None, 8000)},
    "audio/sine_mono_s32_8000.wav": {"microphone": Wanted(32000, 4.0, 8000)},
    "audio/stereo_spk1.wav": {"microphone": Wanted(50400, 3.15, 16000)},
    "video/nasa_13013.mp4": {
        "camera": Wanted(325, 13.0 - 0.04, 25),
        "camera_1": Wanted(390, 13.013 - 1 / 29.97, 29.97),
        "microphone": Wanted(104448, 13.056, 8000),
        "microphone_1": Wanted(208896, 13.056, 16000),
    },
    "video/h265_video.mp4": {"camera": Wanted(10, 0.9, 10)},
}

REFUSED = {
    "ros1/turtlesim-bz2.bag": "(ROS 1 bag) without a stream to import; it holds /rosout",
    "ros2/mcap_talker": "(ROS 2 bag (MCAP)) without a stream to import",
    "ros2/mcap_talker/talker.mcap": "(MCAP file) without a stream to import",
    "ros2/sqlite3_talker": "(ROS 2 bag (SQLite)) without a stream to import",
    "ros2/sqlite3_cdr_test": "test_msgs",
    "ros2/mcap_cdr_test": "test_msgs",
    "mcap/keelson_ais.mcap": "keelson.primitives.TimestampedBytes: is no picture, sound or motion",
    "thermal/flir_radiometric.tiff": "add --scale-k; with 0.04 its median would be 6.6 °C",
    "thermal/mlx90640_raw_frames.csv": "looks like raw frames of an MLX90640",
    "thermal/mlx90640_eeprom.csv": "looks like the EEPROM of an MLX90640",
    "audio/odd_wav/test-8000Hz-le-3ch-5S-36bit.wav": "no sound can be read from it",
    "audio/odd_wav/test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav": "no sound can be read from it",
    "serial/ublox_ESF.ubx": "a u-blox UBX log",
    "serial/wt901blecl50.hexdump.txt": "is of no kind that can be imported; text that begins",
    "semantic/imagebind_dog.jpg": "is one picture, no recording",
}


def imported(name: str) -> Imported:
    source = open_source(DATA / name, ImportOptions())
    try:
        return measure(source)
    finally:
        source.close()


@pytest.mark.requires("pyulog", "pyvrs")
@pytest.mark.parametrize("name", FILES)
def test_a_real_recording_has_what_other_readers_found(name: str) -> None:
    found = imported(name).streams
    for stream, wanted in FILES[name].items():
        got = found[stream]
        assert got.n_samples == wanted.samples
        if wanted.duration_s is not None:
            assert got.duration_s == pytest.approx(wanted.duration_s, abs=5e-3)
        if wanted.rate_hz is not None:
            assert got.rate_hz == pytest.approx(wanted.rate_hz, rel=1e-3)
        if wanted.gaps is not None:
            assert got.n_gaps == wanted.gaps
        if wanted.longest_gap_s is not None:
            assert got.longest_gap_ns / 1e9 == pytest.approx(wanted.longest_gap_s, abs=2e-3)
        assert got.n_repeated == wanted.repeated


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_without_a_stream_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(LogError) as refusal:
        imported(name)
    assert REFUSED[name] in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_every_real_file_is_imported_or_refused() -> None:
    """Whatever a person points at: a result, or one sentence."""
    for path in sorted(DATA.rglob("*")):
        if path.is_file() and path.suffix != ".md":
            with contextlib.suppress(LogError):
                assert imported(str(path.relative_to(DATA))).streams


def test_fast_turning_of_real_sensors_is_doubted_and_gravity_heard() -> None:
    for name, peak in (("ardrone_imu", "23.6"), ("sparkfun_razor", "39.8")):
        (doubt,) = imported(f"ros1/{name}.bag").doubts
        assert f"angular rate peaks at {peak}" in doubt
        assert "which speaks for rad/s" in doubt
    for name in ("euroc/imu0/data.csv", "imu_csv/xio_short_walk.csv"):
        assert not any("rotation" in doubt or "gravity" in doubt for doubt in imported(name).doubts)


def test_the_phone_with_gravity_is_preferred() -> None:
    source = open_source(DATA / "imu_csv" / "sensorlogger_pixel6", ImportOptions())
    found = measure(source)
    assert found.streams["imu"].spec.shape == (6,)
    assert not any(doubt.startswith("imu: gravity") for doubt in found.doubts)
    assert any(doubt.startswith("accelerometer: gravity") for doubt in found.doubts)


def test_flir_temperatures_are_those_of_its_own_software() -> None:
    """The SC660 sample of Thermimage: its documentation reads 23 to 36 degrees Celsius from it."""
    source = open_source(DATA / "thermal" / "flir_rjpeg.jpg", ImportOptions())
    (piece,) = list(source.pieces())
    celsius = piece.chunk.data[0] - 273.15
    assert (celsius.min(), celsius.max()) == (pytest.approx(22.73, abs=0.1), pytest.approx(35.22, abs=0.1))
    assert int(piece.chunk.t_ns[0]) == 1_368_152_543_335_000_000
