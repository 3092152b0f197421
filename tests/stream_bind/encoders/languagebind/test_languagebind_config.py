"""config.json as it is published, as it is saved again, and as it can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream_bind.encoders.languagebind.config import parse_config, read_config
from stream_bind.errors import WeightsError

VIDEO = {"model_type": "LanguageBindVideo", "vision_config": {"add_time_attn": True, "num_frames": 8}}


def test_a_missing_field_is_the_published_classes_default() -> None:
    config = parse_config({"model_type": "LanguageBindImage"})
    vision, text = config.vision, config.text
    assert (vision.hidden_size, vision.patch_size, vision.hidden_act) == (768, 32, "quick_gelu")
    assert (text.hidden_size, text.num_attention_heads, text.hidden_act) == (512, 8, "quick_gelu")
    assert (config.projection_dim, config.logit_scale_init) == (512, 2.6592)
    # The file says nothing of a rank: the tensors do.
    assert (vision.lora_r, vision.lora_alpha) == (None, 16.0)
    assert vision.max_depth_m == 10.0


def test_the_top_level_projection_counts_not_the_towers() -> None:
    body = {"model_type": "LanguageBindImage", "projection_dim": 768, "vision_config": {"projection_dim": 512}}
    assert parse_config(body).projection_dim == 768


def test_older_names_win_and_unknown_keys_are_normal() -> None:
    body = {
        "model_type": "LanguageBindDepth",
        "transformers_version": "4.30.2",
        "vision_config": {"hidden_size": 64, "num_attention_heads": 4, "patch_size": 14, "top_k": 50},
        "vision_config_dict": {"hidden_size": 144},
        "text_config_dict": None,
    }
    vision = parse_config(body).vision
    assert (vision.hidden_size, vision.patch_size) == (144, 32)


def test_sound_is_as_large_as_its_spectrogram_whatever_image_size_says() -> None:
    audio = {"num_mel_bins": 112.0, "target_length": 1036.0, "patch_size": 14}
    for size in (224, [112, 1036], None):
        body = {"model_type": "LanguageBindAudio", "vision_config": {**audio, "image_size": size}}
        config = parse_config(body)
        assert config.vision.image_size == (112, 1036)
        assert config.vision.grid == (8, 74)


def test_a_saved_models_list_of_sides_is_read() -> None:
    body = {"model_type": "LanguageBindDepth", "vision_config": {"image_size": [224, 224], "patch_size": 14}}
    assert parse_config(body).vision.grid == (16, 16)


def test_the_class_tokens_of_every_frame_are_told_by_the_clip_type() -> None:
    body: dict[str, Any] = {**VIDEO, "vision_config": {**VIDEO["vision_config"], "clip_type": "vl_new", "tube_size": 1}}
    assert parse_config(body).vision.class_per_frame
    assert not parse_config(VIDEO).vision.class_per_frame


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model_type": "clip"}, "one of LanguageBindVideo"),
        ({"model_type": "LanguageBindImage", "vision_config": {"hidden_act": "relu"}}, "hidden_act is one of gelu"),
        ({"model_type": "LanguageBindImage", "vision_config": {"patch_size": 14.5}}, "patch_size: a whole number"),
        ({"model_type": "LanguageBindImage", "vision_config": {"hidden_size": "big"}}, "hidden_size: a number"),
        ({"model_type": "LanguageBindImage", "vision_config": {"hidden_size": True}}, "hidden_size: a number"),
        ({"model_type": "LanguageBindImage", "vision_config": {"hidden_size": 100}}, "does not divide by 12 heads"),
        ({"model_type": "LanguageBindImage", "vision_config": {"image_size": 7}}, "patches of 32 do not fit"),
        ({"model_type": "LanguageBindImage", "vision_config": {"image_size": [1, 2, 3]}}, "a number or two"),
        ({"model_type": "LanguageBindImage", "vision_config": []}, "vision_config: a table is wanted"),
        ({"model_type": "LanguageBindImage", "vision_config": {"num_channels": 1}}, "num_channels 3 is wanted"),
        ({"model_type": "LanguageBindImage", "vision_config": {"add_time_attn": True}}, "of video models alone"),
        ({"model_type": "LanguageBindAudio"}, "do not go with a model of kind audio"),
        ({**VIDEO, "vision_config": {"num_mel_bins": 112, "target_length": 90}}, "kind video"),
        ({**VIDEO, "vision_config": {**VIDEO["vision_config"], "tube_size": 2}}, "tube_size 1 is wanted, found 2"),
    ],
)
def test_what_cannot_be_a_model_is_told_with_the_file(body: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(body))
    with pytest.raises(WeightsError) as caught:
        read_config(tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "cannot be read"), ("[1]", "a table of settings"), (None, "there is no")]
)
def test_a_file_that_is_none(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=words):
        read_config(tmp_path)
