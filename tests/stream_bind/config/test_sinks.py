"""`publish.sinks`: every fault with its place, and what reaches the plan."""

from __future__ import annotations

import copy
import pickle
import re

import jsonschema
import pytest

from stream_bind.config import json_schema, parse_config
from stream_bind.config.document import parse_document
from stream_bind.errors import ConfigError

SINKS = """\
publish:
  sinks:
    - type: jsonl
      path: vectors.jsonl
      vectors: true
    - {type: jsonl, path: events.jsonl}
"""


def problems(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="rig.yaml", **options)
    return caught.value.problems


def test_a_rig_has_no_sinks_of_its_own(rig):
    assert parse_config(rig).publish.sinks == ()
    assert parse_config(rig + "publish: {sinks: }\n").publish.sinks == ()
    assert parse_config(rig + "publish: {sinks: []}\n").publish.sinks == ()


def test_sinks_keep_their_order_and_settings(rig):
    config = parse_config(rig + SINKS)
    assert [(sink.type, sink.settings_dict()) for sink in config.publish.sinks] == [
        ("jsonl", {"type": "jsonl", "path": "vectors.jsonl", "vectors": True}),
        ("jsonl", {"type": "jsonl", "path": "events.jsonl"}),
    ]
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_setting_of_a_sink_can_be_set_for_one_run(rig):
    config = parse_config(rig + SINKS, ["publish.sinks.1.path=elsewhere.jsonl"])
    assert [str(sink.settings.path) for sink in config.publish.sinks] == ["vectors.jsonl", "elsewhere.jsonl"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("- type: jsonl", "- type: jsnol", "rig.yaml:10:13", "unknown sink type 'jsnol'; did you mean 'jsonl'?"),
        ("- type: jsonl", "- type: [jsonl]", "rig.yaml:10:13", "expected the name of a sink type, found ['jsonl']"),
        ("- type: jsonl\n      ", "- ", "rig.yaml:10:7", "the key 'type' is missing; known sink types: jsonl"),
        ("vectors: true", "vector: true", "rig.yaml:12:7", "unknown key 'vector'; did you mean 'vectors'?"),
        ("path: vectors.jsonl\n      ", "", "rig.yaml:10:7", "publish.sinks[0].path: the key 'path' is missing"),
        ("vectors: true", "vectors: some", "rig.yaml:12:16", "publish.sinks[0].vectors: must be a valid boolean"),
        (
            "- {type: jsonl, path: events.jsonl}",
            "- events.jsonl",
            "rig.yaml:13:7",
            "expected a section with the sink's",
        ),
        ("  sinks:\n", "  snks:\n", "rig.yaml:9:3", "unknown key 'snks'; did you mean 'sinks'?"),
        ("  sinks:\n", "  hwm: 0\n  sinks:\n", "rig.yaml:9:8", "publish.hwm: must be greater than or equal to 1"),
    ],
)
def test_one_fault_is_one_line_with_its_place(rig, old, new, place, words):
    assert SINKS.count(old) == 1
    (line,) = problems(rig + SINKS.replace(old, new))
    assert line.startswith(place)
    assert words in line


def test_one_sink_without_a_list_is_told_what_a_list_is(rig):
    (line,) = problems(rig + "publish: {sinks: {type: jsonl, path: a}}\n")
    assert line.startswith("rig.yaml:8:18: publish.sinks: expected a list: one `- type: ...` for each sink")


def test_faults_of_a_sink_hide_no_other(rig):
    text = rig.replace("modality: vision", "modality: vison") + SINKS.replace("vectors: true", "vector: true")
    text += "  dtype: f4\n"
    assert [line.split(":")[1] for line in problems(text)] == ["6", "12", "14"]


def test_a_missing_folder_is_found_before_the_run(rig, tmp_path):
    text = rig + SINKS.replace("vectors.jsonl", f"{tmp_path}/a.jsonl").replace("events.jsonl", f"{tmp_path}/no/b.jsonl")
    parse_config(text)  # another machine may have it
    (line,) = problems(text, files=True)
    assert re.match(rf"rig\.yaml:13:7: publish\.sinks\[1\]: jsonl {tmp_path}/no/b\.jsonl: there is no folder", line)
    (tmp_path / "no").mkdir()
    parse_config(text, files=True)
    assert list((tmp_path / "no").iterdir()) == []


def test_the_schema_for_editors_knows_the_sinks(rig):
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    data = parse_document(rig + SINKS, "x").data
    jsonschema.validate(data, schema)
    for change in ({"type": "jsnol"}, {"pth": "a"}, {"path": 3}):
        wrong = copy.deepcopy(data)
        wrong["publish"]["sinks"][0].update(change)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
