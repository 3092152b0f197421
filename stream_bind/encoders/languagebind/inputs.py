"""Pictures, video, depth and sound to what LanguageBind looks at: pure functions, numpy and OpenCV, no torch.

What they return stands before mean and deviation, which the encoder applies on its device (normalise.py);
`normalised_pixels` and `normalised_mel` do it in numpy. Nothing here is left to chance: clips are never mirrored, and
the crops of long sound lie at fixed places.

Formulas and constants: LanguageBind's processors at snapshot 7070c53 (2024-03-25), torchvision 0.14.1, torchaudio
0.13.1, pytorchvideo 0.1.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stream_bind.encoders.preprocess import fbank
from stream_bind.encoders.preprocess.bicubic import resize_bicubic
from stream_bind.encoders.preprocess.frames import centre_geometry, resize_bilinear
from stream_bind.encoders.preprocess.holes import fill_nearest

__all__ = [
    "MEAN",
    "SIZE",
    "STD",
    "Crop",
    "Holes",
    "depth_plane",
    "frame_ids",
    "fused",
    "grey_plane",
    "length_of_frames",
    "mel_frames",
    "mel_picture",
    "mel_starts",
    "normalised_mel",
    "normalised_pixels",
    "picture",
    "picture_pixels",
    "stretched",
    "video",
    "video_frame",
]

FloatArray = NDArray[np.float32]
Crop = Literal["first", "centre", "last"]
Holes = Literal["near", "far", "nearest"]

SIZE = 224
"""Side of every picture; the reference has it in its code, whatever the configuration's image_size says."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Channel statistics (OpenAI CLIP's) of every branch but sound, for values in [0, 1]."""
NEAR_M = 0.01
"""Depth is clipped to at least this, before it is divided."""


def picture_pixels(image: Image.Image) -> NDArray[Any]:
    """A picture file opened by Pillow to (H, W, 3) uint8 or, of 16-bit grey, (H, W) uint16. RGB comes as it is stored.

    The reference raises for everything but RGB. Here grey is repeated, palettes are looked up, transparency is dropped
    without mixing in a background, other colour spaces are converted, and the orientation tag is not followed (which
    the reference does not either). ValueError for float and wide integer pictures, whose white nobody has named.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "I":
        counts = np.asarray(image)
        if counts.min() >= 0 and counts.max() <= 65535:
            return counts.astype(np.uint16)
    if image.mode in {"I", "F"}:
        raise ValueError(f"a picture of mode {image.mode} has no known white; convert it to 8 or 16 bits")
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def picture(frame: NDArray[Any], size: int = SIZE, crop: Crop = "centre") -> FloatArray:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16, RGB order, to (size, size, 3) float32.

    Divided by 255 (uint16 by 65535), short side to `size`, long side truncated, bicubic without antialias and without
    clamping, so that values lie some tenths outside [0, 1] next to edges; then the crop, whose centre rounds half to
    even. Grey is repeated, a fourth channel dropped. ValueError for other shapes or dtypes.
    """
    pixels, white = _colour(frame)
    return _bicubic_square(pixels, size, crop) * np.float32(1 / white)


def grey_plane(frame: NDArray[Any], size: int = SIZE, crop: Crop = "centre") -> FloatArray:
    """(H, W) uint8, uint16 or float32 (0 black, 1 white) to (1, size, size) float32, by the same way as `picture`.

    A third of its work and of its bytes: the three channels of a grey picture are equal up to mean and deviation.
    """
    if frame.ndim != 2 or min(frame.shape) == 0:
        raise ValueError(f"a grey frame is (H, W), found {frame.shape}")
    if frame.dtype.kind == "f":
        return _bicubic_square(frame.astype(np.float32, copy=False), size, crop)[None]
    return (_bicubic_square(frame, size, crop) * np.float32(1 / _white(frame)))[None]


def stretched(frame: NDArray[Any], range_k: tuple[float, float] | None = None) -> FloatArray:
    """(H, W) temperatures, or any counts that rise with them, to float32 in [0, 1], hot white.

    range_k: what becomes black and white, else the frame's own least and greatest, as the training pictures were
    made; a frame of one temperature is black. Not finite pixels take their row's nearest. ValueError if none is finite.
    """
    heat = frame.astype(np.float32)
    valid = np.isfinite(heat)
    if not valid.any():
        raise ValueError("the thermal frame has no measured pixel")
    if not valid.all():
        heat = fill_nearest(heat, valid)
    low, high = (float(heat.min()), float(heat.max())) if range_k is None else range_k
    if high <= low:
        return np.zeros_like(heat)
    grey: FloatArray = np.clip((heat - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return grey


def depth_plane(
    depth: NDArray[Any],
    max_depth_m: float = 10.0,
    *,
    holes: Holes = "near",
    size: int = SIZE,
    crop: Crop = "centre",
) -> FloatArray:
    """(H, W) uint16 millimetres or floating metres to (1, size, size) float32, 0 near to 1 at `max_depth_m`.

    Clipped to 0.01 m and `max_depth_m` and divided by it; 0 divides by the frame's own greatest depth. Holes (0,
    negative, not finite): "near" leaves them at 0.01 m, closer than anything, as the reference reads a 0; "far" puts
    them at the greatest depth; "nearest" takes the nearest measured depth of their row. Then resized as `picture`.
    ValueError for another shape or dtype (8-bit pictures among them) or where nothing is measured and holes are not
    "near".
    """
    if depth.ndim != 2 or min(depth.shape) == 0 or not (depth.dtype == np.uint16 or depth.dtype.kind == "f"):
        raise ValueError(
            f"a depth frame is (H, W) uint16 millimetres or float metres, found {depth.shape} {depth.dtype}"
        )
    metres = depth.astype(np.float32)
    if depth.dtype == np.uint16:
        metres /= np.float32(1000)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(metres) & (metres > 0)
    if not valid.all():
        if not valid.any() and holes != "near":
            raise ValueError("the depth frame has no measured pixel")
        if holes == "nearest":
            metres = fill_nearest(metres, valid)
        else:
            limit = 0.0 if holes == "near" else max_depth_m or float(metres[valid].max())
            metres = np.where(valid, metres, np.float32(limit))
    greatest = np.float32(max_depth_m if max_depth_m else max(float(metres.max()), NEAR_M))
    plane = np.clip(metres, np.float32(NEAR_M), greatest) / greatest
    return _bicubic_square(plane, size, crop)[None]


def _bicubic_square(image: NDArray[Any], size: int, crop: Crop) -> FloatArray:
    (height, width), _ = centre_geometry(image.shape[0], image.shape[1], size)
    return resize_bicubic(image, (height, width), _square((height, width), size, crop))


def _square(shape: tuple[int, int], size: int, crop: Crop) -> tuple[slice, slice]:
    """The square of a resized picture; the centre rounds half to even (86.5 to 86), as Python's round does."""
    if crop not in {"first", "centre", "last"}:
        raise ValueError(f"crop {crop!r} is none of first, centre, last")
    rooms = (length - size for length in shape)
    top, left = ({"first": 0, "centre": round(room / 2), "last": room}[crop] for room in rooms)
    return slice(top, top + size), slice(left, left + size)


def _colour(frame: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """(H, W, 3) of a grey, RGB or RGBA frame, and its white."""
    pixels = frame[:, :, None] if frame.ndim == 2 else frame
    if pixels.ndim != 3 or pixels.shape[2] not in {1, 3, 4} or min(pixels.shape) == 0:
        raise ValueError(f"a picture is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found {frame.shape}")
    white = _white(frame)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3], white


def _white(frame: NDArray[Any]) -> int:
    if frame.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a picture is uint8 or uint16, found {frame.dtype}; scale it to one of them")
    return 255 if frame.dtype == np.uint8 else 65535


def frame_ids(n_frames: int, n_wanted: int) -> NDArray[np.int64]:
    """(n_wanted,) positions of the frames a clip shows: evenly spaced, first and last included, rounded *down*.

    Of fewer frames than are wanted some come more than once. ValueError below one of either.
    """
    if n_frames < 1 or n_wanted < 1:
        raise ValueError(f"cannot pick {n_wanted} of {n_frames} frames")
    return np.floor(np.linspace(0, n_frames - 1, n_wanted)).astype(np.int64)


def video_frame(frame: NDArray[np.uint8], size: int = SIZE, crop: Crop = "centre") -> FloatArray:
    """(H, W[, C]) uint8 as for `picture` to (size, size, 3) float32 in [0, 1].

    Short side to `size`, long side floored, bilinear without antialias: pictures and video differ. ValueError.
    """
    pixels, white = _colour(frame)
    if white != 255:
        raise ValueError(f"a video frame is uint8, found {frame.dtype}")
    height, width = pixels.shape[:2]
    # Not always the picture's truncated size * long / short: this quotient is rounded before it is multiplied.
    scaled = math.floor(max(height, width) / min(height, width) * size)
    shape = (size, scaled) if height <= width else (scaled, size)
    return resize_bilinear(pixels, shape, _square(shape, size, crop)) * np.float32(1 / 255)


def video(
    frames: Sequence[NDArray[np.uint8]], n_frames: int = 8, size: int = SIZE, crop: Crop = "centre"
) -> FloatArray:
    """Frames (H, W, 3) uint8 to (n_frames, size, size, 3) float32 in [0, 1], never mirrored. ValueError."""
    ids = frame_ids(len(frames), n_frames).tolist()
    shown = {i: video_frame(frames[i], size, crop) for i in set(ids)}
    return np.stack([shown[i] for i in ids])


def length_of_frames(n_frames: int) -> float:
    """Seconds of sound that give exactly `n_frames` mel frames: 10.375 for 1036."""
    return (fbank.FRAME + fbank.HOP * (n_frames - 1)) / fbank.RATE_HZ


def mel_frames(n_samples: int) -> int:
    """How many mel frames `n_samples` at 16 kHz give; 0 below 400."""
    return 1 + (n_samples - fbank.FRAME) // fbank.HOP if n_samples >= fbank.FRAME else 0


def mel_picture(
    wave: FloatArray, n_mels: int = 112, n_frames: int = 1036, starts: Sequence[int] | None = None
) -> FloatArray:
    """(channels, n) float32 in [-1, 1) at 16 kHz to (1, n_mels, n_frames) log-mel float32, (3, ...) if it is longer.

    One mean over all channels is removed, channel 0 alone is analysed (no down-mix). What becomes of shorter and
    longer sound: `fused`. ValueError below 400 samples, or for whole numbers.
    """
    if wave.ndim != 2 or wave.dtype.kind != "f":
        raise ValueError(
            f"sound is (channels, n) float in [-1, 1), found {wave.shape} {wave.dtype}; divide 16-bit samples by 32768"
        )
    return fused(fbank.log_mel(wave[0] - wave.mean(), n_mels, rounded=True), n_frames, starts)


def fused(mel: FloatArray, n_frames: int, starts: Sequence[int] | None = None) -> FloatArray:
    """(n_mels, frames) to the model's length: (1, n_mels, n_frames), or (3, ...) where there is more than that.

    Too short: repeated from its start until it is long enough (never padded with silence). Too long: front, middle and
    back crop at `starts`, by default `mel_starts`. A single picture stands for three equal channels.
    """
    found = mel.shape[1]
    if found <= n_frames:
        return mel[None, :, np.arange(n_frames) % found]
    return np.stack([mel[:, start : start + n_frames] for start in starts or mel_starts(found, n_frames)])


def mel_starts(found: int, n_frames: int) -> tuple[int, int, int]:
    """Where the three crops of `found` > `n_frames` frames begin.

    The possible starts are split in three consecutive parts, the first ones longer by one where it does not come out
    even. The reference draws one of each part at random; here it is the middle one, of two the earlier. A part that
    is empty gives 0, as in the reference: one frame too many makes (0, 1, 0).
    """
    parts = np.array_split(np.arange(found - n_frames + 1), 3)
    front, middle, back = (int(part[(len(part) - 1) // 2]) if len(part) else 0 for part in parts)
    return front, middle, back


def normalised_pixels(clip: FloatArray) -> FloatArray:
    """What the model takes: (3, H, W) of a (H, W, 3) picture or a (1, H, W) plane, (3, T, H, W) of a video."""
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    last = clip if clip.shape[-1] == 3 else clip.transpose(1, 2, 0)
    scaled: FloatArray = np.moveaxis((last - mean) / std, -1, 0)
    return scaled


def normalised_mel(clip: FloatArray, mean: float, std: float) -> FloatArray:
    """(1 or 3, n_mels, frames) to (3, n_mels, frames): (x - mean) / (2 * std), the deviation doubled."""
    scaled: FloatArray = (clip - np.float32(mean)) / np.float32(2 * std)
    return np.repeat(scaled, 3, axis=0) if len(scaled) == 1 else scaled
