"""Places, `${ENV:default}` and `--set`, on YAML of any meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.config.document import apply_overrides, parse_document, read_document
from stream_bind.errors import ConfigError


def test_places_count_lines_and_columns_from_one():
    document = parse_document("a: 1\nb:\n  - id: x\n    k: 5mm\n", "rig.yaml")
    assert document.where(("b", 0, "k")).text == "rig.yaml:4:8"
    assert document.where(("b", 0, "k"), key=True).text == "rig.yaml:4:5"


def test_a_missing_value_has_the_place_of_what_should_hold_it():
    document = parse_document("a: 1\nb:\n  - id: x\n", "rig.yaml")
    assert document.where(("b", 0, "device", "type")).text == "rig.yaml:3:5"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.sampled_from(["a", "x y", "é", "1", "true", ""]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
        max_leaves=8,
    )
)
def test_plain_data_comes_through_unchanged_whatever_its_shape(value):
    import json

    assert parse_document(json.dumps({"root": value}), "x").data == {"root": value}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: [1,\nb: 2\n", "x.yaml:", "not YAML"),
        ("a: 1\na: 2\n", "x.yaml:2:1", "duplicate key"),
        ("a:\n\t- b\n", "x.yaml:2:1", "tab"),
        ("a: *b\n", "x.yaml:1:4", "alias"),
        ("- a\n", "x.yaml:1:1", "holds a list"),
        ("", "x.yaml:1:1", "is empty"),
    ],
)
def test_what_is_no_yaml_section_is_told_with_its_place(text, place, words):
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "x.yaml")
    assert str(caught.value).startswith(place)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_or_not_text_is_told_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_document(tmp_path / "none.yaml")
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_document(tmp_path / "picture.yaml")
    with pytest.raises(ConfigError, match="directory"):
        read_document(tmp_path)


def test_a_variable_alone_takes_the_type_of_its_text():
    text = "a: ${PORT:5556}\nb: '${ON:true}'\nc: x-${NAME:y}\nd: ${EMPTY:}\ne: $${LITERAL}\nf: ${URL:rtsp://h:554/s}\n"
    data = parse_document(text, "x", {"PORT": "7000", "NAME": "cam"}).data
    assert data == {"a": 7000, "b": True, "c": "x-cam", "d": None, "e": "${LITERAL}", "f": "rtsp://h:554/s"}


def test_a_serial_number_with_leading_noughts_keeps_them():
    assert parse_document("a: ${CAMERA:0}\n", "x", {"CAMERA": "038122250813"}).data == {"a": "038122250813"}


def test_a_variable_in_words_stays_text_even_if_it_looks_like_a_section():
    assert parse_document("a: ${X:b}\n", "x", {"X": "c: d"}).data == {"a": "c: d"}


def test_an_unset_variable_without_default_is_a_fault_with_its_place():
    document = parse_document("a: 1\nb: ${NOPE}\n", "x", {})
    assert [path for path, _ in document.faults] == [("b",)]
    assert "NOPE is not set" in document.faults[0][1]


def test_keys_merged_from_an_anchor_are_there_though_they_have_no_place():
    document = parse_document("base: &b {x: 1}\na:\n  <<: *b\n  y: 2\n", "f")
    assert document.data["a"] == {"x": 1, "y": 2}
    assert document.where(("a", "x")).text.startswith("f:")


def test_a_time_stamp_keeps_its_moment():
    assert parse_document("a: 2024-01-01T10:00:00+02:00\n", "x").data["a"].startswith("2024-01-01T10:00:00+02:00")


STREAMS = "streams:\n  - {id: cam, delay_ms: 1}\n  - {id: cam.left}\n  - {id: mic}\n"


@pytest.mark.parametrize(
    ("override", "index", "key", "value"),
    [
        ("streams.mic.delay_ms=20", 2, "delay_ms", 20),
        ("streams.cam.left.delay_ms=2.5", 1, "delay_ms", 2.5),
        ("streams.0.flip=both", 0, "flip", "both"),
        ("streams[1].axes=[-y, x, z]", 1, "axes", ["-y", "x", "z"]),
        ("streams.cam.delay_ms=", 0, "delay_ms", None),
        ("streams.cam.note=a=b", 0, "note", "a=b"),
    ],
)
def test_set_reaches_list_items_by_id_or_index_and_reads_values_as_yaml(override, index, key, value):
    document = parse_document(STREAMS, "x")
    apply_overrides(document, [override])
    assert document.data["streams"][index][key] == value


def test_set_makes_the_sections_in_between():
    document = parse_document(STREAMS, "x")
    apply_overrides(document, ["publish.endpoint=ipc:///tmp/s", "streams.cam.window.hop_s=1"])
    assert document.data["publish"] == {"endpoint": "ipc:///tmp/s"}
    assert document.data["streams"][0]["window"] == {"hop_s": 1}


def test_the_place_of_an_overridden_value_is_the_command_line():
    document = parse_document(STREAMS, "x")
    apply_overrides(document, ["streams.cam.delay_ms=abc"])
    assert document.where(("streams", 0, "delay_ms")).text == "--set streams.cam.delay_ms=abc"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("streams.cam", "KEY.PATH=VALUE"),
        ("=3", "KEY.PATH=VALUE"),
        ("streams.cma.delay_ms=3", "known: cam, cam.left, mic"),
        ("streams.7.delay_ms=3", "has 3"),
        ("streams.cam.delay_ms.x=3", "single value"),
    ],
)
def test_a_set_that_reaches_nothing_says_why(override, words):
    with pytest.raises(ConfigError, match="--set") as caught:
        apply_overrides(parse_document(STREAMS, "x"), [override])
    assert words in str(caught.value)


def test_all_wrong_sets_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        apply_overrides(parse_document(STREAMS, "x"), ["a", "streams.9.x=1"])
    assert len(caught.value.problems) == 2
