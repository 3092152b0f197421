"""Bodies as cameras write them, whole, byte by byte, with junk, and with headers that lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.protocols.multipart import MOST_BYTES, BodyError, Dechunker, MultipartDecoder, Part

JPEGS = [b"\xff\xd8" + bytes([k]) * (40 + k) + b"\r\n--x\n\xff\xd9" for k in range(3)]


def body(
    boundary: bytes = b"frame", *, length: int | None = 0, eol: bytes = b"\r\n", lead: bytes = b"", tail: bytes = b""
) -> bytes:
    """Three pictures; length: what is added to the true Content-Length, None: no such header."""
    out = lead
    for jpeg in JPEGS:
        out += b"--" + boundary + eol + b"Content-Type: image/jpeg" + eol
        if length is not None:
            out += b"Content-Length: %d" % (len(jpeg) + length) + eol
        out += eol + jpeg + eol
    return out + tail


def decode(data: bytes, step: int | None = None) -> list[Part]:
    decoder = MultipartDecoder()
    step = step or len(data)
    return [part for at in range(0, len(data), step) for part in decoder.feed(data[at : at + step])]


NEXT = b"--frame\r\n"
KINDS = {
    "with_length": body(),
    "without_length": body(length=None, tail=NEXT),
    "lf_only": body(eol=b"\n", length=None, tail=b"--frame\n"),
    "boundary_with_dashes": body(b"--my-boundary"),
    "blank_lines_first": body(lead=b"\r\n\r\n"),
    "a_comment_first": body(lead=b": keep-alive\r\nhello\r\n"),
    "closed": body(length=None, tail=b"--frame--\r\n"),
    "length_too_short": body(length=-9, tail=NEXT),
    "length_too_long": body(length=30, tail=NEXT + b"Content-Type: image/jpeg\r\nContent-Length: 5\r\n\r\n123"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [None, 1, 7])
def test_every_way_of_writing_gives_the_same_pictures(kind: str, step: int | None) -> None:
    parts = decode(KINDS[kind], step)
    assert [part.body for part in parts] == JPEGS
    assert all(part.is_jpeg for part in parts)
    assert all(KINDS[kind][part.at : part.at + 2] == b"\xff\xd8" for part in parts), "the body's own place"


def test_with_a_length_a_picture_does_not_wait_for_the_next() -> None:
    data = body()
    end = data.index(JPEGS[0]) + len(JPEGS[0])
    decoder = MultipartDecoder()
    assert decoder.feed(data[: end - 1]) == []
    assert len(decoder.feed(data[end - 1 : end])) == 1


def test_parts_that_are_no_picture_are_told_apart_and_empty_ones_left_out() -> None:
    lead = b"--frame\r\nContent-Type: text/plain\r\n\r\nalive\r\n--frame\r\nContent-Length: 0\r\n\r\n\r\n"
    parts = decode(body(lead=lead))
    assert [part.is_jpeg for part in parts] == [False, True, True, True]
    assert parts[0].headers == {"content-type": "text/plain"}


def test_headers_are_found_whatever_their_case() -> None:
    data = b"--b\r\nX-TimeStamp:  12.5 \r\ncontent-LENGTH: 4\r\n\r\n\xff\xd8\xff\xd9"
    (part,) = decode(data)
    assert part.headers["x-timestamp"] == "12.5"


def test_the_closing_boundary_ends_it() -> None:
    decoder = MultipartDecoder()
    decoder.feed(KINDS["closed"])
    assert decoder.ended
    assert decoder.feed(body()) == []


def test_what_never_ends_is_given_up() -> None:
    decoder = MultipartDecoder()
    decoder.feed(NEXT + b"\r\n")
    with pytest.raises(BodyError, match="without a boundary"):
        decoder.feed(bytes(MOST_BYTES + 1))
    with pytest.raises(BodyError, match="no boundary in the first"):
        MultipartDecoder().feed(b"<html>" * 4000)
    with pytest.raises(BodyError, match="headers"):
        MultipartDecoder().feed(b"--b\r\n" + b"x: y\r\n" * 4000)


@given(junk=st.binary(max_size=300), cut=st.integers(1, 80), step=st.integers(1, 50))
def test_after_junk_and_a_cut_picture_the_next_ones_are_found(junk: bytes, cut: int, step: int) -> None:
    parts = decode(body(length=None) + junk + b"\r\n" + body()[:cut] + b"\r\n" + body(), step)
    assert [part.body for part in parts[-3:]] == JPEGS


@given(junk=st.binary(max_size=500), step=st.integers(1, 60))
def test_any_bytes_are_survived(junk: bytes, step: int) -> None:
    decode(b"--b\r\n\r\n" + junk, step)


def chunked(data: bytes, size: int) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%X;note=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@given(data=st.binary(min_size=1, max_size=400), size=st.integers(1, 90), step=st.integers(1, 90))
def test_chunks_are_taken_off_however_they_arrive(data: bytes, size: int, step: int) -> None:
    sent, dechunker = chunked(data, size), Dechunker()
    assert b"".join(dechunker.feed(sent[at : at + step]) for at in range(0, len(sent), step)) == data
    assert dechunker.ended


@pytest.mark.parametrize("bad", [b"picture\r\n", b"-4\r\nabcd\r\n", b"ffffffff\r\n", b"1" * 20000])
def test_a_length_that_is_none_is_an_error(bad: bytes) -> None:
    with pytest.raises(BodyError):
        Dechunker().feed(bad)
