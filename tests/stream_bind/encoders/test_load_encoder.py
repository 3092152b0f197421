"""`load_encoder`: the Python user's way in."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from stream_bind.encoders.load import load_encoder
from stream_bind.errors import ConfigError, WeightsError


def test_a_loaded_encoder_embeds_at_once():
    encoder = load_encoder("imagebind", "random", ["depth"], size="small", seed=4)
    vectors = encoder.embed("depth", np.zeros((2, 1, 224, 224), np.float32))
    assert vectors.shape == (2, 1024)
    assert encoder.scale("depth") == pytest.approx(5.0)
    assert not encoder.trained


def test_mistakes_are_named_with_their_place(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'imagebind'"):
        load_encoder("imagebnd")
    with pytest.raises(ConfigError, match=r"depth\.fx_px") as error:
        load_encoder("imagebind", "random", depth={"fx_px": -1}, dtype="int4")
    assert len(error.value.problems) == 2
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        load_encoder("imagebind", str(tmp_path / "none.safetensors"))


def test_the_package_exports_load_without_importing_torch():
    program = "import sys, stream_bind, stream_bind.encoders.imagebind; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
