"""What every encoder promises the pipeline, whichever model it is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from stream_bind.encoders.base import ClipMaker, ClipSpec, Encoder
from stream_bind.errors import ConfigError, EncoderError
from stream_bind.messages import IMU_AXES, StreamSpec, Window
from stream_bind.registry import ENCODERS

EMG = {"name": "emg", "channels": 3, "rate_hz": 100, "length_s": 2, "unit": "mV", "axes": ["a", "b", "c"]}
SMALLEST = {
    "imagebind": {"model": "imagebind", "weights": "random", "size": "small", "signals": [EMG]},
    "languagebind": {"model": "languagebind", "weights": "random", "size": "small"},
}
"""A configuration of each encoder type that needs no files; one with a sensor type of its own."""
SECOND = 1_000_000_000
RATES_HZ = {"vision": 10.0, "depth": 10.0, "thermal": 9.0, "audio": 48000.0, "imu": 200.0, "emg": 250.0}


def config_of(name: str):
    return ENCODERS.get(name).config.model_validate(SMALLEST[name])


SENSED = [(name, m) for name in SMALLEST for m in ENCODERS.get(name).cls.modalities(config_of(name)) if m != "text"]


@pytest.fixture(scope="module")
def loaded() -> dict[str, Encoder]:
    encoders = {}
    for name in SMALLEST:
        entry = ENCODERS.get(name)
        encoders[name] = entry.cls("test", config_of(name))
        encoders[name].load([m for m in entry.cls.modalities(config_of(name)) if m != "text"])
    return encoders


def stream_of(modality: str) -> StreamSpec:
    shape, dtype, unit = {
        "vision": ((120, 160, 3), "uint8", "rgb8"),
        "depth": ((120, 160), "float32", "m"),
        "thermal": ((120, 160), "float32", "K"),
        "audio": ((2,), "float32", "full_scale"),
        "imu": ((6,), "float32", "si"),
        "emg": ((3,), "float32", "mV"),
    }[modality]
    axes = {"imu": IMU_AXES, "emg": ("c", "b", "a")}.get(modality, ())
    return StreamSpec(f"{modality}0", modality, RATES_HZ[modality], shape, dtype, unit, axes)


def window_of(stream: StreamSpec, spec: ClipSpec, seed: int = 0) -> Window:
    """One window at a large UNIX time, with the context the maker asks for."""
    rng = np.random.default_rng(seed)
    t_start = 1_700_000_000 * SECOND
    t_end = t_start + round(spec.length_s * SECOND)
    period = round(SECOND / stream.rate_hz)
    before = int(spec.context_s * stream.rate_hz) + 1 if spec.context_s else 0
    t_ns = np.arange(t_start - before * period, t_end, period, dtype=np.int64)
    if stream.dtype == "uint8":
        data = tuple(rng.integers(0, 256, stream.shape, dtype=np.uint8) for _ in t_ns)
    elif stream.modality in {"depth", "thermal"}:
        low, high = (0.5, 5.0) if stream.modality == "depth" else (285.0, 310.0)
        data = tuple(rng.uniform(low, high, stream.shape).astype(np.float32) for _ in t_ns)
    else:
        data = rng.normal(0, 0.1, (len(t_ns), *stream.shape)).astype(np.float32)
    return Window(stream.id, 7, t_start, t_end, data, t_ns, before, len(t_ns) - before, 1.0)


def clips_of(name: str, modality: str, n: int) -> list[np.ndarray]:
    maker = ENCODERS.get(name).cls.clip_maker(config_of(name), modality)
    stream = stream_of(modality)
    return [maker.make(window_of(stream, maker.spec, seed), stream) for seed in range(n)]


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_a_clip_has_the_shape_and_dtype_its_maker_declares(name, modality):
    maker = ENCODERS.get(name).cls.clip_maker(config_of(name), modality)
    assert isinstance(maker, ClipMaker)
    assert maker.spec.modality == modality
    clip = clips_of(name, modality, 1)[0]
    assert clip.shape == maker.spec.shape
    assert clip.dtype == np.dtype(maker.spec.dtype)
    assert np.isfinite(clip).all()


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_the_same_window_makes_the_same_clip_and_stays_as_it_was(name, modality):
    maker = ENCODERS.get(name).cls.clip_maker(config_of(name), modality)
    stream = stream_of(modality)
    window = window_of(stream, maker.spec)
    for row in window.data if isinstance(window.data, tuple) else (window.data,):
        row.setflags(write=False)
    assert np.array_equal(maker.make(window, stream), maker.make(window, stream))


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_vectors_are_float32_of_unit_length_and_tell_inputs_apart(name, modality, loaded):
    vectors = loaded[name].embed(modality, clips_of(name, modality, 3))
    assert (vectors.shape, vectors.dtype) == ((3, loaded[name].dim), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_a_batch_of_one_equals_a_batch_of_many(name, modality, loaded):
    clips = clips_of(name, modality, 5)
    many = loaded[name].embed(modality, np.stack(clips))
    ones = np.concatenate([loaded[name].embed(modality, [clip]) for clip in clips])
    assert np.abs(many - ones).max() <= 1e-6


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_an_empty_batch_gives_no_vectors(name, modality, loaded):
    for empty in ([], np.zeros((0, *clips_of(name, modality, 1)[0].shape), np.float32)):
        vectors = loaded[name].embed(modality, empty)
        assert (vectors.shape, vectors.dtype) == ((0, loaded[name].dim), np.float32)


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_read_only_clips_are_taken_as_they_come_off_the_wire(name, modality, loaded):
    clip = clips_of(name, modality, 1)[0]
    received = np.frombuffer(clip.tobytes(), clip.dtype).reshape(clip.shape)
    assert np.array_equal(loaded[name].embed(modality, [received]), loaded[name].embed(modality, [clip]))


@pytest.mark.parametrize(("name", "modality"), SENSED)
def test_a_clip_of_another_shape_is_an_encoder_error(name, modality, loaded):
    with pytest.raises(EncoderError):
        loaded[name].embed(modality, np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("name", SMALLEST)
def test_identity_scale_and_training_are_declared(name, loaded):
    encoder = loaded[name]
    assert isinstance(encoder, Encoder)
    assert "@" in encoder.model
    assert encoder.trained is False
    for modality in ENCODERS.get(name).modalities:
        if modality != "text":
            assert encoder.scale(modality) > 0


@pytest.mark.parametrize("name", SMALLEST)
def test_a_modality_that_is_not_loaded_or_not_there_is_named(name, loaded):
    with pytest.raises(EncoderError, match="text is not loaded"):
        loaded[name].embed_text(["a dog"])
    with pytest.raises(ConfigError, match="smell"):
        loaded[name].load(["smell"])
    with pytest.raises(ConfigError, match="smell"):
        ENCODERS.get(name).cls.clip_maker(config_of(name), "smell")


@pytest.mark.parametrize("name", SMALLEST)
def test_clip_makers_and_construction_import_no_torch(name):
    program = f"""
import sys
from stream_bind.registry import ENCODERS
entry = ENCODERS.get({name!r})
config = entry.config.model_validate({SMALLEST[name]!r})
encoder = entry.cls("test", config)
for modality in entry.cls.modalities(config):
    if modality != "text":
        entry.cls.clip_maker(config, modality).spec
loaded = [m for m in ("torch", "ray", "zmq", "cv2", "av", "ftfy", "safetensors") if m in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
