"""What a person sets per stream, done to every chunk between device and windower: delay, orientation, channel, axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import ConfigError
from stream_bind.messages import IMU_AXES, Chunk, StreamSpec

__all__ = ["Adjust"]

_IMAGES = ("vision", "depth", "thermal")
_BODY = ("x", "y", "z")
_FLIPS = (None, "none", "horizontal", "vertical", "both")

FloatArray = NDArray[np.float32]


class Adjust:
    """Adjusts the chunks of one stream; `spec` is what comes out.

    delay_ms: constant transport delay, subtracted from every stamp. rotate_deg: clockwise, that sets frames upright;
    flip: mirroring after it. Both are views. channel: one of the sound, from 0, or "mean" ("mix"); None keeps all.
    axes: for each body axis the sensor's axis and sign, {"x": "-y", "y": "x", "z": "z"} or ["-y", "x", "z"], applied to
    acceleration and rate alike. mounting: rotation sensor to body after `axes`, 3 x 3 rows or (roll, pitch, yaw) in
    degrees, turned about x, then y, then z of the body. wanted_axes: IMU columns the encoder needs, in order; one the
    sensor lacks is a ConfigError unless missing_axes is "zero".
    """

    def __init__(
        self,
        spec: StreamSpec,
        *,
        delay_ms: float = 0.0,
        rotate_deg: int = 0,
        flip: str | None = None,
        channel: int | str | None = None,
        axes: Mapping[str, str] | Sequence[str] | None = None,
        mounting: Sequence[Sequence[float]] | Sequence[float] | None = None,
        missing_axes: str = "error",
        wanted_axes: Sequence[str] = (),
    ) -> None:
        self._input = spec
        self._delay_ns = round(delay_ms * 1e6)
        self._quarter_turns = 0
        self._flip: tuple[int, ...] = ()
        self._channel: int | str | None = None
        self._matrix: FloatArray | None = None
        if rotate_deg not in {0, 90, 180, 270}:
            raise self._wrong("rotate_deg", "0, 90, 180 or 270", rotate_deg)
        if flip not in _FLIPS:
            raise self._wrong("flip", "none, horizontal, vertical or both", flip)
        if missing_axes not in {"error", "zero"}:
            raise self._wrong("missing_axes", "error or zero", missing_axes)
        flipped = flip not in {None, "none"}
        if spec.modality not in _IMAGES and (rotate_deg or flipped):
            raise self._wrong("rotate_deg and flip", "a stream of frames", spec.modality)
        if spec.modality != "imu" and (axes is not None or mounting is not None):
            raise self._wrong("axes and mounting", "a stream of modality imu", spec.modality)
        if spec.modality != "audio" and channel not in {None, "mean", "mix"}:
            raise self._wrong("channel", "a stream of modality audio", spec.modality)
        out = spec
        if spec.modality in _IMAGES:
            self._quarter_turns = rotate_deg // 90
            self._flip = {"horizontal": (2,), "vertical": (1,), "both": (1, 2)}.get(flip or "none", ())
            if self._quarter_turns % 2 and len(spec.shape) >= 2:
                out = replace(spec, shape=(spec.shape[1], spec.shape[0], *spec.shape[2:]))
        elif spec.modality == "audio":
            out = self._choose_channel(channel)
        elif spec.modality == "imu":
            out = self._combine_axes(axes, mounting, missing_axes, tuple(wanted_axes))
        self.spec = out

    def apply(self, chunk: Chunk) -> Chunk:
        """The adjusted chunk; the same object where nothing is set."""
        data: NDArray[Any] = chunk.data
        if self._quarter_turns:
            data = np.rot90(data, -self._quarter_turns, axes=(1, 2))
        for axis in self._flip:
            data = np.flip(data, axis)
        if isinstance(self._channel, int):
            if data.shape[1] <= self._channel:
                raise self._wrong("channel", f"one below the {data.shape[1]} there are, counted from 0", self._channel)
            data = data[:, self._channel : self._channel + 1]
        elif self._channel is not None and data.shape[1] > 1:
            data = data.mean(axis=1, keepdims=True, dtype=np.float32)
        if self._matrix is not None:
            data = np.asarray(data, np.float32) @ self._matrix
        if data is chunk.data and not self._delay_ns:
            return chunk
        return replace(chunk, data=data, t_ns=chunk.t_ns - self._delay_ns if self._delay_ns else chunk.t_ns)

    def _choose_channel(self, channel: int | str | None) -> StreamSpec:
        spec = self._input
        count = spec.shape[0] if spec.shape else 1
        if channel is None:
            return spec
        if isinstance(channel, bool) or (isinstance(channel, str) and channel not in {"mean", "mix"}):
            raise self._wrong("channel", "a number from 0, or mean", channel)
        if isinstance(channel, int) and (channel < 0 or 0 <= count <= channel):
            raise self._wrong("channel", f"one below the {count} there are, counted from 0", channel)
        self._channel = channel
        names = (spec.axes[channel],) if isinstance(channel, int) and len(spec.axes) > channel else ()
        return replace(spec, shape=(1,), axes=names)

    def _combine_axes(
        self,
        axes: Mapping[str, str] | Sequence[str] | None,
        mounting: Sequence[Sequence[float]] | Sequence[float] | None,
        missing_axes: str,
        wanted: tuple[str, ...],
    ) -> StreamSpec:
        """One matrix for everything: columns in, columns out."""
        spec = self._input
        turn = np.eye(3)
        if axes is not None:
            turn = self._permutation(axes)
        if mounting is not None:
            turn = self._rotation(mounting) @ turn
        turns = axes is not None or mounting is not None
        reachable: dict[str, NDArray[np.float64]] = {}  # column out: its row over the columns in
        for sensor in ("accel", "gyro"):
            names = [f"{sensor}_{axis}" for axis in _BODY]
            for row, name in zip(turn, names, strict=True):
                needs = [k for k in range(3) if abs(row[k]) > 1e-12]
                if all(names[k] in spec.axes for k in needs):
                    weights = np.zeros(len(spec.axes))
                    for k in needs:
                        weights[spec.axes.index(names[k])] = row[k]
                    reachable[name] = weights
        lacking = [name for name in wanted if name not in reachable]
        if lacking and missing_axes == "error":
            has = ", ".join(spec.axes) or "none"
            raise ConfigError(
                f"{spec.id}: the encoder needs {', '.join(lacking)}, the sensor delivers {has}; "
                "set `missing_axes: zero` to fill these with zeros, or use a sensor that has them"
            )
        columns = wanted or tuple(name for name in (IMU_AXES if turns else spec.axes) if name in reachable)
        if columns == spec.axes and not turns:
            return spec
        zero = np.zeros(len(spec.axes))
        matrix = np.stack([reachable.get(name, zero) for name in columns], axis=1).astype(np.float32)
        self._matrix = matrix
        return replace(spec, shape=(len(columns),), axes=columns, dtype="float32")

    def _permutation(self, axes: Mapping[str, str] | Sequence[str]) -> NDArray[np.float64]:
        wanted = "for each of x, y, z one sensor axis with its sign, each once, such as {x: -y, y: x, z: z}"
        named = dict(axes) if isinstance(axes, Mapping) else dict(zip(_BODY, axes, strict=False))
        turn = np.zeros((3, 3))
        if set(named) != set(_BODY) or len(axes) != 3:
            raise self._wrong("axes", wanted, axes)
        for k, body in enumerate(_BODY):
            name = str(named[body])
            if name.lstrip("+-") not in _BODY or len(name) > 2:
                raise self._wrong("axes", wanted, axes)
            turn[k, _BODY.index(name[-1])] = -1.0 if name[0] == "-" else 1.0
        if (np.abs(turn).sum(axis=0) != 1).any():
            raise self._wrong("axes", wanted, axes)
        return turn

    def _rotation(self, mounting: Sequence[Sequence[float]] | Sequence[float]) -> NDArray[np.float64]:
        wanted = "3 rows of 3 that are a proper rotation (orthogonal, determinant +1), or roll, pitch, yaw in degrees"
        try:
            given = np.array(mounting, np.float64)
        except (TypeError, ValueError):
            raise self._wrong("mounting", wanted, mounting) from None
        if given.shape == (3,):
            return _from_angles(cast(Sequence[float], mounting))
        if given.shape != (3, 3):
            raise self._wrong("mounting", wanted, mounting)
        # 1e-3: matrices typed with three digits; the nearest exact rotation is used.
        if np.abs(given @ given.T - np.eye(3)).max() > 1e-2 or not math.isclose(
            np.linalg.det(given), 1.0, abs_tol=1e-2
        ):
            raise self._wrong("mounting", wanted, f"{mounting} with determinant {np.linalg.det(given):.3g}")
        left, _, right = np.linalg.svd(given)
        nearest: NDArray[np.float64] = left @ right
        return nearest

    def _wrong(self, key: str, wanted: str, found: object) -> ConfigError:
        return ConfigError(f"{self._input.id}: {key} wants {wanted}; found {found}")


def _from_angles(angles_deg: Sequence[float]) -> NDArray[np.float64]:
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(math.radians(a)), math.sin(math.radians(a))) for a in angles_deg)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    turn: NDArray[np.float64] = about_z @ about_y @ about_x
    return turn
