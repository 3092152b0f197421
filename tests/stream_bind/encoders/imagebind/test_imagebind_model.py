"""What the model accepts, what it refuses, and the traps a re-implementation falls into; no fixtures needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stream_bind.encoders.imagebind import ImageBind, ImageBindConfig
from stream_bind.encoders.imagebind.random_weights import random_tensor

TINY = ImageBindConfig(
    out_embed_dim=24,
    vision_embed_dim=16,
    vision_num_blocks=2,
    vision_num_heads=2,
    text_embed_dim=16,
    text_num_blocks=2,
    text_num_heads=2,
    audio_embed_dim=16,
    audio_num_blocks=2,
    audio_num_heads=2,
    depth_embed_dim=16,
    depth_num_blocks=2,
    depth_num_heads=2,
    thermal_embed_dim=16,
    thermal_num_blocks=2,
    thermal_num_heads=2,
    imu_embed_dim=16,
    imu_num_blocks=2,
    imu_num_heads=2,
)


@pytest.fixture(scope="module")
def model() -> ImageBind:
    with torch.device("meta"):
        built = ImageBind(TINY).eval()
    state = {key: torch.from_numpy(random_tensor(key, tuple(v.shape), 3)) for key, v in built.state_dict().items()}
    built.load_state_dict(state, assign=True)
    return built.requires_grad_(False)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def ids(*tokens: int) -> torch.Tensor:
    row = torch.zeros((1, 77), dtype=torch.int64)
    row[0, : len(tokens)] = torch.tensor(tokens)
    return row


def test_a_still_image_equals_a_clip_of_the_same_frame_twice(model):
    image = noise(2, 3, 224, 224)
    twice = image[:, None, :, None].expand(-1, -1, -1, 2, -1, -1)
    once = image[:, None, :, None]
    still = model({"vision": image})["vision"]
    for clip in (twice, once):
        np.testing.assert_allclose(model({"vision": clip})["vision"], still, atol=2e-6)


def test_the_order_of_two_frames_matters(model):
    clip = noise(1, 1, 3, 2, 224, 224)
    assert (model({"vision": clip})["vision"] - model({"vision": clip.flip(3)})["vision"]).abs().max() > 1e-3


def test_five_dimensions_are_clips_whose_mean_is_not_normalised_again(model):
    clips = noise(2, 3, 1, 128, 204)
    together = model({"audio": clips})["audio"]
    alone = model({"audio": clips.flatten(0, 1)})["audio"].reshape(2, 3, -1).mean(dim=1)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.norm(dim=1).max() < model.scale("audio") * 0.999
    assert model({"depth": noise(1, 2, 1, 224, 224)})["depth"].shape == (1, 24)


@pytest.mark.parametrize(
    ("modality", "shape", "says"),
    [
        ("vision", (1, 3, 2, 224, 224), "3 channels"),
        ("vision", (1, 1, 3, 3, 224, 224), "1 or 2 frames"),
        ("vision", (1, 3, 112, 448), "square"),
        ("vision", (1, 3, 225, 225), "multiple of 14"),
        ("vision", (1, 4, 224, 224), "3 channels"),
        ("audio", (1, 1, 128, 195), "196 to 205 frames"),
        ("audio", (1, 1, 128, 206), "196 to 205 frames"),
        ("audio", (1, 128, 204), "found"),
        ("depth", (1, 1, 112, 448), "no other size"),
        ("depth", (1, 3, 224, 224), "one channel"),
        ("thermal", (1, 1, 240, 240), "no other size"),
        ("imu", (1, 6, 1999), "2000"),
        ("imu", (1, 6, 2007), "2000"),
        ("imu", (1, 2, 6, 2000), "found"),
        ("text", (1, 77), "integer"),
    ],
)
def test_what_the_reference_misreads_or_dies_of_is_refused_in_words(model, modality, shape, says):
    with pytest.raises(ValueError, match=says):
        model({modality: torch.zeros(shape)})


def test_a_none_input_and_an_unbuilt_modality_are_refused(model):
    with pytest.raises(ValueError, match="found NoneType"):
        model({"audio": None})
    with torch.device("meta"):
        ears = ImageBind(replace(TINY, modalities=("audio",)))
    with pytest.raises(ValueError, match=r"'depth' is not built .*audio"):
        ears({"depth": torch.zeros(1, 1, 224, 224)})


def test_spectrogram_margins_that_fill_no_patch_never_matter(model):
    clip = noise(1, 1, 128, 204)
    changed = clip.clone()
    changed[..., 196:] = 9.0
    changed[:, :, 126:] = -9.0
    assert torch.equal(model({"audio": clip})["audio"], model({"audio": changed})["audio"])
    assert torch.equal(model({"audio": clip})["audio"], model({"audio": clip[..., :196]})["audio"])


def test_text_reads_the_first_end_of_text_and_nothing_behind_it(model):
    short = model({"text": ids(49406, 320, 1929, 49407)})["text"]
    trailing = model({"text": ids(49406, 320, 1929, 49407, 500, 49407)})["text"]
    np.testing.assert_allclose(short, trailing, atol=2e-6)
    assert (model({"text": ids(49406, 320, 500, 49407)})["text"] - short).abs().max() > 1e-3


def test_texts_of_different_length_share_a_batch(model):
    long, short = ids(49406, *range(1000, 1060), 49407), ids(49406, 7, 49407)
    together = model({"text": torch.cat([long, short])})["text"]
    np.testing.assert_allclose(together[0], model({"text": long})["text"][0], atol=2e-5)
    np.testing.assert_allclose(together[1], model({"text": short})["text"][0], atol=2e-5)


@pytest.mark.parametrize("modality", ["vision", "audio", "depth", "thermal", "imu"])
def test_the_shortened_last_block_agrees_with_the_full_one(model, modality):
    shapes = {"vision": (2, 3, 224, 224), "audio": (2, 1, 128, 204), "imu": (2, 6, 2000)}
    x = noise(*shapes.get(modality, (2, 1, 224, 224)))
    np.testing.assert_allclose(model.unit(modality, x), model.stages(modality, x).unit, atol=1e-6)


def test_positions_stretch_to_other_square_sizes_but_not_for_planes(model):
    assert model({"vision": noise(1, 3, 280, 280)})["vision"].shape == (1, 24)
    assert model({"vision": noise(1, 3, 126, 126)})["vision"].shape == (1, 24)


def test_the_learned_key_and_value_take_part(model):
    x = noise(1, 6, 2000)
    before = model.unit("imu", x)
    saved = model.state_dict()["modality_trunks.imu.blocks.0.attn.bias_v"].clone()
    try:
        model.modality_trunks["imu"].blocks[0].attn.bias_v += 1.0
        assert (model.unit("imu", x) - before).abs().max() > 1e-4
    finally:
        model.modality_trunks["imu"].blocks[0].attn.bias_v.copy_(saved)


def test_scales_end_at_a_hundred(model):
    saved = model.scale("text")
    scale = model.modality_postprocessors["text"][1].log_logit_scale
    try:
        scale.fill_(6.0)
        assert model.scale("text") == 100.0
        assert float(model({"text": ids(49406, 49407)})["text"].norm()) == pytest.approx(100.0, rel=1e-5)
    finally:
        scale.fill_(float(np.log(saved)))


def test_training_mode_drops_and_eval_mode_does_not(model):
    x = noise(1, 6, 2000)
    assert torch.equal(model.unit("imu", x), model.unit("imu", x))
    try:
        model.train()
        assert not torch.equal(model.unit("imu", x), model.unit("imu", x))
    finally:
        model.eval()


def test_a_model_built_without_weights_can_be_trained():
    built = ImageBind(replace(TINY, modalities=("imu", "depth")))
    loss = sum(v.sum() for v in built({"imu": noise(2, 6, 2000), "depth": noise(2, 1, 224, 224)}).values())
    loss.backward()
    missing = [name for name, p in built.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert missing == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"audio_num_heads": 3}, "multiple of audio_num_heads"),
        ({"kernel_size": (2, 15, 15)}, "divide 224"),
        ({"kernel_size": (1, 14, 14)}, "must both be 2"),
        ({"imu_kernel_size": 7}, "divide 2000"),
        ({"depth_kernel_size": 15}, "divide 224"),
        ({"modalities": ("smell",)}, "smell"),
        ({"audio_target_len": 8}, "no patch"),
    ],
)
def test_dimensions_that_do_not_fit_together_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(TINY, **change)
