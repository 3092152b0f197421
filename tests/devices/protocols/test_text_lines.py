"""The text line decoder: whole, byte by byte, with junk around, cut, and at random."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocols.text_lines import TextLines, TextRows

COLUMNS = ["counter", "-", "accel_x", "accel_y"]
GOOD = b"boot\n1,x,0.5,-9.81\r\n2,y,1e-3,4\n3,z,.25,7\n"
WANTED = [[1, 0.5, -9.81], [2, 0.001, 4], [3, 0.25, 7]]


def feed_in_pieces(decoder: TextLines, data: bytes, size: int) -> TextRows:
    rows = [decoder.feed(data[i : i + size]) for i in range(0, len(data), size)]
    return TextRows(np.concatenate([r.values for r in rows]), np.concatenate([r.bad_before for r in rows]))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_decode_the_same_however_the_bytes_arrive(size: int) -> None:
    decoder = TextLines(COLUMNS)
    assert decoder.names == ("counter", "accel_x", "accel_y")
    rows = feed_in_pieces(decoder, GOOD, size)
    assert rows.values.tolist() == WANTED
    assert decoder.bad_lines == 0
    assert decoder.n_bytes == len(GOOD)


def test_the_first_piece_of_a_line_is_never_taken_for_a_line() -> None:
    """`123,...` cut to `23,...` would be a wrong sample."""
    decoder = TextLines(COLUMNS)
    assert decoder.feed(b"3,x,0.5,-9.81\n4,x,1,2\n").values.tolist() == [[4, 1, 2]]


@pytest.mark.parametrize(
    "line", [b"1,x,nan,2", b"1,x,1_0,2", b"1,x,2", b"1,x,2,3,4", b"\xff\x00\x81,,,", b"1,x,inf,2", b"garbage"]
)
def test_unreadable_lines_are_counted_and_marked_at_the_next_row(line: bytes) -> None:
    decoder = TextLines(COLUMNS)
    rows = decoder.feed(b"\n1,x,1,1\n" + line + b"\n2,x,2,2\n")
    assert rows.values[:, 0].tolist() == [1, 2]
    assert rows.bad_before.tolist() == [0, 1]
    assert decoder.bad_lines == 1


def test_bad_lines_count_towards_the_row_of_a_later_feed() -> None:
    decoder = TextLines(COLUMNS)
    assert len(decoder.feed(b"\njunk\n")) == 0
    assert decoder.feed(b"2,x,2,2\n").bad_before.tolist() == [1]


def test_bytes_without_any_line_end_do_not_pile_up() -> None:
    decoder = TextLines(COLUMNS, max_line=100)
    for _ in range(50):
        decoder.feed(b"\x55" * 90)
    assert len(decoder._held) <= 100
    assert decoder.bad_lines > 0
    assert decoder.feed(b"\n1,x,1,1\n").values.tolist() == [[1, 1, 1]]


def test_lines_of_others_are_passed_over_by_the_prefix() -> None:
    decoder = TextLines(["accel_x"], prefix="IMU,")
    rows = decoder.feed(b"\ndebug: hello\nIMU,1.5\n# 3\nIMU,x\nIMU,2\n")
    assert rows.values.tolist() == [[1.5], [2.0]]
    assert decoder.bad_lines == 1


def test_blanks_separate_where_the_delimiter_is_blank() -> None:
    assert TextLines(["a", "b"], delimiter=" ").feed(b"\n 1   2\t\n").values.tolist() == [[1, 2]]


def test_json_lines_give_their_keys() -> None:
    decoder = TextLines(["t", "ax"], line_format="json")
    rows = decoder.feed(b'\n{"ax": 1, "t": 5, "more": "x"}\n{"ax": "1", "t": 2}\n[1]\n{"ax": true, "t": 1}\n{"t": 1}\n')
    assert rows.values.tolist() == [[5, 1]]
    assert decoder.bad_lines == 4


@given(st.binary(max_size=400), st.integers(1, 50), st.sampled_from(["csv", "json"]))
@settings(deadline=None)
def test_no_bytes_make_it_fail_or_lose_the_lines_that_follow(junk: bytes, size: int, kind: str) -> None:
    decoder = TextLines(["a", "b"], line_format=kind)  # type: ignore[arg-type]
    line = b"1.5,2" if kind == "csv" else json.dumps({"a": 1.5, "b": 2}).encode()
    rows = feed_in_pieces(decoder, junk + b"\n" + line + b"\n" + line + b"\n", size)
    assert rows.values[-2:].tolist() == [[1.5, 2.0]] * 2
    assert np.isfinite(rows.values).all()


@given(st.binary(max_size=200), st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None)
def test_the_cut_of_the_bytes_changes_nothing(data: bytes, one: int, other: int) -> None:
    data = data.replace(b"\x07", b"\n1,2\n")
    a, b = TextLines(["a", "b"]), TextLines(["a", "b"])
    first, second = feed_in_pieces(a, data + b"\n", one), feed_in_pieces(b, data + b"\n", other)
    assert first.values.tolist() == second.values.tolist()
    assert first.bad_before.tolist() == second.bad_before.tolist()
    assert a.bad_lines == b.bad_lines
