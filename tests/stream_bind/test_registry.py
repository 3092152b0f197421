from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream_bind import registry
from stream_bind.errors import ConfigError
from stream_bind.registry import DEVICES, ENCODERS, SINKS, Registry


class Config:
    pass


@pytest.fixture
def no_plugins(monkeypatch):
    monkeypatch.setattr(registry, "entry_points", lambda group: [])


def driver(name: str = "driver", module: str = "here") -> type:
    return type(name, (), {"__module__": module})


def test_a_registered_class_is_found_with_its_config_and_modalities(no_plugins):
    devices = Registry("device", {})
    cls = driver()
    assert devices.register("lepton", Config, ("thermal",))(cls) is cls
    entry = devices.get("lepton")
    assert (entry.name, entry.cls, entry.config, entry.modalities) == ("lepton", cls, Config, ("thermal",))
    assert devices.names() == ("lepton",)


def test_an_unknown_type_names_the_nearest_and_all_known(no_plugins):
    devices = Registry("device", {"replay": "nowhere"})
    devices.register("lepton", Config, ())(driver())
    with pytest.raises(
        ConfigError, match=r"unknown device type 'leptn'; did you mean 'lepton'\? \(known: lepton, replay\)"
    ):
        devices.get("leptn")


def test_a_built_in_module_is_imported_at_the_first_need_only(tmp_path: Path, monkeypatch, no_plugins):
    (tmp_path / "late_driver.py").write_text(
        "import registry_under_test as r\nr.devices.register('late', int, ())(str)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    devices = Registry("device", {"late": "late_driver"})
    monkeypatch.setitem(sys.modules, "registry_under_test", SimpleNamespace(devices=devices))
    assert devices.names() == ("late",)
    assert "late_driver" not in sys.modules
    assert devices.get("late").cls is str
    assert "late_driver" in sys.modules
    del sys.modules["late_driver"]


def test_two_classes_cannot_share_a_name_but_a_module_may_be_imported_twice(no_plugins):
    devices = Registry("device", {})
    devices.register("cam", Config, ())(driver(module="one"))
    again = driver(module="one")
    devices.register("cam", Config, ())(again)
    assert devices.get("cam").cls is again
    with pytest.raises(ValueError, match="device type 'cam' is registered twice: one and two"):
        devices.register("cam", Config, ())(driver(module="two"))


def test_plugins_are_loaded_once_and_a_broken_one_is_named(monkeypatch):
    devices = Registry("device", {})
    loads = []

    def load() -> None:
        loads.append(1)
        devices.register("theirs", Config, ())(driver())

    good = SimpleNamespace(name="good", value="good_module", load=load)
    monkeypatch.setattr(registry, "entry_points", lambda group: [good] if group == "stream_bind.plugins" else [])
    assert devices.get("theirs").name == "theirs"
    assert devices.names() == ("theirs",)
    assert loads == [1]

    def fail() -> None:
        raise ImportError("No module named 'vendor'")

    bad = SimpleNamespace(name="bad", value="bad_module", load=fail)
    monkeypatch.setattr(registry, "entry_points", lambda group: [bad])
    with pytest.raises(ConfigError, match=r"plug-in bad \(bad_module\) does not load: No module named 'vendor'"):
        Registry("device", {}).names()


@pytest.mark.parametrize(("known", "name"), [(r, n) for r in (DEVICES, ENCODERS, SINKS) for n in r._builtin])
def test_every_built_in_type_exists_under_its_name(known, name):
    entry = known.get(name)
    assert entry.name == name
    assert bool(entry.modalities) == (known is not SINKS)
