"""Our own numbers, committed: they hold the model still where no fixtures are at hand, and every known slip shows.

Made by this code while it met the reference (test_languagebind_parity.py); regenerate by running pytest with
`STREAM_BIND_WRITE_GOLDEN=1` on this file, only when the reference changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stream_bind.encoders.languagebind import LanguageBind, checkpoint
from stream_bind.encoders.languagebind import model as subject

GOLDEN = Path(__file__).parent / "data" / "languagebind.npz"
LIMIT = 5e-6
LAYOUTS = ["video_lora", "video_ft", "video_v15", "audio_lora", "audio_ft", "depth_lora", "thermal_lora", "image"]
IDS = torch.tensor([[97, 5, 17, 98, 98, 98], [97, 60, 3, 4, 71, 98]])
"""Token 98 is the highest: it ends a text, and pads."""

Model = Callable[[str], LanguageBind]
Slip = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def model(layouts: SimpleNamespace, write: Callable[..., Path]) -> Model:
    def made(layout: str) -> LanguageBind:
        body = layouts.body(layout)
        return LanguageBind.from_pretrained(write(body, layouts.state(body)))

    return made


def numbers(model: LanguageBind) -> dict[str, np.ndarray]:
    vision = model.config.vision
    frames = (vision.num_frames,) if model.config.kind == "video" else ()
    shape = (2, 3, *frames, *vision.image_size)
    x = torch.from_numpy(np.random.default_rng(8).standard_normal(shape, dtype=np.float32))
    return {"sensed": model.encode(x).numpy(), "text": model.encode_text(IDS).numpy()}


def off(layout: str, found: dict[str, np.ndarray]) -> dict[str, float]:
    golden = np.load(GOLDEN)
    return {side: float(np.abs(values - golden[f"{layout}.{side}"]).max()) for side, values in found.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_stay_what_they_were(layout: str, model: Model) -> None:
    found = numbers(model(layout))
    if os.environ.get("STREAM_BIND_WRITE_GOLDEN"):
        old = dict(np.load(GOLDEN)) if GOLDEN.exists() else {}
        np.savez_compressed(GOLDEN, **old, **{f"{layout}.{side}": values for side, values in found.items()})
    assert max(off(layout, found).values()) < LIMIT


def layer_forward(change: Callable[[Any, Tensor], Tensor]) -> Slip:
    def slip(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(subject.Layer, "_over_time", change)

    return slip


def over_time(layer: Any, x: Tensor, *, embed: bool = True, keep: bool = True, late: bool = False) -> Tensor:
    """The time attention with one slip in it."""
    tokens, dim = x.shape[1:]
    x = x.view(-1, layer.frames, tokens, dim)
    table = layer.temporal_embedding[:, :, None] if embed else torch.zeros(())
    y = x if late else x + table
    if keep and not late:
        x = y
    folded = y.transpose(1, 2).reshape(-1, layer.frames, dim)
    normed = layer.temporal_layer_norm1(folded)
    if late:
        normed = normed + layer.temporal_embedding
    attended = layer.temporal_attn(normed).view(-1, tokens, layer.frames, dim).transpose(1, 2)
    return (x + attended).reshape(-1, tokens, dim)


def spatial_first(self: Any, x: Tensor, *, causal: bool = False) -> Tensor:
    x = x + self.self_attn(self.layer_norm1(x), causal=causal)
    if self.frames:
        x = self._over_time(x)
    out: Tensor = x + self.mlp(self.layer_norm2(x))
    return out


def mean_first(self: LanguageBind, pixel_values: Tensor) -> Tensor:
    last, n = self.stages(pixel_values).last, len(pixel_values)
    pooled = self.vision_model.post_layernorm(last[:, 0].view(n, -1, last.shape[-1]).mean(dim=1))
    return F.normalize(self.visual_projection(pooled), dim=-1)


def unit_frames(self: LanguageBind, pixel_values: Tensor) -> Tensor:
    last, n = self.stages(pixel_values).last, len(pixel_values)
    units = F.normalize(self.visual_projection(self.vision_model.post_layernorm(last[:, 0])), dim=-1)
    return F.normalize(units.view(n, -1, units.shape[-1]).mean(dim=1), dim=-1)


def last_position(self: LanguageBind, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.normalize(self.text_projection(self.text_stages(ids).last_normed[:, -1]), dim=-1)


def scaled_by_one(patch: pytest.MonkeyPatch) -> None:
    whole = checkpoint._Found.tensor

    def tensor(self: Any, key: str) -> Tensor:
        alpha = self.config.vision.lora_alpha
        name = key.removesuffix(".weight")
        if name not in self.lora:
            return whole(self, key)
        base = self.plain[key][0].tensor(self.plain[key][1])
        return base + (whole(self, key) - base) * len(self.lora[name]["A"][0].tensor(self.lora[name]["A"][1])) / alpha

    patch.setattr(checkpoint._Found, "tensor", tensor)


def dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkpoint._Found, "tensor", lambda self, key: self.plain[key][0].tensor(self.plain[key][1]))


SLIPS: dict[str, tuple[str, Slip]] = {
    "quick_gelu": ("image", lambda p: p.setitem(subject.ACTIVATIONS, "gelu", subject.quick_gelu)),
    "tanh_gelu": ("image", lambda p: p.setitem(subject.ACTIVATIONS, "gelu", lambda x: F.gelu(x, approximate="tanh"))),
    "lora_dropped": ("depth_lora", dropped),
    "lora_scaled_by_one": ("audio_lora", scaled_by_one),
    "no_temporal_embedding": ("video_ft", layer_forward(lambda layer, x: over_time(layer, x, embed=False))),
    "temporal_embedding_not_kept": ("video_ft", layer_forward(lambda layer, x: over_time(layer, x, keep=False))),
    "temporal_embedding_after_the_norm": ("video_ft", layer_forward(lambda layer, x: over_time(layer, x, late=True))),
    "spatial_before_temporal": ("video_ft", lambda p: p.setattr(subject.Layer, "forward", spatial_first)),
    "mean_before_the_norm": ("video_v15", lambda p: p.setattr(LanguageBind, "encode", mean_first)),
    "frames_normalised_first": ("video_v15", lambda p: p.setattr(LanguageBind, "encode", unit_frames)),
    "text_read_at_the_last_position": ("image", lambda p: p.setattr(LanguageBind, "encode_text", last_position)),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_shows(slip: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, fall_into = SLIPS[slip]
    fall_into(monkeypatch)
    assert max(off(layout, numbers(model(layout))).values()) > 20 * LIMIT


def test_the_slips_functions_without_a_slip_are_right(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject.Layer, "_over_time", over_time)
    assert max(off("video_ft", numbers(model("video_ft"))).values()) < LIMIT


def test_a_temporal_embedding_in_the_first_layer_alone_shows(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = model("video_ft")
    loaded.vision_model.encoder.layers[1].temporal_embedding.zero_()
    assert off("video_ft", numbers(loaded))["sensed"] > 20 * LIMIT


def test_frames_in_another_order_are_another_video(model: Model) -> None:
    loaded = model("video_lora")
    x = torch.randn((1, 3, 8, 56, 56), generator=torch.Generator().manual_seed(1))
    assert (loaded.encode(x) - loaded.encode(x.flip(2))).abs().max() > 1e-3


@pytest.mark.parametrize("layout", ["video_ft", "video_v15"])
@pytest.mark.parametrize("shape", [(8, 3, 56, 56), (1, 3, 16, 56, 56), (2, 3, 4, 56, 56), (1, 8, 3, 56, 56)])
def test_a_batch_of_images_or_other_counts_are_no_clip(layout: str, shape: tuple[int, ...], model: Model) -> None:
    with pytest.raises(ValueError, match=r"video wants \(n, 3, frames, rows, columns\), each \(3, 8, 56, 56\)"):
        model(layout).encode(torch.zeros(shape))


def test_a_clip_is_no_image(model: Model) -> None:
    with pytest.raises(ValueError, match="image wants"):
        model("image").encode(torch.zeros(1, 3, 8, 56, 56))


def test_text_beyond_what_the_tower_has_is_told(model: Model) -> None:
    loaded = model("image")
    with pytest.raises(ValueError, match="at most 77 tokens"):
        loaded.encode_text(torch.zeros((1, 78), dtype=torch.int64))
    with pytest.raises(ValueError, match="lie between 0 and 98, found 99"):
        loaded.encode_text(torch.tensor([[97, 99]]))


def test_padding_changes_nothing(model: Model) -> None:
    loaded = model("image")
    long = torch.cat([IDS[:1], torch.full((1, 71), 98)], dim=1)
    assert (loaded.encode_text(long) - loaded.encode_text(IDS[:1, :4])).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_near(dtype: torch.dtype, layouts: SimpleNamespace, write: Callable[..., Path]) -> None:
    body = layouts.body("video_v15")
    directory = write(body, layouts.state(body))
    whole, half = LanguageBind.from_pretrained(directory), LanguageBind.from_pretrained(directory, dtype=dtype)
    x = torch.randn((2, 3, 8, 56, 56), generator=torch.Generator().manual_seed(1))
    assert (whole.encode(x) * half.encode(x)).sum(dim=1).min() > 0.99
    assert half.factor() == whole.factor()
