"""What a rig may set on a RealSense depth sensor: set, read back, refused with what is possible."""

from __future__ import annotations

import logging
from typing import Any, Literal, NamedTuple

from stream_bind.errors import DeviceError

__all__ = ["Settings", "apply_settings"]

logger = logging.getLogger(__name__)

_MS = 1000.0  # the exposure option is in microseconds (rs_option.h)


class Settings(NamedTuple):
    """None leaves a setting as the camera has it."""

    visual_preset: str | None = None
    emitter: bool | None = None
    laser_power_mw: float | None = None
    exposure_ms: float | Literal["auto"] | None = None


def apply_settings(rs: Any, sensor: Any, settings: Settings, name: str) -> None:
    """Raises DeviceError(permanent) where the sensor lacks a setting, or does not take the value."""
    option = rs.option
    # The preset first, since it sets the others too.
    if settings.visual_preset is not None:
        preset = _named(sensor, option.visual_preset, settings.visual_preset, name)
        _set(rs, sensor, option.visual_preset, preset, "visual_preset", name)
    if settings.emitter is not None:
        _set(rs, sensor, option.emitter_enabled, float(settings.emitter), "emitter", name)
    if settings.laser_power_mw is not None:
        _set(rs, sensor, option.laser_power, settings.laser_power_mw, "laser_power_mw", name)
    if settings.exposure_ms is not None:
        auto = settings.exposure_ms == "auto"
        if auto or sensor.supports(option.enable_auto_exposure):
            _set(rs, sensor, option.enable_auto_exposure, float(auto), "exposure_ms", name)
        if not auto:
            _set(rs, sensor, option.exposure, float(settings.exposure_ms) * _MS, "exposure_ms", name, _MS)


def _named(sensor: Any, option: Any, wanted: str, name: str) -> float:
    """The number of a menu's word."""
    if not sensor.supports(option):
        return 0.0  # refused by _set
    reach = sensor.get_option_range(option)
    menu: dict[str, float] = {}
    for number in range(round(reach.min), round(reach.max) + 1):
        word = sensor.get_option_value_description(option, float(number))
        if word:
            menu[str(word)] = float(number)
    for word, value in menu.items():
        if word.casefold() == wanted.strip().casefold():
            return value
    raise DeviceError(
        f"{name}: visual_preset: found {wanted!r}; the camera has {', '.join(menu) or 'none with a name'}",
        permanent=True,
    )


def _set(rs: Any, sensor: Any, option: Any, value: float, key: str, name: str, per_unit: float = 1.0) -> None:
    """per_unit: of the option's units to one of the setting's."""
    if not sensor.supports(option) or sensor.is_option_read_only(option):
        ours = {
            "visual_preset": rs.option.visual_preset,
            "emitter": rs.option.emitter_enabled,
            "laser_power_mw": rs.option.laser_power,
            "exposure_ms": rs.option.exposure,
        }
        has = [word for word, one in ours.items() if sensor.supports(one) and not sensor.is_option_read_only(one)]
        raise DeviceError(
            f"{name}: {key}: the camera has no such setting; of these it has {', '.join(has) or 'none'}", permanent=True
        )
    reach = sensor.get_option_range(option)
    if not reach.min <= value <= reach.max:
        raise DeviceError(
            f"{name}: {key}: found {value / per_unit:g}; the camera takes {reach.min / per_unit:g} to "
            f"{reach.max / per_unit:g} in steps of {reach.step / per_unit:g}",
            permanent=True,
        )
    sensor.set_option(option, value)
    got = sensor.get_option(option)
    if abs(got - value) > max(reach.step, 1e-6):
        logger.warning("%s: %s: wanted %g, the camera took %g", name, key, value / per_unit, got / per_unit)
