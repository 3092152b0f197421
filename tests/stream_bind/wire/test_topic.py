"""Topics: names to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.errors import WireError
from stream_bind.wire.topic import (
    Topic,
    check_id,
    embedding_topic,
    event_topic,
    heartbeat_topic,
    meta_topic,
    parse_topic,
)

ids = st.from_regex(r"[a-z0-9_.-]{1,64}", fullmatch=True)


@given(ids, ids, ids)
def test_topics_are_read_back(rig, stream, encoder):
    assert parse_topic(embedding_topic(rig, stream, encoder)) == Topic("emb", rig, stream, encoder)
    assert parse_topic(event_topic(rig, stream)) == Topic("evt", rig, stream)
    assert parse_topic(heartbeat_topic(rig)) == Topic("hb", rig)
    assert parse_topic(meta_topic(rig)) == Topic("meta", rig)


def test_one_stream_is_no_prefix_of_another():
    assert not embedding_topic("r", "cam10", "ib").startswith(embedding_topic("r", "cam1", "ib"))


@pytest.mark.parametrize("value", ["", "a/b", "Cam", "cam 1", "käm", "a" * 65, "a\n"])
def test_what_cannot_stand_in_a_topic_is_no_id(value):
    with pytest.raises(WireError, match="stream"):
        check_id("stream", value)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_topic_or_a_wire_error(raw):
    try:
        parse_topic(raw)
    except WireError:
        pass
