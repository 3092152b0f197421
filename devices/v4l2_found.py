"""What `stream-bind devices` lists of the kernel's video nodes: each node once, under the driver that suits it."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from devices.base import Found
from devices.pixels import COLOUR, COUNTS
from devices.v4l2 import Sizes, V4l2Node
from devices.v4l2_nodes import NodeInfo, holders, list_nodes, on_disk

__all__ = ["INFIRAY_USB", "LEPTON_USB", "found_for"]

logger = logging.getLogger(__name__)

LEPTON_USB = {"1e4e:0100"}
"""GroupGets PureThermal boards (usb.ids: Cubeternet)."""
INFIRAY_USB = {"0bda:5830"}
"""InfiRay P2 Pro and Topdon TC001, as the open viewers for them find them."""
_REALSENSE_VENDOR = "8086"
_COMMON = [(640, 480), (800, 600), (640, 360), (1280, 720), (320, 240)]
"""Sizes to propose, the best first: pictures are shrunk to 224 pixels, so a large one only costs."""
_RANGE_SIZES = [(640, 480), (1280, 720), (1920, 1080)]


class _Offer(NamedTuple):
    """A format at one size."""

    fourcc: str
    width: int
    height: int
    rates: tuple[float, ...]

    def __str__(self) -> str:
        rates = ", ".join(f"{rate:.4g}" for rate in self.rates)
        return f"{self.fourcc.strip()} {self.width}x{self.height}" + (f" {rates} fps" if rates else "")


def found_for(driver: str, probe: bool = True) -> list[Found]:
    """The attached cameras that `driver` reads. Never raises."""
    try:
        nodes = [one for one in list_nodes(ask=probe) if one.captures is not False]
        return [found for one in nodes if (found := _describe(one, driver, probe, _has_double(one, nodes)))]
    except OSError as error:
        logger.debug("looking for cameras: %s", error)
        return []


def _has_double(one: NodeInfo, nodes: list[NodeInfo]) -> bool:
    """Whether another device on another socket says the same of itself. udev then makes one link for both."""
    return any(
        (two.usb, two.serial, two.card) == (one.usb, one.serial, one.card) and two.bus != one.bus for two in nodes
    )


def _describe(one: NodeInfo, driver: str, probe: bool, doubled: bool) -> Found | None:
    offers = _offers(one) if probe and not one.problem else []
    suits, modality, settings, warnings = _suited(one, offers)
    if suits != driver:
        return None
    address = one.address
    if doubled or address.startswith("card:"):
        address = one.by_path or f"card:{one.title}"
    if doubled:
        apart = "only their USB sockets tell them apart" if one.by_path else "nothing tells them apart"
        warnings.append(f"another camera says the same of itself; {apart}")
    held = holders(one.node)
    note = one.problem or (f"open in {', '.join(held)}" if held else "")
    return Found(
        name=one.title,
        identity=address,
        modality=modality,
        config={"type": suits, "device": address, **settings},
        formats=tuple(str(offer) for offer in offers),
        note=note,
        warnings=tuple(warnings),
    )


def _suited(one: NodeInfo, offers: list[_Offer]) -> tuple[str, str, dict[str, Any], list[str]]:
    """Driver, modality, settings and warnings for a node."""
    held = {(offer.fourcc, offer.width, offer.height) for offer in offers}
    names = {offer.fourcc for offer in offers}
    small_counts = held & {("Y16 ", 160, 120), ("Y16 ", 80, 60)}
    if one.usb in LEPTON_USB or small_counts:
        warnings = ["resolution_k is a guess (0.01 is the factory setting of TLinear); telemetry tells it where sent"]
        return "lepton_thermal", "thermal", {"resolution_k": 0.01}, warnings
    if one.usb in INFIRAY_USB or ("YUYV", 256, 384) in held:
        return "infiray_thermal", "thermal", {}, []
    counted = [offer for offer in offers if offer.fourcc in COUNTS]
    if "Z16 " in names or (counted and names.isdisjoint(COLOUR)):
        best = _best(counted)
        settings = {"modality": "depth", **_size(best), "depth_unit_m": 0.001}
        warnings = ["depth_unit_m is a guess: hold the camera before a wall at a known distance"]
        if one.vendor == _REALSENSE_VENDOR:
            warnings.append("type: realsense_depth reads its unit and calibration from the camera itself")
        return "v4l2_camera", "depth", settings, warnings
    colour = [offer for offer in offers if offer.fourcc in COLOUR]
    if offers and not colour:
        return "", "", {}, []
    return "v4l2_camera", "vision", _size(_best(colour)) if colour else {}, []


def _best(offers: list[_Offer]) -> _Offer:
    """The size to propose."""

    def cost(offer: _Offer) -> tuple[int, float, int]:
        size = (offer.width, offer.height)
        rank = _COMMON.index(size) if size in _COMMON else len(_COMMON)
        return rank, -min(30.0, max(offer.rates, default=30.0)), abs(offer.width * offer.height - 640 * 480)

    return min(offers, key=cost)


def _size(offer: _Offer) -> dict[str, Any]:
    rates = [rate for rate in offer.rates if rate <= 30.5] or list(offer.rates[-1:])
    rate = {"rate_hz": round(max(rates), 3)} if rates else {}
    return {"width": offer.width, "height": offer.height, **rate}


def _offers(one: NodeInfo) -> list[_Offer]:
    try:
        node = V4l2Node(str(on_disk(one.node)))
    except OSError:
        return []
    found = []
    try:
        for name in node.formats():
            if name in COLOUR or name in COUNTS:
                sizes = _listed(node.sizes(name))
                found += [_Offer(name, width, height, node.rates(name, width, height)) for width, height in sizes]
    except OSError as error:
        logger.debug("asking %s: %s", one.node, error)
    finally:
        node.close()
    return found


def _listed(sizes: Sizes) -> tuple[tuple[int, int], ...]:
    if sizes.ranges is None:
        return sizes.listed
    (_, most_w, _), (_, most_h, _) = sizes.ranges
    within = tuple(size for size in _RANGE_SIZES if sizes.hold(*size))
    return within or ((most_w, most_h),)
