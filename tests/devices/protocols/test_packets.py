"""The scanner that all packets share, and how lost samples are told from damaged bytes."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocols.packets import MORE, NO_PACKET, PacketScanner, Spacing


def measure(buffer: bytes, at: int, joined: bool) -> int:
    """A toy protocol: `<`, length digit, so many bytes, and `>` as checksum."""
    if len(buffer) - at < 2:
        return MORE
    if not b"0" <= buffer[at + 1 : at + 2] <= b"9":
        return NO_PACKET
    size = buffer[at + 1] - 48 + 3
    if len(buffer) - at < size:
        return MORE
    return size if buffer[at + size - 1] == 0x3E else -size


def scan(*pieces: bytes) -> tuple[list[bytes], PacketScanner]:
    scanner = PacketScanner(b"<", measure)
    return [packet.data for piece in pieces for packet in scanner.feed(piece)], scanner


def test_a_packet_in_the_span_of_a_broken_one_is_found() -> None:
    packets, scanner = scan(b"<9ab<2xy>cd<1z>")
    assert packets == [b"<2xy>", b"<1z>"]
    assert scanner.bad_packets == 1
    assert scanner.bad_bytes == 6


def test_a_good_packet_is_taken_whole_whatever_stands_in_it() -> None:
    assert scan(b"<5<1x>y>")[0] == [b"<5<1x>y>"]


def test_markers_within_a_broken_packet_do_not_make_it_several() -> None:
    scanner = scan(b"<9<9<9<9____________<1z>")[1]
    assert scanner.bad_packets == 1


def test_what_lay_before_a_packet_is_told_with_it() -> None:
    scanner = PacketScanner(b"<", measure)
    first, second = scanner.feed(b"ab<1x!<1y><0>")
    assert (first.at, first.bad_bytes, first.bad_packets) == (6, 6, 1)
    assert (second.at, second.bad_bytes, second.bad_packets) == (10, 0, 0)


@given(st.text(alphabet="<>0123x", max_size=60), st.lists(st.integers(0, 60), max_size=6))
@settings(deadline=None)
def test_cuts_change_nothing_and_every_byte_is_accounted_for(text: str, cuts: list[int]) -> None:
    data = text.encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole, one = scan(data)
    pieces, other = scan(*(data[a:b] for a, b in itertools.pairwise(places)))
    assert whole == pieces
    assert (one.bad_bytes, one.bad_packets, one._held) == (other.bad_bytes, other.bad_packets, other._held)
    assert sum(map(len, whole)) + one.bad_bytes + len(one._held) == one.n_bytes == len(data)
    one.reset()
    assert sum(map(len, whole)) + one.bad_bytes == one.n_bytes


def test_damage_is_counted_in_samples_by_the_bytes_that_one_takes() -> None:
    spacing = Spacing()
    assert [spacing.sample(at) for at in (0, 44, 88)] == [0, 0, 0]
    spacing.damage(1)
    # A broken packet of something else: the sample came where it was due.
    assert spacing.sample(132) == 0
    spacing.damage(0)
    assert spacing.sample(220) == 1
    spacing.damage(7)
    # Three cycles and a half-lost fourth.
    assert spacing.sample(220 + 44 * 3 + 30) == 3
    spacing.lose()
    assert spacing.sample(426) == 1


def test_before_the_spacing_is_known_broken_packets_are_counted() -> None:
    spacing = Spacing()
    spacing.damage(2)
    assert spacing.sample(100) == 2
    spacing.reset()
    assert spacing.sample(500) == 0
