"""Critics: what they score, how scores become a loss, and that all a critic is shown moves together."""

from __future__ import annotations

import math

import pytest
import torch

from facefill.nets.critics import CONTRAST, ResidualCritic, move_and_tone, relative_loss, sum_over_maps


def test_a_critic_scores_patches_at_an_eighth_and_a_sixteenth() -> None:
    scores = ResidualCritic(5, (8, 8, 8, 8))(torch.zeros(2, 5, 64, 32))
    assert [tuple(at.shape) for at in scores] == [(2, 1, 8, 4), (2, 1, 4, 2)]


def test_patches_count_by_their_share_of_the_hole() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :4] = 1
    mask[0, :, 4:, :2] = 1  # half of the lower left patch
    scores = torch.tensor([[[[1.0, 2], [8, 100]]], [[[1.0, 2], [8, 100]]]])
    wanted = [(1 + 2 + 0.5 * 8) / 2.5, 0]  # of a picture without a hole nothing
    assert sum_over_maps([scores], mask).tolist() == pytest.approx(wanted)
    assert sum_over_maps([scores, scores], mask).tolist() == pytest.approx([2 * value for value in wanted])


def test_the_relative_loss_of_known_scores() -> None:
    mask, low = torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 4, 4)
    assert float(relative_loss([low, low], [low, low], mask)) == pytest.approx(2 * math.log(2))
    high = low + torch.tensor([2.0, 0])[:, None, None, None]
    assert float(relative_loss([high], [low], mask)) == pytest.approx((math.log1p(math.exp(-2)) + math.log(2)) / 2)


def test_a_patch_is_compared_with_the_same_patch_of_the_truth() -> None:
    mask, better, worse = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    better[..., 0, 0], worse[..., 0, 1] = 8, 8  # the same mean
    assert float(relative_loss([better], [worse], mask)) > float(relative_loss([better], [better], mask)) + 1


def test_what_a_critic_is_shown_moves_together_and_only_pictures_change_their_tone() -> None:
    plane = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    seeds = torch.tensor([4, 5, 4])
    (one, other), told = move_and_tone([plane.expand(3, 3, 48, 48), -plane.expand(3, 3, 48, 48)], plane, seeds)
    tone = (one + other) / 2  # what was added, the same to both
    torch.testing.assert_close(tone, tone.mean((2, 3), keepdim=True).expand_as(tone))
    factor = ((one - other) / 2) / told.clamp_min(1e-6)
    assert (factor - 1).abs().max() <= CONTRAST + 1e-4
    torch.testing.assert_close(factor, factor.mean((1, 2, 3), keepdim=True).expand_as(factor), rtol=1e-3, atol=1e-3)
    assert not torch.equal(told[0], plane[0])
    assert not torch.equal(told[0], told[1])
    again = move_and_tone([plane.expand(3, 3, 48, 48)], plane[[2, 1, 0]], seeds)[1]
    assert torch.equal(again[2], told[0])  # by its seed, whatever else is in the batch
