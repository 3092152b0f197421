"""Folders of pictures: EuRoC, TUM RGB-D, and pictures named by their times."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.job import measure
from stream_bind.messages import Intrinsics

T0 = 1_760_000_000_000_000_000
RNG = np.random.default_rng(3)
COLOUR = [RNG.integers(0, 255, (24, 32, 3), np.uint8) for _ in range(10)]
COUNTS = [RNG.integers(500, 9000, (24, 32), np.uint16) for _ in range(10)]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def euroc(folder: Path) -> Path:
    root = folder / "mav0"
    lines = ["#timestamp [ns],filename"]
    for i in range(10):
        at = T0 + i * 50_000_000
        lines.append(f"{at},{at}.png")
        save(root / "cam0" / "data" / f"{at}.png", COLOUR[i][..., 0])
    (root / "cam0" / "data.csv").write_text("\n".join(lines))
    (root / "cam0" / "sensor.yaml").write_text(
        "%YAML:1.0\nsensor_type: camera\nrate_hz: 20\nresolution: [32, 24]\ncamera_model: pinhole\n"
        "intrinsics: [30.0, 31.0, 16.0, 12.0]\ndistortion_model: radial-tangential\n"
        "distortion_coefficients: [-0.2, 0.1, 0.0, 0.0]\n"
    )
    (root / "imu0").mkdir()
    titles = ",".join(f"w_RS_S_{a} [rad s^-1]" for a in "xyz") + "," + ",".join(f"a_RS_S_{a} [m s^-2]" for a in "xyz")
    rows = "\n".join(f"{T0 + i * 5_000_000},0.1,0.2,0.3,1,2,9.8" for i in range(100))
    (root / "imu0" / "data.csv").write_text(f"#timestamp [ns],{titles}\n{rows}\n")
    (root / "state_groundtruth_estimate0").mkdir()
    (root / "state_groundtruth_estimate0" / "data.csv").write_text(
        "#timestamp,p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m]\n1,2,3,4\n2,2,3,4\n3,2,3,4\n"
    )
    return folder


def test_euroc_with_its_calibration(tmp_path: Path, read, through_log) -> None:
    path = euroc(tmp_path / "MH_01")
    source, found = read(path)
    assert set(found) == {"cam0", "imu0"}
    assert source.specs["cam0"].intrinsics == Intrinsics(
        32, 24, 30.0, 31.0, 16.0, 12.0, "brown_conrady", (-0.2, 0.1, 0, 0)
    )
    assert source.specs["cam0"].rate_hz == pytest.approx(20)
    assert found["cam0"][0].tolist() == [T0 + i * 50_000_000 for i in range(10)]
    assert np.array_equal(found["cam0"][1][3], np.repeat(COLOUR[3][..., :1], 3, axis=2))
    np.testing.assert_allclose(found["imu0"][1][0], [1, 2, 9.8, 0.1, 0.2, 0.3], rtol=1e-6)
    assert "state_groundtruth_estimate0" in source.skipped
    assert np.array_equal(through_log(path)["cam0"][1], found["cam0"][1])
    for part in ("mav0", "mav0/cam0"):
        assert "cam0" in read(path / part)[1]


def test_sixteen_bit_grey_is_seen_by_its_upper_half(tmp_path: Path, read) -> None:
    for i in range(3):
        save(tmp_path / "cam" / f"{T0 + i * 50_000_000}.png", COUNTS[i] << 4)
    _, found = read(tmp_path / "cam")
    assert np.array_equal(found["cam"][1][2], np.repeat(((COUNTS[2] << 4) >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_listed_pictures_that_are_missing_or_damaged_are_counted(tmp_path: Path) -> None:
    path = euroc(tmp_path / "MH_01")
    files = sorted((path / "mav0" / "cam0" / "data").iterdir())
    files[4].unlink()
    files[7].write_bytes(files[7].read_bytes()[:100])
    save(files[8], np.zeros((10, 10, 3), np.uint8))
    found = measure(open_source(path, ImportOptions()))
    assert found.streams["cam0"].n_samples == 7
    assert found.streams["cam0"].n_gaps == 2
    assert found.losses == [
        "cam0: 1 of 10 listed pictures are not there",
        "cam0: 1 pictures cannot be read",
        "cam0: 1 pictures are 10x10, the first is 32x24",
    ]


def test_tum_with_its_depth_scale(tmp_path: Path, read) -> None:
    folder = tmp_path / "freiburg"
    rgb, depth = ["# color images", "# timestamp filename"], ["# depth maps"]
    for i in range(10):
        second = f"{1305031102 + i / 30:.6f}"
        save(folder / "rgb" / f"{second}.png", COLOUR[i])
        save(folder / "depth" / f"{second}.png", COUNTS[i])
        rgb.append(f"{second} rgb/{second}.png")
        depth.append(f"{second} depth/{second}.png")
    (folder / "rgb.txt").write_text("\n".join(rgb))
    (folder / "depth.txt").write_text("\n".join(depth))
    accel = "\n".join(f"{1305031102 + i / 100:.6f} 0.1 0.2 9.8" for i in range(50))
    (folder / "accelerometer.txt").write_text(f"# timestamp ax ay az\n{accel}\n")
    source, found = read(folder)
    assert set(found) == {"rgb", "depth", "accel"}
    assert np.array_equal(found["rgb"][1][5], COLOUR[5])
    np.testing.assert_allclose(found["depth"][1][5], COUNTS[5] / 5000, rtol=1e-6)
    assert int(found["rgb"][0][1]) == 1305031102_033333000
    assert found["accel"][1][0].tolist() == pytest.approx([0.1, 0.2, 9.8])
    assert any("5000 counts are taken as 1 m" in doubt for doubt in source.doubts)
    source, found = read(folder, depth_unit_m=0.001)
    np.testing.assert_allclose(found["depth"][1][5], COUNTS[5] / 1000, rtol=1e-6)
    assert not any("5000 counts" in doubt for doubt in source.doubts)


@pytest.mark.parametrize(
    ("name", "unit_ns"),
    [("{}", 1), ("{}", 1_000), ("frame_{}", 1_000_000), ("{}.000000000", 1_000_000_000), ("cam-{}_000000000", 10**9)],
)
def test_pictures_named_by_their_times(name: str, unit_ns: int, tmp_path: Path, read) -> None:
    step_ns = max(unit_ns, 100_000_000)
    for i in range(5):
        save(tmp_path / "cam" / (name.format((T0 + i * step_ns) // unit_ns) + ".png"), COLOUR[i])
    source, found = read(tmp_path / "cam")
    assert found["cam"][0].tolist() == [T0 + i * step_ns for i in range(5)]
    assert source.doubts == []


def test_numbered_pictures_side_by_side_have_an_assumed_rate_until_it_is_told(
    tmp_path: Path, read, through_log
) -> None:
    for i in range(10):
        save(tmp_path / "rec" / "color" / f"{i + 1}.jpg", COLOUR[i])
        save(tmp_path / "rec" / "depth" / f"{i + 1}.png", COUNTS[i])
        save(tmp_path / "rec" / "thermal" / f"{i + 1}.png", COUNTS[i])
    source, found = read(tmp_path / "rec")
    assert set(found) == {"color", "depth"}
    assert "add --scale-k" in source.skipped["thermal"]
    assert any("color: its pictures have no times; 10 a second assumed" in doubt for doubt in source.doubts)
    source, found = read(tmp_path / "rec", rate_hz=25.0, start_ns=T0, scale_k=0.05)
    assert found["depth"][0].tolist() == [T0 + i * 40_000_000 for i in range(10)]
    # 10.jpg comes after 9.jpg, not after 1.jpg.
    np.testing.assert_allclose(found["depth"][1][9], COUNTS[9] / 1000, rtol=1e-6)
    np.testing.assert_allclose(found["thermal"][1][0], COUNTS[0] * 0.05, rtol=1e-6)
    again = through_log(tmp_path / "rec", rate_hz=25.0, scale_k=0.05)
    assert np.array_equal(again["color"][1], found["color"][1])
    assert np.array_equal(again["thermal"][1], found["thermal"][1])


def test_a_folder_whose_pictures_are_all_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "1.png").write_bytes(b"no picture")
    with pytest.raises(LogError, match="without a stream to import; it holds cam"):
        open_source(tmp_path / "cam", ImportOptions())
