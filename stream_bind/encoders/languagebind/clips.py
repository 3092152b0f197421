"""One clip maker per kind of LanguageBind model: a window of native samples to the packed array the encoder takes.

numpy and OpenCV only: these run in the capture actor. Means and deviations are the encoder's, on its device.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_bind.encoders.base import ClipSpec
from stream_bind.encoders.imagebind.clips import frames_inside, picked
from stream_bind.encoders.languagebind import inputs
from stream_bind.encoders.preprocess import fbank
from stream_bind.encoders.preprocess.sinc import resample_sinc
from stream_bind.errors import ClipError
from stream_bind.messages import StreamSpec, Window
from stream_bind.resample import GAP_PERIODS, resample_audio

__all__ = [
    "AudioClips",
    "DepthClips",
    "DepthSettings",
    "ImageClips",
    "ThermalClips",
    "ThermalSettings",
    "VideoClips",
    "VisionSettings",
]

FloatArray = NDArray[np.float32]

LENGTH_S = 2.0
"""Of the windows whose frames are seen: what a first and a last frame of ImageBind's video span, too."""
HOP_S = 0.5
AUDIO_HOP_S = 2.5
"""A quarter of the window, on the grid of half seconds, and with motion's hop in one rig."""
UNITS_M = {"": 1.0, "m": 1.0, "mm": 0.001}


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    crop: inputs.Crop = "centre"
    """Square of a frame that is seen: left or top, centre (the reference's), right or bottom."""


class VisionSettings(_Settings):
    """Which frames of a camera's window are seen, and which part of them."""

    pick: Literal["last", "middle", "first"] = "last"
    """Models of still pictures: the frame of the window. A video model sees frames all over it."""


class DepthSettings(_Settings):
    """How metres become what a depth model sees."""

    pick: Literal["last", "middle", "first"] = "last"
    """Which frame of the window is seen."""
    max_depth_m: float | None = Field(default=None, ge=0)
    """Depth shown as the farthest; null takes the model's own (10 m), 0 each frame's greatest."""
    holes: inputs.Holes = "near"
    """Pixels without depth: `near` shows them at 1 cm, as the reference reads a 0, `far` as the farthest, `nearest` as
    the nearest measured one of their row. The published model learned from depth without holes."""
    min_valid: float = Field(default=0.1, ge=0, le=1)
    """A frame with a smaller share of measured pixels is refused."""


class ThermalSettings(_Settings):
    """How a thermal frame becomes grey, hot white. 8-bit frames are shown as they are."""

    pick: Literal["last", "middle", "first"] = "last"
    """Which frame of the window is seen."""
    range_k: tuple[float, float] | Literal["frame"] = "frame"
    """Kelvin shown as black and white, or `frame`: each frame's coldest and hottest, as the training pictures were
    made."""

    @model_validator(mode="after")
    def _range_rises(self) -> ThermalSettings:
        if self.range_k != "frame" and not 0 <= self.range_k[0] < self.range_k[1]:
            raise ValueError(f"range_k must rise from 0 K or more, found {list(self.range_k)}")
        return self


class VideoClips:
    """Evenly spaced frames of the window, (num_frames, size, size, 3) float32 in [0, 1].

    First and last frame included, positions rounded down, as of a file; of fewer frames some are shown more than once.
    The window must hold all its frames (payload "all"): frames chosen from the edges of the hop cells would be others.
    """

    def __init__(
        self, settings: VisionSettings, length_s: float = LENGTH_S, num_frames: int = 8, size: int = inputs.SIZE
    ) -> None:
        self.settings, self.num_frames, self.size = settings, num_frames, size
        self.spec = ClipSpec("vision", length_s, HOP_S, (num_frames, size, size, 3), "float32")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        try:
            return inputs.video(frames_inside(window), self.num_frames, self.size, self.settings.crop)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


class ImageClips:
    """The picked frame (size, size, 3) float32, some tenths beyond [0, 1] next to edges: nothing is clamped."""

    def __init__(self, settings: VisionSettings, length_s: float = LENGTH_S, size: int = inputs.SIZE) -> None:
        self.settings, self.size = settings, size
        self.spec = ClipSpec("vision", length_s, HOP_S, (size, size, 3), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = picked(frames_inside(window), self.settings.pick)
        try:
            return inputs.picture(frame, self.size, self.settings.crop)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


class DepthClips:
    """The picked frame (1, size, size) float32, 0 near to 1 at the greatest depth.

    Frames are uint16 millimetres, or floating point in the stream's unit (m or mm).
    """

    def __init__(
        self,
        settings: DepthSettings,
        length_s: float = LENGTH_S,
        max_depth_m: float = 10.0,
        size: int = inputs.SIZE,
    ) -> None:
        """max_depth_m: the model's (config.json's max_depth), where the settings name none."""
        self.settings, self.size = settings, size
        self.max_depth_m = max_depth_m if settings.max_depth_m is None else settings.max_depth_m
        self.spec = ClipSpec("depth", length_s, HOP_S, (1, size, size), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = np.asarray(picked(frames_inside(window), self.settings.pick))
        try:
            if frame.dtype.kind == "f":
                if stream.unit not in UNITS_M:
                    raise ValueError(f"depth wants the unit m or mm, found {stream.unit!r}")
                frame = frame if UNITS_M[stream.unit] == 1.0 else frame * np.float32(UNITS_M[stream.unit])
            with np.errstate(invalid="ignore"):
                share = float((np.isfinite(frame) & (frame > 0)).mean()) if frame.size else 0.0
            if share < self.settings.min_valid:
                wanted = self.settings.min_valid
                raise ValueError(f"{share:.0%} of the depth pixels are measured, min_valid is {wanted:.0%}")
            settings = self.settings
            return inputs.depth_plane(frame, self.max_depth_m, holes=settings.holes, size=self.size, crop=settings.crop)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


class ThermalClips:
    """The picked frame as grey (1, size, size) float32, hot white, some tenths beyond [0, 1] next to edges.

    One plane is enough: the thermal pictures of the reference are grey (its coloured ones would come as their luma).
    """

    def __init__(self, settings: ThermalSettings, length_s: float = LENGTH_S, size: int = inputs.SIZE) -> None:
        self.settings, self.size = settings, size
        self.spec = ClipSpec("thermal", length_s, HOP_S, (1, size, size), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = np.asarray(picked(frames_inside(window), self.settings.pick))
        try:
            return inputs.grey_plane(self._grey(frame), self.size, self.settings.crop)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error

    def _grey(self, frame: NDArray[Any]) -> NDArray[Any]:
        if frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8:
            import cv2

            return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))  # of equal channels their very value
        if frame.ndim != 2 or min(frame.shape) == 0:
            raise ValueError(
                f"a thermal frame is (H, W) uint8 grey or float32 kelvin, found {frame.shape} {frame.dtype}"
            )
        if frame.dtype == np.uint8:
            return frame
        return inputs.stretched(frame, None if self.settings.range_k == "frame" else self.settings.range_k)


class AudioClips:
    """Log-mel picture (1, n_mels, target_length) float32; (3, ...) where the window is longer than the model's.

    The default window, 10.375 s for 1036 frames, fills the picture exactly. What is shorter is repeated in time, of
    what is longer the front, the middle and the back are seen. Sound is resampled to 16 kHz by the filter the
    reference uses, its mean over all channels removed, its first channel analysed.
    """

    def __init__(self, n_mels: int = 112, target_length: int = 1036, length_s: float | None = None) -> None:
        self.n_mels, self.target_length = n_mels, target_length
        length = inputs.length_of_frames(target_length) if length_s is None else length_s
        self.n_samples = round(length * fbank.RATE_HZ)
        n_planes = 3 if inputs.mel_frames(self.n_samples) > target_length else 1
        self.spec = ClipSpec("audio", length, AUDIO_HOP_S, (n_planes, n_mels, target_length), "float32")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        samples = np.asarray(window.data, np.float32)[window.n_context :]
        t_ns = window.t_ns[window.n_context :]
        if len(samples) == 0:
            raise ClipError(f"{window.stream}: window {window.index} holds no sound")
        begin_ns, end_ns = _heard(window, t_ns, stream.rate_hz)
        rate_hz = round(stream.rate_hz)
        try:
            # At its own rate: each sample at its own time, gaps silent.
            native = resample_audio(samples, t_ns, begin_ns, end_ns, rate_hz, rate_hz)
            wave = resample_sinc(np.ascontiguousarray(native.T), rate_hz, fbank.RATE_HZ)[:, : self.n_samples]
            planes = inputs.mel_picture(wave, self.n_mels, self.target_length)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
        return planes if len(planes) == self.spec.shape[0] else np.repeat(planes, 3, axis=0)


def _heard(window: Window, t_ns: NDArray[np.int64], rate_hz: float) -> tuple[int, int]:
    """The stretch of the window in which there is sound: a file ends, or a microphone begins, within it.

    What lies outside would be heard as silence, where the model was shown short sounds repeated.
    """
    period_ns = 1e9 / rate_hz
    first_ns, end_ns = int(t_ns[0]), int(t_ns[-1]) + round(period_ns)
    slack_ns = GAP_PERIODS * period_ns
    return (
        window.t_start_ns if first_ns - window.t_start_ns <= slack_ns else first_ns,
        window.t_end_ns if window.t_end_ns - end_ns <= slack_ns else end_ns,
    )
