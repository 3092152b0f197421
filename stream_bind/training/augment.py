"""Clips varied while training: packed clips in, packed clips out. numpy; runs in the thread that reads the clips."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.preprocess.imu import ImuSettings
from stream_bind.messages import IMU_AXES
from stream_bind.training.settings import AugmentSettings

__all__ = ["Augmenter"]

Clips = NDArray[Any]


class Augmenter:
    """Varies clips by one run's settings. imu: how motion was scaled, so that it is turned in its own units."""

    def __init__(self, settings: AugmentSettings, imu: ImuSettings) -> None:
        self._settings = settings
        self._order = [IMU_AXES.index(axis) for axis in imu.order]
        self._mean = np.array(imu.mean, np.float32)[:, None]
        self._std = np.array(imu.std, np.float32)[:, None]

    def __call__(self, modality: str, clips: Clips, rng: np.random.Generator) -> Clips:
        """A varied copy of (n, *clip) packed clips, of the same shape; uint8 stays uint8, all else becomes float32."""
        settings = self._settings
        if not settings.enabled or not len(clips):
            return clips
        match modality:
            case "vision":
                return _pictures(clips, rng, settings)
            case "depth" | "thermal":
                return _planes(clips, rng, settings)
            case "audio":
                return _sounds(clips, rng, settings)
            case "imu":
                return _signals(self._turned(clips, rng), rng, settings)
        return _signals(clips, rng, settings)

    def _turned(self, clips: Clips, rng: np.random.Generator) -> Clips:
        """(n, 6, samples): acceleration and rate turned by the same small rotation, in their own units."""
        turns = _rotations(len(clips), rng, self._settings.rotation_deg)
        body = np.empty(clips.shape, np.float32)
        body[:, self._order] = clips * self._std + self._mean
        body = np.matmul(turns[:, None], body.reshape(len(clips), 2, 3, -1)).reshape(clips.shape)
        return np.asarray((body[:, self._order] - self._mean) / self._std, np.float32)


def _pictures(clips: Clips, rng: np.random.Generator, settings: AugmentSettings) -> Clips:
    """(n, 2, h, w, 3) or (n, h, w, 3): both frames of a clip are varied alike."""
    n = len(clips)
    moved = _shifted(clips, rng, settings, axes=(clips.ndim - 3, clips.ndim - 2))
    offset = rng.uniform(-1, 1, (n, 1)) * settings.brightness
    gain = 1 + rng.uniform(-1, 1, (n, 1)) * settings.contrast + rng.uniform(-1, 1, (n, 3)) * settings.contrast / 3
    if clips.dtype != np.uint8:
        shape = (n, *([1] * (clips.ndim - 2)), 3)
        varied = (moved - 0.5) * gain.reshape(shape) + 0.5 + np.broadcast_to(offset, (n, 3)).reshape(shape)
        return np.asarray(np.clip(varied, 0, 1), np.float32)
    import cv2

    # One pass a clip, rounded and held to 0..255: 0.05 ms, a table of 256 numbers a colour 0.2 ms, numpy 1 ms.
    matrices = np.zeros((n, 3, 4), np.float32)
    matrices[:, range(3), range(3)] = gain
    matrices[:, :, 3] = 127.5 * (1 - gain) + 255 * offset
    for i in range(n):
        flat = moved[i].reshape(-1, moved.shape[-2], 3)
        cv2.transform(flat, matrices[i], dst=flat)
    return moved


def _planes(clips: Clips, rng: np.random.Generator, settings: AugmentSettings) -> Clips:
    """(n, 1, h, w)."""
    n = len(clips)
    moved = _shifted(clips, rng, settings, axes=(2, 3)).astype(np.float32, copy=False)
    gain = 1 + rng.uniform(-1, 1, (n, 1, 1, 1)) * settings.plane_gain
    offset = rng.uniform(-1, 1, (n, 1, 1, 1)) * settings.plane_offset
    moved *= gain.astype(np.float32)
    moved += offset.astype(np.float32)
    if settings.plane_noise:
        moved += _noise(moved.shape, rng) * np.float32(settings.plane_noise)
    return moved


def _sounds(clips: Clips, rng: np.random.Generator, settings: AugmentSettings) -> Clips:
    """(n, 1, mel, frames) log-mel energies (natural logarithm)."""
    varied = clips.astype(np.float32)
    n, _, mels, frames = varied.shape
    means = varied.mean(axis=(1, 2, 3))
    gain_db = rng.uniform(-1, 1, (n, 1, 1, 1)) * settings.audio_gain_db
    varied += (gain_db * (math.log(10) / 10)).astype(np.float32)
    for size, share, axis in ((frames, settings.time_mask, 3), (mels, settings.mel_mask, 2)):
        widths = np.floor(rng.uniform(0, 1, n) * (share * size + 1)).astype(int)
        starts = np.floor(rng.uniform(0, 1, n) * (size - widths + 1)).astype(int)
        for i in range(n):
            masked = slice(starts[i], starts[i] + widths[i])
            (varied[i, 0, :, masked] if axis == 3 else varied[i, 0, masked])[...] = means[i]
    return varied


def _signals(clips: Clips, rng: np.random.Generator, settings: AugmentSettings) -> Clips:
    """(n, channels, samples)."""
    n, _, size = clips.shape
    reach = settings.signal_shift * size
    shifts = np.rint(rng.uniform(-1, 1, n) * reach).astype(int)
    index = np.clip(np.arange(size)[None] + shifts[:, None], 0, size - 1)
    varied = np.take_along_axis(clips, index[:, None], axis=2).astype(np.float32, copy=False)
    varied *= (1 + rng.uniform(-1, 1, (n, 1, 1)) * settings.signal_gain).astype(np.float32)
    if settings.signal_noise:
        sigma = varied.std(axis=2, keepdims=True) * np.float32(settings.signal_noise)
        varied += _noise(varied.shape, rng) * sigma
    return varied


def _shifted(clips: Clips, rng: np.random.Generator, settings: AugmentSettings, axes: tuple[int, int]) -> Clips:
    """A copy, each clip moved along both axes, the edge repeated, and mirrored where that is asked for."""
    n = len(clips)
    reaches = [settings.shift * clips.shape[axis] for axis in axes]
    shifts = np.rint(rng.uniform(-1, 1, (n, 2)) * reaches).astype(int)
    mirrored = (rng.random(n) < 0.5) & settings.mirror
    out = np.empty_like(clips)
    before = (slice(None),) * (axes[0] - 1)
    height, width = clips.shape[axes[0]], clips.shape[axes[1]]
    for i, (down, right) in enumerate(shifts.tolist()):
        source, target = clips[i], out[i]
        if mirrored[i]:
            source = np.flip(source, axes[1] - 1)
        rows, columns = _kept(down, height), _kept(right, width)
        target[*before, rows[1], columns[1]] = source[*before, rows[0], columns[0]]
        for free, edge in _free(right, width):
            target[*before, rows[1], free] = target[*before, rows[1], edge]
        for free, edge in _free(down, height):
            target[*before, free] = target[*before, edge]
    return out


def _kept(shift: int, size: int) -> tuple[slice, slice]:
    """Where what stays inside comes from, and goes to."""
    if shift >= 0:
        return slice(0, size - shift), slice(shift, size)
    return slice(-shift, size), slice(0, size + shift)


def _free(shift: int, size: int) -> list[tuple[slice, slice]]:
    """What a shift uncovers, and the line beside it."""
    if shift > 0:
        return [(slice(0, shift), slice(shift, shift + 1))]
    return [(slice(size + shift, size), slice(size + shift - 1, size + shift))] if shift < 0 else []


def _rotations(n: int, rng: np.random.Generator, largest_deg: float) -> NDArray[np.float32]:
    """(n, 3, 3) rotations about random axes (Rodrigues' formula)."""
    axes = rng.standard_normal((n, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.radians(rng.uniform(-1, 1, n) * largest_deg)[:, None, None]
    cross = np.zeros((n, 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = axes
    cross[:, [1, 2, 0], [2, 0, 1]] = -axes
    turns = np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * (cross @ cross)
    return np.asarray(turns, np.float32)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Unit-variance noise. Read from a strip at random places: fresh numbers for 128 pictures cost 60 ms, these 6."""
    size = int(np.prod(shape[1:]))
    strip = rng.standard_normal(max(2 * size, 1 << 16), np.float32)
    starts = rng.integers(0, len(strip) - size + 1, shape[0])
    return np.stack([strip[start : start + size] for start in starts]).reshape(shape)
