"""`stream-bind devices`: what it prints, for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pydantic import BaseModel

from devices.base import Found
from stream_bind.cli import devices, sensor_needs
from stream_bind.cli.main import main
from stream_bind.config import load_config
from stream_bind.registry import Entry, Registry

ROOT = Path(__file__).resolve().parents[3]
HEAD = """\
version: 1
rig: bench
encoder: {model: imagebind, weights: random, size: small}
streams:
"""
LINK = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_1A2B3C4D-video-index0"
CAMERA = Found(
    "HD Pro Webcam C920",
    LINK,
    "vision",
    {"type": "v4l2_camera", "device": LINK, "width": 640, "height": 480, "rate_hz": 30.0},
    formats=tuple(f"MJPG {width}x{width * 3 // 4} 30, 24, 20, 15, 10, 7.5, 5 fps" for width in range(160, 1600, 160)),
    note="open in firefox (pid 4711)",
)
MICS = [
    Found("USB Audio", "hw:CARD=A,DEV=0", "audio", {"type": "microphone", "name": "hw:CARD=A,DEV=0"}),
    Found("USB Audio", "hw:CARD=B,DEV=0", "audio", {"type": "microphone", "name": "hw:CARD=B,DEV=0"}),
]
BARE_PORT = Found("CP2102", "serial:0001", "imu", {"type": "serial_imu", "port": "serial:0001"}, note="silent for 1 s")


class Nothing(BaseModel):
    """No settings."""


@pytest.fixture
def attached(monkeypatch):
    """What the drivers of these names find; a function is called instead."""

    def attach(**drivers):
        registry = Registry("device", {})
        registry._plugins_loaded = True
        for name, found in drivers.items():
            look = staticmethod(found if callable(found) else lambda probe=True, found=found: list(found))
            registry._entries[name] = Entry(
                name, type(name, (), {"discover": look}), Nothing, ("vision", "audio", "depth", "imu")
            )
        monkeypatch.setattr("stream_bind.cli.attached.DEVICES", registry)

    return attach


def sections(text):
    """The YAML in what people see: from `  - id:` to the next empty line."""
    found, inside = [], False
    for line in text.splitlines():
        inside = line.startswith("  - id:") or (inside and bool(line))
        if inside:
            found.append(line)
    return "\n".join(found) + "\n"


def test_every_section_it_prints_can_be_pasted_together(attached, capsys, tmp_path):
    attached(v4l2_camera=[CAMERA], microphone=MICS)
    assert main(["devices"]) == 0
    path = tmp_path / "rig.yaml"
    path.write_text(HEAD + sections(capsys.readouterr().out))
    rig = load_config(path)
    assert [stream.id for stream in rig.streams] == ["hd-pro-webcam-c920", "mic", "mic-2"]
    assert rig.streams[0].device.settings.device == LINK


def test_people_see_name_identity_formats_and_what_stands_in_the_way(attached, capsys):
    attached(v4l2_camera=[CAMERA])
    main(["devices"])
    out = capsys.readouterr().out
    assert "VISION" in out
    for words in ("HD Pro Webcam C920", LINK, "open in firefox (pid 4711)", "and 5 more", "doctor"):
        assert words in out
    assert out.count("MJPG") == 4


def test_programs_get_one_sensor_a_line_with_all_formats(attached, capsys, tmp_path):
    attached(v4l2_camera=[CAMERA], microphone=MICS, serial_imu=[BARE_PORT])
    assert main(["devices", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["modality"] for line in lines] == ["vision", "audio", "audio", "imu"]
    assert lines[0]["formats"] == list(CAMERA.formats)
    assert lines[0]["stream"] == {"id": "hd-pro-webcam-c920", "modality": "vision", "device": CAMERA.config}
    assert lines[0]["driver"] == "v4l2_camera"
    path = tmp_path / "rig.yaml"
    path.write_text(HEAD + "".join(line["yaml"] for line in lines if line["yaml"]))
    assert len(load_config(path).streams) == 3
    assert lines[3]["yaml"] is None
    assert lines[3]["missing"] == ["rate_hz"]


def test_a_sensor_that_is_not_known_well_enough_gets_no_section(attached, capsys):
    attached(serial_imu=[BARE_PORT])
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert "silent for 1 s" in out
    assert "still to be known: rate_hz" in out
    assert "- id:" not in out


def test_nothing_attached_says_what_was_looked_for_and_what_would_help(attached, capsys, monkeypatch):
    attached(
        v4l2_camera=[],
        oak_depth=[],
        microphone=[Found("inputs", "", "audio", {}, note="PortAudio is missing: apt-get install libportaudio2")],
    )
    monkeypatch.setattr(sensor_needs.Extra, "version", lambda self: None)
    assert main(["devices"]) == 0
    captured = capsys.readouterr()
    assert "Nothing is attached" in captured.out
    assert "microphone, oak_depth, v4l2_camera" in captured.out
    assert "apt-get install libportaudio2" in captured.out
    assert "pip install depthai" in captured.out
    assert "realsense" not in captured.out
    assert captured.err == ""


def test_programs_get_no_line_for_nothing_and_the_hints_on_stderr(attached, capsys):
    attached(microphone=[Found("inputs", "", "audio", {}, note="PortAudio is missing")])
    assert main(["devices", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "microphone is not looked for: PortAudio is missing" in captured.err


def test_a_driver_that_raises_is_one_line_and_the_others_are_shown(attached, capsys):
    def broken(probe=True):
        raise OSError(5, "Input/output error")

    attached(v4l2_camera=[CAMERA], oak_depth=broken)
    assert main(["devices"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "stream-bind: oak_depth cannot look: OSError: [Errno 5] Input/output error\n"
    assert LINK in captured.out


def test_noise_of_a_library_does_not_reach_the_output(attached, capfd):
    def noisy(probe=True):
        os.write(1, b"[sdk] hello\n")
        os.write(2, b"ALSA lib conf.c: cannot find card 0\n")
        print("python noise")
        return MICS

    attached(microphone=noisy)
    assert main(["devices", "--json"]) == 0
    out, err = capfd.readouterr()
    assert [json.loads(line)["identity"] for line in out.splitlines()] == ["hw:CARD=A,DEV=0", "hw:CARD=B,DEV=0"]
    assert err == ""


def test_an_unknown_modality_is_a_usage_error(capsys):
    assert main(["devices", "--modality", "smell"]) == 2
    assert "'smell' is none of vision" in capsys.readouterr().err


def test_a_hung_driver_does_not_hang_the_command_and_stays_silent(tmp_path):
    """The real command in a process of its own, with an SDK that hangs and goes on printing."""
    script = textwrap.dedent("""
        import os, sys, threading, time
        from stream_bind.cli import attached
        from stream_bind.registry import DEVICES
        class Hung:
            @classmethod
            def discover(cls, probe=True):
                while True:
                    os.write(1, b"sdk: still trying\\n")
                    time.sleep(0.01)
        from devices.simulated import Simulated
        from devices.simulated.config import SimulatedConfig
        DEVICES.register("hung_sdk", SimulatedConfig, ("vision",))(Hung)
        attached.search.__kwdefaults__["patience_s"] = 3.0
        from stream_bind.cli.main import main
        sys.exit(main(["devices", "--json", "--no-probe", "--modality", "vision"]))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert "hung_sdk did not answer within" in done.stderr
    assert "still asking hung_sdk" in done.stderr
    assert "sdk:" not in done.stdout + done.stderr
    for line in done.stdout.splitlines():
        json.loads(line)


def test_every_driver_of_ours_that_looks_is_asked_and_none_fails(capsys):
    """Whatever this machine has: the real drivers, without opening anything."""
    assert main(["devices", "--no-probe", "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        assert json.loads(line)["driver"]


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.requires("tmux")
def test_on_a_terminal_nothing_is_broken_but_long_identities(columns, tmp_path):
    """As a person sees it; the section is whole, line by line."""
    session = f"devices-{os.getpid()}-{columns}"
    script = tmp_path / "show.py"
    script.write_text(
        "from stream_bind.cli.devices import _show, _sections\n"
        "from stream_bind.cli.attached import Offer, Search\n"
        "from stream_bind.cli.page import Page\n"
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_devices import CAMERA, MICS\n"
        "offers = [Offer('v4l2_camera', CAMERA), *(Offer('microphone', mic) for mic in MICS)]\n"
        "_show(Page(), Search(asked=('v4l2_camera',), offers=offers), _sections(offers), {})\n"
    )
    command = f"PYTHONPATH={ROOT} {sys.executable} {script} 2>&1; echo DONE; sleep 60"
    tmux = ["tmux", "-L", session]
    try:
        subprocess.run([*tmux, "new-session", "-d", "-x", str(columns), "-y", "70", command], check=True, timeout=30)
        screen = ""
        for _ in range(200):
            shown = subprocess.run(
                [*tmux, "capture-pane", "-p"], capture_output=True, text=True, timeout=30, check=False
            )
            screen = shown.stdout
            if "DONE" in screen:
                break
            subprocess.run(["sleep", "0.1"], check=True)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, timeout=30)
    assert "  - id: hd-pro-webcam-c920" in screen.splitlines()
    assert "      rate_hz: 30.0" in screen.splitlines()
    assert "Traceback" not in screen
    assert screen.count("MJPG") == devices.SHOWN_FORMATS
