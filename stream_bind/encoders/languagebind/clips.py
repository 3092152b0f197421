"""One clip maker per kind of LanguageBind model: a window of native samples to the packed array the encoder takes.

numpy only: these run in the capture actor. Means and deviations are the encoder's, on its device.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from stream_bind.encoders.base import ClipSpec
from stream_bind.encoders.imagebind.clips import frames_inside, picked
from stream_bind.encoders.languagebind import inputs
from stream_bind.encoders.languagebind.config import VisionConfig
from stream_bind.encoders.preprocess import fbank
from stream_bind.encoders.preprocess.holes import fill_nearest
from stream_bind.errors import ClipError
from stream_bind.messages import StreamSpec, Window
from stream_bind.resample import resample_audio

__all__ = [
    "AudioClips",
    "DepthClips",
    "DepthSettings",
    "ImageClips",
    "PictureSettings",
    "ThermalClips",
    "ThermalSettings",
    "VideoClips",
    "audio_length_s",
]

FloatArray = NDArray[np.float32]
AUDIO_CONTEXT_S = 0.05
"""Run-in of the sound resampler."""
SLACK_NS = 10_000_000
"""Less than this missing at an edge of a window, one frame of the spectrogram, is no edge of the sound."""


class PictureSettings(BaseModel):
    """Which frame of a window a model of still pictures sees. A video model sees frames all over the window."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    pick: Literal["last", "middle", "first"] = "last"
    """Which frame of the window is embedded."""


class DepthSettings(PictureSettings):
    """How metres become what a depth model sees."""

    max_depth_m: float | None = Field(default=None, ge=0)
    """Depth shown as the farthest; null takes the model's own (10 m), 0 the frame's largest."""
    holes: Literal["near", "nearest", "far"] = "near"
    """Pixels without depth are shown at 1 cm, as the reference does, as the nearest measured one of their row, or as
    the farthest. The published model learned from depth without holes: `nearest` comes closest to that."""
    min_valid: float = Field(default=0.1, ge=0, le=1)
    """A frame with a smaller share of measured pixels is refused."""


class ThermalSettings(PictureSettings):
    """How temperatures become grey. Frames that are grey already are shown as they are."""

    range_k: tuple[float, float] | Literal["frame"] = "frame"
    """Kelvin shown as black and white, or `frame`: each frame's own coldest and hottest, as in training."""


class VideoClips:
    """Evenly spaced frames of the window (frames, 224, 224, 3) float32 in [0, 1]; fewer are shown more than once."""

    def __init__(self, n_frames: int, length_s: float = 2.0) -> None:
        self.n_frames = n_frames
        self.spec = ClipSpec("vision", length_s, 0.5, (n_frames, inputs.SIZE, inputs.SIZE, 3), "float32")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        inside = frames_inside(window)
        ids = inputs.frame_ids(len(inside), self.n_frames)
        try:
            seen = {i: inputs.video_frame(inside[i]) for i in dict.fromkeys(ids)}
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
        return np.stack([seen[i] for i in ids])


class ImageClips:
    """The picked frame (224, 224, 3) float32, around [0, 1]: bicubic may leave it."""

    def __init__(self, settings: PictureSettings, length_s: float = 2.0) -> None:
        self.settings = settings
        self.spec = ClipSpec("vision", length_s, 0.5, (inputs.SIZE, inputs.SIZE, 3), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = picked(frames_inside(window), self.settings.pick)
        try:
            seen = inputs.picture(frame)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
        return seen if seen.ndim == 3 else np.repeat(seen[:, :, None], 3, axis=2)


class DepthClips:
    """The picked frame (1, 224, 224) float32: 0 near, 1 far."""

    def __init__(self, settings: DepthSettings, model: VisionConfig, length_s: float = 2.0) -> None:
        self.settings = settings
        self.max_depth_m = model.max_depth_m if settings.max_depth_m is None else settings.max_depth_m
        self.spec = ClipSpec("depth", length_s, 0.5, (1, inputs.SIZE, inputs.SIZE), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = picked(frames_inside(window), self.settings.pick)
        try:
            return inputs.depth_plane(self._filled(np.asarray(frame, np.float32)), self.max_depth_m)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error

    def _filled(self, metres: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            valid = np.isfinite(metres) & (metres > 0)
        share = float(valid.mean()) if valid.size else 0.0
        if share < self.settings.min_valid or share == 0.0:
            raise ValueError(
                f"{share:.0%} of the depth pixels are measured, min_valid is {self.settings.min_valid:.0%}"
            )
        if share == 1.0 or self.settings.holes == "near":
            return metres
        if self.settings.holes == "nearest":
            return fill_nearest(metres, valid)
        far = np.float32(self.max_depth_m or metres[valid].max())
        return np.where(valid, metres, far).astype(np.float32)


class ThermalClips:
    """The picked frame as grey (1, 224, 224) float32, around [0, 1], white hot."""

    def __init__(self, settings: ThermalSettings, length_s: float = 2.0) -> None:
        self.settings = settings
        self.spec = ClipSpec("thermal", length_s, 0.5, (1, inputs.SIZE, inputs.SIZE), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = np.asarray(picked(frames_inside(window), self.settings.pick))
        try:
            if frame.ndim != 2:
                raise ValueError(f"a thermal frame is (H, W) uint8 grey or float32 kelvin, found {frame.shape}")
            if frame.dtype != np.uint8:
                range_k = None if self.settings.range_k == "frame" else self.settings.range_k
                frame = inputs.stretched(frame, range_k)
            return inputs.picture(frame)[None]
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


class AudioClips:
    """Log-mel pictures (1 or 3, mels, frames) float32: one where the window is no longer than the model's, else three.

    The three are stretches of its front, middle and back. Shorter windows are repeated in time. Sound is resampled to
    16 kHz, its mean over all channels removed, its first channel analysed.
    """

    def __init__(self, model: VisionConfig, length_s: float | None = None) -> None:
        self.n_mels, self.n_frames = model.image_size
        own_s = audio_length_s(model)
        length = own_s if length_s is None else length_s
        self.n_planes = 1 if length <= own_s else 3
        self.spec = ClipSpec(
            "audio", length, 2.5, (self.n_planes, self.n_mels, self.n_frames), "float32", context_s=AUDIO_CONTEXT_S
        )

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        samples = np.asarray(window.data, np.float32)
        if len(samples) == window.n_context:
            raise ClipError(f"{window.stream}: window {window.index} holds no sound")
        begin_ns, end_ns = _heard(window, stream.rate_hz)
        try:
            sound = resample_audio(samples, window.t_ns, begin_ns, end_ns, fbank.RATE_HZ, stream.rate_hz)
            return inputs.mel_picture(np.ascontiguousarray(sound.T), self.n_mels, self.n_frames)[: self.n_planes]
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


def _heard(window: Window, rate_hz: float) -> tuple[int, int]:
    """The stretch of the window in which there is sound: a file may end, a microphone begin within it.

    Silence there would be heard as silence; the model was taught with short sounds that are repeated.
    """
    first_ns, last_ns = int(window.t_ns[window.n_context]), int(window.t_ns[-1]) + round(1e9 / rate_hz)
    begin_ns = window.t_start_ns if first_ns - window.t_start_ns < SLACK_NS else first_ns
    end_ns = window.t_end_ns if window.t_end_ns - last_ns < SLACK_NS else last_ns
    return begin_ns, end_ns


def audio_length_s(model: VisionConfig) -> float:
    """Seconds of sound that fill the model's picture exactly: 10.375 for the published 1036 frames of 25 ms each 10."""
    return (fbank.FRAME + (model.image_size[1] - 1) * fbank.HOP) / fbank.RATE_HZ
