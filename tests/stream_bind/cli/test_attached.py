"""Looking for sensors: all drivers at once, none waited for long, each piece of hardware once."""

from __future__ import annotations

import threading

import pytest
from pydantic import BaseModel

from devices.base import Found
from stream_bind.cli.attached import Offer, search, without_repeats
from stream_bind.errors import DeviceError
from stream_bind.registry import Entry, Registry


class Nothing(BaseModel):
    """No settings."""


def driver(look, modalities=("vision",)):
    class Driver:
        @classmethod
        def discover(cls, probe=True):
            return look(probe)

    return Driver, modalities


@pytest.fixture
def registered(monkeypatch):
    """Only these drivers are known: name to the function that looks, or to (function, modalities)."""

    def register(**drivers):
        registry = Registry("device", {})
        registry._plugins_loaded = True
        for name, what in drivers.items():
            cls, modalities = driver(*(what if isinstance(what, tuple) else (what,)))
            registry._entries[name] = Entry(name, cls, Nothing, modalities)
        monkeypatch.setattr("stream_bind.cli.attached.DEVICES", registry)
        return registry

    return register


def cam(name="C920", identity="/dev/v4l/by-id/usb-c920", **config):
    return Found(name, identity, "vision", {"type": "v4l2_camera", "device": identity, **config})


def mic(name="Mic"):
    return Found(name, name, "audio", {"type": "microphone", "name": name})


def test_all_drivers_are_asked_and_what_they_found_stands_by_modality(registered):
    registered(a=(lambda probe: [mic()], ("audio",)), b=lambda probe: [cam()], c=lambda probe: [])
    found = search()
    assert found.asked == ("a", "b", "c")
    assert [(offer.driver, offer.found.name) for offer in found.offers] == [("b", "C920"), ("a", "Mic")]
    assert not found.failed
    assert not found.silent


def test_a_driver_that_cannot_look_is_not_asked(registered):
    registry = registered(a=lambda probe: [cam()])
    registry._entries["file"] = Entry("file", type("File", (), {}), Nothing, ("vision",))
    assert search().asked == ("a",)


def test_they_are_asked_at_the_same_time(registered):
    both = threading.Barrier(2)

    def look(probe):
        both.wait(10)
        return []

    registered(a=look, b=look)
    assert not search(patience_s=15).failed


def test_one_that_hangs_is_named_and_left_behind_with_what_the_others_found(registered):
    hang = threading.Event()
    registered(a=lambda probe: hang.wait(30), b=lambda probe: [cam()])
    told = []
    found = search(patience_s=1.0, wait_s=0.2, on_wait=told.append)
    hang.set()
    assert found.silent == ("a",)
    assert told == [("a",)]
    assert [offer.found.name for offer in found.offers] == ["C920"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("boom\nand more"), "RuntimeError: boom and more"),
        (DeviceError("v4l2: no"), "v4l2: no"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_one_that_raises_is_told_in_one_line(registered, error, words):
    def look(probe):
        raise error

    registered(a=look, b=lambda probe: [cam()])
    found = search()
    assert found.failed == {"a": words}
    assert len(found.offers) == 1


def test_a_missing_library_hinders_and_is_no_failure(registered):
    def look(probe):
        raise ImportError("No module named 'sdk'")

    registered(a=look, b=lambda probe: [Found("inputs", "", "audio", {}, note="PortAudio is not installed")])
    found = search()
    assert found.hindered == {"a": "No module named 'sdk'", "b": "PortAudio is not installed"}
    assert not found.failed
    assert not found.offers


def test_only_one_modality_is_looked_for_where_it_is_named(registered):
    asked = []
    registered(
        both=(lambda probe: [mic(), cam()], ("audio", "vision")),
        thermal=(lambda probe: asked.append("thermal") or [], ("thermal",)),
    )
    found = search(modality="audio")
    assert [offer.found.modality for offer in found.offers] == ["audio"]
    assert asked == []


def test_no_probing_is_handed_on(registered):
    told = []
    registered(a=lambda probe: told.append(probe) or [])
    search(probe=False)
    search()
    assert told == [False, True]


def opencv(source=0):
    return Found(f"camera {source}", f"index {source}", "vision", {"type": "opencv_camera", "source": source})


def test_two_drivers_with_the_same_camera_offer_it_once_by_the_better_one():
    node = Found("C920", "/dev/video0", "vision", {"type": "v4l2_camera", "device": "/dev/video0"})
    offers = [Offer("opencv_camera", opencv(0)), Offer("opencv_camera", opencv(2)), Offer("v4l2_camera", node)]
    kept = without_repeats(offers)
    assert [(offer.driver, offer.found.name) for offer in kept] == [
        ("opencv_camera", "camera 2"),
        ("v4l2_camera", "C920"),
    ]


def test_links_and_nodes_are_compared_by_where_they_lead(monkeypatch):
    monkeypatch.setattr("os.path.realpath", lambda path: {"/dev/v4l/by-id/usb-c920": "/dev/video3"}.get(path, path))
    kept = without_repeats([Offer("opencv_camera", opencv(3)), Offer("v4l2_camera", cam())])
    assert [offer.driver for offer in kept] == ["v4l2_camera"]


def test_a_realsense_is_not_offered_through_the_kernel_too_but_its_colour_picture_is():
    own = Found("Intel RealSense D435", "0123", "depth", {"type": "realsense_depth", "serial": "0123"})
    name = "Intel(R) RealSense(TM) Depth Camera 435"
    depth = Found(name, "/dev/v4l/by-id/d", "depth", {"type": "v4l2_camera", "device": "/dev/v4l/by-id/d"})
    colour = Found(name, "/dev/v4l/by-id/c", "vision", {"type": "v4l2_camera", "device": "/dev/v4l/by-id/c"})
    offers = [Offer("v4l2_camera", depth), Offer("v4l2_camera", colour), Offer("realsense_depth", own)]
    assert [offer.found for offer in without_repeats(offers)] == [colour, own]
    assert [offer.found for offer in without_repeats(offers[:2])] == [depth, colour]


def test_one_driver_may_offer_one_piece_in_two_ways():
    offers = [Offer("microphone", mic()), Offer("microphone", mic())]
    assert without_repeats(offers) == offers
