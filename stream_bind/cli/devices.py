"""`stream-bind devices`: which sensors are attached, and the YAML of each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_bind.cli.page import Page

if TYPE_CHECKING:
    from stream_bind.cli.attached import Offer, Search

__all__ = ["devices_command"]

SHOWN_FORMATS = 4


def devices_command(
    modality: Annotated[str | None, typer.Option(help="Only vision, audio, depth, thermal or imu.")] = None,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Open nothing: only what the system knows. Serial ports stay unknown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines, one sensor each, all formats.")] = False,
) -> None:
    """List the sensors that are attached, each with a YAML section to paste under `streams:` of a rig's file.

    Exit code 1 if a driver failed or did not answer: the list may lack its sensors.
    """
    from stream_bind.cli.attached import PATIENCE_S, search
    from stream_bind.cli.noise import noise_aside
    from stream_bind.messages import MODALITIES

    known = tuple(name for name in MODALITIES if name != "text")
    if modality is not None and modality not in known:
        raise typer.BadParameter(f"{modality!r} is none of {', '.join(known)}", param_hint="--modality")
    with noise_aside() as noise:
        found = search(
            probe=not no_probe,
            modality=modality,
            on_wait=lambda busy: noise.tell(f"stream-bind: still asking {', '.join(busy)}"),
        )
        noise.lasting = bool(found.silent)
    for driver, why in sorted(found.failed.items()):
        print(f"stream-bind: {driver} cannot look: {why}", file=sys.stderr)
    for driver in found.silent:
        print(f"stream-bind: {driver} did not answer within {PATIENCE_S:g} s and is left out", file=sys.stderr)
    hindered = _hindrances(found)
    streams = _sections(found.offers)
    if as_json:
        for offer, section in zip(found.offers, streams, strict=True):
            print(json.dumps(_record(offer, section), ensure_ascii=False, default=_number), flush=True)
        for driver, why in hindered.items():
            print(f"stream-bind: {driver} is not looked for: {why}", file=sys.stderr)
    else:
        _show(Page(), found, streams, hindered)
    if found.failed or found.silent:
        raise typer.Exit(1)


def _sections(offers: list[Offer]) -> list[dict[str, Any] | None]:
    """The stream of each offer, ids all different; None where the driver could not tell all that is needed."""
    from stream_bind.cli.snippet import propose_id, stream_section, what_is_missing

    taken: set[str] = set()
    sections: list[dict[str, Any] | None] = []
    for offer in offers:
        if what_is_missing(offer.found):
            sections.append(None)
            continue
        stream_id = propose_id(offer.found, taken)
        taken.add(stream_id)
        sections.append(stream_section(offer.found, stream_id))
    return sections


def _record(offer: Offer, section: dict[str, Any] | None) -> dict[str, Any]:
    from stream_bind.cli.snippet import to_yaml, what_is_missing

    found = offer.found
    return {
        "driver": offer.driver,
        "modality": found.modality,
        "name": found.name,
        "identity": found.identity,
        "formats": list(found.formats),
        "note": found.note,
        "warnings": list(found.warnings),
        "device": found.config,
        "missing": list(what_is_missing(found)),
        "stream": section,
        "yaml": to_yaml(section) if section is not None else None,
    }


def _number(value: Any) -> Any:
    """JSON of a number of numpy's; a driver may hand one on."""
    return value.item() if hasattr(value, "item") else str(value)


def _hindrances(found: Search) -> dict[str, str]:
    """Drivers that could not look, and the command that lets them."""
    from stream_bind.cli.sensor_needs import EXTRAS, sensor_library

    hindered = dict(found.hindered)
    for extra in EXTRAS:
        if extra.driver in found.asked and extra.version() is None:
            hindered[extra.driver] = f"{extra.package} is not installed ({extra.purpose}): {extra.remedy}"
    libusb = sensor_library("libusb")
    if "realsense_depth" in found.asked and libusb.remedy:
        hindered.setdefault("realsense_depth", f"libusb is {libusb.detail}: {libusb.remedy}")
    return hindered


def _show(page: Page, found: Search, streams: list[dict[str, Any] | None], hindered: dict[str, str]) -> None:
    heading = ""
    for offer, section in zip(found.offers, streams, strict=True):
        if offer.found.modality != heading:
            heading = offer.found.modality
            page.put(heading.upper(), "bold magenta")
            page.put()
        _show_one(page, offer, section)
    if any(section is not None for section in streams):
        page.put("Paste what you need under `streams:` of a rig's file; `stream-bind doctor FILE` tests it.", "dim")
    else:
        _show_nothing(page, found)
    if hindered:
        page.put()
        page.put("NOT LOOKED FOR", "bold magenta")
        for driver, why in hindered.items():
            page.labelled(f"  {driver:<16} ", why, "", "yellow")


def _show_one(page: Page, offer: Offer, section: dict[str, Any] | None) -> None:
    from stream_bind.cli.snippet import to_yaml, what_is_missing

    found = offer.found
    page.put(found.name, "bold")
    if found.identity != found.name:
        page.labelled("  identity  ", found.identity, "dim")
    if found.formats:
        formats = "; ".join(found.formats[:SHOWN_FORMATS])
        more = len(found.formats) - SHOWN_FORMATS
        page.labelled("  formats   ", formats + (f"; and {more} more (--json has all)" if more > 0 else ""), "dim")
    page.labelled("  driver    ", offer.driver, "dim")
    for line in (found.note, *found.warnings):
        if line:
            page.labelled("  note      ", line, "dim", "yellow")
    page.put()
    if section is None:
        missing = "; ".join(what_is_missing(found))
        page.labelled("  ", f"no section to paste yet; still to be known: {missing}", style="yellow")
        page.put()
        return
    page.put(to_yaml(section).rstrip("\n"), "cyan", wrap=False)
    page.put()


def _show_nothing(page: Page, found: Search) -> None:
    page.put("Nothing is attached that could be used as it is.", "bold")
    page.put()
    page.labelled("  asked     ", ", ".join(found.asked) or "no driver", "dim")
    if not any(Path(folder).exists() for folder in ("/dev/snd", "/dev/video0", "/dev/bus/usb")):
        where = "this container" if _in_container() else "this machine"
        how = "; hand devices in: docker run --device /dev/video0 --device /dev/snd" if _in_container() else ""
        page.labelled("  system    ", f"{where} has no camera, sound card or USB device at all{how}", "dim")
    page.labelled(
        "  network   ", "cameras on the network are not looked for: {type: video_stream, url: rtsp://...}", "dim"
    )
    page.labelled("  without   ", "`stream-bind run FILE --simulate` runs any rig without its sensors", "dim")


def _in_container() -> bool:
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
