"""Windows of declared signals to clips: channels, rate, trend and scale, held against what was put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.encoders.imagebind.signal_clips import SignalClips, check_stream
from stream_bind.encoders.imagebind.signals import SignalConfig
from stream_bind.errors import ClipError, ConfigError
from stream_bind.messages import StreamSpec, Window

S = 10**9
START_NS = 1_700_000_000 * S
BAROMETER = SignalConfig(name="barometer", channels=1, rate_hz=25, length_s=8, kernel=10, unit="Pa")
EMG = SignalConfig(name="emg", channels=2, rate_hz=200, length_s=2, kernel=10, axes=("left", "right"), unit="mV")


def stream(signal: SignalConfig, rate_hz: float, axes: tuple[str, ...] = ("x",), unit: str | None = None) -> StreamSpec:
    return StreamSpec("s", signal.name, rate_hz, (len(axes),), "float32", unit or signal.unit, axes)


def window(signal: SignalConfig, rate_hz: float, values, context_s: float | None = None) -> Window:
    """values(t): (n,) or (n, channels) at seconds from the window's start."""
    context_s = SignalClips(signal).spec.context_s if context_s is None else context_s
    before = int(context_s * rate_hz)
    t = np.arange(-before, round(signal.length_s * rate_hz)) / rate_hz
    data = np.asarray(values(t), np.float32).reshape(len(t), -1)
    t_ns = START_NS + np.round(t * S).astype(np.int64)
    return Window("s", 3, START_NS, START_NS + round(signal.length_s * S), data, t_ns, before, len(t) - before, 1.0)


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 100.0, 1000.0, 24.0])
def test_any_rate_becomes_the_declared_one(rate_hz):
    clip = SignalClips(BAROMETER).make(
        window(BAROMETER, rate_hz, lambda t: 10 * np.sin(2 * np.pi * 0.5 * t)), stream(BAROMETER, rate_hz)
    )
    assert (clip.shape, clip.dtype) == ((1, 200), np.float32)
    expected = 10 * np.sin(2 * np.pi * 0.5 * np.arange(200) / 25)
    # Within the last second there is nothing behind the end for the filter to see.
    assert np.abs(clip[0] - expected)[:170].max() < 0.05


def test_what_is_too_fast_for_the_declared_rate_does_not_fold_back():
    clip = SignalClips(BAROMETER).make(
        window(BAROMETER, 200, lambda t: np.sin(2 * np.pi * 22 * t)), stream(BAROMETER, 200)
    )
    assert np.abs(clip[0, :170]).max() < 0.01


def test_a_sensor_slower_than_the_model_is_joined_by_lines_and_not_by_steps():
    slow = window(BAROMETER, 2, lambda t: t, context_s=1.0)
    clip = SignalClips(BAROMETER).make(slow, stream(BAROMETER, 2))
    assert np.abs(clip[0, :187] - np.arange(187) / 25).max() < 1e-4


@pytest.mark.parametrize(("detrend", "left"), [("none", (3.0, 2.0)), ("mean", (-7.96, 2.0)), ("linear", (0.0, 0.0))])
def test_windows_lose_the_trend_they_are_told_to(detrend, left):
    signal = replace(BAROMETER, detrend=detrend)
    clip = SignalClips(signal).make(window(signal, 25, lambda t: 3 + 2 * t), stream(signal, 25))[0]
    start, slope = left
    assert np.abs(clip - (start + slope * np.arange(200) / 25)).max() < 1e-4


def test_a_large_offset_does_not_cost_the_small_changes():
    signal = replace(BAROMETER, detrend="mean", std=(0.5,))
    clip = SignalClips(signal).make(
        window(signal, 25, lambda t: 101_325 + np.sin(2 * np.pi * t / 4)), stream(signal, 25)
    )
    # float32 of a sensor at sea level has steps of 0.008 Pa.
    assert np.abs(clip[0] - 2 * np.sin(2 * np.pi * np.arange(200) / 100)).max() < 0.02


def test_channels_are_picked_by_name_and_scaled_each_by_its_own():
    signal = replace(EMG, mean=(1.0, 0.0), std=(2.0, 4.0))
    made = SignalClips(signal).make(
        window(signal, 200, lambda t: np.stack([8 + 0 * t, 5 + 0 * t, 3 + 0 * t], axis=1)),
        stream(signal, 200, ("right", "other", "left")),
    )
    assert made[:, 0].tolist() == [1.0, 2.0]
    unnamed = SignalClips(signal).make(
        window(signal, 200, lambda t: np.stack([3 + 0 * t, 8 + 0 * t], axis=1)),
        replace(stream(signal, 200, ("a", "b")), axes=()),
    )
    assert unnamed[:, 0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("signal", "spec", "says"),
    [
        (BAROMETER, stream(BAROMETER, 25, unit="hPa"), "s: the model was trained on barometer in Pa.*delivers hPa"),
        (BAROMETER, stream(BAROMETER, 25, ("a", "b")), r"1 channels are wanted, found shape \(2,\)"),
        (EMG, stream(EMG, 200, ("left", "middle")), "channels right are wanted, found left, middle"),
        (BAROMETER, replace(stream(BAROMETER, 25), shape=(3, 4)), "1 channels are wanted"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused_before_and_in_the_run(signal, spec, says):
    with pytest.raises(ConfigError, match=says):
        check_stream(signal, spec)
    with pytest.raises(ClipError, match=says):
        SignalClips(signal).make(window(signal, signal.rate_hz, lambda t: t), spec)


def test_a_window_with_one_sample_is_no_clip():
    whole = window(BAROMETER, 25, lambda t: t, context_s=0.0)
    alone = replace(whole, data=whole.data[:1], t_ns=whole.t_ns[:1])
    with pytest.raises(ClipError, match="holds 1 samples, 2 are needed"):
        SignalClips(BAROMETER).make(alone, stream(BAROMETER, 25))


@given(st.floats(5, 400), st.floats(-1e3, 1e3), st.integers(0, 10))
def test_a_constant_stays_a_constant_at_every_rate(rate_hz, value, seed):
    signal = replace(BAROMETER, mean=(1.0,), std=(2.0,))
    clip = SignalClips(signal).make(window(signal, rate_hz, lambda t: np.full(len(t), value)), stream(signal, rate_hz))
    assert np.abs(clip - (np.float32(value) - 1) / 2).max() <= 1e-5 * max(1, abs(value))
