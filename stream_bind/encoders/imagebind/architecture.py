"""The dimensions of an ImageBind model: plain data, no torch.

The defaults are `imagebind_huge`, the one published checkpoint (1,311 keys, 1,200,781,057 parameters).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream_bind.encoders.imagebind.signals import SignalConfig
from stream_bind.messages import MODALITIES

__all__ = [
    "CONTEXT_LENGTH",
    "IMAGE_SIZE",
    "IMU_CHANNELS",
    "IMU_SAMPLES",
    "SMALL",
    "VOCABULARY_SIZE",
    "ImageBindConfig",
    "SignalConfig",
]

IMAGE_SIZE = 224
"""Side in pixels for which positions are stored (vision, depth, thermal)."""
CONTEXT_LENGTH = 77
"""Token ids per text, start and end included."""
VOCABULARY_SIZE = 49408
"""CLIP BPE: 2 * 256 bytes + 48,894 merges + start + end."""
IMU_CHANNELS = 6
IMU_SAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBindConfig:
    """Dimensions by the reference's constructor names. ValueError where they do not fit together."""

    video_frames: int = 2
    kernel_size: tuple[int, int, int] = (2, 14, 14)
    out_embed_dim: int = 1024
    vision_embed_dim: int = 1280
    vision_num_blocks: int = 32
    vision_num_heads: int = 16
    text_embed_dim: int = 1024
    text_num_blocks: int = 24
    text_num_heads: int = 16
    audio_kernel_size: int = 16
    audio_stride: int = 10
    audio_embed_dim: int = 768
    audio_num_blocks: int = 12
    audio_num_heads: int = 12
    audio_num_mel_bins: int = 128
    audio_target_len: int = 204
    audio_drop_path: float = 0.1
    depth_embed_dim: int = 384
    depth_kernel_size: int = 16
    depth_num_blocks: int = 12
    depth_num_heads: int = 8
    depth_drop_path: float = 0.0
    thermal_embed_dim: int = 768
    thermal_kernel_size: int = 16
    thermal_num_blocks: int = 12
    thermal_num_heads: int = 12
    thermal_drop_path: float = 0.0
    imu_embed_dim: int = 512
    imu_kernel_size: int = 8
    imu_num_blocks: int = 6
    imu_num_heads: int = 8
    imu_drop_path: float = 0.7
    imu_head_dropout: float = 0.5
    vocab_size: int = VOCABULARY_SIZE
    context_length: int = CONTEXT_LENGTH
    signals: tuple[SignalConfig, ...] = ()
    """Further sensor types, which the reference does not have. Mappings of SignalConfig's arguments will do."""
    modalities: tuple[str, ...] = ()
    """Which branches to build; modalities share no weights. Empty: the six of the reference and all signals."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel_size", tuple(self.kernel_size))
        object.__setattr__(self, "signals", tuple(_signal(given) for given in self.signals))
        names = [signal.name for signal in self.signals]
        if len(set(names)) < len(names):
            raise ValueError(f"signals must have different names, found {', '.join(names)}")
        known = (*MODALITIES, *names)
        object.__setattr__(self, "modalities", tuple(self.modalities) or known)
        for modality in self.modalities:
            if modality not in known:
                raise ValueError(f"ImageBind has no modality {modality!r}; it has {', '.join(known)}")
            dim, heads = self.width(modality), self.heads(modality)
            if dim < 1 or heads < 1 or self.blocks(modality) < 1 or dim % heads:
                raise ValueError(
                    f"{modality}_embed_dim {dim} must be a positive multiple of {modality}_num_heads {heads}, "
                    f"with {modality}_num_blocks >= 1 (found {self.blocks(modality)})"
                )
        if self.out_embed_dim < 1:
            raise ValueError(f"out_embed_dim must be >= 1, found {self.out_embed_dim}")
        if self.vocab_size < 3 or self.context_length < 2:
            raise ValueError(
                f"vocab_size must be >= 3 and context_length >= 2, found {self.vocab_size} and {self.context_length}"
            )
        if not 0 <= self.imu_head_dropout < 1:
            raise ValueError(f"imu_head_dropout must be at least 0 and below 1, found {self.imu_head_dropout:g}")
        # Longer clips would need a temporal position layout, which no published weights define.
        if len(self.kernel_size) != 3 or (self.video_frames, self.kernel_size[0]) != (2, 2):
            raise ValueError(
                f"video_frames and kernel_size[0] must both be 2, found {self.video_frames} and {self.kernel_size}"
            )
        patch = self.kernel_size[1]
        if patch < 1 or self.kernel_size[2] != patch or IMAGE_SIZE % patch:
            raise ValueError(f"kernel_size {self.kernel_size} must have square patches that divide {IMAGE_SIZE} pixels")
        for name in ("depth_kernel_size", "thermal_kernel_size"):
            size = getattr(self, name)
            if size < 1 or IMAGE_SIZE % size:
                raise ValueError(f"{name} {size} must divide {IMAGE_SIZE} pixels")
        if self.imu_kernel_size < 1 or IMU_SAMPLES % self.imu_kernel_size:
            raise ValueError(f"imu_kernel_size {self.imu_kernel_size} must divide {IMU_SAMPLES} samples")
        if self.audio_stride < 1 or min(self.audio_grid) < 1:
            raise ValueError(
                f"a spectrogram of {self.audio_num_mel_bins} x {self.audio_target_len} holds no patch of "
                f"{self.audio_kernel_size} (stride {self.audio_stride})"
            )

    def signal(self, modality: str) -> SignalConfig | None:
        """The declaration of a modality that the reference does not have; None for its own six."""
        return next((signal for signal in self.signals if signal.name == modality), None)

    def width(self, modality: str) -> int:
        """Trunk width."""
        return int(self._of(modality, "embed_dim"))

    def blocks(self, modality: str) -> int:
        return int(self._of(modality, "num_blocks"))

    def heads(self, modality: str) -> int:
        return int(self._of(modality, "num_heads"))

    def drop_path(self, modality: str) -> float:
        """Stochastic depth of the last block in training; rises linearly from 0."""
        return float(self._of(modality, "drop_path", 0.0))

    def head_dropout(self, modality: str) -> float:
        """Share of features the head drops in training."""
        return float(self._of(modality, "head_dropout", 0.0))

    def _of(self, modality: str, name: str, *default: float) -> Any:
        signal = self.signal(modality)
        return getattr(signal, name) if signal else getattr(self, f"{modality}_{name}", *default)

    @property
    def audio_grid(self) -> tuple[int, int]:
        """Patches along mel and along time."""
        mel = (self.audio_num_mel_bins - self.audio_kernel_size) // self.audio_stride + 1
        time = (self.audio_target_len - self.audio_kernel_size) // self.audio_stride + 1
        return mel, time


def _signal(given: SignalConfig | Mapping[str, Any]) -> SignalConfig:
    if isinstance(given, SignalConfig):
        return given
    try:
        return SignalConfig(**given)
    except TypeError as error:
        raise ValueError(f"signals: {error}") from error


SMALL = {
    "vision_embed_dim": 128,
    "vision_num_blocks": 2,
    "vision_num_heads": 4,
    "text_embed_dim": 64,
    "text_num_blocks": 3,
    "text_num_heads": 2,
    "audio_embed_dim": 128,
    "audio_num_blocks": 2,
    "audio_num_heads": 4,
    "depth_embed_dim": 96,
    "depth_num_blocks": 2,
    "depth_num_heads": 3,
    "thermal_embed_dim": 96,
    "thermal_num_blocks": 2,
    "thermal_num_heads": 3,
    "imu_embed_dim": 96,
    "imu_num_blocks": 2,
    "imu_num_heads": 3,
}
"""Constructor arguments of `size: small`: a few milliseconds per clip on a CPU, the same 1,024 numbers out."""
