"""The clip maker of declared signals: channels picked, resampled to the declared rate, detrended and scaled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.base import ClipSpec
from stream_bind.encoders.imagebind.signals import Detrend, SignalConfig
from stream_bind.errors import ClipError, ConfigError
from stream_bind.messages import StreamSpec, Window
from stream_bind.resample import BRIDGE_NS, GAP_PERIODS, resample_imu

__all__ = ["SignalClips", "check_stream"]

HOP_S = 0.5
"""Default hop: lines up with every other sensor's, and a narrow branch takes milliseconds."""
RUN_IN = 23.0
"""Samples of the model's rate before the window that the resampler's filter reaches back to: half its length."""

FloatArray = NDArray[np.float32]


class SignalClips:
    """(channels, samples) float32 in the declared order and rate, on a uniform grid over the window."""

    def __init__(self, signal: SignalConfig) -> None:
        self.signal = signal
        self.spec = ClipSpec(
            signal.name,
            signal.length_s,
            HOP_S,
            (signal.channels, signal.n_samples),
            "float32",
            context_s=max(0.1, RUN_IN / signal.rate_hz),
            axes=signal.axes,
        )

    def make(self, window: Window, stream: StreamSpec) -> FloatArray:
        signal = self.signal
        try:
            columns = _columns(signal, stream)
        except ConfigError as error:
            raise ClipError(str(error)) from error
        samples = np.asarray(window.data)
        samples = samples[:, columns] if samples.ndim == 2 else samples[:, None]
        found = len(samples) - window.n_context
        if found < 2:
            raise ClipError(f"{window.stream}: window {window.index} holds {found} samples, 2 are needed")
        try:
            rows = resample_imu(
                samples,
                window.t_ns,
                window.t_start_ns,
                window.t_end_ns,
                signal.n_samples,
                # A slow sensor's usual step is no gap.
                bridge_ns=max(BRIDGE_NS, round(GAP_PERIODS * stream.period_ns)),
            )
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
        block = _detrended(rows.T.astype(np.float64), signal.detrend)
        block -= np.array(signal.mean or (0.0,) * signal.channels)[:, None]
        block /= np.array(signal.std or (1.0,) * signal.channels)[:, None]
        return block.astype(np.float32)


def check_stream(signal: SignalConfig, stream: StreamSpec) -> None:
    """ConfigError unless clips of `signal` can be made of `stream`: one that begins with the stream's id."""
    _columns(signal, stream)


def _columns(signal: SignalConfig, stream: StreamSpec) -> list[int]:
    """Positions in a sample of the stream of the model's channels."""
    if signal.unit and stream.unit != signal.unit:
        raise ConfigError(
            f"{stream.id}: the model was trained on {signal.name} in {signal.unit}, the device delivers "
            f"{stream.unit or 'no unit'}; set the device's unit, or convert"
        )
    if signal.axes and stream.axes:
        missing = [axis for axis in signal.axes if axis not in stream.axes]
        if missing:
            raise ConfigError(
                f"{stream.id}: channels {', '.join(missing)} are wanted, found {', '.join(stream.axes)}; name the "
                "device's channels (axes) as the model does"
            )
        return [stream.axes.index(axis) for axis in signal.axes]
    found = stream.shape[0] if stream.shape else 1
    if len(stream.shape) > 1 or found not in {signal.channels, -1}:
        raise ConfigError(
            f"{stream.id}: {signal.name} samples of {signal.channels} channels are wanted, found shape {stream.shape}"
        )
    return list(range(signal.channels))


def _detrended(block: NDArray[np.float64], how: Detrend) -> NDArray[np.float64]:
    """(channels, n) without its mean or its straight line."""
    if how == "none":
        return block
    block -= block.mean(axis=1, keepdims=True)
    if how == "linear":
        t = np.arange(block.shape[1]) - (block.shape[1] - 1) / 2
        block -= (block @ t / (t @ t))[:, None] * t
    return block
