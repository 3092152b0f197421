"""What is attached: every driver that can look for its sensors is asked, all at once, and none is waited for long."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from devices.base import Discoverable, Found
from stream_bind.errors import StreamBindError
from stream_bind.messages import MODALITIES
from stream_bind.registry import DEVICES

__all__ = ["PATIENCE_S", "Offer", "Search", "search", "without_repeats"]

PATIENCE_S = 20.0
"""Longest wait for all drivers. Listening to a serial port at every speed takes about 4 s."""

_GENERAL = ("opencv_camera", "v4l2_camera")
"""Drivers for anything of a kind, the least knowing first; any other driver knows its sensor better."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One attached sensor and the driver that found it."""

    driver: str
    found: Found


@dataclass(slots=True)
class Search:
    """What looking has brought."""

    asked: tuple[str, ...] = ()
    """Drivers that can look for their sensors."""
    offers: list[Offer] = field(default_factory=list)
    """By modality, then driver, then in the driver's order; each sensor once."""
    hindered: dict[str, str] = field(default_factory=dict)
    """Drivers that could not look, and why: a library that is not there."""
    failed: dict[str, str] = field(default_factory=dict)
    """Drivers that broke, and how."""
    silent: tuple[str, ...] = ()
    """Drivers that did not answer in time."""


_Answer = tuple[str, list[Found] | None, str, str]
"""Driver, what it found (None: it cannot look), what hinders it, how it failed."""


def search(
    *,
    probe: bool = True,
    modality: str | None = None,
    patience_s: float = PATIENCE_S,
    on_wait: Callable[[tuple[str, ...]], None] | None = None,
    wait_s: float = 2.0,
) -> Search:
    """Ask all drivers, or those of one modality. on_wait gets the drivers that are still busy, once, after wait_s."""
    answers: queue.Queue[_Answer] = queue.Queue()
    names = DEVICES.names()
    for name in names:
        threading.Thread(target=_ask, args=(name, probe, modality, answers), name=f"look-{name}", daemon=True).start()
    waiting = set(names)
    started_s = time.monotonic()
    told = on_wait is None
    got: list[_Answer] = []
    while waiting:
        waited_s = time.monotonic() - started_s
        if waited_s >= patience_s:
            break
        if not told and on_wait is not None and waited_s >= wait_s:
            told = True
            on_wait(tuple(sorted(waiting)))
        try:
            until_s = patience_s if told else min(wait_s, patience_s)
            answer = answers.get(timeout=max(0.0, until_s - waited_s))
        except queue.Empty:
            continue
        waiting.discard(answer[0])
        got.append(answer)
    return _gather(sorted(got), tuple(sorted(waiting)), modality)


def _gather(answers: list[_Answer], silent: tuple[str, ...], modality: str | None) -> Search:
    result = Search(silent=silent)
    offers = []
    asked = list(silent)
    for name, found, hindrance, failure in answers:
        if failure:
            result.failed[name] = failure
        elif found is None and not hindrance:
            continue
        asked.append(name)
        if hindrance:
            result.hindered[name] = hindrance
        for one in found or ():
            if not one.config:
                # A driver that lacks its library says so as a sensor without a way to open it.
                result.hindered[name] = one.note or one.name
            elif modality in {None, one.modality}:
                offers.append(Offer(name, one))
    result.asked = tuple(sorted(asked))
    order = {name: place for place, name in enumerate(MODALITIES)}
    result.offers = sorted(without_repeats(offers), key=lambda offer: order.get(offer.found.modality, len(order)))
    return result


def _ask(name: str, probe: bool, modality: str | None, answers: queue.Queue[_Answer]) -> None:
    try:
        entry = DEVICES.get(name)
        cls: Any = entry.cls
        if not isinstance(cls, Discoverable) or (modality is not None and modality not in entry.modalities):
            answers.put((name, None, "", ""))
            return
        answers.put((name, list(cls.discover(probe)), "", ""))
    except ImportError as error:
        answers.put((name, None, " ".join(str(error).split()), ""))
    except StreamBindError as error:
        answers.put((name, None, "", " ".join(str(error).split())))
    except BaseException as error:  # an SDK may raise anything, and a thread nobody watches would lose it
        answers.put((name, None, "", f"{type(error).__name__}: {' '.join(str(error).split())}"))


def without_repeats(offers: Iterable[Offer]) -> list[Offer]:
    """Each piece of hardware once, as found by the driver that knows most of it; in the order given."""
    offers = list(offers)
    own = {offer.found.modality for offer in offers if offer.driver == "realsense_depth"}
    kept: dict[str, Offer] = {}
    dropped: set[int] = set()
    for offer in sorted(offers, key=_knowledge, reverse=True):
        keys = _hardware(offer)
        through_kernel = offer.driver in _GENERAL and _is_realsense(offer.found) and offer.found.modality in own
        if through_kernel or any(key in kept and kept[key].driver != offer.driver for key in keys):
            dropped.add(id(offer))
            continue
        kept |= dict.fromkeys(keys, offer)
    return [offer for offer in offers if id(offer) not in dropped]


def _knowledge(offer: Offer) -> int:
    return _GENERAL.index(offer.driver) if offer.driver in _GENERAL else len(_GENERAL)


def _hardware(offer: Offer) -> set[str]:
    """Names under which another driver may know the same hardware."""
    found = offer.found
    values = [found.identity, *found.config.values()]
    keys = set()
    for value in values:
        if isinstance(value, str) and value.startswith("/dev/"):
            keys.add(os.path.realpath(value))
    source = found.config.get("source")
    if offer.driver == "opencv_camera" and (isinstance(source, int) or re.fullmatch(r"\d+", str(source))):
        keys.add(f"/dev/video{source}")
    if found.identity:
        keys.add(f"{found.modality} {found.identity.casefold().removeprefix('serial:')}")
    return keys


def _is_realsense(found: Found) -> bool:
    """librealsense names a camera by another number than its USB descriptor, so only the maker's name tells."""
    return "realsense" in f"{found.name} {found.identity}".casefold()
