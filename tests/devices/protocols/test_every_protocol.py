"""What every decoder promises, on what its fake sensor sends: whole, in pieces, in junk, cut, flipped, lost, twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocols.base import ImuDecoder
from stream_bind.messages import IMU_AXES

N = 6
STARTS = st.integers(0, 4000)
CUTS = st.lists(st.integers(0, 2000), max_size=20)
QUIET = 3000
"""Zeros that end whatever a false header claims; no protocol has a packet of zeros."""


def stream_of(case: Any, indices: list[int]) -> tuple[bytes, list[tuple[int, int]]]:
    """The bytes of these samples, and where each lies."""
    packets = [case.packet(i) for i in indices]
    ends = np.cumsum([len(packet) for packet in packets]).tolist()
    return b"".join(packets), [(end - len(packet), end) for packet, end in zip(packets, ends, strict=True)]


def found(case: Any, samples: Any) -> list[int]:
    """The index of every sample that came out, by all its values; -1 for one that no sensor sent."""
    indices = []
    for row in case.values(samples):
        unit = case.wanted(1)[0] - case.wanted(0)[0]
        i = round(float((row[0] - case.wanted(0)[0]) / unit)) if np.isfinite(row[0]) and abs(row[0]) < 1e9 else -1
        right = 0 <= i < 5000 and np.allclose(row, case.wanted(i), rtol=1e-6, atol=case.tolerance)
        indices.append(i if right else -1)
    return indices


def recoverable(case: Any, data: bytes, spans: list[tuple[int, int]]) -> list[int]:
    """Which of the samples at these places must be found: those that nothing false with a right checksum overlaps."""
    inside = {start for start, _ in spans}
    true = (
        [(s, e) for s, e in case.spans(data) if any(a <= s and e <= b for a, b in spans)] if case.parts > 1 else spans
    )
    false = [(s, e) for s, e in case.spans(data) if (s, e) not in set(true) and not (case.parts == 1 and s in inside)]
    return [k for k, (a, b) in enumerate(spans) if not any(s < b and e > a for s, e in false)]


def test_a_decoder_keeps_the_contract(case: Any) -> None:
    decoder = case.make()
    assert decoder.expects
    assert {"bytes", "packets", "bad_packets", "bad_bytes"} <= set(decoder.counters)
    if not hasattr(decoder, "axes"):
        return
    assert isinstance(decoder, ImuDecoder)
    assert decoder.axes == tuple(axis for axis in IMU_AXES if axis in decoder.axes)
    assert (decoder.tick_hz is None) == (case.tick is None)
    nothing = decoder.feed(b"")
    assert len(nothing) == 0
    assert nothing.values.shape == (0, len(decoder.axes))


def test_a_clean_stream_is_decoded_to_the_last_number(case: Any, in_pieces: Callable[..., Any]) -> None:
    data, _ = stream_of(case, list(range(40)))
    decoder = case.make()
    # A text line ends before the next begins; Bluetooth frames after nothing wait for the next.
    lead = b"\n" if case.name in {"csv", "json"} else b""
    samples = in_pieces(decoder, lead + data)
    assert found(case, samples) == list(range(40))
    assert samples.bad_before.tolist() == [0] * 40
    if case.tick:
        assert samples.ticks.tolist() == [case.tick(i) for i in range(40)]
        assert decoder.tick_modulus is None or samples.ticks.max() < decoder.tick_modulus
    if case.count:
        assert samples.counts.tolist() == [case.count(i) for i in range(40)]
        assert samples.counts.max() < decoder.count_modulus
    counters = decoder.counters
    assert counters["bytes"] == len(lead + data)
    assert counters["bad_packets"] == 0
    assert counters["bad_bytes"] == len(lead)


@given(start=STARTS, cuts=CUTS, junk=st.binary(max_size=80))
@settings(max_examples=40, deadline=None)
def test_however_the_bytes_are_cut_the_same_comes_out(
    case: Any, in_pieces: Callable[..., Any], start: int, cuts: list[int], junk: bytes
) -> None:
    data, _ = stream_of(case, list(range(start, start + N)))
    data = junk + data + junk + case.packet(start) + bytes(30)
    whole_decoder, cut_decoder, slow_decoder = case.make(), case.make(), case.make()
    whole = in_pieces(whole_decoder, data)
    for decoder, pieces in (
        (cut_decoder, in_pieces(cut_decoder, data, cuts=cuts)),
        (slow_decoder, in_pieces(slow_decoder, data, size=1)),
    ):
        for name, value in vars(whole).items():
            other = getattr(pieces, name)
            assert (other is None and value is None) or np.array_equal(other, value), name
        assert decoder.counters == whole_decoder.counters


def check_recovery(
    case: Any, in_pieces: Callable[..., Any], data: bytes, spans: list[tuple[int, int]], indices: list[int]
) -> None:
    """Everything that is whole and not hidden comes out, in order, and of protocols with a checksum nothing false."""
    data += bytes(QUIET)
    decoder = case.make()
    samples = in_pieces(decoder, data, size=700)
    out = [i for i in found(case, samples) if i >= 0]
    must = [indices[k] for k in recoverable(case, data, spans)]
    if case.name == "witmotion_ble":
        # Without a checksum a frame is believed by what follows it.
        must = [i for i, (_, end) in zip(indices, spans, strict=True) if i in must and data[end : end + 2] == b"Ua"]
    left = iter(out)
    assert all(i in left for i in must), (must, out)
    assert decoder.counters["bytes"] == len(data)


@given(start=STARTS, heads=st.lists(st.tuples(STARTS, st.floats(0, 0.999)), max_size=6), between=st.binary(max_size=3))
@settings(max_examples=60, deadline=None)
def test_packets_inside_the_span_that_a_false_header_claims_are_found(
    case: Any, in_pieces: Callable[..., Any], start: int, heads: list[tuple[int, float]], between: bytes
) -> None:
    """Junk made of packets' beginnings: each claims a length that reaches over the good packets behind it."""
    parts, spans, indices, at = [], [], list(range(start, start + N)), 0
    for k, i in enumerate(indices):
        for other, keep in heads[k::2]:
            head = case.packet(other)[: int(keep * len(case.packet(other)))] + between
            parts.append(head)
            at += len(head)
        packet = case.packet(i)
        parts.append(packet)
        spans.append((at, at + len(packet)))
        at += len(packet)
    check_recovery(case, in_pieces, b"".join(parts), spans, indices)


@given(start=STARTS, before=st.binary(max_size=300), after=st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_junk_on_both_sides_costs_no_sample(
    case: Any, in_pieces: Callable[..., Any], start: int, before: bytes, after: bytes
) -> None:
    indices = list(range(start, start + N))
    data, spans = stream_of(case, indices)
    spans = [(a + len(before), b + len(before)) for a, b in spans]
    check_recovery(case, in_pieces, before + data + after, spans, indices)


@given(start=STARTS, which=st.integers(0, N - 1), keep=st.floats(0, 0.999))
@settings(max_examples=40, deadline=None)
def test_a_cut_packet_costs_itself_only(
    case: Any, in_pieces: Callable[..., Any], start: int, which: int, keep: float
) -> None:
    indices = list(range(start, start + N))
    packets = [case.packet(i) for i in indices]
    packets[which] = packets[which][: int(keep * len(packets[which]))]
    ends = np.cumsum([len(packet) for packet in packets]).tolist()
    spans = [(end - len(packet), end) for packet, end in zip(packets, ends, strict=True)]
    rest = [k for k in range(N) if k != which]
    check_recovery(case, in_pieces, b"".join(packets), [spans[k] for k in rest], [indices[k] for k in rest])


@given(start=STARTS, which=st.integers(0, N - 1), where=st.floats(0, 0.9999), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_costs_its_packet_only_and_makes_nothing_false(
    case: Any, in_pieces: Callable[..., Any], start: int, which: int, where: float, bit: int
) -> None:
    indices = list(range(start, start + N))
    data, spans = stream_of(case, indices)
    a, b = spans[which]
    at = a + int(where * (b - a))
    data = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    rest = [k for k in range(N) if k != which]
    check_recovery(case, in_pieces, data, [spans[k] for k in rest], [indices[k] for k in rest])
    if case.checked:
        # One flipped bit is what every checksum here is sure to see.
        out = found(case, case.make().feed(data + bytes(QUIET)))
        assert set(out) <= set(indices)


@given(start=STARTS, at=st.floats(0, 1), n_lost=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_lost_bytes_cost_the_packets_they_were_of(
    case: Any, in_pieces: Callable[..., Any], start: int, at: float, n_lost: int
) -> None:
    indices = list(range(start, start + N))
    data, spans = stream_of(case, indices)
    cut = int(at * len(data))
    end = min(cut + n_lost, len(data))
    whole = [k for k, (a, b) in enumerate(spans) if b <= cut or a >= end]
    moved = [spans[k] if spans[k][1] <= cut else (spans[k][0] - end + cut, spans[k][1] - end + cut) for k in whole]
    check_recovery(case, in_pieces, data[:cut] + data[end:], moved, [indices[k] for k in whole])


def test_doubled_packets_come_out_twice_for_the_clock_to_judge(case: Any, in_pieces: Callable[..., Any]) -> None:
    data, _ = stream_of(case, [1, 2, 2, 3])
    samples = in_pieces(case.make(), b"\n" + data + case.packet(4))
    assert found(case, samples) == [1, 2, 2, 3, 4]
    if case.count:
        assert samples.counts[1] in {samples.counts[2], samples.counts[2] - 1}


def test_a_lost_sample_is_marked_at_the_next_one(case: Any, in_pieces: Callable[..., Any]) -> None:
    packets = [bytearray(case.packet(i)) for i in range(12)]
    for lost in (5, 8, 9):
        text = case.name in {"csv", "json"}
        packets[lost][:] = packets[lost].replace(b".", b"?") if text else bytes(len(packets[lost]))
    samples = in_pieces(case.make(), b"\n" + b"".join(packets) + case.packet(12))
    out = found(case, samples)
    told = dict(zip(out, samples.bad_before.tolist(), strict=True))
    assert {i: told[i] for i in told if i > 2 and told[i]} == {6: 1, 10: 2}


def test_a_new_connection_begins_with_a_new_packet(case: Any, in_pieces: Callable[..., Any]) -> None:
    decoder = case.make()
    data, _ = stream_of(case, [1, 2, 3])
    half = len(data) - len(case.packet(3)) // 2
    first = found(case, decoder.feed(b"\n" + data[:half]))
    decoder.reset()
    held_over = found(case, decoder.feed(data[half:] + b"\n" + stream_of(case, [4, 5, 6])[0]))
    assert first in ([1, 2], [1])
    assert [i for i in held_over if i >= 0] in ([4, 5, 6], [5, 6])
    n_bytes = decoder.counters["bytes"]
    decoder.reset()
    assert decoder.counters["bytes"] == n_bytes


def held_bytes(decoder: Any) -> int:
    scanner = getattr(decoder, "_scanner", None) or decoder._lines
    return len(scanner._held)


def test_a_million_random_bytes_hide_and_invent_next_to_nothing(
    case: Any, record_property: Callable[..., None]
) -> None:
    """10**6 seeded random bytes in 400 stretches among 1200 samples; what checksums allow is computed, not guessed."""
    rng = np.random.default_rng(20251)
    n_bursts = 400
    weights = rng.exponential(size=n_bursts)
    lengths = np.floor(weights / weights.sum() * 1_000_000).astype(int)
    lengths[0] += 1_000_000 - lengths.sum()
    parts: list[bytes] = []
    spans: list[tuple[int, int]] = []
    indices: list[int] = []
    at = 0
    for burst, length in enumerate(lengths.tolist()):
        parts.append(rng.integers(0, 256, length, dtype=np.uint8).tobytes())
        at += length
        for i in range(3 * burst, 3 * burst + 3):
            packet = case.packet(i)
            parts.append(packet)
            spans.append((at, at + len(packet)))
            indices.append(i)
            at += len(packet)
    data = b"".join(parts) + bytes(QUIET)

    decoder = case.make()
    began_s = time.process_time()
    out: list[int] = []
    most_held = 0
    for start in range(0, len(data), 997):
        out += found(case, decoder.feed(data[start : start + 997]))
        most_held = max(most_held, held_bytes(decoder))
    took_s = time.process_time() - began_s
    record_property("bytes_per_cpu_s", round(len(data) / took_s))

    must = [indices[k] for k in recoverable(case, data, spans)]
    n_hidden = len(indices) - len(must)
    if case.name == "witmotion_ble":
        # The last frame of a burst is believed at once, the others by what follows.
        must = [i for i in must if i % 3 < 2]
    true = [i for i in out if i >= 0]
    assert true == sorted(set(true))
    assert not set(must) - set(true)
    # Wherever markers and checksums allow it: 2**-20 of the bytes at worst (WitMotion), each hiding a few samples.
    assert n_hidden <= 12
    n_false = len(out) - len(true)
    chance = getattr(decoder, "false_accept", 0.0)
    # Poisson with this mean exceeds it once in a million runs; of the seed's one run it is a fact. Frames without a
    # checksum may be continued by chance after each burst too: 400 times 2**-15.
    assert n_false <= 1_000_000 * chance + 400 * 2.0**-15 * (not case.checked) + 3
    assert most_held <= case.longest
    assert decoder.counters["bytes"] == len(data)
    assert took_s < 60, "2 to 10 s are usual with the test's own work"


def test_a_receiver_of_another_kind_makes_no_motion(case: Any, real: Callable[[str], Path]) -> None:
    """u-blox UBX: binary, with markers and checksums of its own, and text (NMEA) between."""
    for name in ("serial/ublox_SF-calibration.ubx", "serial/ublox_ESF.ubx"):
        decoder = case.make()
        data = real(name).read_bytes()
        assert len(decoder.feed(data)) == 0
        assert decoder.counters["bytes"] == len(data)


PATTERNS = (
    *(b"\x55", b"\xaa", b"\xfa", b"\xfa\xff", b"\xfe", b"\xfd", b"\x5a\x5a\x02\x06", b"$VN", b"\n", b"\xff", b"\0"),
    *(b"\x55\x51", b"\xfa\x01\xff\x0f", b"\xfa\xff\x36\xff\x07\xff", b"[", b"\xfd\xff\0\0\0\0\0\x69\0\0"),
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_markers_and_nothing_else_are_worked_off_in_bounded_time(case: Any, pattern: bytes) -> None:
    decoder = case.make()
    data = pattern * (100_000 // len(pattern))
    began_s = time.process_time()
    for start in range(0, len(data), 4096):
        decoder.feed(data[start : start + 4096])
    assert time.process_time() - began_s < 20
    assert held_bytes(decoder) <= max(case.longest, len(pattern))
    decoder.feed(bytes(QUIET))
    lead = b"\n" if case.name in {"csv", "json"} else b""
    assert found(case, decoder.feed(lead + stream_of(case, [1, 2, 3, 4])[0]))[-2:] == [3, 4]
