"""MLX90640 over serial: frame, commands, and frames that were cut."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from devices.protocols.mlx90640 import EIGHT_HZ, FOUR_HZ, SAVE, START, Mlx90640Decoder


def test_commands_are_the_bytes_that_public_drivers_send() -> None:
    assert bytes.fromhex("A53502DC") == START
    assert bytes.fromhex("A52501CB") == FOUR_HZ
    assert bytes.fromhex("A52504CE") == EIGHT_HZ
    assert bytes.fromhex("A55602FD") == SAVE


def test_a_frame_is_24_rows_of_32_hundredths_of_a_degree(encode: SimpleNamespace) -> None:
    pixels = np.arange(768, dtype=np.int16) * 10 - 4000
    frames = Mlx90640Decoder().feed(encode.mlx(pixels, -512))
    assert frames.images.dtype == np.int16
    assert frames.images.shape == (1, 24, 32)
    assert frames.images[0, 1, 0] == pixels[32]
    assert frames.images[0, 23, 31] == 3670
    assert frames.ambient.tolist() == [-512]
    assert len(frames) == 1


def test_frames_own_their_memory_and_may_be_written_to(encode: SimpleNamespace) -> None:
    frames = Mlx90640Decoder().feed(encode.mlx(np.zeros(768), 0))
    frames.images[0, 0, 0] = 7
    assert frames.images.flags.owndata or frames.images.base is not None


def test_a_frame_that_lost_bytes_is_dropped_and_the_next_one_marked(encode: SimpleNamespace) -> None:
    frames = [encode.mlx(np.full(768, i), 0) for i in range(5)]
    decoder = Mlx90640Decoder()
    out = decoder.feed(frames[0] + frames[1] + frames[2][:700] + frames[3] + frames[4])
    assert out.images[:, 0, 0].tolist() == [0, 1, 3, 4]
    assert out.bad_before.tolist() == [0, 0, 1, 0]
    assert decoder.counters["bad_packets"] == 1
    assert decoder.counters["bad_bytes"] == 700
