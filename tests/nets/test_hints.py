"""Where landmarks are, what kind of mouth a face has, and which a hidden one gets."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from facefill.nets.hints import (
    TURNS,
    USUAL,
    blur,
    choose_mouth,
    heat_maps,
    kind_of,
    move_mouth,
    see_mouth,
    share_of_turns,
    side_of_turn,
    tellable,
)

POINTS = torch.tensor([[[96.0, 110], [160, 110], [128, 140], [104, 170], [152, 170]]])
"""A face of 256 px, its mouth 48 px wide around (128, 170)."""


def face(mouth: tuple[float, float, float]) -> Tensor:
    """A grey small picture (1, 3, 64, 64) with a mouth of that colour."""
    small = torch.zeros(1, 3, 64, 64)
    small[:, :, 41:46, 28:37] = torch.tensor(mouth)[:, None, None]
    return small


def turned(beside: float) -> Tensor:
    """The face with its nose so far to the right, over the distance of its eyes."""
    points = POINTS.clone()
    points[0, 2, 0] += 64 * beside
    return points


def test_a_heat_map_is_one_at_its_landmark_and_half_two_pixels_of_the_small_picture_away() -> None:
    point = torch.tensor([[[4 * 5 + 1.5, 4 * 9 + 1.5]]])
    heat = heat_maps(point.expand(1, 5, 2), torch.zeros(1, 1, 16, 16))
    assert heat.shape == (1, 5, 16, 16)
    assert heat[0, 0, 9, 5] == 1
    assert float(heat[0, 0, 9, 7]) == pytest.approx(0.6065, abs=1e-4)  # one standard deviation
    assert heat.flatten(2).argmax(-1).eq(9 * 16 + 5).all()


def test_noise_moves_the_corners_of_the_mouth_alone_and_none_moves_nothing() -> None:
    points = torch.tensor([[[40.0, 50], [80, 50], [60, 70], [50, 90], [70, 90]]])
    noise = torch.zeros(1, 1, 64, 64)
    assert torch.equal(move_mouth(points, noise), points)
    noise[0, 0, 0, 0] = 1
    expected = points + torch.tensor([[[0.0, 0], [0, 0], [0, 0], [-1.6, -0.8], [1.6, -0.8]]])  # wider, and up: a smile
    torch.testing.assert_close(move_mouth(points, noise), expected)
    assert move_mouth(points * torch.nan, noise).isnan().all()


def test_a_mouth_is_measured_beside_the_skin_in_standard_deviations() -> None:
    measured = see_mouth(face((0.2, -0.1, -0.1)), POINTS)[0]
    luma = 0.299 * 0.2 - 0.701 * 0.1
    expected = [(value - mean) / spread for value, (mean, spread) in zip([luma, 0.2 - luma], USUAL, strict=True)]
    assert measured.tolist() == pytest.approx(expected, abs=0.05)
    torch.testing.assert_close(see_mouth(face((0.2, -0.1, -0.1)) + 0.1, POINTS)[0, 0], measured[0], atol=0.5, rtol=0)


@pytest.mark.parametrize(
    ("mouth", "kind"),
    [
        ((-0.1, -0.4, -0.4), [1, 0, 0]),  # lips
        ((0.2, 0.2, 0.25), [0, 1, 0]),  # teeth
        ((-0.65, -0.55, -0.5), [0, 0, 1]),
        ((-0.05, -0.05, -0.1), [0, 0, 0]),
    ],
)
def test_mouths_are_closed_smile_or_are_open_and_some_are_between(
    mouth: tuple[float, float, float], kind: list[int]
) -> None:
    assert kind_of(face(mouth), POINTS).tolist() == [kind]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], [1, 1]),
        ([(27, 40)], [1, 0]),  # one eye: the other is to be like it
        ([(42, 38)], [0, 1]),  # a corner of the mouth
        ([(49, 32)], [1, 1]),
    ],
)
def test_a_part_that_is_half_seen_has_its_own_looks(seen: list[tuple[int, int]], expected: list[int]) -> None:
    hidden = torch.ones(1, 1, 64, 64)
    for y, x in seen:
        hidden[..., y - 2 : y + 3, x - 2 : x + 3] = 0
    assert tellable(POINTS, hidden).tolist() == [expected]
    assert tellable(POINTS * torch.nan, hidden).tolist() == [[0, 0]]


@pytest.mark.parametrize(("beside", "mouth"), [(0.48, 1), (-0.48, 1), (0.52, 0), (-0.52, 0)])
def test_nothing_is_told_of_the_mouth_of_a_profile(beside: float, mouth: int) -> None:
    assert side_of_turn(turned(beside)).tolist() == pytest.approx([beside])
    assert tellable(turned(beside), torch.ones(1, 1, 64, 64)).tolist() == [[mouth, 1]]


def test_a_turn_is_shared_between_the_two_that_are_nearest() -> None:
    for beside, expected in (
        (0.0, [1, 0, 0]),
        (TURNS[1], [0, 1, 0]),
        (-(TURNS[0] + TURNS[1]) / 2, [0.5, 0.5, 0]),
        ((TURNS[1] + TURNS[2]) / 2, [0, 0.5, 0.5]),
        (-0.9, [0, 0, 1]),
    ):
        assert share_of_turns(turned(beside))[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_noise_chooses_among_all_mouths_and_mostly_one() -> None:
    thrown = choose_mouth(torch.randn(1000, 1, 1, 5, generator=torch.Generator().manual_seed(0)))
    shares = thrown.argmax(1).bincount(minlength=3) / 1000
    assert shares.min() > 0.25
    assert thrown.amax(1).median() > 0.9
    torch.testing.assert_close(thrown.sum(1), torch.ones(1000))


def test_a_blur_is_scipys() -> None:
    picture = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(picture.numpy(), (0, 0, 1.5, 1.5), mode="nearest", radius=(0, 0, 4, 4))
    torch.testing.assert_close(blur(picture, 1.5), torch.from_numpy(expected))
