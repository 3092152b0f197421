"""The codec: golden bytes, round trips, and nothing but WireError from whatever comes in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.errors import WireError
from stream_bind.messages import ClockInfo, Embedding, Event
from stream_bind.wire.message import (
    Announcement,
    Heartbeat,
    Lane,
    compare,
    decode,
    decode_header,
    encode_announcement,
    encode_embedding,
    encode_event,
    encode_heartbeat,
)

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "data" / "wire_v1.hex"
SECOND = 1_000_000_000
T_END = 1_790_000_000 * SECOND

EMBEDDING = Embedding(
    rig="headset",
    stream="cam",
    encoder="ib",
    modality="vision",
    window=3_580_000_000,
    t_start=T_END - 2 * SECOND,
    t_end=T_END,
    vector=np.array([0.5, -0.5, 0.5, -0.5], np.float32),
    model="tiny@0123abcd",
    coverage=0.75,
    status="gap",
    gaps=((T_END - SECOND, T_END - SECOND // 2),),
    scale=1.0,
    trained=False,
    seq=7,
    epoch=T_END - 60 * SECOND,
    t_pub=T_END + 40_000_000,
    clock=ClockInfo("kernel", 1_000_000),
)
EVENT = Event(
    rig="headset",
    stream="cam",
    encoder="ib",
    reason="low_coverage",
    detail="12 of 60 frames",
    window=3_580_000_001,
    to_window=3_580_000_002,
    t_start=T_END - 3 * SECOND // 2,
    t_end=T_END + SECOND // 2,
    coverage=0.2,
    seq=0,
    epoch=T_END - 60 * SECOND,
    t_pub=T_END + 540_000_000,
)
HEARTBEAT = Heartbeat(
    rig="headset",
    epoch=T_END - 60 * SECOND,
    t_pub=T_END + SECOND,
    last={"emb/headset/cam/ib/": 7, "evt/headset/cam/": 0},
)
LANE = Lane(
    stream="cam",
    encoder="ib",
    modality="vision",
    topic="emb/headset/cam/ib/",
    hop_ns=SECOND // 2,
    length_ns=2 * SECOND,
    first_window=3_579_999_890,
    model="tiny@0123abcd",
    dim=4,
    trained=False,
)
META = Announcement(
    rig="headset",
    epoch=T_END - 60 * SECOND,
    t_pub=T_END + SECOND,
    version="stream-bind 0.1.0",
    last=HEARTBEAT.last,
    streams=[LANE],
)
MESSAGES = {
    "emb <f4": (EMBEDDING, lambda: encode_embedding(EMBEDDING)),
    "emb <f2": (EMBEDDING, lambda: encode_embedding(EMBEDDING, "<f2")),
    "evt": (EVENT, lambda: encode_event(EVENT)),
    "hb": (HEARTBEAT, lambda: encode_heartbeat(HEARTBEAT)),
    "meta": (META, lambda: encode_announcement(META)),
}


def golden() -> dict[str, list[bytes]]:
    """The committed messages: a name line, then one line of hex for each frame ("-" for an empty one)."""
    messages: dict[str, list[bytes]] = {}
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("# ") or not line:
            continue
        if line.startswith("@"):
            frames = messages[line[1:].strip()] = []
        else:
            frames.append(b"" if line == "-" else bytes.fromhex(line))
    return messages


def same(a, b) -> bool:
    if not isinstance(a, Embedding):
        return a == b
    fields = [field.name for field in dataclasses.fields(a) if field.name != "vector"]
    return all(getattr(a, name) == getattr(b, name) for name in fields) and np.array_equal(a.vector, b.vector)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_golden_messages_are_written_byte_for_byte(name):
    assert MESSAGES[name][1]() == golden()[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_golden_messages_are_read_back(name):
    assert same(decode(golden()[name]), MESSAGES[name][0])


def test_the_worked_example_of_the_protocol_document_is_the_golden_message():
    document = (ROOT / "docs" / "protocol.md").read_text()
    example = document.split("<!-- golden -->")[1]
    # Lines of the example: hex bytes, two spaces, explanation.
    shown = bytearray()
    for line in example.split("```")[1].splitlines()[1:]:
        shown += bytes.fromhex(line.split("  ")[0])
    assert bytes(shown) == b"".join(golden()["emb <f4"])


ids = st.text("abcxyz0189_.-", min_size=1, max_size=20)
int64 = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**63 - 1)


@st.composite
def embeddings(draw):
    vector = np.array(draw(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=64)), np.float64)
    vector[0] += 3.0
    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Embedding(
        rig=draw(ids),
        stream=draw(ids),
        encoder=draw(ids),
        modality=draw(st.sampled_from(["vision", "audio", "imu"])),
        window=draw(int64),
        t_start=draw(int64),
        t_end=draw(int64),
        vector=vector,
        model=draw(st.text(max_size=20)),
        coverage=draw(st.floats(0, 1)),
        status=draw(st.sampled_from(["ok", "gap"])),
        gaps=tuple(draw(st.lists(st.tuples(int64, int64), max_size=5))),
        scale=draw(st.floats(allow_nan=False)),
        trained=draw(st.booleans()),
        seq=draw(counts),
        epoch=draw(int64),
        t_pub=draw(int64),
        clock=ClockInfo(draw(st.text(max_size=10)), draw(int64)),
        timing=draw(st.dictionaries(st.sampled_from(["closed", "sent", "encoded"]), int64)),
    )


@settings(deadline=None)
@given(embeddings())
def test_an_embedding_comes_back_as_it_went(embedding):
    assert same(decode(encode_embedding(embedding)), embedding)


@settings(deadline=None)
@given(embeddings())
def test_half_precision_keeps_a_vector_to_a_thousandth(embedding):
    frames = encode_embedding(embedding, "<f2")
    assert len(frames[2]) == 2 * len(embedding.vector)
    back = decode(frames)
    assert back.vector.dtype == np.float32
    np.testing.assert_allclose(back.vector, embedding.vector, atol=2**-11)


@given(
    st.builds(
        Event,
        rig=ids,
        stream=ids,
        encoder=st.one_of(st.just(""), ids),
        reason=st.sampled_from(["outage", "late"]),
        detail=st.text(max_size=200).filter(lambda text: text.isascii()),
        window=st.one_of(st.none(), st.integers(-5, 5)),
        to_window=st.one_of(st.none(), st.integers(6, 9)),
        t_start=int64,
        t_end=int64,
        coverage=st.floats(0, 1),
        seq=counts,
        epoch=int64,
        t_pub=int64,
    ).filter(lambda event: event.window is not None or event.to_window is None)
)
def test_an_event_comes_back_as_it_went(event):
    assert decode(encode_event(event)) == event


def test_a_vector_is_handed_over_without_a_copy_and_cannot_be_changed():
    frames = encode_embedding(EMBEDDING)
    vector = decode(frames).vector
    assert np.shares_memory(vector, np.frombuffer(frames[2], np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1


def test_numpy_integers_are_written_as_integers():
    embedding = dataclasses.replace(EMBEDDING, window=np.int64(5), t_end=np.int64(T_END))
    assert decode(encode_embedding(embedding)).window == 5


def test_the_header_is_given_out_with_keys_this_version_does_not_know():
    topic, header, payload = encode_embedding(EMBEDDING)
    fields = msgspec.msgpack.decode(header) | {"later": [1, {"x": 2}]}
    frames = [topic, msgspec.msgpack.encode(fields), payload, b"a frame of a later version"]
    assert same(decode(frames), EMBEDDING)
    assert decode_header(frames)["later"] == [1, {"x": 2}]


def test_labels_are_left_to_a_later_version():
    assert decode([b"tag/headset/cam/", b"\x80", b""]) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "wire version 2, this reader knows 1"),
        ({"v": None}, "wire version None"),
        ({"rig": "other"}, "not what the topic says"),
        ({"stream": "other"}, "not what the topic says"),
        ({"encoder": "other"}, "not what the topic says"),
        ({"kind": "evt"}, "does not follow wire version 1"),
        ({"dim": 5}, r"payload should be 20 bytes \(5 x <f4\), found 16"),
        ({"dim": 0}, "does not follow"),
        ({"dtype": ">f4"}, "does not follow"),
        ({"crc32": 1}, "payload is damaged: CRC-32 should be 00000001"),
        ({"coverage": 1.5}, "does not follow"),
        ({"coverage": float("nan")}, "does not follow"),
        ({"seq": -1}, "does not follow"),
        ({"t_end": 2**64 - 1}, "does not follow"),
        ({"gaps": [[1]]}, "does not follow"),
    ],
)
def test_a_wrong_header_is_refused_with_its_reason(change, says):
    topic, header, payload = encode_embedding(EMBEDDING)
    fields = msgspec.msgpack.decode(header) | change
    with pytest.raises(WireError, match=says):
        decode([topic, msgspec.msgpack.encode(fields), payload])


@pytest.mark.parametrize("missing", sorted(msgspec.msgpack.decode(encode_embedding(EMBEDDING)[1])))
def test_no_key_of_a_vector_may_be_missing(missing):
    topic, header, payload = encode_embedding(EMBEDDING)
    fields = msgspec.msgpack.decode(header)
    del fields[missing]
    with pytest.raises(WireError):
        decode([topic, msgspec.msgpack.encode(fields), payload])


def test_one_flipped_bit_in_a_vector_is_found():
    topic, header, payload = encode_embedding(EMBEDDING)
    damaged = bytearray(payload)
    damaged[5] ^= 0x10
    with pytest.raises(WireError, match="damaged"):
        decode([topic, header, bytes(damaged)])


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"emb/headset/cam/ib/"],
        [b"emb/headset/cam/ib/", b"", b""],
        [b"emb/headset/cam/ib/", b"\x91" * 100_000, b""],
        [b"emb/headset/cam/ib/", b"\x81\xa1x" + b"\x91" * 100_000, b""],
        [b"emb/headset/cam/ib/", b"\xdf\xff\xff\xff\xff", b""],
        [b"emb/headset/cam/ib/", b"\x81\xa1v\xa2\xff\xfe", b""],
        [b"emb/headset/cam/", b"\x80", b""],
        [b"emb/Headset/cam/ib/", b"\x80", b""],
        [b"emb/\xff/cam/ib/", b"\x80", b""],
        [b"", b"", b""],
        [b"~x", b"\x80", b""],
    ],
)
def test_junk_is_refused_in_a_sentence(frames):
    with pytest.raises(WireError) as caught:
        decode(frames)
    assert len(str(caught.value)) < 400


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_random_frames_raise_nothing_but_wire_errors(frames):
    try:
        decode(frames)
    except WireError:
        pass


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_damaged_frames_raise_nothing_but_wire_errors(name, data):
    frames = [bytearray(frame) for frame in MESSAGES[name][1]()]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = frames[data.draw(st.integers(0, 2))]
        at = data.draw(st.integers(0, len(frame)))
        match data.draw(st.sampled_from(["cut", "flip", "insert", "delete"])):
            case "cut":
                del frame[at:]
            case "flip" if at < len(frame):
                frame[at] = data.draw(st.integers(0, 255))
            case "insert":
                frame[at:at] = data.draw(st.binary(max_size=8))
            case _:
                del frame[at : at + 1]
    try:
        decode([bytes(frame) for frame in frames])
    except WireError:
        pass


@pytest.mark.parametrize(
    "vector",
    [np.zeros(4), np.full(4, np.nan), np.array([np.inf, 0, 0]), np.ones(4), np.ones((1, 1)), np.ones(0)],
    ids=["zero", "nan", "inf", "long", "two axes", "empty"],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_is_no_unit_vector_is_not_sent(vector):
    with pytest.raises(WireError, match="emb/headset/cam/ib/"):
        encode_embedding(dataclasses.replace(EMBEDDING, vector=vector.astype(np.float32)))


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "Not one word"},
        {"reason": ""},
        {"stream": "a/b"},
        {"window": None, "to_window": 3},
        {"window": 3, "to_window": 3},
    ],
)
def test_an_event_that_says_nothing_sensible_is_not_sent(change):
    with pytest.raises(WireError):
        encode_event(dataclasses.replace(EVENT, **change))


def test_a_detail_with_bytes_that_are_no_text_is_still_sent():
    event = dataclasses.replace(EVENT, detail=b"/tmp/\xff.mp4".decode("utf-8", "surrogateescape") + "x" * 5000)
    assert decode(encode_event(event)).detail.startswith("/tmp/\\udcff.mp4")


def test_vectors_compare_within_one_model_only():
    other = dataclasses.replace(EMBEDDING, stream="mic", vector=-EMBEDDING.vector)
    assert compare(EMBEDDING, EMBEDDING) == pytest.approx(1)
    assert compare(EMBEDDING, other) == pytest.approx(-1)
    with pytest.raises(WireError, match="same model"):
        compare(EMBEDDING, dataclasses.replace(other, model="tiny@ffff"))
    with pytest.raises(WireError, match="model unknown"):
        compare(dataclasses.replace(EMBEDDING, model=""), dataclasses.replace(other, model=""))
    with pytest.raises(WireError, match="sizes differ"):
        compare(EMBEDDING, dataclasses.replace(other, vector=np.ones(1, np.float32)))
