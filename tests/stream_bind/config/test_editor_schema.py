"""The schema for editors agrees with what loads."""

from __future__ import annotations

import copy

import jsonschema
import pytest

from stream_bind.config import json_schema
from stream_bind.config.document import parse_document


@pytest.fixture
def schema():
    made = json_schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def test_a_rig_that_loads_fits_the_schema(schema, rig):
    jsonschema.validate(parse_document(rig, "x").data, schema)


def test_variables_may_stand_for_numbers_and_choices(schema, rig):
    data = copy.deepcopy(parse_document(rig, "x").data)
    data["streams"][0]["delay_ms"] = "${DELAY:20}"
    data["publish"] = {"hwm": "${HWM:5}"}
    jsonschema.validate(data, schema)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(colour=1),
        lambda d: d["streams"][0].update(delay=1),
        lambda d: d["streams"][0]["device"].update(type="benhc"),
        lambda d: d["streams"][0]["device"].update(rate=1),
        lambda d: d["encoder"].update(worker=1),
        lambda d: d.update(encoders={}),
        lambda d: d.pop("rig"),
    ],
)
def test_what_does_not_load_does_not_fit(schema, rig, change):
    data = copy.deepcopy(parse_document(rig, "x").data)
    change(data)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)


def test_every_key_of_a_stream_is_described(schema):
    for key, value in schema["$defs"]["StreamConfig"]["properties"].items():
        assert value.get("description") or "$ref" in value, key
