"""A fresh model can be trained from nothing: initial weights, gradients, declared signals and other vocabularies."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from stream_bind.encoders.imagebind import ImageBind, ImageBindConfig
from stream_bind.encoders.imagebind.architecture import SignalConfig

BAROMETER = SignalConfig(
    name="barometer", channels=1, rate_hz=25, length_s=8, kernel=10, embed_dim=16, num_blocks=2, num_heads=2
)
NARROW = {
    f"{modality}_{key}": value
    for modality in ("vision", "text", "audio", "depth", "thermal", "imu")
    for key, value in (("embed_dim", 16), ("num_blocks", 2), ("num_heads", 2))
}
CONFIG = ImageBindConfig(
    **NARROW,
    kernel_size=(2, 32, 32),
    depth_kernel_size=32,
    thermal_kernel_size=32,
    audio_stride=20,
    imu_kernel_size=40,
    audio_drop_path=0.0,
    imu_drop_path=0.0,
    imu_head_dropout=0.0,
    out_embed_dim=12,
    vocab_size=600,
    context_length=16,
    signals=(BAROMETER,),
)
FIXED = ("mask", "log_logit_scale")


@pytest.fixture(scope="module")
def model() -> ImageBind:
    torch.manual_seed(0)
    return ImageBind(CONFIG)


def inputs(n: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    text = torch.randint(0, 500, (n, 16))
    text[:, -1] = 599
    return {
        "vision": torch.randn(n, 1, 3, 2, 224, 224),
        "text": text,
        "audio": torch.randn(n, 1, 128, 204),
        "depth": torch.randn(n, 1, 224, 224),
        "thermal": torch.randn(n, 1, 224, 224),
        "imu": torch.randn(n, 6, 2000),
        "barometer": torch.randn(n, 1, 200),
    }


def test_gradients_reach_every_parameter_in_training(model):
    model.train().zero_grad()
    outputs = model(inputs())
    sum((out * torch.randn_like(out)).sum() for out in outputs.values()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still
    assert {name.rsplit(".")[-1] for name, _ in model.named_buffers()} == set(FIXED)


def test_fresh_weights_have_the_spread_that_training_starts_from(model):
    state = model.state_dict()
    for key, value in state.items():
        assert torch.isfinite(value).all() or key.endswith(".mask"), key
        spread = float(value.std()) if value.numel() > 1 else 0.0
        if key.endswith(("pos_embed", "cls_token", "token_embedding.weight")):
            assert 0.005 < spread < 0.04, key
        elif key.endswith("in_proj_weight"):
            bound = (6 / (value.shape[0] + value.shape[1])) ** 0.5
            assert 0.9 * bound < float(value.abs().max()) <= bound, key
        elif key.endswith(("in_proj_bias", "out_proj.bias")):
            assert not value.any(), key
        elif key.endswith(("bias_k", "bias_v")):
            assert 0.05 < spread < 1, key
        elif value.ndim >= 2 and not key.endswith("mask"):
            fan_in = value[0].numel()
            assert 0.3 < spread * fan_in**0.5 < 1, key  # uniform within 1/sqrt(fan_in): 0.58


def test_the_vectors_of_a_fresh_model_tell_inputs_apart(model):
    model.eval()
    with torch.no_grad():
        for modality, x in inputs().items():
            unit = model.unit(modality, x[:, 0] if modality == "vision" else x)
            assert float((unit[0] * unit[1]).sum()) < 0.9999, modality


def test_a_signal_gets_the_branch_of_the_imu_with_its_own_figures(model):
    shapes = {key: tuple(v.shape) for key, v in model.state_dict().items() if ".barometer." in key}
    assert shapes["modality_preprocessors.barometer.signal_stem.proj.weight"] == (16, 10)
    assert shapes["modality_preprocessors.barometer.pos_embed"] == (1, 21, 16)
    imu = {
        key.replace(".imu.", ".barometer.").replace(".imu_stem.", ".signal_stem.")
        for key in model.state_dict()
        if ".imu." in key
    }
    assert set(shapes) == imu
    assert model.scale("barometer") == pytest.approx(5.0)
    with pytest.raises(ValueError, match=r"barometer wants \(n, 1, 200\), found \(2, 1, 199\)"):
        model({"barometer": torch.zeros(2, 1, 199)})
    with pytest.raises(ValueError, match="no clip axis"):
        model({"barometer": torch.zeros(2, 1, 1, 1, 200)})


def test_dropout_of_the_imu_head_follows_the_configuration():
    head = ImageBind(ImageBindConfig(**NARROW, imu_head_dropout=0.25, modalities=("imu",))).modality_heads["imu"]
    assert [m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)] == [0.25]


def test_the_vocabulary_and_the_context_have_the_configured_sizes(model):
    assert model.state_dict()["modality_preprocessors.text.token_embedding.weight"].shape == (600, 16)
    assert model.mask_is_causal()
    with pytest.raises(ValueError, match=r"\(n, 16\)"):
        model({"text": torch.zeros(1, 77, dtype=torch.int64)})


def test_a_configuration_survives_plain_data():
    assert ImageBindConfig(**asdict(CONFIG)) == CONFIG
    assert CONFIG.modalities == ("vision", "audio", "depth", "thermal", "imu", "text", "barometer")
    assert replace(CONFIG, modalities=("barometer",)).modalities == ("barometer",)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "vision"}, "one of the model's own"),
        ({"name": "Baro meter"}, "lower case"),
        ({"name": "type"}, "no word of torch's"),
        ({"kernel": 7}, r"kernel 7 must divide the 200 samples of 8 s at 25 Hz \(such as 1, 2, 4, 5"),
        ({"rate_hz": 0}, "rate_hz must be a positive number"),
        ({"length_s": 0.04}, "1 samples"),
        ({"channels": 0}, "channels must be >= 1"),
        ({"mean": (1.0, 2.0)}, "one value for each of the 1 channels, found 2"),
        ({"std": (0.0,)}, "std positive"),
        ({"num_heads": 3}, "multiple of num_heads 3"),
        ({"detrend": "cubic"}, "none, mean, linear"),
    ],
)
def test_a_signal_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        replace(BAROMETER, **changes)


def test_two_signals_of_one_name_are_refused():
    with pytest.raises(ValueError, match="different names"):
        ImageBindConfig(signals=(BAROMETER, BAROMETER))


def test_a_signal_learns(model):
    torch.manual_seed(2)
    branch = ImageBind(replace(CONFIG, modalities=("barometer",))).train()
    rng = np.random.default_rng(0)
    t = np.arange(200) / 25
    clips = torch.from_numpy(
        np.stack([np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (0.5, 2.0) for _ in range(16)])[:, None]
    ).float()
    wanted = torch.nn.functional.normalize(torch.randn(2, 12), dim=1).repeat_interleave(16, dim=0)
    optimiser = torch.optim.AdamW(branch.parameters(), lr=3e-3)
    for _ in range(40):
        loss = 1 - (branch.unit("barometer", clips) * wanted).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
