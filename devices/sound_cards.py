"""Linux sound cards as the kernel numbers and names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SoundCard", "find_card", "sound_cards", "why_closed"]

PROC = Path("/proc/asound")
BY_ID = Path("/dev/snd/by-id")


@dataclass(frozen=True, slots=True)
class SoundCard:
    """One card; `number` depends on what was plugged in first, `id` and `path` do not."""

    number: int
    id: str
    """ALSA's short identifier, as in hw:CARD=id; two of a kind are told apart by a suffix, in the order they came."""
    name: str
    path: str = ""
    """Its link under /dev/snd/by-id, where udev made one (USB)."""


def sound_cards(proc: Path = PROC, by_id: Path = BY_ID) -> list[SoundCard]:
    """What is there now, by number; nothing where the system has no ALSA."""
    try:
        text = (proc / "cards").read_text(errors="replace")
    except OSError:
        return []
    links = {link.resolve().name: str(link) for link in sorted(by_id.glob("*"))} if by_id.is_dir() else {}
    # " 1 [Device         ]: USB-Audio - USB PnP Sound Device"
    lines = re.findall(r"^ *(\d+) \[(.*?) *\]: .*? - (.*)$", text, re.MULTILINE)
    return [SoundCard(int(n), id_, name.strip(), links.get(f"controlC{n}", "")) for n, id_, name in lines]


def find_card(wanted: str, cards: list[SoundCard]) -> tuple[int | None, str] | None:
    """What a stable address means now: the end of PortAudio's name for it, "(hw:1,0)" or, for any device of a card,
    "(hw:1,". None where `wanted` is no such address; (None, ...) where its card is not there.

    Addresses: hw:CARD=id,DEV=n, hw:id,n, and links under /dev/snd.
    """
    if wanted.startswith("/dev/snd/"):
        match = re.fullmatch(r"controlC(\d+)", Path(wanted).resolve().name)
        number = int(match[1]) if match else None
        return number, f"(hw:{number},"
    match = re.fullmatch(r"hw:(?:CARD=)?([A-Za-z0-9_]+)(?:,(?:DEV=)?(\d+))?", wanted)
    if match is None:
        return None
    numbers = [card.number for card in cards if match[1] in {card.id, str(card.number)}]
    number = numbers[0] if numbers else None
    return number, f"(hw:{number},{match[2] or 0})"


def why_closed(name: str, proc: Path = PROC) -> str:
    """Why the card behind PortAudio's name for it ("... (hw:1,0)") would not open now; empty where it would, or where
    the name is no card's."""
    match = re.search(r"\(hw:(\d+),(\d+)\)$", name)
    if match is None or not proc.is_dir():
        return ""
    parts = sorted((proc / f"card{match[1]}" / f"pcm{match[2]}c").glob("sub*/status"))
    if not parts:
        return "its card is gone"
    try:
        free = any(part.read_text().startswith("closed") for part in parts)
    except OSError:  # pulled out this moment
        return "its card is gone"
    return "" if free else "another program holds it"
