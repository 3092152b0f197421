"""Training sees what the encoder shows its model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stream_bind.encoders.imagebind import ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.encoders.imagebind.model import ImageBind
from stream_bind.training.lora import add_lora, merge_lora
from stream_bind.training.towers import Towers, pick_device, pick_precision

MODALITIES = ("vision", "audio", "depth", "thermal", "imu")


@pytest.fixture(scope="module")
def small() -> tuple[ImageBindEncoder, ImageBind]:
    config = ImageBindEncoderConfig(
        size="small", weights="random", device="cpu", dtype="float32", depth={"mean": 0.3, "std": 0.7}
    )
    encoder = ImageBindEncoder("small", config)
    encoder.load(MODALITIES)
    model = ImageBind(replace(config.architecture(), modalities=MODALITIES)).eval()
    with torch.no_grad():
        for modality in MODALITIES:
            for name, value in encoder.branch(modality).state_dict().items():
                model.state_dict()[name].copy_(value)
    return encoder, model


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_tower_gives_the_encoders_vectors(small, modality: str, precision: str) -> None:  # type: ignore[no-untyped-def]
    encoder, model = small
    rng = np.random.default_rng(0)
    shape = ImageBindEncoder.clip_maker(encoder.config, modality).spec.shape
    stored = (
        rng.integers(0, 256, (3, *shape), np.uint8) if modality == "vision" else rng.random((3, *shape), np.float32)
    )
    clips = stored / np.float32(255) if modality == "vision" else stored
    expected = encoder.embed(modality, clips)
    towers = Towers(model, encoder.config, torch.device("cpu"), getattr(torch, precision))
    with torch.no_grad(), towers.patches_by_products([modality]):
        found = towers.unit(modality, towers.hand_over(modality, stored)).numpy()
    assert np.abs(found - expected).max() < (1e-5 if precision == "float32" else 2e-2)
    with torch.no_grad():
        again = towers.unit(modality, towers.hand_over(modality, stored)).numpy()
    assert np.abs(again - found).max() < (1e-5 if precision == "float32" else 2e-2)


def test_gradients_reach_the_stem_through_the_folded_normalisation(small) -> None:  # type: ignore[no-untyped-def]
    encoder, model = small
    clips = np.random.default_rng(1).integers(0, 256, (2, 2, 224, 224, 3), np.uint8)
    weight = model.get_submodule("modality_preprocessors.vision.rgbt_stem.proj.1").weight
    towers = Towers(model, encoder.config, torch.device("cpu"), torch.float32)
    grads = []
    for run in (
        lambda: towers.unit("vision", towers.hand_over("vision", clips)),
        lambda: model.unit("vision", towers._normalise("vision", torch.from_numpy(clips))),
    ):
        weight.grad = None
        run()[:, 0].sum().backward()
        grads.append(weight.grad.clone())
    weight.grad = None
    assert torch.allclose(grads[0], grads[1], rtol=1e-3, atol=1e-6)
    assert grads[0].abs().max() > 0


def test_lora_begins_as_nothing_and_merges_to_what_it_computed(small) -> None:  # type: ignore[no-untyped-def]
    _, model = small
    trunk = ImageBind(replace(model.config, modalities=("imu",))).eval().modality_trunks["imu"]
    x = torch.randn(2, 9, model.config.imu_embed_dim)
    keys = set(trunk.state_dict())
    with torch.no_grad():
        start = trunk(x)
        new = add_lora(trunk, rank=4, alpha=8.0)
        assert torch.equal(trunk(x), start)
        for parameter in new:
            parameter.add_(torch.randn(parameter.shape) * 0.1)
        trained = trunk(x)
        assert not torch.allclose(trained, start)
        merge_lora(trunk)
        assert torch.equal(trunk(x), trained)
    assert set(trunk.state_dict()) == keys
    with pytest.raises(ValueError, match="rank must lie below"):
        add_lora(trunk, rank=1000, alpha=1.0)


def test_auto_picks_what_this_machine_has() -> None:
    device = pick_device("auto")
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_precision("auto", device) in {torch.float32, torch.bfloat16}
    assert pick_precision("float32", device) is torch.float32
