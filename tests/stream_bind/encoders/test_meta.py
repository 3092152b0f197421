"""Modules without values: the same names and shapes, and none of torch's compiler in memory for them."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from stream_bind.encoders.meta import on_meta

LOAD = """
import sys
from actors.encode import _ask_for_same_bits
from stream_bind.registry import ENCODERS
_ask_for_same_bits()
entry = ENCODERS.get("imagebind-tiny")
encoder = entry.cls("tiny", entry.config())
encoder.load()
import torch
assert torch.are_deterministic_algorithms_enabled()
assert "torch._dynamo" not in sys.modules and "torch._inductor" not in sys.modules
"""


def build() -> nn.Module:
    embedding, linear = nn.Embedding(5, 4), nn.Linear(4, 3)
    nn.init.normal_(linear.bias)
    return nn.Sequential(embedding, linear)


def test_names_and_shapes_are_those_of_the_module_with_values() -> None:
    with on_meta():
        empty = build()
    full = build()
    assert {key: (value.shape, value.dtype) for key, value in empty.state_dict().items()} == {
        key: (value.shape, value.dtype) for key, value in full.state_dict().items()
    }
    assert all(value.is_meta for value in empty.state_dict().values())


def test_what_has_values_is_drawn_still() -> None:
    tensor = torch.zeros(100)
    with on_meta():
        tensor.normal_()
    assert float(tensor.std()) > 0.5


def test_loading_a_model_for_the_same_bits_imports_no_compiler() -> None:
    subprocess.run([sys.executable, "-c", LOAD], check=True, timeout=120)
