"""From one modality's input tensor to the tokens that enter its trunk: patches, class token, positions.

Module and parameter names follow the published checkpoint, whose layouts differ between modalities.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_bind.encoders.imagebind.architecture import (
    IMAGE_SIZE,
    IMU_CHANNELS,
    IMU_SAMPLES,
    ImageBindConfig,
    SignalConfig,
)

__all__ = [
    "AudioPreprocessor",
    "ImuPreprocessor",
    "PlanePreprocessor",
    "SignalPreprocessor",
    "TextPreprocessor",
    "VisionPreprocessor",
    "build_preprocessor",
]

STEM_EPS = 1e-5
"""LayerNorm epsilon of the stems; the blocks use 1e-6."""


def shape_text(x: Tensor) -> str:
    return "(" + ", ".join(str(n) for n in x.shape) + ")"


class Positions(nn.Module):
    """Learned positions, class token first."""

    def __init__(self, n_patches: int, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, n_patches + 1, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, rows: int) -> Tensor:
        """Positions of a square grid of `rows` x `rows` patches, bicubic where that is not the stored grid."""
        stored = math.isqrt(self.pos_embed.shape[1] - 1)
        if rows == stored:
            return self.pos_embed
        dim = self.pos_embed.shape[2]
        # Half precision is interpolated in float32, as the reference does for bfloat16.
        grid = self.pos_embed[:, 1:].float().reshape(1, stored, stored, dim).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, rows), mode="bicubic", align_corners=False)
        patches = grid.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)


class PatchStem(nn.Module):
    """One-channel patches through a convolution without bias, then LayerNorm."""

    def __init__(self, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, kernel, stride=stride, bias=False)
        self.norm_layer = nn.LayerNorm(dim, eps=STEM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, H, W) to (n, patches, d), row-major."""
        out: Tensor = self.norm_layer(self.proj(x).flatten(2).transpose(1, 2))
        return out


class VisionStem(nn.Module):
    """Patches of two frames through one kernel, without bias or norm."""

    def __init__(self, dim: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        # Index 1: the checkpoint counts a parameterless frame padder in front.
        self.proj = nn.Sequential(nn.Identity(), nn.Conv3d(3, dim, kernel, stride=kernel, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) or (n, 3, 2, H, W) to (n, patches, d), row-major.

        Both are 2-D convolutions: two frames are six channels, and a still image, which the model sees twice, meets the
        sum of the two temporal slices (half the work; 1e-7 of the tokens' size away from convolving it twice).
        """
        conv = self.proj[1]
        assert isinstance(conv, nn.Conv3d)
        weight = conv.weight
        if x.ndim == 4:
            kernel = weight.float().sum(dim=2).to(weight.dtype)
        else:
            x = x.flatten(1, 2)
            kernel = weight.flatten(1, 2)
        return F.conv2d(x, kernel, stride=kernel.shape[-2:]).flatten(2).transpose(1, 2)


class MotionStem(nn.Module):
    """Runs of consecutive samples, channel-major, through a Linear without bias, then LayerNorm."""

    def __init__(self, channels: int, dim: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.proj = nn.Linear(channels * kernel, dim, bias=False)
        self.norm_layer = nn.LayerNorm(dim, eps=STEM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, T) to (n, T // kernel, d); samples that fill no run are not seen."""
        x = x[:, :, : x.shape[2] // self.kernel * self.kernel]
        runs = x.reshape(x.shape[0], x.shape[1], -1, self.kernel).transpose(1, 2).flatten(2)
        out: Tensor = self.norm_layer(self.proj(runs))
        return out


def with_class_token(cls_token: Tensor, patches: Tensor, positions: Tensor) -> Tensor:
    return torch.cat([cls_token.expand(patches.shape[0], -1, -1), patches], dim=1) + positions


def new_token(dim: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))


class VisionPreprocessor(nn.Module):
    """Still images (n, 3, H, W) or two-frame clips (n, 3, 2, H, W), square, sides a multiple of the patch."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        dim, self.patch = config.vision_embed_dim, config.kernel_size[1]
        self.cls_token = new_token(dim)
        self.rgbt_stem = VisionStem(dim, config.kernel_size)
        self.pos_embedding_helper = Positions((IMAGE_SIZE // self.patch) ** 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in {4, 5} or x.shape[1] != 3:
            raise ValueError(
                "vision wants images (n, 3, H, W) or clips (n, S, 3, T, H, W) with 3 channels, found "
                f"{shape_text(x)} per item; one video is (1, 1, 3, 2, H, W)"
            )
        if x.ndim == 5:
            if x.shape[2] not in {1, 2}:
                raise ValueError(
                    f"vision wants 1 or 2 frames per clip, found {x.shape[2]} in {shape_text(x)}; "
                    "cut longer videos into clips of two frames"
                )
            if x.shape[2] == 1:
                x = x[:, :, 0]
        height, width = x.shape[-2:]
        if height != width or height % self.patch or height == 0:
            raise ValueError(
                f"vision wants square frames whose side is a multiple of {self.patch}, found {height} x {width}; "
                f"crop to {IMAGE_SIZE} x {IMAGE_SIZE}"
            )
        patches = self.rgbt_stem(x)
        return with_class_token(self.cls_token, patches, self.pos_embedding_helper(height // self.patch))


class PlanePreprocessor(nn.Module):
    """Depth or thermal images (n, 1, 224, 224). The stem's name differs between the two in the checkpoint."""

    def __init__(self, modality: str, dim: int, kernel: int) -> None:
        super().__init__()
        self.modality = modality
        self.stem_name = "depth_stem" if modality == "depth" else "rgbt_stem"
        self.cls_token = new_token(dim)
        self.add_module(self.stem_name, PatchStem(dim, kernel, kernel))
        self.pos_embedding_helper = Positions((IMAGE_SIZE // kernel) ** 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != (1, IMAGE_SIZE, IMAGE_SIZE):
            raise ValueError(
                f"{self.modality} wants one channel, (n, 1, {IMAGE_SIZE}, {IMAGE_SIZE}), found {shape_text(x)}; "
                "no other size has positions"
            )
        patches = self.get_submodule(self.stem_name)(x)
        return with_class_token(self.cls_token, patches, self.pos_embedding_helper.pos_embed)


class AudioPreprocessor(nn.Module):
    """Log-mel spectrograms (n, 1, mel, frames), lowest mel first; tokens are mel-major.

    Trailing frames and mels that fill no patch are never seen: of 128 x 204 the model reads 126 x 196.
    """

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.mel, self.frames = config.audio_num_mel_bins, config.audio_target_len
        kernel, stride, (rows, columns) = config.audio_kernel_size, config.audio_stride, config.audio_grid
        self.frame_range = (kernel + stride * (columns - 1), kernel + stride * columns - 1)
        self.cls_token = new_token(config.audio_embed_dim)
        self.rgbt_stem = PatchStem(config.audio_embed_dim, kernel, stride)
        self.pos_embedding_helper = Positions(rows * columns, config.audio_embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.frame_range
        if x.ndim != 4 or x.shape[1:3] != (1, self.mel) or not low <= x.shape[3] <= high:
            raise ValueError(
                f"audio wants spectrograms (n, 1, {self.mel}, {self.frames}), {low} to {high} frames, "
                f"found {shape_text(x)} per item"
            )
        return with_class_token(self.cls_token, self.rgbt_stem(x), self.pos_embedding_helper.pos_embed)


class ImuPreprocessor(nn.Module):
    """Motion (n, 6, 2000). Its positions lie beside the stem, not in a helper."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        dim, kernel = config.imu_embed_dim, config.imu_kernel_size
        self.cls_token = new_token(dim)
        self.imu_stem = MotionStem(IMU_CHANNELS, dim, kernel)
        self.pos_embed = nn.Parameter(torch.empty(1, IMU_SAMPLES // kernel + 1, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[1:] != (IMU_CHANNELS, IMU_SAMPLES):
            raise ValueError(
                f"imu wants (n, {IMU_CHANNELS}, {IMU_SAMPLES}), found {shape_text(x)}; "
                f"resample each window to {IMU_SAMPLES} samples"
            )
        return with_class_token(self.cls_token, self.imu_stem(x), self.pos_embed)


class SignalPreprocessor(nn.Module):
    """A declared signal (n, channels, samples): the IMU's recipe with its own figures."""

    def __init__(self, signal: SignalConfig) -> None:
        super().__init__()
        self.name, self.shape = signal.name, (signal.channels, signal.n_samples)
        self.cls_token = new_token(signal.embed_dim)
        self.signal_stem = MotionStem(signal.channels, signal.embed_dim, signal.kernel)
        self.pos_embed = nn.Parameter(torch.empty(1, signal.n_samples // signal.kernel + 1, signal.embed_dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[1:] != self.shape:
            raise ValueError(f"{self.name} wants (n, {self.shape[0]}, {self.shape[1]}), found {shape_text(x)}")
        return with_class_token(self.cls_token, self.signal_stem(x), self.pos_embed)


class TextPreprocessor(nn.Module):
    """Token ids (n, context) int64. No class token: the head reads the first end-of-text, the highest id."""

    mask: Tensor

    def __init__(self, dim: int, vocabulary: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.token_embedding = nn.Embedding(vocabulary, dim)
        self.pos_embed = nn.Parameter(torch.empty(1, context, dim))
        # The checkpoint carries the causal mask; attention makes its own, the encoder checks that they agree.
        self.register_buffer("mask", torch.full((context, context), -math.inf).triu_(1))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.pos_embed, std=0.01)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.ndim != 2 or ids.shape[1] != self.context or ids.is_floating_point():
            raise ValueError(
                f"text wants integer token ids (n, {self.context}), found {shape_text(ids)} {ids.dtype}; "
                "pad with 0 behind the end-of-text"
            )
        out: Tensor = self.token_embedding(ids) + self.pos_embed
        return out


def build_preprocessor(modality: str, config: ImageBindConfig) -> nn.Module:
    """The preprocessor of one branch."""
    signal = config.signal(modality)
    if signal is not None:
        return SignalPreprocessor(signal)
    match modality:
        case "vision":
            return VisionPreprocessor(config)
        case "text":
            return TextPreprocessor(config.text_embed_dim, config.vocab_size, config.context_length)
        case "audio":
            return AudioPreprocessor(config)
        case "imu":
            return ImuPreprocessor(config)
        case "depth":
            return PlanePreprocessor(modality, config.depth_embed_dim, config.depth_kernel_size)
        case "thermal":
            return PlanePreprocessor(modality, config.thermal_embed_dim, config.thermal_kernel_size)
    raise ValueError(f"ImageBind has no modality {modality!r}")
