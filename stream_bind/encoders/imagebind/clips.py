"""One clip maker per sensed modality: a window of native samples to the packed array the encoder takes.

numpy and Pillow only: these run in the capture actor. Normalisation constants are the encoder's, on its device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.base import ClipSpec
from stream_bind.encoders.imagebind.architecture import IMAGE_SIZE, IMU_SAMPLES, ImageBindConfig
from stream_bind.encoders.imagebind.settings import AudioSettings, VisionSettings
from stream_bind.encoders.preprocess import fbank, frames
from stream_bind.encoders.preprocess.depth import DepthSettings, disparity_plane
from stream_bind.encoders.preprocess.imu import ImuSettings, motion_block
from stream_bind.encoders.preprocess.thermal import ThermalSettings, grey_plane
from stream_bind.errors import ClipError
from stream_bind.messages import StreamSpec, Window
from stream_bind.resample import resample_audio

__all__ = ["AudioClips", "DepthClips", "ImuClips", "ThermalClips", "VisionClips"]

AUDIO_CLIP_S = 2.0
AUDIO_CONTEXT_S = 0.05
"""Run-in of the sound resampler: 128 samples of the lower rate are enough for its filter, 16 ms at 8 kHz."""
IMU_CONTEXT_S = 0.1
"""Run-in of the motion resampler, as it asks for."""

Frame = TypeVar("Frame")


def picked(frames_: Sequence[Frame], pick: str) -> Frame:
    """The last, middle or first of at least one frame."""
    return frames_[{"first": 0, "middle": (len(frames_) - 1) // 2, "last": len(frames_) - 1}[pick]]


def frames_inside(window: Window) -> Sequence[NDArray[Any]]:
    """The window's own frames, without context. ClipError if there are none."""
    inside: Sequence[NDArray[Any]] = tuple(window.data[i] for i in range(window.n_context, len(window.data)))
    if len(inside) == 0:
        raise ClipError(f"{window.stream}: window {window.index} holds no frame")
    return inside


class VisionClips:
    """Two frames (2, 224, 224, 3) float32 in [0, 1], or one still (224, 224, 3) uint8.

    The video path of the reference resizes in float32, so its clip stays float32 (rounding it to uint8 moves the unit
    vector by 5e-4); its still path rounds to uint8 itself. Rows come as the resampler leaves them, channels last; the
    encoder turns them on its device. A window with one frame shows it twice, as a still image is shown to the model.
    """

    def __init__(self, settings: VisionSettings, length_s: float = 2.0) -> None:
        self.settings = settings
        shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
        two = settings.frames == 2
        self.spec = ClipSpec(
            "vision", length_s, 0.5, (2, *shape) if two else shape, "float32" if two else "uint8", payload="edges"
        )

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        inside = frames_inside(window)
        try:
            if self.settings.frames == 1:
                return frames.still(picked(inside, self.settings.pick), IMAGE_SIZE)
            first, last = (frames.video_frame(f, IMAGE_SIZE, self.settings.crop) for f in (inside[0], inside[-1]))
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
        return np.stack([first, last])


class DepthClips:
    """The picked frame as disparity (1, 224, 224) float32, before mean and std."""

    def __init__(self, settings: DepthSettings, length_s: float = 2.0) -> None:
        self.settings = settings
        self.spec = ClipSpec("depth", length_s, 0.5, (1, IMAGE_SIZE, IMAGE_SIZE), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = picked(frames_inside(window), self.settings.pick)
        try:
            return disparity_plane(frame, self.settings, IMAGE_SIZE)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


class ThermalClips:
    """The picked frame as grey 0..1 (1, 224, 224) float32."""

    def __init__(self, settings: ThermalSettings, length_s: float = 2.0) -> None:
        self.settings = settings
        self.spec = ClipSpec("thermal", length_s, 0.5, (1, IMAGE_SIZE, IMAGE_SIZE), "float32", payload="edges")

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        frame = picked(frames_inside(window), self.settings.pick)
        try:
            return grey_plane(frame, self.settings, IMAGE_SIZE)
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error


class AudioClips:
    """Log-mel (1, 128, 204) float32 before mean and std; (clips, 1, 128, 204) for windows longer than 2 s.

    Shorter windows are padded as the reference pads short files. Sound is resampled to 16 kHz, its mean over all
    channels removed, its first channel analysed.
    """

    def __init__(self, settings: AudioSettings, architecture: ImageBindConfig, length_s: float = AUDIO_CLIP_S) -> None:
        self.n_mels, self.n_frames = architecture.audio_num_mel_bins, architecture.audio_target_len
        self.n_clips = settings.clips if length_s > AUDIO_CLIP_S else 1
        one = (1, self.n_mels, self.n_frames)
        shape = one if length_s <= AUDIO_CLIP_S else (self.n_clips, *one)
        self.spec = ClipSpec("audio", length_s, 0.5, shape, "float32", context_s=AUDIO_CONTEXT_S)

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        samples = np.asarray(window.data, np.float32)
        if len(samples) == window.n_context:
            raise ClipError(f"{window.stream}: window {window.index} holds no sound")
        try:
            sound = resample_audio(
                samples, window.t_ns, window.t_start_ns, window.t_end_ns, fbank.RATE_HZ, stream.rate_hz
            )
            wave = np.ascontiguousarray(sound.T)
            spans = fbank.clip_spans(wave.shape[1], self.n_clips)
            clips = [fbank.spectrogram(wave[:, start:end], self.n_mels, self.n_frames) for start, end in spans]
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
        return np.stack(clips) if len(self.spec.shape) == 4 else clips[0]


class ImuClips:
    """Motion (6, 2000) float32 in the settings' order and units, on a uniform grid over the window.

    2000 samples whatever the window's length: 400 Hz over 5 s, 1 kHz over 2 s.
    """

    def __init__(self, settings: ImuSettings, length_s: float = 5.0) -> None:
        self.settings = settings
        self.spec = ClipSpec(
            "imu", length_s, 2.5, (6, IMU_SAMPLES), "float32", context_s=IMU_CONTEXT_S, axes=settings.order
        )

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        missing = [axis for axis in self.spec.axes if axis not in stream.axes]
        if missing:
            raise ClipError(f"{window.stream}: axes {', '.join(missing)} are wanted, found {', '.join(stream.axes)}")
        samples = np.asarray(window.data, np.float32)[:, [stream.axes.index(axis) for axis in self.spec.axes]]
        if len(samples) - window.n_context < 2:
            found = len(samples) - window.n_context
            raise ClipError(f"{window.stream}: window {window.index} holds {found} motion samples, 2 are needed")
        try:
            return motion_block(
                samples, window.t_ns, window.t_start_ns, window.t_end_ns, self.settings, self.spec.shape[1]
            )
        except ValueError as error:
            raise ClipError(f"{window.stream}: {error}") from error
