"""The YAML of a found sensor: whatever it is called, pasting it gives a valid file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.base import Found
from stream_bind.cli.snippet import propose_id, stream_section, to_yaml, what_is_missing
from stream_bind.config import load_config, parse_config

HEAD = """\
version: 1
rig: bench
encoder: {model: imagebind, weights: random, size: small}
streams:
"""


def pasted(found, stream_id=None):
    text = HEAD + to_yaml(stream_section(found, stream_id or propose_id(found)))
    (stream,) = parse_config(text).streams
    return stream


def camera(name="HD Pro Webcam C920: HD Pro Webcam C920", **more):
    device = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_1A2B-video-index0"
    return Found(name, device, "vision", {"type": "v4l2_camera", "device": device, "width": 640, "height": 480, **more})


FOUND = [
    camera(),
    camera(rate_hz=29.97),
    Found("index 0", "0", "vision", {"type": "opencv_camera", "source": 0}),
    Found(
        "Depth",
        "serial:0012",
        "depth",
        {
            "type": "v4l2_camera",
            "device": "serial:0012",
            "modality": "depth",
            "width": 640,
            "height": 480,
            "rate_hz": 30.0,
            "depth_unit_m": 0.001,
        },
    ),
    Found(
        "USB Audio: - (hw:1,0)", "hw", "audio", {"type": "microphone", "name": "hw:CARD=Device,DEV=0", "channels": 2}
    ),
    Found("IMU", "p", "imu", {"type": "serial_imu", "port": "serial:00123", "baud": 9600, "rate_hz": 100}),
]


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.name)
def test_what_a_driver_offers_is_valid_when_pasted(found, tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(HEAD + to_yaml(stream_section(found, propose_id(found))))
    (stream,) = load_config(path).streams
    assert stream.modality == found.modality
    for key, value in found.config.items():
        if key not in {"type", "modality"}:
            assert stream.device.settings_dict()[key] == value


def test_several_stand_below_each_other():
    taken: list[str] = []
    text = HEAD
    for found in (*FOUND, *FOUND):
        taken.append(propose_id(found, taken))
        text += to_yaml(stream_section(found, taken[-1]))
    assert [stream.id for stream in parse_config(text).streams] == taken


@given(name=st.text(max_size=60), port=st.text(min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_name_breaks_the_yaml_or_becomes_a_variable(name, port):
    found = Found(name, port, "audio", {"type": "microphone", "name": f"x{port}", "rate_hz": 48000})
    stream = pasted(found)
    assert stream.device.settings.name == f"x{port}"


@pytest.mark.parametrize(
    "word", ["on", "no", "null", "0x12", "1e5", "007", "${HOME}", "$${x}", "a: b", "# c", "- d", "~"]
)
def test_words_that_yaml_takes_for_something_else_stay_words(word):
    assert pasted(Found("m", word, "audio", {"type": "microphone", "name": word})).device.settings.name == word


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("HD Pro Webcam C920: HD Pro Webcam C920", "hd-pro-webcam-c920"),
        ("USB Audio Device: - (hw:1,0)", "mic"),
        ("Rode NT-USB Mini", "rode-nt-mini"),
        ("Überwachung №1", "uberwachung-no1"),
        ("", "mic"),
        ("a" * 80, "a" * 24),
        ("An Extraordinarily Long Name Of A Thing", "an-extraordinarily-long"),
    ],
)
def test_the_id_is_made_of_the_words_that_tell_something(name, proposed):
    assert propose_id(Found(name, "", "audio", {})) == proposed


def test_ids_are_all_different():
    assert propose_id(camera(), {"hd-pro-webcam-c920", "hd-pro-webcam-c920-2"}) == "hd-pro-webcam-c920-3"


def test_a_motion_sensor_without_a_gyroscope_gets_what_its_encoder_needs():
    config = {"type": "serial_imu", "port": "serial:1", "rate_hz": 100, "protocol": "bno08x_rvc"}
    found = Found("BNO085", "serial:1", "imu", config)
    assert stream_section(found, "imu")["missing_axes"] == "zero"
    assert pasted(found, "imu").missing_axes == "zero"
    assert "missing_axes" not in stream_section(FOUND[-1], "imu")


def test_what_is_not_known_is_named():
    found = Found("port", "/dev/ttyS0", "imu", {"type": "serial_imu", "port": "/dev/ttyS0"})
    assert what_is_missing(found) == ("rate_hz",)
    assert what_is_missing(camera()) == ()
