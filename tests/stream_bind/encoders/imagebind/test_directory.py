"""Model directories: written, read back strictly, and an encoder by their path alone."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from stream_bind.encoders import branches
from stream_bind.encoders.imagebind import ImageBind, ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.encoders.imagebind.bpe import learn_merges, write_vocabulary
from stream_bind.encoders.imagebind.directory import read_directory, save_directory
from stream_bind.encoders.imagebind.settings import ImageBindTinyConfig
from stream_bind.encoders.load import load_encoder
from stream_bind.errors import ConfigError, WeightsError
from stream_bind.messages import MODALITIES

BAROMETER = {
    "name": "barometer",
    "channels": 1,
    "rate_hz": 25.0,
    "length_s": 8.0,
    "kernel": 10,
    "embed_dim": 16,
    "num_blocks": 1,
    "num_heads": 2,
    "unit": "Pa",
    "std": (30.0,),
    "detrend": "mean",
}
SIZE = {
    **{f"{m}_embed_dim": 16 for m in MODALITIES},
    **{f"{m}_num_blocks": 1 for m in MODALITIES},
    **{f"{m}_num_heads": 2 for m in MODALITIES},
    "kernel_size": (2, 56, 56),
    "depth_kernel_size": 56,
    "thermal_kernel_size": 56,
    "audio_stride": 20,
    "imu_kernel_size": 100,
    "out_embed_dim": 12,
    "context_length": 16,
}
TEXTS = ["a dog is walked", "a kettle boils", "somebody types"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A directory of untrained weights with a barometer and a vocabulary of its own."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = folder / "words.txt.gz"
    write_vocabulary(vocabulary, learn_merges(TEXTS, 40))
    torch.manual_seed(0)
    config = ImageBindEncoderConfig(
        weights="random",
        size={**SIZE, "vocab_size": 514 + 40},
        signals=[BAROMETER],
        depth={"mean": 0.2, "std": 0.25},
        imu={"std": (3.0, 3.0, 3.0, 0.6, 0.6, 0.6)},
        vision={"pick": "middle"},
    )
    save_directory(
        folder / "small",
        config=config,
        state=ImageBind(config.architecture()).state_dict(),
        name="small-model",
        vocabulary=vocabulary,
        licence="Apache-2.0",
        provenance={"seed": 0},
        card="# small-model\n",
    )
    return folder / "small"


@pytest.fixture
def directory(made, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def edit(directory: Path, change) -> None:
    file = directory / "config.json"
    body = json.loads(file.read_text())
    change(body)
    file.write_text(json.dumps(body))


def clips(modality: str, n: int = 2) -> np.ndarray:
    shape = {"vision": (2, 224, 224, 3), "imu": (6, 2000), "barometer": (1, 200), "depth": (1, 224, 224)}[modality]
    return np.random.default_rng(0).random((n, *shape), dtype=np.float32)


def test_what_was_saved_is_read(made):
    read = read_directory(made)
    assert (read.name, read.licence, read.base, read.terms) == ("small-model", "Apache-2.0", "", "")
    assert read.architecture.modalities == (*MODALITIES, "barometer")
    assert read.architecture.signal("barometer").std == (30.0,)
    assert read.architecture.vocab_size == 554
    assert read.preprocessing["depth"]["mean"] == 0.2
    assert read.provenance == {"seed": 0}
    assert (made / "README.md").read_text() == "# small-model\n"
    read.check(digest=True)


def test_the_path_alone_makes_the_encoder(made):
    config = ImageBindEncoderConfig(weights=str(made))
    assert config.depth.mean == 0.2
    assert config.vision.pick == "middle"
    assert config.imu.std[0] == 3.0
    assert ImageBindEncoder.modalities(config) == (*MODALITIES, "barometer")
    ImageBindEncoder.check_weights(config)
    assert ImageBindEncoder.clip_maker(config, "barometer").spec.shape == (1, 200)
    loaded = load_encoder("imagebind", str(made), modalities=["barometer", "depth", "text"])
    assert loaded.model.startswith("small-model@")
    assert loaded.trained
    assert loaded.dim == 12
    state = load_file(made / "model.safetensors")
    model = ImageBind(config.architecture()).eval()
    model.load_state_dict(state)
    with torch.no_grad():
        expected = model.unit("barometer", torch.from_numpy(clips("barometer"))).numpy()
    np.testing.assert_allclose(loaded.embed("barometer", clips("barometer")), expected, atol=1e-6)
    assert loaded.embed_text(TEXTS).shape == (3, 12)


def test_half_precision_weights_serve_as_well(made, directory):
    state = {k: v.half() if v.ndim > 1 and not k.endswith("mask") else v for k, v in load_encoder_state(made).items()}
    config = ImageBindEncoderConfig(weights=str(made))
    save_directory(directory, config=config, state=state, name="half")
    half = load_encoder("imagebind", str(directory), modalities=["imu"]).embed("imu", clips("imu"))
    whole = load_encoder("imagebind", str(made), modalities=["imu"]).embed("imu", clips("imu"))
    assert (half * whole).sum(axis=1).min() > 0.9999


def load_encoder_state(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def test_the_identity_follows_weights_vocabulary_and_settings(made, directory):
    def identity(path: Path, **settings) -> str:
        return load_encoder("imagebind", str(path), modalities=["imu"], **settings).model

    assert identity(made) == identity(directory)
    assert identity(made) != identity(made, depth={"mean": 0.3})
    state = load_encoder_state(made)
    key = "modality_heads.imu.3.weight"
    save_directory(
        directory,
        config=ImageBindEncoderConfig(weights=str(made)),
        state=state | {key: state[key] + 1},
        name="small-model",
    )
    assert identity(made) != identity(directory)


def test_settings_survive_being_sent_to_an_actor_where_the_directory_is_not(made, directory):
    config = ImageBindEncoderConfig(weights=str(directory), imu={"accel_unit": "g"})
    sent = json.loads(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
    here = ImageBindEncoderConfig.model_validate(sent)
    shutil.rmtree(directory)
    there = ImageBindEncoderConfig.model_validate(sent)
    assert config == here == there
    assert there.imu.accel_unit == "g"
    assert there.imu.std[0] == 3.0
    assert ImageBindEncoder.clip_maker(there, "barometer").spec == ImageBindEncoder.clip_maker(config, "barometer").spec


def test_what_the_yaml_says_goes_before_the_directory(made):
    config = ImageBindEncoderConfig(
        weights=str(made),
        depth={"far_m": 8.0},
        signals=[{"name": "barometer", "detrend": "linear"}],
        modalities=("barometer", "vision"),
    )
    assert (config.depth.far_m, config.depth.mean) == (8.0, 0.2)
    signal = config.architecture().signal("barometer")
    assert (signal.detrend, signal.unit, signal.kernel) == ("linear", "Pa", 10)
    assert config.modalities == ("barometer", "vision")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"size": "small"}, "has dimensions of its own.*leave `size`"),
        ({"size": {"out_embed_dim": 13}}, "leave `size`"),
        ({"signals": [{"name": "barometer", "kernel": 5}]}, "barometer: kernel is 10"),
        ({"modalities": ["barometr"]}, "did you mean 'barometer'"),
    ],
)
def test_what_contradicts_the_weights_is_refused(made, settings, says):
    with pytest.raises(ValidationError, match=says):
        ImageBindEncoderConfig(weights=str(made), **settings)


def test_the_same_size_may_be_said_again(made):
    size = read_directory(made).architecture_arguments()
    assert ImageBindEncoderConfig(weights=str(made), size=size) == ImageBindEncoderConfig(weights=str(made))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.update(modle=1), "unknown key 'modle'"),
        (lambda b: b.pop("weights"), "the key 'weights' is missing"),
        (lambda b: b.update(version=2), "version"),
        (lambda b: b.update(format="other"), "format"),
        (lambda b: b["architecture"].update(width=3), "architecture.*width"),
        (lambda b: b["architecture"].update(imu_num_heads=5), "multiple of imu_num_heads"),
        (lambda b: b["preprocessing"].update(smell={}), "preprocessing.smell.*only vision, audio"),
        (lambda b: b.update(branches=["imu"]), "no base to take them from"),
        (lambda b: b["vocabulary"].update(size=9999), "9999 ids do not fit"),
    ],
)
def test_a_config_file_that_is_not_right_is_refused_with_a_sentence(directory, change, says):
    edit(directory, change)
    with pytest.raises(WeightsError, match=says):
        read_directory(directory)
    with pytest.raises(ValidationError, match=says):
        ImageBindEncoderConfig(weights=str(directory))


def test_settings_of_a_directory_that_do_not_exist_are_refused(directory):
    edit(directory, lambda b: b["preprocessing"]["depth"].update(fahr_m=1))
    with pytest.raises(ValidationError, match="fahr_m"):
        ImageBindEncoderConfig(weights=str(directory))


def test_a_folder_that_is_no_model_directory_says_what_one_holds(tmp_path):
    with pytest.raises(ValidationError, match=r"holds config.json and model.safetensors"):
        ImageBindEncoderConfig(weights=str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValidationError, match="is no JSON"):
        ImageBindEncoderConfig(weights=str(tmp_path))


def test_weights_that_are_missing_cut_or_exchanged_are_noticed(directory):
    config = ImageBindEncoderConfig(weights=str(directory))
    weights = directory / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"sha256 .* is wanted, found"):
        ImageBindEncoder("test", config).load(["imu"])
    weights.write_bytes(whole[:100])
    with pytest.raises(WeightsError, match=r"should have .* bytes, found 100 bytes"):
        ImageBindEncoder.check_weights(config)
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        ImageBindEncoder.check_weights(config)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"model.safetensors cannot be opened"):
        ImageBindEncoder.check_weights(config)


def test_a_foreign_vocabulary_is_noticed(directory):
    write_vocabulary(directory / "vocabulary.txt.gz", learn_merges(["other words"], 40))
    with pytest.raises(WeightsError, match=r"sha256 .* is wanted, found"):
        load_encoder("imagebind", str(directory), modalities=["text"]).embed_text(["a dog"])
    (directory / "vocabulary.txt.gz").unlink()
    with pytest.raises(WeightsError, match=r"vocabulary.txt.gz is missing"):
        ImageBindEncoder.check_weights(ImageBindEncoderConfig(weights=str(directory)))


def test_a_new_sensor_is_saved_beside_the_branches_it_was_bound_to(made, tmp_path):
    emg = BAROMETER | {"name": "emg", "channels": 8, "std": (), "unit": "mV"}
    config = ImageBindEncoderConfig(weights=str(made), signals=[emg])
    assert config.modalities == (*MODALITIES, "barometer", "emg")
    with pytest.raises(WeightsError, match="no weights of emg; train them with `stream-bind bind`"):
        ImageBindEncoder.check_weights(config)
    branch = ImageBind(config.architecture()).state_dict()
    saved = save_directory(
        tmp_path / "bound",
        config=config,
        state={key: value for key, value in branch.items() if ".emg." in key},
        name="bound",
    )
    assert saved.branches == (*MODALITIES, "barometer", "emg")
    assert saved.licence == "Apache-2.0"
    assert saved.vocabulary is not None
    new = load_encoder("imagebind", str(tmp_path / "bound"))
    old = load_encoder("imagebind", str(made))
    for modality in ("imu", "barometer"):
        np.testing.assert_array_equal(new.embed(modality, clips(modality)), old.embed(modality, clips(modality)))
    np.testing.assert_array_equal(new.embed_text(TEXTS), old.embed_text(TEXTS))
    assert new.embed("emg", np.zeros((1, 8, 200), np.float32)).shape == (1, 12)


def test_what_is_bound_to_the_published_weights_has_their_licence_and_takes_the_rest_from_them(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(branches, "_terms_shown", set())
    published = tmp_path / "published.safetensors"
    under = ImageBindEncoderConfig(weights="random", size=SIZE)
    torch.manual_seed(0)
    save_file(ImageBind(under.architecture()).state_dict(), published)
    config = ImageBindEncoderConfig(weights=str(published), size=SIZE, signals=[BAROMETER])
    branch = ImageBind(config.architecture()).state_dict()
    saved = save_directory(
        tmp_path / "bound",
        config=config,
        state={key: value for key, value in branch.items() if ".barometer." in key},
        name="bound",
        licence="MIT",
    )
    assert (saved.branches, saved.base, saved.licence) == (("barometer",), "imagebind", "CC BY-NC-SA 4.0")
    assert saved.weights_bytes < published.stat().st_size / 4
    with caplog.at_level(logging.WARNING):
        bound = load_encoder("imagebind", str(tmp_path / "bound"), modalities=["imu", "barometer"])
    assert [r.message for r in caplog.records if "no commercial use" in r.message]
    plain = load_encoder("imagebind", str(published), modalities=["imu"], size=SIZE)
    np.testing.assert_array_equal(bound.embed("imu", clips("imu")), plain.embed("imu", clips("imu")))
    save_file({"modality_heads.imu.0.bias": torch.zeros(16)}, published)
    with pytest.raises(WeightsError, match="was trained on top of weights with sha256"):
        load_encoder("imagebind", str(tmp_path / "bound"), modalities=["imu"])
    published.unlink()
    with pytest.raises(WeightsError, match="models pull imagebind"):
        ImageBindEncoder.check_weights(ImageBindEncoderConfig(weights=str(tmp_path / "bound")))


@pytest.mark.parametrize(("licence", "shown"), [("MIT", False), ("Apache-2.0", False), ("CC-BY-NC-4.0", True)])
def test_terms_are_shown_only_where_they_ask_for_something(directory, monkeypatch, caplog, licence, shown):
    monkeypatch.setattr(branches, "_terms_shown", set())
    edit(directory, lambda b: b.update(licence=licence))
    with caplog.at_level(logging.WARNING):
        load_encoder("imagebind", str(directory), modalities=["imu"])
    assert bool([r for r in caplog.records if "licence" in r.message]) is shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"name": "No Name"}, "model name"), ({"licence": ""}, "licence is wanted"), ({"state": {}}, "no weights of")],
)
def test_what_makes_no_model_is_not_saved(tmp_path, arguments, says):
    config = ImageBindEncoderConfig(weights="random", size=SIZE, modalities=("imu",))
    given = {"name": "x", "licence": "MIT", "state": ImageBind(config.architecture()).state_dict(), **arguments}
    with pytest.raises(ValueError, match=says):
        save_directory(tmp_path / "x", config=config, **given)
    assert not (tmp_path / "x" / "config.json").exists()


def test_the_same_model_is_the_same_bytes(made, tmp_path):
    for name in ("one", "two"):
        save_directory(
            tmp_path / name, config=ImageBindEncoderConfig(weights=str(made)), state=load_encoder_state(made), name="m"
        )
    for file in ("config.json", "model.safetensors", "vocabulary.txt.gz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.fixture
def tiny(made, monkeypatch) -> Path:
    """The test's directory in the place of the shipped one."""
    monkeypatch.setattr(ImageBindTinyConfig, "shipped", made)
    return made


def test_the_shipped_model_needs_no_weights_named(tiny):
    loaded = load_encoder("imagebind-tiny", modalities=["imu", "text"])
    assert loaded.trained
    assert loaded.dim == 12
    assert loaded.model == load_encoder("imagebind", str(tiny), modalities=["imu"]).model
    sent = loaded.config.model_dump(mode="json", exclude_unset=True)
    assert ImageBindTinyConfig.model_validate(sent) == loaded.config


def test_the_shipped_model_can_be_had_untrained_and_not_with_other_weights(tiny):
    loaded = load_encoder("imagebind-tiny", "random", modalities=["imu", "text"])
    assert not loaded.trained
    assert loaded.dim == 12
    assert loaded.model.startswith("imagebind-tiny@random:0:")
    assert loaded.embed_text(["a dog"]).shape == (1, 12)
    with pytest.raises(ConfigError, match="weights"):
        load_encoder("imagebind-tiny", str(tiny))


def test_a_text_is_embedded_once(made, monkeypatch):
    loaded = load_encoder("imagebind", str(made), modalities=["text"])
    ran: list[int] = []
    run = loaded._run
    monkeypatch.setattr(loaded, "_run", lambda branch, m, x: ran.append(len(x)) or run(branch, m, x))
    first = loaded.embed_text([*TEXTS, TEXTS[0]])
    again = loaded.embed_text([TEXTS[2], "another"])
    np.testing.assert_array_equal(first[0], first[3])
    np.testing.assert_array_equal(again[0], first[2])
    assert ran == [3, 1]
    monkeypatch.setattr(branches, "MAX_CACHED_TEXTS", 2)
    loaded.embed_text([TEXTS[0], TEXTS[1]])
    assert list(loaded._texts) == TEXTS[:2]
    first[:] = 0
    assert np.linalg.norm(loaded.embed_text([TEXTS[0]])) == pytest.approx(1.0)


def test_signal_clips_and_settings_need_no_torch(made):
    import subprocess
    import sys

    program = f"""
import sys
from stream_bind.registry import ENCODERS
entry = ENCODERS.get("imagebind")
config = entry.config.model_validate({{"weights": {str(made)!r}}})
entry.cls.check_weights(config)
assert entry.cls.clip_maker(config, "barometer").spec.hop_s == 0.5
loaded = [m for m in ("torch", "ray", "zmq", "cv2", "av", "ftfy", "safetensors") if m in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
