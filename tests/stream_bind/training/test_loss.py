"""The contrastive loss against its definition."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from stream_bind.training.loss import MAX_SCALE, Temperature, info_nce, overlapping, same


def units(n: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_it_is_the_mean_of_both_directions_negative_log_probabilities() -> None:
    left, right = units(5, 0), units(5, 1)
    logits = 10.0 * left @ right.T
    expected = 0.0
    for i in range(5):
        expected -= float(logits[i, i] - logits[i].logsumexp(0)) / 10
        expected -= float(logits[i, i] - logits[:, i].logsumexp(0)) / 10
    assert math.isclose(float(info_nce(left, right, 10.0)), expected, rel_tol=1e-5)


def test_what_is_no_negative_does_not_count_and_the_partner_always_does() -> None:
    left, right = units(4, 0), units(4, 1)
    excluded = torch.zeros(4, 4, dtype=torch.bool)
    excluded[0, 1] = excluded[1, 0] = True
    before = info_nce(left, right, 10.0, excluded)
    moved = right.clone()
    moved[1] = left[0]  # a perfect match of what row 0 must not be pushed from
    only_rows = 10.0 * left @ moved.T
    only_rows = only_rows.masked_fill(excluded, -math.inf)
    wanted = torch.arange(4)
    expected = (F.cross_entropy(only_rows, wanted) + F.cross_entropy(only_rows.T, wanted)) / 2
    assert torch.isclose(info_nce(left, moved, 10.0, excluded), expected)
    assert torch.isfinite(before)
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert float(info_nce(left, right, 10.0, everything)) == 0.0


def test_overlap_is_within_one_source_and_half_open() -> None:
    source = torch.tensor([0, 0, 0, 1])
    start, end = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 3, 4, 2])
    found = overlapping(source, start, end)
    assert found.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [False, True, True, False],
        [False, False, False, True],
    ]


def test_equal_keys_are_the_same_but_unknown_ones_are_not() -> None:
    assert same(torch.tensor([1, 1, -1, -1])).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_the_temperature_begins_where_it_is_told_and_never_passes_a_hundred() -> None:
    temperature = Temperature(0.07)
    assert math.isclose(float(temperature().detach()), 1 / 0.07, rel_tol=1e-5)
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    assert math.isclose(float(temperature().detach()), MAX_SCALE, rel_tol=1e-5)
    temperature.clamp()
    temperature().backward()
    assert temperature.log_scale.grad is not None
    assert float(temperature.log_scale.grad) > 0
