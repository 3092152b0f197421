"""What every sink promises (stream_bind/sinks/base.py), held against all that are built in."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_bind.config.schema import SinkConfig
from stream_bind.errors import SinkError
from stream_bind.registry import SINKS
from stream_bind.sinks.base import Sink

SETTINGS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "jsonl": lambda folder: {"path": str(folder / "out.jsonl"), "vectors": True},
}
"""Settings of each sink type that writes below a folder."""
KEPT: dict[str, Callable[[Path], list[str]]] = {
    "jsonl": lambda folder: (folder / "out.jsonl").read_text(encoding="utf-8").splitlines(),
}
"""What a sink has kept of each message, in order; readable while the sink is open."""
NAMES = sorted(SETTINGS)


def build(name: str, folder: Path) -> Sink:
    entry = SINKS.get(name)
    sink: Sink = entry.cls(entry.config.model_validate(SETTINGS[name](folder)), "bench")
    return sink


@pytest.mark.parametrize("name", NAMES)
def test_building_touches_nothing(name, tmp_path):
    sink = build(name, tmp_path)
    assert isinstance(sink, Sink)
    assert list(tmp_path.iterdir()) == []
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_kept_as_soon_as_the_call_returns(name, tmp_path, embedding, event):
    sink = build(name, tmp_path)
    sink.open()
    assert KEPT[name](tmp_path) == []
    sink.publish(embedding)
    assert len(KEPT[name](tmp_path)) == 1
    sink.event(event)
    assert len(KEPT[name](tmp_path)) == 2
    sink.close()
    sink.close()
    assert len(KEPT[name](tmp_path)) == 2


@pytest.mark.parametrize("name", NAMES)
def test_opening_again_keeps_what_is_there(name, tmp_path, embedding, event):
    sink = build(name, tmp_path)
    sink.open()
    sink.publish(embedding)
    sink.close()
    before = KEPT[name](tmp_path)
    sink.open()
    sink.event(event)
    sink.close()
    another = build(name, tmp_path)
    another.open()
    another.publish(embedding)
    another.close()
    kept = KEPT[name](tmp_path)
    assert kept[0] == kept[2] == before[0]
    assert len(kept) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_message_to_a_closed_sink_is_refused(name, tmp_path, embedding, event):
    sink = build(name, tmp_path)
    for _ in range(2):
        with pytest.raises(SinkError, match="not open"):
            sink.publish(embedding)
        with pytest.raises(SinkError, match="not open"):
            sink.event(event)
        sink.open()
        sink.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_one_sentence_that_names_it(name, tmp_path):
    missing = tmp_path / "nowhere"
    sink = build(name, missing)
    with pytest.raises(SinkError) as caught:
        sink.open()
    assert f"there is no folder {missing}" in str(caught.value)
    assert "\n" not in str(caught.value)
    sink.close()
    missing.mkdir()
    sink.open()  # once it is there
    sink.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_keeps_it_from_opening_is_found_by_the_check_too(name, tmp_path):
    entry = SINKS.get(name)
    with pytest.raises(SinkError, match="there is no folder"):
        entry.cls.check(entry.config.model_validate(SETTINGS[name](tmp_path / "nowhere")))
    entry.cls.check(entry.config.model_validate(SETTINGS[name](tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_come_through_the_plan_unchanged(name, tmp_path):
    entry = SINKS.get(name)
    settings = entry.config.model_validate(SETTINGS[name](tmp_path))
    plain = SinkConfig(type=name, settings=settings).settings_dict()
    assert entry.config(**plain) == settings


def test_every_built_in_sink_is_held_to_this():
    assert sorted(SINKS._builtin) == NAMES
    for name in NAMES:
        entry = SINKS.get(name)
        assert (entry.name, entry.modalities) == (name, ())


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_says_in_a_sentence_what_it_is(name):
    config = SINKS.get(name).config
    tree = ast.parse(Path(inspect.getfile(config)).read_text(encoding="utf-8"))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == config.__name__)
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            assert told, f"{config.__name__}.{ast.unparse(statement.target)} has no docstring"
    assert config.model_config.get("extra") == "forbid"
