"""Stills and folders: order, times, orientation, units, and pictures that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from devices.image_file import ImageFile, ImageFileConfig
from devices.still import read_counts
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk

Real = Callable[[str], Path]


def device(path: Path | str, **settings: object) -> ImageFile:
    config = ImageFileConfig.model_validate({"path": str(path), "rate": "max", **settings})
    return ImageFile(config, "i", ManualClock())


def drain(source: ImageFile) -> list[Chunk]:
    source.open()
    chunks = []
    while True:
        try:
            chunk = source.read(0.1)
        except EndOfStream:
            return chunks
        assert chunk is not None
        chunks.append(chunk)


def test_a_folder_is_stepped_in_the_natural_order_of_its_names(tmp_path: Path, files: Any) -> None:
    chunks = drain(device(files.write_pictures(tmp_path / "p"), rate_hz=4))
    assert [int(c.data[0, 0, 0, 0]) for c in chunks] == [0, 20, 40, 60, 80]
    assert [int(c.t_ns[0]) for c in chunks] == [i * 250_000_000 for i in range(5)]


def test_a_pattern_chooses_among_the_files(tmp_path: Path, files: Any) -> None:
    assert len(drain(device(files.write_pictures(tmp_path / "p") / "1*.png"))) == 3


def test_a_still_is_shown_for_its_duration(tmp_path: Path, files: Any) -> None:
    path = files.write_pictures(tmp_path / "p") / "9.png"
    chunks = drain(device(path, rate_hz=3, duration_s=2))
    assert len(chunks) == 6
    assert chunks[1].t_ns[0] == 333_333_333
    with pytest.raises(DeviceError, match="set duration_s"):
        device(path).open()


def test_times_come_from_file_names(tmp_path: Path) -> None:
    for t_ns in (1403715273262142976, 1403715273412143104, 1403715273762142976):
        Image.new("L", (16, 12), 99).save(tmp_path / f"{t_ns}.png")
    source = device(tmp_path, times="filename_ns")
    chunks = drain(source)
    assert [int(c.t_ns[0]) for c in chunks] == [1403715273262142976, 1403715273412143104, 1403715273762142976]
    assert source.spec.rate_hz == pytest.approx(4.0)
    assert chunks[0].data[0, 0, 0].tolist() == [99, 99, 99]


def test_exif_orientation_is_honoured_unless_told_otherwise(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = drain(device(tmp_path / "a.jpg", duration_s=0.1))[0].data[0]
    assert upright.shape == (40, 20, 3)
    assert upright[5, 10, 0] > 200, "what was left is up"
    assert drain(device(tmp_path / "a.jpg", duration_s=0.1, upright=False))[0].data.shape == (1, 20, 40, 3)


def test_a_broken_picture_in_a_folder_is_a_marked_gap(tmp_path: Path, files: Any) -> None:
    folder = files.write_pictures(tmp_path / "p")
    (folder / "10.png").write_bytes(b"not a picture")
    source = device(folder)
    chunks = drain(source)
    assert source.bad_files == 1
    assert [(int(c.t_ns[0]), c.gap_before) for c in chunks] == [
        (0, False),
        (100_000_000, False),
        (300_000_000, True),
        (400_000_000, False),
    ]


def test_pictures_of_another_size_are_refused_by_name(tmp_path: Path, files: Any) -> None:
    folder = files.write_pictures(tmp_path / "p")
    Image.new("RGB", (8, 8)).save(folder / "10.png")
    with pytest.raises(DeviceError, match=r"10\.png: is 8x8, the pictures before it are 32x24"):
        drain(device(folder))


def test_depth_counts_become_metres_and_zero_a_hole(tmp_path: Path) -> None:
    counts = np.array([[0, 1000], [2500, 65535]], np.uint16)
    Image.fromarray(counts).save(tmp_path / "a.png")
    data = drain(device(tmp_path / "a.png", modality="depth", duration_s=0.1))[0].data[0]
    assert np.isnan(data[0, 0])
    assert data.ravel()[1:].tolist() == pytest.approx([1.0, 2.5, 65.535])
    tenths = drain(device(tmp_path / "a.png", modality="depth", depth_unit_m=0.0001, duration_s=0.1))[0].data
    assert tenths[0, 0, 1] == pytest.approx(0.1)


def test_a_16_bit_pgm_is_not_stretched_to_its_maximum(tmp_path: Path) -> None:
    counts = np.array([[1, 2], [3, 9823]], ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5\n# made here\n2 2\n9823\n" + counts.tobytes())
    assert read_counts(tmp_path / "a.pgm").tolist() == [[1, 2], [3, 9823]]
    (tmp_path / "b.pgm").write_bytes(b"P5 2 2 9823\n" + counts.tobytes()[:-1])
    with pytest.raises(DeviceError, match="cut short: 7 of 8 bytes"):
        read_counts(tmp_path / "b.pgm")


def test_thermal_is_grey_or_kelvin_as_the_settings_say(tmp_path: Path) -> None:
    Image.new("L", (16, 12), 130).save(tmp_path / "grey.png")
    grey = device(tmp_path / "grey.png", modality="thermal", duration_s=0.1)
    assert (grey.spec.unit, grey.spec.dtype) == ("grey8", "uint8")
    assert drain(grey)[0].data[0, 0, 0] == 130
    Image.fromarray(np.full((12, 16), 29500, np.uint16)).save(tmp_path / "raw.png")
    raw = device(tmp_path / "raw.png", modality="thermal", duration_s=0.1, scale_k=0.01)
    assert (raw.spec.unit, raw.spec.dtype) == ("K", "float32")
    assert drain(raw)[0].data[0, 0, 0] == pytest.approx(295.0)
    with pytest.raises(DeviceError, match="set scale_k and offset_k"):
        device(tmp_path / "raw.png", modality="thermal", duration_s=0.1).open()


def test_pictures_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 90, 40)).save(tmp_path / "colour.png")
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DeviceError, match="holds no measurements"):
        device(tmp_path / "colour.png", modality="depth").open()
    with pytest.raises(DeviceError, match="depth wants 16-bit"):
        device(tmp_path / "grey.png", modality="depth").open()
    with pytest.raises(DeviceError, match="set modality to depth or thermal"):
        device(tmp_path / "deep.png").open()
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DeviceError, match="cannot be read as a picture"):
        device(tmp_path / "text.png").open()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeviceError, match="no picture found"):
        device(tmp_path / "empty").open()


def test_grey_heat_that_was_saved_as_colour_is_grey(tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (16, 24), np.uint8)
    Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2)).save(tmp_path / "heat.png")
    (chunk, *_) = drain(device(tmp_path / "heat.png", modality="thermal", duration_s=0.5))
    assert (np.asarray(chunk.data[0]) == grey).all()
    # Single pixels that differ by some levels are JPEG's doing; a tint is not.
    Image.fromarray(np.stack([grey, grey // 2, grey], axis=2)).save(tmp_path / "tinted.png")
    with pytest.raises(DeviceError, match="holds no measurements"):
        device(tmp_path / "tinted.png", modality="thermal").open()


def test_a_duration_does_not_go_with_times_from_names() -> None:
    with pytest.raises(ValidationError, match="single picture"):
        ImageFileConfig(path="x", times="filename_ns", duration_s=1)


def test_real_folders(real: Real) -> None:
    euroc = device(real("euroc/cam0/data"), times="filename_ns")
    chunks = drain(euroc)
    assert (len(chunks), int(chunks[0].t_ns[0])) == (32, 1403715273262142976)
    assert euroc.spec.rate_hz == pytest.approx(6.667, abs=0.001)
    depth = drain(device(real("rgbd/slambook_ch5/depth"), modality="depth"))
    assert float(np.isnan(depth[0].data).mean()) == pytest.approx(0.319, abs=0.001)
    assert np.nanmax(depth[0].data) == pytest.approx(9.823)
    flir = drain(device(real("thermal/flir_radiometric.tiff"), modality="thermal", scale_k=0.04, duration_s=0.1))
    assert np.median(flir[0].data) - 273.15 == pytest.approx(6994 * 0.04 - 273.15, abs=0.01)
