"""The kernel's structures and one node, against the documented numbers and the fake kernel's bytes."""

from __future__ import annotations

import ctypes
import errno
import inspect
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from devices import v4l2
from devices.v4l2 import Sizes, V4l2Node, code, fourcc

# linux/videodev2.h on x86_64, as a C compiler prints them.
NUMBERS = {
    "QUERYCAP": 0x80685600,
    "ENUM_FMT": 0xC0405602,
    "G_FMT": 0xC0D05604,
    "S_FMT": 0xC0D05605,
    "REQBUFS": 0xC0145608,
    "QUERYBUF": 0xC0585609,
    "QBUF": 0xC058560F,
    "DQBUF": 0xC0585611,
    "STREAMON": 0x40045612,
    "STREAMOFF": 0x40045613,
    "G_PARM": 0xC0CC5615,
    "S_PARM": 0xC0CC5616,
    "G_CTRL": 0xC008561B,
    "S_CTRL": 0xC008561C,
    "QUERYCTRL": 0xC0445624,
    "QUERYMENU": 0xC02C5625,
    "ENUM_FRAMESIZES": 0xC02C564A,
    "ENUM_FRAMEINTERVALS": 0xC034564B,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_an_ioctls_number_is_the_documented_one(name: str) -> None:
    assert getattr(v4l2, name) == NUMBERS[name]
    assert getattr(v4l2, name) in v4l2.MESSAGES or name.startswith("STREAM")


def test_structures_have_the_kernels_sizes() -> None:
    sizes = {kind.__name__: ctypes.sizeof(kind) for kind in v4l2.MESSAGES.values()}
    assert sizes == {
        "_Capability": 104,
        "_FmtDesc": 64,
        "_Format": 208,
        "_RequestBuffers": 20,
        "_Buffer": 88,
        "_StreamParm": 204,
        "_Control": 8,
        "_QueryCtrl": 68,
        "_QueryMenu": 44,
        "_FrmSizeEnum": 44,
        "_FrmIvalEnum": 52,
    }


FIELDS = {
    "_Buffer": ("v4l2_buffer", "index bytesused flags timestamp timecode sequence memory m length request_fd"),
    "_Capability": ("v4l2_capability", "card bus_info capabilities device_caps"),
    "_FmtDesc": ("v4l2_fmtdesc", "description pixelformat"),
    "_Format": ("v4l2_format", "type fmt"),
    "_QueryCtrl": ("v4l2_queryctrl", "name minimum maximum step default_value flags"),
    "_RequestBuffers": ("v4l2_requestbuffers", "count type memory capabilities"),
    "_PixFormat": ("v4l2_pix_format", "width height pixelformat field bytesperline sizeimage xfer_func"),
}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
@pytest.mark.skipif(not Path("/usr/include/linux/videodev2.h").exists(), reason="no kernel headers")
def test_fields_lie_where_the_header_puts_them(tmp_path: Path) -> None:
    lines = [
        f'printf("{ours} {name} %zu\\n", offsetof(struct {theirs}, {name}));'
        for ours, (theirs, names) in FIELDS.items()
        for name in names.split()
    ]
    heads = "".join(f"#include <{name}>\n" for name in ("linux/videodev2.h", "stddef.h", "stdio.h"))
    source = heads + "int main(){" + "".join(lines) + "}"
    (tmp_path / "a.c").write_text(source)
    subprocess.run(["gcc", "-o", str(tmp_path / "a"), str(tmp_path / "a.c")], check=True, timeout=60)
    told = subprocess.run([str(tmp_path / "a")], check=True, capture_output=True, text=True, timeout=10).stdout
    kinds = {name: kind for name, kind in inspect.getmembers(v4l2) if inspect.isclass(kind)}
    for line in told.splitlines():
        ours, name, offset = line.split()
        assert getattr(kinds[ours], name).offset == int(offset), line


def test_pixel_formats_have_names_of_four_letters() -> None:
    assert code("YUYV") == 0x56595559
    assert code("Y16") == code("Y16 ") == 0x20363159
    assert fourcc(0x20363159) == "Y16 "
    assert fourcc(0x20363159 | 1 << 31) == "Y16 -BE"


def test_sizes_hold_what_is_listed_or_in_range() -> None:
    assert Sizes(((640, 480),)).hold(640, 480)
    assert not Sizes(((640, 480),)).hold(480, 640)
    ranges = Sizes(ranges=((48, 1920, 16), (32, 1080, 2)))
    assert ranges.hold(640, 480)
    assert not ranges.hold(641, 480)
    assert not ranges.hold(640, 2000)
    assert str(ranges) == "48x32 to 1920x1080"
    assert Sizes(known=False).hold(1, 1)


def test_a_node_tells_what_it_is_and_what_it_offers(bench: Any, cams: Any) -> None:
    knobs = [
        cams.Knob(0x00980900, "Brightness", 3, low=-10, high=10),
        cams.Knob(0x009A0901, "Auto Exposure", 3, high=3, kind=3, menu={1: "Manual Mode", 3: "Aperture Priority Mode"}),
        cams.Knob(0x009A0001, "Camera Controls", 0, kind=6),
        cams.Knob(0x009A0905, "Disabled", 0, flags=1),
    ]
    bench.plug(cams.Camera(knobs=knobs))
    node = V4l2Node(str(bench.root / "dev/video0"))
    told = node.capability()
    assert (told.driver, told.card, told.captures) == ("fakecam", "Test Cam", True)
    assert node.formats() == ["YUYV", "MJPG"]
    assert node.sizes("YUYV").listed == ((640, 480), (320, 240))
    assert node.rates("YUYV", 640, 480) == (30.0, 15.0)
    assert node.rates("GREY", 640, 480) == ()
    controls = node.controls()
    assert list(controls) == ["brightness", "auto_exposure"], "no headings, nothing that is switched off"
    assert controls["auto_exposure"].menu == {1: "Manual Mode", 3: "Aperture Priority Mode"}
    assert controls["brightness"].minimum == -10
    assert node.get(controls["brightness"]) == 3
    assert node.set(controls["brightness"], -7) == -7
    node.close()
    node.close()
    with pytest.raises(OSError) as caught:
        node.capability()
    assert caught.value.errno == errno.EBADF


def test_frames_come_with_stamp_number_and_flags(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(picture=cams.yuyv(320, 240), damaged={1}, lost={2}))
    node = V4l2Node(str(bench.root / "dev/video0"))
    layout = node.set_format("YUYV", 320, 240)
    assert (layout.fourcc, layout.width, layout.height, layout.bytesperline) == ("YUYV", 320, 240, 640)
    assert node.set_rate(30) == 30
    flags = node.start(4)
    assert flags == 0x2000
    assert node.n_buffers == 4
    assert node.dequeue() is None
    assert not node.wait(0.01)
    seen = []
    began = 10**12
    for _ in range(4):
        assert node.wait(1)
        buffer = node.dequeue()
        assert buffer is not None
        seen.append((buffer.sequence, bool(buffer.flags & v4l2.BUF_FLAG_ERROR), buffer.view[0]))
        assert abs(buffer.stamp_ns - (began + (buffer.sequence + 1) * 1e9 / 30)) < 1500, "microseconds"
        buffer.view.release()
        node.requeue(buffer.index)
    assert seen == [(0, False, 16), (1, True, 17), (3, False, 19), (4, False, 20)]
    node.close()


def test_closing_lets_go_though_somebody_looks_at_the_last_frame(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(picture=cams.yuyv(320, 240)))
    node = V4l2Node(str(bench.root / "dev/video0"))
    node.set_format("YUYV", 320, 240)
    node.start(2)
    assert node.wait(1)
    buffer = node.dequeue()
    assert buffer is not None
    node.close()
    assert buffer.view[0] == 16


@pytest.mark.parametrize(("what", "expected"), [("unplugged", errno.ENODEV), ("broken", errno.EIO)])
def test_waiting_for_a_dead_camera_says_so(bench: Any, cams: Any, what: str, expected: int) -> None:
    camera = cams.Camera(picture=cams.yuyv(320, 240))
    bench.plug(camera)
    node = V4l2Node(str(bench.root / "dev/video0"))
    node.set_format("YUYV", 320, 240)
    node.start(2)
    setattr(camera, what, True)
    with pytest.raises(OSError) as caught:
        node.wait(1)
    assert caught.value.errno == expected
    node.close()


def test_a_real_file_that_is_no_camera_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("")
    node = V4l2Node(str(tmp_path / "video0"))
    with pytest.raises(OSError):
        node.capability()
    node.close()
    with pytest.raises(FileNotFoundError):
        V4l2Node(str(tmp_path / "video1"))
