"""What a published LanguageBind directory says about its model: config.json, in our words. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from stream_bind.errors import WeightsError

__all__ = [
    "CONFIG_FILE",
    "KINDS",
    "MODALITY_OF",
    "Kind",
    "LanguageBindConfig",
    "TextConfig",
    "VisionConfig",
    "read_config",
]

CONFIG_FILE = "config.json"
Kind = Literal["video", "audio", "depth", "thermal", "image"]
KINDS: tuple[Kind, ...] = ("video", "audio", "depth", "thermal", "image")
MODALITY_OF: Mapping[Kind, str] = {
    "video": "vision",
    "image": "vision",
    "audio": "audio",
    "depth": "depth",
    "thermal": "thermal",
}
"""The modality of the pipeline that a kind of model embeds."""
ACTIVATIONS = ("gelu", "quick_gelu")
LORA_ALPHA = 16.0


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The text tower; the defaults are those a missing field stands for (transformers' CLIPTextConfig)."""

    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    vocab_size: int = 49408
    max_position_embeddings: int = 77


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The tower of what is sensed. A missing field means CLIP's base model, as in the published class."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    num_channels: int = 3
    patch_size: int = 32
    image_size: tuple[int, int] = (224, 224)
    """Rows and columns of the input; of audio mel bins and frames."""
    add_time_attn: bool = False
    num_frames: int = 1
    class_per_frame: bool = False
    """`clip_type: vl_new`: every frame has a class token of its own, and the patch weight is stored as a Conv3d's."""
    lora_r: int | None = None
    """None where the file says nothing: the rank is then that of the tensors."""
    lora_alpha: float = LORA_ALPHA
    audio_mean: float = 0.5
    audio_std: float = 0.5
    max_depth_m: float = 10.0
    """Depth beyond this is clipped; 0 divides by the picture's own maximum."""

    @property
    def grid(self) -> tuple[int, int]:
        """Patches in rows and columns; what is left over at the right and bottom is not seen."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size


@dataclass(frozen=True, slots=True)
class LanguageBindConfig:
    """One published model: a tower for one kind of input, and the text tower it is bound to."""

    kind: Kind
    vision: VisionConfig
    text: TextConfig
    projection_dim: int = 512
    logit_scale_init: float = 2.6592
    """Logarithm of the factor on the cosines before training."""

    @property
    def modality(self) -> str:
        return MODALITY_OF[self.kind]


def read_config(path: Path) -> LanguageBindConfig:
    """The configuration of a model directory, or of a config.json. WeightsError naming what is wrong and where."""
    file = path / CONFIG_FILE if path.is_dir() else path
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path}: there is no {CONFIG_FILE}; a LanguageBind model is a directory with that and its weights"
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file}: cannot be read ({error}); take the directory again from where it came") from error
    if not isinstance(body, dict):
        raise WeightsError(f"{file}: a table of settings is wanted, found {type(body).__name__}")
    try:
        return parse_config(body)
    except ValueError as error:
        raise WeightsError(f"{file}: {error}") from error


def parse_config(body: Mapping[str, Any]) -> LanguageBindConfig:
    """The same from a table that was read. ValueError. Unknown keys are normal: transformers writes all its own."""
    kind = _kind(body)
    text, vision = (_Section(body, name) for name in ("text_config", "vision_config"))
    parsed = LanguageBindConfig(
        kind,
        _vision(kind, vision),
        TextConfig(
            **_tower(text, TextConfig()),
            vocab_size=text.whole("vocab_size", 49408),
            max_position_embeddings=text.whole("max_position_embeddings", 77),
        ),
        _Section({"top": body}, "top").whole("projection_dim", 512),
        _Section({"top": body}, "top").number("logit_scale_init_value", 2.6592),
    )
    for name, tower in (("vision_config", parsed.vision), ("text_config", parsed.text)):
        if tower.hidden_size % tower.num_attention_heads:
            raise ValueError(
                f"{name}: hidden_size {tower.hidden_size} does not divide by {tower.num_attention_heads} heads"
            )
    return parsed


def _kind(body: Mapping[str, Any]) -> Kind:
    names = [body.get("model_type"), *(body.get("architectures") or [])]
    for name in names:
        kind = str(name).removeprefix("LanguageBind").lower()
        if str(name).startswith("LanguageBind") and kind in KINDS:
            return kind
    known = ", ".join(f"LanguageBind{kind.capitalize()}" for kind in KINDS)
    raise ValueError(f"model_type: one of {known} is wanted, found {names[0]!r}; is this a LanguageBind model?")


def _vision(kind: Kind, given: _Section) -> VisionConfig:
    usual = VisionConfig()
    mel_bins, length = given.whole("num_mel_bins", 0, least=0), given.whole("target_length", 0, least=0)
    heard = bool(mel_bins and length)
    if (kind == "audio" and not heard) or (kind == "video" and heard):
        raise ValueError(
            f"vision_config: num_mel_bins {mel_bins} and target_length {length} do not go with a model of kind {kind}"
        )
    time, frames = bool(given.get("add_time_attn", False)), given.whole("num_frames", 1)
    if time and kind != "video":
        raise ValueError(f"vision_config: add_time_attn is known of video models alone, this one is of kind {kind}")
    if given.whole("tube_size", 1) != 1:
        raise ValueError(f"vision_config: tube_size 1 is wanted, found {given.get('tube_size')}")
    lora_r = given.get("lora_r")
    config = VisionConfig(
        **_tower(given, usual),
        num_channels=given.whole("num_channels", 3),
        patch_size=given.whole("patch_size", usual.patch_size),
        image_size=(mel_bins, length) if heard else given.size("image_size", usual.image_size),
        add_time_attn=time,
        num_frames=frames if kind == "video" else 1,
        class_per_frame=kind == "video" and given.get("clip_type") == "vl_new",
        lora_r=None if lora_r is None else given.whole("lora_r", 0, least=0),
        lora_alpha=given.number("lora_alpha", LORA_ALPHA),
        audio_mean=given.number("audio_mean", usual.audio_mean),
        audio_std=given.number("audio_std", usual.audio_std),
        max_depth_m=given.number("max_depth", usual.max_depth_m),
    )
    if config.num_channels != 3:
        raise ValueError(f"vision_config: num_channels 3 is wanted, found {config.num_channels}")
    if 0 in config.grid:
        raise ValueError(f"vision_config: patches of {config.patch_size} do not fit into {config.image_size}")
    if config.audio_std <= 0 or config.max_depth_m < 0:
        raise ValueError("vision_config: audio_std must be positive and max_depth not negative")
    return config


def _tower(given: _Section, usual: TextConfig | VisionConfig) -> dict[str, Any]:
    act = given.get("hidden_act", usual.hidden_act)
    if act not in ACTIVATIONS:
        raise ValueError(f"{given.name}: hidden_act is one of {', '.join(ACTIVATIONS)}, found {act!r}")
    whole = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return {
        **{key: given.whole(key, getattr(usual, key)) for key in whole},
        "hidden_act": act,
        "layer_norm_eps": given.number("layer_norm_eps", usual.layer_norm_eps),
    }


class _Section:
    """One part of config.json, whose numbers may be floats where whole ones are meant."""

    def __init__(self, body: Mapping[str, Any], name: str) -> None:
        self.name = name
        # The older name wins where both stand, and replaces the other whole, as in transformers.
        key = next((key for key in (f"{name}_dict", name) if body.get(key) is not None), name)
        self._values = body.get(key, {}) or {}
        if not isinstance(body.get(key) if body.get(key) is not None else {}, Mapping):
            raise ValueError(f"{key}: a table is wanted, found {body[key]!r}")

    def get(self, key: str, default: Any = None) -> Any:
        value = self._values.get(key)
        return default if value is None else value

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{self.name}: {key}: a number is wanted, found {value!r}")
        return float(value)

    def whole(self, key: str, default: int, least: int = 1) -> int:
        value = self.number(key, default)
        if value != int(value) or value < least:
            raise ValueError(f"{self.name}: {key}: a whole number of at least {least} is wanted, found {value:g}")
        return int(value)

    def size(self, key: str, default: tuple[int, int]) -> tuple[int, int]:
        """One number for both sides, or rows and columns: a model saved again carries the list it was built with."""
        value = self.get(key, default)
        both = (
            [value, value] if isinstance(value, int | float) else list(value) if isinstance(value, list | tuple) else []
        )
        if len(both) != 2:
            raise ValueError(f"{self.name}: {key}: a number or two are wanted, found {value!r}")
        rows, columns = (_Section({"s": {key: side}}, "s").whole(key, 0) for side in both)
        return rows, columns


def without_lora(config: LanguageBindConfig) -> LanguageBindConfig:
    """The same model with its low-rank updates merged."""
    return replace(config, vision=replace(config.vision, lora_r=0))
