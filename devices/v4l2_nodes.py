"""Which capture nodes there are, who they are, and which one an address means. /dev/videoN numbers change on replug, so
an address is looked up anew at every opening."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devices.v4l2 import CAP_VIDEO_CAPTURE_MPLANE, Capability, V4l2Node
from stream_bind.errors import DeviceError

__all__ = ["ROOT", "NodeInfo", "check_address", "holders", "list_nodes", "no_permission", "resolve"]

logger = logging.getLogger(__name__)

ROOT = Path("/")
"""Where /dev, /sys and /proc are. Tests put a folder of their own here."""

_WANTED = "/dev/v4l/by-id/..., /dev/v4l/by-path/..., serial:NUMBER, card:NAME or /dev/videoN"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One /dev/videoN with all that tells it from others."""

    node: str
    """/dev/videoN, of today."""
    name: str
    """What the kernel calls it."""
    card: str = ""
    """What the device calls itself; empty where it could not be asked."""
    bus: str = ""
    vendor: str = ""
    product: str = ""
    """USB numbers, four hexadecimal digits."""
    serial: str = ""
    by_id: str = ""
    by_path: str = ""
    captures: bool | None = None
    """None: could not be asked."""
    multiplanar: bool = False
    problem: str = ""
    """Why it could not be asked."""

    @property
    def usb(self) -> str:
        return f"{self.vendor}:{self.product}" if self.vendor else ""

    @property
    def title(self) -> str:
        return self.card or self.name or self.node

    @property
    def address(self) -> str:
        """The most stable `device:` there is. A by-id link without a serial number does not tell two of a kind apart,
        but nothing else names the camera itself."""
        return self.by_id or (f"serial:{self.serial}" if self.serial else "") or self.by_path or f"card:{self.title}"

    def __str__(self) -> str:
        told = [f"{self.node} {self.title!r}", self.by_id, f"serial {self.serial}" if self.serial else "", self.by_path]
        return " = ".join(part for part in told if part)


def check_address(address: str) -> str:
    """The address, if it is of a kind we know; ValueError saying which there are."""
    kind, colon, rest = address.partition(":")
    if (colon and kind in {"serial", "card"} and rest.strip()) or address.startswith("/dev/"):
        return address
    raise ValueError(f"{address!r} is no camera address; wanted {_WANTED}")


def on_disk(path: str) -> Path:
    """A path of the machine, under ROOT."""
    return ROOT / path.lstrip("/")


def list_nodes(ask: bool = True) -> list[NodeInfo]:
    """Every V4L2 node, in the order of their numbers. ask: open each for a moment to hear what it is, which disturbs
    no stream; otherwise only what sysfs and udev say."""
    folder = on_disk("/sys/class/video4linux")
    try:
        names = [entry.name for entry in folder.iterdir() if entry.name.startswith("video")]
    except OSError:
        return []
    links = [(on_disk("/dev/v4l/by-id"), "by_id"), (on_disk("/dev/v4l/by-path"), "by_path")]
    known: dict[str, dict[str, str]] = {}
    for place, key in links:
        for link in sorted(place.iterdir()) if place.is_dir() else ():
            node = link.resolve().name
            known.setdefault(node, {}).setdefault(key, f"/dev/v4l/{place.name}/{link.name}")
    found = [_look(folder / name, known.get(name, {}), ask) for name in names]
    return sorted(found, key=lambda one: (len(one.node), one.node))


def resolve(address: str, formats: Iterable[str], who: str) -> NodeInfo:
    """The one node an address means now. Where several of one camera answer to it, the one that offers any of
    `formats`. Raises DeviceError listing what is attached; `who` begins the message."""
    nodes = list_nodes()
    if address.startswith("/dev/"):
        target = on_disk(address).resolve().name
        matching = [one for one in nodes if Path(one.node).name == target] if on_disk(address).exists() else []
        if matching and Path(address).parent == Path("/dev"):
            logger.warning(
                "%s: %s may be another camera after a replug; its lasting address is %s",
                who,
                address,
                matching[0].address,
            )
    else:
        kind, _, wanted = address.partition(":")
        wanted = wanted.strip().casefold()
        if kind == "serial":
            matching = [one for one in nodes if one.serial.casefold() == wanted]
        else:
            matching = [one for one in nodes if wanted in {one.card.casefold(), one.name.casefold()}]
    if not matching:
        raise DeviceError(f"{who}: is not attached; {_listing(nodes)}")
    if all(one.captures is False for one in matching):
        many = next((one for one in matching if one.multiplanar), None)
        why = "speaks only the multi-planar interface, which is not supported" if many else "delivers no pictures"
        raise DeviceError(f"{who}: {matching[0].node} {why}; {_listing(nodes)}")
    matching = [one for one in matching if one.captures is not False]
    if len(matching) > 1:
        suiting = [one for one in matching if _offers(one, set(formats))]
        matching = suiting if len(suiting) == 1 else matching
    if len(matching) > 1:
        told = "; ".join(str(one) for one in matching)
        raise DeviceError(f"{who}: {len(matching)} cameras answer to this, name one by its link: {told}")
    return matching[0]


def holders(node: str) -> list[str]:
    """Programs that have the node open, such as "ffmpeg (pid 4711)", as far as /proc may be read."""
    found = []
    target = str(on_disk(node))
    for folder in on_disk("/proc").glob("[0-9]*"):
        try:
            held = any(os.readlink(link) == target for link in (folder / "fd").iterdir())
            if held:
                name = (folder / "comm").read_text().strip()
                own = ", this very process" if folder.name == str(os.getpid()) else ""
                found.append(f"{name} (pid {folder.name}{own})")
        except OSError:
            continue
    return sorted(found)


def no_permission(node: str) -> str:
    return f"no permission for {node}; run `sudo usermod -aG video $USER` and log in again"


def _listing(nodes: list[NodeInfo]) -> str:
    told = [str(one) for one in nodes if one.captures is not False]
    return f"attached are: {'; '.join(told)}" if told else "no camera is attached"


def _offers(one: NodeInfo, formats: set[str]) -> bool:
    try:
        node = V4l2Node(str(on_disk(one.node)))
    except OSError:
        return False
    try:
        return not formats.isdisjoint(node.formats())
    except OSError:
        return False
    finally:
        node.close()


def _look(entry: Path, links: dict[str, str], ask: bool) -> NodeInfo:
    node = f"/dev/{entry.name}"
    usb = _usb(entry)
    told: Capability | None = None
    problem = ""
    if ask:
        try:
            opened = V4l2Node(str(on_disk(node)))
            try:
                told = opened.capability()
            finally:
                opened.close()
        except OSError as error:
            denied = error.errno in {errno.EACCES, errno.EPERM}
            problem = no_permission(node) if denied else f"cannot be opened: {error.strerror}"
    elif _read(entry / "index") not in {"", "0"}:
        # A camera's second node carries metadata; only asking it would tell for sure.
        told = Capability("", "", "", 0)
    return NodeInfo(
        node=node,
        name=_read(entry / "name"),
        card=told.card if told else "",
        bus=told.bus if told else "",
        vendor=usb.get("idVendor", ""),
        product=usb.get("idProduct", ""),
        serial=usb.get("serial", ""),
        by_id=links.get("by_id", ""),
        by_path=links.get("by_path", ""),
        captures=told.captures if told else None,
        multiplanar=bool(told and told.bits & CAP_VIDEO_CAPTURE_MPLANE),
        problem=problem,
    )


def _usb(entry: Path) -> dict[str, str]:
    """What the USB device above a node says of itself; empty for others."""
    try:
        place = (entry / "device").resolve(strict=True)
    except OSError:
        return {}
    for folder in (place, *place.parents):
        if (folder / "idVendor").exists():
            return {key: _read(folder / key) for key in ("idVendor", "idProduct", "serial")}
    return {}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
