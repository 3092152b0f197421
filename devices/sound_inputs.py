"""Which sound input is meant, and which there are."""

from __future__ import annotations

import re

from devices.base import Found
from devices.portaudio import PortAudio, SoundInput, Stuck
from devices.sound_cards import SoundCard, find_card, sound_cards
from devices.sound_server import Source, list_sources
from stream_bind.errors import DeviceError

__all__ = ["choose_input", "found_inputs"]

_MOST_NAMED = 12


def choose_input(
    inputs: list[SoundInput],
    wanted: str | int,
    host_api: str | None = None,
    *,
    cards: list[SoundCard] | None = None,
    what: str = "a sound input",
) -> SoundInput:
    """The one input meant: by place in the list, as `default`, by a stable address of its card, by its whole name, or
    by a part of it, in this order; upper and lower case are one.

    Raises DeviceError naming the candidates where there is none, or more than one. An ALSA card that is not the one
    PortAudio listed under that number (its list is of the process's start) is none.
    """
    cards = sound_cards() if cards is None else cards
    here = [it for it in inputs if host_api is None or it.host_api.casefold() == host_api.casefold()]
    if host_api is not None and inputs and not here:
        apis = ", ".join(sorted({it.host_api for it in inputs}))
        raise DeviceError(f"no input of host API {host_api!r}; there are: {apis}")
    here = [it for it in here if _is_still(it, cards)]
    if isinstance(wanted, int):
        matches = [it for it in here if it.index == wanted]
    elif wanted.casefold() == "default":
        matches = [it for it in here if it.is_default] or [it for it in here if it.name == "default"]
    else:
        address = find_card(wanted, cards)
        if address is not None:
            number, ending = address
            if number is None:
                raise DeviceError(f"its sound card is not there; there are: {_cards(cards)}")
            matches = [it for it in here if ending in it.name]
        else:
            name = wanted.casefold()
            matches = [it for it in here if it.name.casefold() == name]
            matches = matches or [it for it in here if name in it.name.casefold()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise DeviceError(f"{len(matches)} inputs match: {_names(matches)}; write more of the name, or host_api")
    raise DeviceError(f"{wanted!r} not found, wanted {what}; there are: {_names(here)}")


def found_inputs(portaudio: PortAudio) -> list[Found]:
    """What PortAudio can record from, then the sources of the sound server. Never raises."""
    try:
        inputs = portaudio.inputs(refresh=True)
    except DeviceError as error:
        return [Found("sound inputs", "", "audio", {}, note=str(error))]
    except Stuck:
        return [Found("sound inputs", "", "audio", {}, note="PortAudio does not answer; is the sound server frozen?")]
    except Exception as error:
        return [Found("sound inputs", "", "audio", {}, note=f"PortAudio fails: {error}")]
    sources = list_sources()
    cards = sound_cards()
    found = [_found_input(it, cards, sources) for it in inputs]
    if any(it.name == "pulse" and it.host_api == "ALSA" for it in inputs):
        found += [_found_source(source) for source in sources]
    return found


def _found_input(it: SoundInput, cards: list[SoundCard], sources: list[Source]) -> Found:
    identity = it.name
    warnings = []
    match = re.search(r"\(hw:(\d+),(\d+)\)", it.name)
    card = next((card for card in cards if match and card.number == int(match[1])), None)
    if card is not None and match is not None:
        identity = f"hw:CARD={card.id},DEV={match[2]}"
        twins = [other for other in cards if other.name == card.name]
        if len(twins) > 1:
            warnings.append(
                f"{len(twins)} cards of this name: only the order they came in, or /dev/snd/by-id, tells them apart"
            )
        holding = [source.name for source in sources if source.card == str(card.number) and not source.is_monitor]
        if holding:
            warnings.append(f"the sound server holds this card; use `source: {holding[0]}`")
    if it.is_default:
        warnings.append("the system's default now")
    if it.is_plugin and it.name in {"default", "pulse", "pipewire", "sysdefault"}:
        warnings.append("whatever the sound server takes as its default, which may change")
    config: dict[str, object] = {"type": "microphone", "name": identity}
    if not it.is_plugin:
        config |= {"rate_hz": it.rate_hz, "channels": it.channels}
    formats = (f"{it.channels} channels at {it.rate_hz:g} Hz, {it.host_api}",)
    return Found(it.name, identity, "audio", config, formats, warnings=tuple(warnings))


def _found_source(source: Source) -> Found:
    config = {
        "type": "microphone",
        "source": source.name,
        "rate_hz": float(source.rate_hz),
        "channels": source.channels,
    }
    warnings = ("a monitor: what is played here, not what a microphone hears",) if source.is_monitor else ()
    formats = (f"{source.channels} channels at {source.rate_hz} Hz, sound server",)
    return Found(source.description, source.name, "audio", config, formats, warnings=warnings)


def _is_still(it: SoundInput, cards: list[SoundCard]) -> bool:
    """Whether the card of this number is still the one whose name PortAudio read."""
    match = re.search(r"\(hw:(\d+),\d+\)", it.name)
    if match is None or it.host_api != "ALSA":
        return True
    return any(card.number == int(match[1]) and it.name.startswith(f"{card.name}:") for card in cards)


def _names(inputs: list[SoundInput]) -> str:
    names = [f"{it.name!r} ({it.host_api})" for it in inputs[:_MOST_NAMED]]
    more = len(inputs) - len(names)
    return ", ".join(names + ([f"{more} more"] if more else [])) or "none"


def _cards(cards: list[SoundCard]) -> str:
    return ", ".join(f"hw:CARD={card.id} ({card.name})" for card in cards) or "none"
