"""The published LanguageBind models: what they are called, where they are, what they look like. Imports no torch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stream_bind.encoders.languagebind.config import Kind, LanguageBindConfig, TextConfig, VisionConfig

__all__ = ["PUBLISHED", "SMALL_DIMS", "Published", "nearest_name", "published_name", "small"]


@dataclass(frozen=True, slots=True)
class Published:
    """One repository of the organisation LanguageBind on the Hugging Face hub."""

    name: str
    """As users write it, and as `stream-bind models pull` knows it."""
    repository: str
    config: LanguageBindConfig
    about: str
    n_parameters: int
    """Of both towers, low-rank updates included."""


_TEXT_L = TextConfig(768, 3072, 12, 12, "gelu")
_TEXT_H = TextConfig(1024, 4096, 24, 16, "gelu")
_VISION_L = VisionConfig(1024, 4096, 24, 16, "gelu", patch_size=14, lora_r=0)
_VISION_H = VisionConfig(1280, 5120, 32, 16, "gelu", patch_size=14, lora_r=0)


def _model(name: str, kind: Kind, about: str, n_parameters: int, *, huge: bool = False, **vision: Any) -> Published:
    tower = replace(_VISION_H if huge else _VISION_L, **vision)
    config = LanguageBindConfig(kind, tower, _TEXT_H if huge else _TEXT_L, 1024 if huge else 768)
    words = {"ft": "FT", "v1.5": "V1.5", "merge": "merge"}
    repository = "_".join(words.get(word, word.capitalize()) for word in name.split("-"))
    return Published(f"languagebind-{name}", f"LanguageBind/LanguageBind_{repository}", config, about, n_parameters)


_TIME: dict[str, Any] = {"add_time_attn": True, "num_frames": 8}
_V1_5: dict[str, Any] = {"class_per_frame": True}
# Rows are mel bins, columns 10 ms frames: 10.375 s of sound.
_SOUND: dict[str, Any] = {"image_size": (112, 1036), "audio_mean": -4.2677393, "audio_std": 4.5689974}

PUBLISHED: Mapping[str, Published] = {
    model.name: model
    for model in (
        _model("video", "video", "8 frames, low-rank updates", 541_206_785, **_TIME, lora_r=64),
        _model("video-merge", "video", "8 frames, the updates of `video` merged", 528_623_873, **_TIME),
        _model("video-ft", "video", "8 frames, fully tuned", 528_623_873, **_TIME),
        _model("video-v1.5-ft", "video", "8 frames, fully tuned on more data", 528_631_041, **_TIME, **_V1_5),
        _model(
            "video-huge-v1.5-ft", "video", "8 frames, ViT-H: a space of its own, 1024 wide", 1_196_407_041,
            huge=True, **_TIME, **_V1_5,
        ),
        _model("audio", "audio", "10.375 s of sound, low-rank updates", 429_533_441, **_SOUND, lora_r=8),
        _model("audio-ft", "audio", "10.375 s of sound, fully tuned", 427_960_577, **_SOUND),
        _model("depth", "depth", "depth pictures in metres", 428_009_729, lora_r=2),
        _model("thermal", "thermal", "thermal pictures, white hot", 428_009_729, lora_r=2),
        _model("image", "image", "still pictures", 427_616_513),
    )
}  # fmt: skip

SMALL_DIMS: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def published_name(word: str) -> str | None:
    """The published model that a word means: `video-ft`, `languagebind-video-ft`, `LanguageBind_Video_FT`; or None."""
    plain = re.sub(r"[_\s]+", "-", word.rpartition("/")[2].lower())
    name = f"languagebind-{plain.removeprefix('languagebind-')}"
    return name if name in PUBLISHED else None


def nearest_name(word: str) -> str:
    """`; did you mean ...?` for a word that nearly is a name; else nothing."""
    near = difflib.get_close_matches(word.lower(), [n.removeprefix("languagebind-") for n in PUBLISHED], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def small(config: LanguageBindConfig) -> LanguageBindConfig:
    """The same layout with narrow towers: for trials without weights. Vectors of 64 numbers, inputs as ever."""
    return replace(
        config,
        vision=replace(config.vision, **SMALL_DIMS, patch_size=28, lora_r=0),
        text=replace(config.text, **SMALL_DIMS),
        projection_dim=64,
    )
