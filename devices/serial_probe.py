"""Which sensor speaks on which serial port: speeds and protocols tried by listening. Nothing is ever written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Protocol

from devices.base import Found
from devices.serial_port import PortInfo, SerialPort, attached, holders
from devices.text_guess import guess_text
from stream_bind.clock import SystemClock
from stream_bind.errors import StreamBindError

__all__ = ["BAUDS", "Heard", "listen", "motion_sensors", "survey", "thermal_sensors"]

logger = logging.getLogger(__name__)

BAUDS = (115200, 9600, 921600, 460800, 230400, 57600, 38400, 19200)
"""Speeds in the order of trying: makers' usual settings first."""

_FIRST_BYTE_S = 1.0
_LISTEN_S = 0.35
_MEASURE_S = 1.0
_FRESH_S = 10.0
"""So long is a survey good for: two drivers ask in one breath, and a port can be listened to by one at a time."""
_SHARE = 0.6
"""Bytes that must lie in good packets: the first one is mostly cut, and at a wrong speed hardly any does."""
_FEWEST = 2
_MLX_HEAD = b"\x5a\x5a\x02\x06"
_NICE_HZ = (1, 2, 4, 5, 8, 10, 15, 16, 20, 25, 30, 32, 40, 50, 60, 64, 75, 80, 100, 120, 125, 150, 200, 250, 400, 500)
_NICE_NEAR = 0.06


class _Decoder(Protocol):
    @property
    def counters(self) -> Mapping[str, int]: ...

    def feed(self, data: bytes) -> Any: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one port."""

    port: PortInfo
    protocol: str = ""
    """One of serial_imu's protocols, "mlx90640", or "" where nothing was recognised."""
    baud: int = 0
    rate_hz: float = 0.0
    """Samples a second, as measured."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the driver, as far as hearing tells them."""
    sample: str = ""
    """text: how many columns, and a line."""
    doubts: tuple[str, ...] = ()
    """What the user must fill in or check."""
    note: str = ""
    """Why nothing is known: held by another program, silent, not understood."""


def survey(probe: bool = True) -> list[Heard]:
    """All ports of this machine, listened to (in parallel, about 4 s) if `probe`. Never raises."""
    ports = attached()
    if not probe or not ports:
        return [Heard(port, note="not listened to") for port in ports]
    with _memory.lock:
        age_s = time.monotonic() - _memory.at_s
        if age_s > _FRESH_S or [heard.port for heard in _memory.heard] != ports:
            with ThreadPoolExecutor(min(len(ports), 16)) as pool:
                _memory.heard = list(pool.map(listen, ports))
            _memory.at_s = time.monotonic()
        return _memory.heard


class _Memory:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at_s = float("-inf")
        self.heard: list[Heard] = []


_memory = _Memory()


def listen(info: PortInfo) -> Heard:
    """What speaks on an idle port. A port that somebody holds is not touched."""
    by = holders(info.device)
    if by:
        return Heard(info, note=f"held by {', '.join(by)}; end that, then look again")
    port = SerialPort(info.device, BAUDS[0], "probe", SystemClock(), warn=False)
    try:
        port.open()
        return _try_bauds(info, port)
    except StreamBindError as error:
        return Heard(info, note=str(error).removeprefix("probe: "))
    except Exception as error:  # somebody else's adapter must not end the search
        logger.debug("%s: %s", info.device, error, exc_info=True)
        return Heard(info, note=f"{type(error).__name__}: {error}")
    finally:
        port.close()


def _try_bauds(info: PortInfo, port: SerialPort) -> Heard:
    n_bytes = 0
    for i, baud in enumerate(BAUDS):
        if i:
            port.set_baud(baud)
        data, span_s = _hear(port, _LISTEN_S, _LISTEN_S if i else _FIRST_BYTE_S)
        if not data and not i:
            # At a wrong speed there would be nonsense, but not nothing.
            return Heard(info, note=f"silent for {_FIRST_BYTE_S:g} s: no sensor, or one that waits to be asked")
        n_bytes += len(data)
        if _MLX_HEAD in data or _recognise(data, span_s) is not None:
            more, more_s = _hear(port, _MEASURE_S, _MEASURE_S)
            found = _recognise(data + more, span_s + more_s)
            if found is not None:
                return replace(found, port=info, baud=baud)
    return Heard(info, note=f"{n_bytes} bytes came, in no protocol known at {', '.join(map(str, sorted(BAUDS)))} baud")


def _hear(port: SerialPort, span_s: float, first_s: float) -> tuple[bytes, float]:
    """What comes in span_s from the first byte on, which is waited for first_s."""
    parts = [port.read(first_s)]
    began_s = time.monotonic()
    while parts[0] and (left_s := began_s + span_s - time.monotonic()) > 0:
        parts.append(port.read(left_s, 0.01))
    return b"".join(parts), time.monotonic() - began_s


def _recognise(data: bytes, span_s: float) -> Heard | None:
    """What these bytes are; of two settings that read them equally well, the one that takes more from them."""
    best: Heard | None = None
    best_share = 0.0
    for protocol, settings, make in _trials():
        decoder = make()
        n = len(decoder.feed(data))
        counters = decoder.counters
        share = 1 - counters["bad_bytes"] / max(counters["bytes"], 1)
        fewest = 1 if protocol == "mlx90640" else _FEWEST
        if n >= fewest and share >= _SHARE and share > best_share + 0.01:
            best = Heard(_NOWHERE, protocol, 0, n / span_s, settings)
            best_share = share
    if best is not None:
        return best
    text = guess_text(data, span_s)
    if text is None:
        return None
    line = f"{text.n_columns} columns: {text.sample[:80]}"
    return Heard(_NOWHERE, "text", 0, text.n_lines / span_s, text.settings, line, text.doubts)


_NOWHERE = PortInfo("")
_TRIALS: tuple[dict[str, Any], ...] = (
    {"protocol": "witmotion", "device_time": True},
    {"protocol": "witmotion"},
    {"protocol": "witmotion_ble"},
    {"protocol": "bno08x_rvc"},
    {"protocol": "vectornav_ascii"},
    {"protocol": "vectornav_binary"},
    {"protocol": "vectornav_binary", "device_time": False},
    {"protocol": "xsens"},
    {"protocol": "xsens", "device_time": False},
    {"protocol": "xsens", "counter": False},
    {"protocol": "xsens", "device_time": False, "counter": False},
    {"protocol": "xsens", "high_rate": True, "counter": False},
    {"protocol": "mavlink"},
    {"protocol": "mavlink", "message": "raw_imu"},
    {"protocol": "mavlink", "message": "scaled_imu"},
)
"""Settings that hearing can tell; ranges and units it cannot."""


@lru_cache(maxsize=1)
def _trials() -> tuple[tuple[str, dict[str, Any], Callable[[], _Decoder]], ...]:
    from devices.imu_decoders import make_decoder
    from devices.protocols.mlx90640 import Mlx90640Decoder
    from devices.serial_imu import SerialImuConfig

    trials: list[tuple[str, dict[str, Any], Callable[[], _Decoder]]] = [("mlx90640", {}, Mlx90640Decoder)]
    for settings in _TRIALS:
        make = partial(make_decoder, SerialImuConfig.model_validate({"port": "-", "rate_hz": 100, **settings}))
        try:
            make().reset()
        except StreamBindError as error:
            # MAVLink without its extra.
            logger.debug("%s is not tried: %s", settings["protocol"], error)
            continue
        trials.append((settings["protocol"], settings, make))
    return tuple(trials)


_RANGES = "accel_range_g and gyro_range_dps: 16 and 2000 unless the sensor was set otherwise; it does not say"
_UNHEARD = {"witmotion": (_RANGES,), "witmotion_ble": (_RANGES,)}
"""What must be checked though the protocol is certain."""


def motion_sensors(probe: bool = True) -> list[Found]:
    """Every serial port that holds no thermal module, with the `device:` mapping of what speaks there."""
    found = []
    for heard in survey(probe):
        if heard.protocol == "mlx90640":
            continue
        port = heard.port
        config: dict[str, Any] = {"type": "serial_imu", "port": port.identity, "baud": heard.baud or BAUDS[0]}
        formats: tuple[str, ...] = ()
        doubts = _identity_doubts(port)
        if heard.protocol:
            config |= {"rate_hz": _nice(heard.rate_hz), "protocol": heard.protocol, **heard.settings}
            told = f", {heard.sample}" if heard.sample else ""
            formats = (f"{heard.protocol} at {heard.baud} baud, {heard.rate_hz:.1f} Hz{told}",)
            doubts = (*_identity_doubts(port), *heard.doubts, *_UNHEARD.get(heard.protocol, ()))
        found.append(Found(port.name or port.device, port.identity, "imu", config, formats, heard.note, doubts))
    return found


def thermal_sensors(probe: bool = True) -> list[Found]:
    """The MLX90640 modules that are sending already; one that waits to be asked cannot be told from silence."""
    found = []
    for heard in survey(probe):
        if heard.protocol != "mlx90640":
            continue
        port = heard.port
        config = {"type": "mlx90640_thermal", "port": port.identity, "baud": heard.baud}
        formats = (f"32x24 at {heard.baud} baud, {heard.rate_hz:.1f} Hz",)
        name = f"GY-MCU90640 on {port.name or port.device}"
        found.append(Found(name, port.identity, "thermal", config, formats, heard.note, _identity_doubts(port)))
    return found


def _identity_doubts(port: PortInfo) -> tuple[str, ...]:
    if port.identity == port.device and port.usb_id:
        return (f"nothing but its number tells {port.device} from others of its kind: plug it in alone",)
    if port.identity == port.by_path and port.by_path:
        return ("only its socket tells it from others of its kind: leave it there",)
    return ()


def _nice(rate_hz: float) -> float:
    """The usual rate this measured one is near to."""
    nearest = min((*_NICE_HZ, 800, 1000, 2000), key=lambda nice: abs(nice / rate_hz - 1))
    return nearest if abs(nearest / rate_hz - 1) < _NICE_NEAR else round(rate_hz, 1)
