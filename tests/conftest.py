"""What tests may need of the machine they run on.

`@pytest.mark.requires("portaudio", "tmux")` skips where one is missing and names it. With STREAM_BIND_REQUIRE (a comma
list, or `all` for whatever a package manager can install) such a skip is a failure instead, so that a build machine
cannot pass by lacking things.
"""

from __future__ import annotations

import ctypes.util
import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STREAM_BIND_SHARED", ROOT.parent / "shared"))


def _has_qemu() -> bool:
    """What building and booting the test guest needs; /usr/sbin is not on every user's path."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return all(
        shutil.which(name, path=path)
        for name in ("qemu-system-x86_64", "busybox", "cpio", "modprobe", "depmod", "zstd")
    )


def _has_gst_rtsp() -> bool:
    """GStreamer's RTSP server and x264, by the system's Python: their bindings are no wheel."""
    asked = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "assert all(map(Gst.ElementFactory.find, ('x264enc', 'rtph264pay', 'jpegenc', 'appsrc')))"
    )
    try:
        done = subprocess.run(["/usr/bin/python3", "-c", asked], check=False, capture_output=True, timeout=30)
        return done.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


PROBES: dict[str, tuple[Callable[[], bool], str]] = {
    "portaudio": (
        lambda: ctypes.util.find_library("portaudio") is not None,
        "PortAudio is not installed (apt-get install libportaudio2)",
    ),
    "tmux": (lambda: shutil.which("tmux") is not None, "tmux is not installed (apt-get install tmux)"),
    "socat": (lambda: shutil.which("socat") is not None, "socat is not installed (apt-get install socat)"),
    "pty": (lambda: Path("/dev/ptmx").exists(), "this system has no pseudo-terminals (/dev/ptmx)"),
    "qemu": (
        _has_qemu,
        "the test guest cannot be made (apt-get install qemu-system-x86 busybox-static cpio kmod zstd)",
    ),
    "pulseaudio": (
        lambda: bool(
            all(map(shutil.which, ("pulseaudio", "pactl", "pacat", "setpriv")))
            and list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
            and importlib.util.find_spec("pulsectl")
        ),
        "PulseAudio is not installed (apt-get install pulseaudio pulseaudio-utils libasound2-plugins; "
        "pip install pulsectl)",
    ),
    "gst_rtsp": (
        functools.cache(_has_gst_rtsp),
        "GStreamer's RTSP server is not installed (apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
        "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly)",
    ),
    "ffmpeg": (lambda: shutil.which("ffmpeg") is not None, "ffmpeg is not installed (apt-get install ffmpeg)"),
    "realsense": (
        lambda: importlib.util.find_spec("pyrealsense2") is not None,
        "pyrealsense2 is not installed (pip install 'stream-bind[realsense]')",
    ),
    "depthai": (
        lambda: importlib.util.find_spec("depthai") is not None,
        "depthai is not installed (pip install 'stream-bind[oak]')",
    ),
    "pyulog": (
        lambda: importlib.util.find_spec("pyulog") is not None,
        "pyulog is not installed (pip install 'stream-bind[px4]')",
    ),
    "pyxdf": (
        lambda: importlib.util.find_spec("pyxdf") is not None,
        "pyxdf is not installed (pip install 'stream-bind[lsl]')",
    ),
    "pyvrs": (
        lambda: importlib.util.find_spec("pyvrs") is not None,
        "pyvrs is not installed (pip install --no-deps vrs)",
    ),
    "gpu": (_has_gpu, "there is no CUDA device"),
    "shared": (
        SHARED.is_dir,
        f"there is no folder {SHARED} with recordings and reference vectors (STREAM_BIND_SHARED)",
    ),
}
INSTALLABLE = (
    *("portaudio", "tmux", "pty", "qemu", "socat", "pulseaudio", "gst_rtsp", "ffmpeg", "realsense", "depthai"),
    *("pyulog", "pyxdf", "pyvrs"),
)
"""What `STREAM_BIND_REQUIRE=all` stands for; a GPU or the reference data cannot be installed."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"requires(name, ...): what the test needs of the machine: {', '.join(PROBES)}")


def required() -> set[str]:
    """The names whose absence is a failure in this run."""
    words = {word.strip() for word in os.environ.get("STREAM_BIND_REQUIRE", "").split(",") if word.strip()}
    return (words - {"all"}) | (set(INSTALLABLE) if "all" in words else set())


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("requires"):
        for name in mark.args:
            if name not in PROBES:
                pytest.fail(f"requires({name!r}): known names are {', '.join(PROBES)}", pytrace=False)
            probe, reason = PROBES[name]
            if probe():
                continue
            _lacking(name, reason)


def _lacking(name: str, reason: str) -> NoReturn:
    if name in required():
        pytest.fail(f"{reason}, and STREAM_BIND_REQUIRE asks for it", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def lacking() -> Callable[[str, str], NoReturn]:
    """Call it with a probe's name and a reason where the lack shows only later: fails where required, skips else."""
    return _lacking


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; skips where it is absent."""
    folder = SHARED / "data" / "dev"
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder} with recordings (STREAM_BIND_SHARED)")
    return folder
