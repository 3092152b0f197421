"""Whether an encoder keeps up: arithmetic on measured seconds, and the remedies named."""

from __future__ import annotations

import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from stream_bind.config import EncoderConfig, Lane
from stream_bind.config.pace import HEADROOM, load_factor, pace_warning, pace_warnings, seconds_per_clip

S = 1_000_000_000


def lane(stream: str, modality: str, hop_s: float) -> Lane:
    return Lane(stream, "ib", modality, 2 * S, round(hop_s * S), None, 0.5, "drop_oldest", 16, 1 << 20)


def encoder(size: Any = "huge", device: str = "cpu", **pipeline: Any) -> EncoderConfig:
    return EncoderConfig(model="imagebind", settings=SimpleNamespace(size=size, device=device), **pipeline)


def test_the_load_is_the_sum_over_lanes_shared_by_the_workers():
    lanes = [lane("cam", "vision", 0.5), lane("mic", "audio", 1.0)]
    assert load_factor(lanes, {"vision": 2.0, "audio": 0.5}, 1) == pytest.approx(4.5)
    assert load_factor(lanes, {"vision": 2.0, "audio": 0.5}, 3) == pytest.approx(1.5)


def test_the_published_size_on_a_cpu_does_not_keep_up_with_two_vision_windows_a_second():
    (line,) = pace_warnings({"ib": encoder()}, [lane("cam", "vision", 0.5)])
    assert line.startswith("encoders.ib: cannot keep up")
    assert "size: small" in line
    assert "num_gpus" in line


def test_small_light_or_on_a_gpu_there_is_no_warning():
    vision, depth = [lane("cam", "vision", 0.5)], [lane("d", "depth", 0.5)]
    assert not pace_warnings({"ib": encoder("small")}, vision)
    assert not pace_warnings({"ib": encoder(device="cuda")}, vision)
    assert not pace_warnings({"ib": encoder(device="auto", num_gpus=0.5)}, vision)
    assert not pace_warnings({"ib": encoder()}, depth)


def test_no_claim_is_made_about_what_was_not_measured():
    assert seconds_per_clip(encoder(), "vision") == pytest.approx(2.48)
    assert seconds_per_clip(encoder("small"), "vision") is None
    assert seconds_per_clip(encoder(device="cuda:1"), "vision") is None


def test_the_hop_named_for_the_heavy_stream_would_do_and_lines_up_with_the_others():
    lanes = [lane("cam", "vision", 0.5), lane("mic", "audio", 0.5), lane("imu", "imu", 2.5)]
    seconds = {"vision": 2.48, "audio": 0.22, "imu": 0.054}
    line = pace_warning("ib", encoder(), lanes, seconds, "here")
    assert line is not None
    found = re.search(r"hop_s: ([\d.]+) for 'cam' alone", line)
    assert found
    hop_s = float(found.group(1))
    mended = [lane("cam", "vision", hop_s), *lanes[1:]]
    assert load_factor(mended, seconds, 1) <= HEADROOM
    hops = sorted(one.hop_ns for one in mended)
    assert all(large % small == 0 for small, large in pairwise(hops))


def test_more_workers_keep_up():
    lanes = [lane("cam", "vision", 3.0)]
    assert pace_warning("ib", encoder(), lanes, {"vision": 3.0}, "here")
    assert pace_warning("ib", encoder(workers=2), lanes, {"vision": 3.0}, "here") is None


def test_a_model_of_other_dimensions_is_not_told_to_be_smaller():
    own = encoder(size={"out_embed_dim": 128})
    line = pace_warning("ib", own, [lane("cam", "vision", 0.5)], {"vision": 2.0}, "here")
    assert line is not None
    assert "size: small" not in line
