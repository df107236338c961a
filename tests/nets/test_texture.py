"""Texture: the hole gets as much grain as the skin around has, and sharper features without rims."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facefill.nets.texture import BESIDE, LEVEL, add_texture, sharp_places, smooth

SIDE = 256
UNKNOWN = torch.full((1, 2, 2), torch.nan)
SKIN, WALL = (0.5, 0.1, -0.1), (-0.6, -0.2, 0.6)


def face(levels: float, *, seed: int = 1) -> Tensor:
    """(1, 3, S, S), skin with that much grain in grey levels before a wall to the right."""
    picture = torch.tensor(SKIN)[:, None, None].repeat(1, SIDE, SIDE)
    picture = picture + levels * LEVEL * torch.randn((1, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    picture[:, :, 200:] = torch.tensor(WALL)[:, None, None]
    return picture[None]


def hole() -> Tensor:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 128:232, 60:240] = 1
    return mask


def textured(picture: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """The drawn picture with texture, and what that added."""
    mask = hole()
    image = picture * (1 - mask)
    small = F.avg_pool2d(torch.lerp(image, drawn, mask), 4)
    filled = add_texture(image, mask, small, drawn, sharp_places(mask, UNKNOWN))
    return filled, filled - drawn


@pytest.mark.parametrize("levels", [1.5, 4.0])
def test_the_hole_gets_the_grain_of_the_skin_and_the_wall_none(levels: float) -> None:
    filled, added = textured(face(levels), face(0.0))
    skin, wall = filled[0, 0, 140:220, 80:180], added[0, 0, 140:220, 212:230]
    assert 0.7 * levels < skin.std() / LEVEL < 1.2 * levels
    assert wall.std() < 0.05 * LEVEL
    assert (added[0, 0] - added[0, 1]).abs().max() < 1e-6


def test_smooth_skin_and_skin_with_edges_give_no_grain() -> None:
    assert textured(face(0.0), face(0.0))[1].abs().max() < 0.2 * LEVEL
    lines = face(0.0)
    lines[..., 40:120:32, :200] -= 0.3
    assert textured(lines, face(0.0))[1][..., 140:220, 80:180].std() < 0.5 * LEVEL


def test_a_hole_that_has_grain_gets_no_more() -> None:
    assert textured(face(3.0), face(3.0, seed=2))[1][..., 140:220, 80:180].std() < 2.0 * LEVEL


def test_soft_features_become_sharper_without_rims_and_not_at_the_holes_edge() -> None:
    soft = face(0.0)
    soft[..., 180:, :200] -= 0.4
    soft[..., 176:184, :200] = torch.linspace(0, -0.4, 8)[:, None] + torch.tensor(SKIN)[:, None, None]
    filled, added = textured(face(0.0), soft)
    inside, edge = filled[0, 0, 165:195, 128], added[0, 0, 165:195, 62]
    assert (inside[1:] - inside[:-1]).abs().max() > 1.1 * (
        soft[0, 0, 166:195, 128] - soft[0, 0, 165:194, 128]
    ).abs().max()
    assert inside.max() <= soft[0, 0, 165:195, 128].max() + 0.2 * LEVEL
    assert inside.min() >= soft[0, 0, 165:195, 128].min() - 0.2 * LEVEL
    assert edge.abs().max() < BESIDE * added[0, 0, 165:195, 128].abs().max()


def test_without_skin_to_measure_nothing_is_added_but_sharpness() -> None:
    everything = torch.ones(1, 1, SIDE, SIDE)
    drawn = face(0.0)
    small = F.avg_pool2d(drawn, 4)
    filled = add_texture(torch.zeros_like(drawn), everything, small, drawn, sharp_places(everything, UNKNOWN))
    assert (filled - drawn)[..., :190].abs().max() < 0.01 * LEVEL


def test_features_are_sharp_but_for_the_corners_of_the_mouth() -> None:
    sharp = sharp_places(hole(), torch.tensor([[[96.0, 180.0], [160.0, 180.0]]]))
    assert sharp[0, 0, 128, 128] > 0.99
    assert sharp[0, 0, 180, 96] < 0.35
    assert sharp[0, 0, 20, 20] == 0


def test_notches_are_smoothed_beside_features_and_combs_everywhere() -> None:
    everything = torch.ones(1, 1, SIDE, SIDE)
    sharp = sharp_places(everything, UNKNOWN)
    notches, comb = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1, 3, SIDE, SIDE)
    notches[..., ::4] = notches[..., 1::4] = comb[..., ::2] = 0.2
    done = smooth(notches, everything, sharp)
    inside, beside = (slice(120, 160), slice(110, 146)), (slice(60, 200), slice(8, 40))
    assert done[0, 0][beside].std() < 0.35 * notches[0, 0][beside].std()
    assert done[0, 0][inside].std() > 0.5 * notches[0, 0][inside].std()
    assert smooth(comb, everything, sharp)[0, 0][inside].std() < 0.2 * comb[0, 0][inside].std()
    torch.testing.assert_close(done[0, 0][beside].mean(), torch.tensor(0.1))


def test_what_is_smoothed_takes_nothing_from_beyond_the_hole() -> None:
    added, mask = torch.full((1, 3, SIDE, SIDE), 0.1), torch.zeros(1, 1, SIDE, SIDE)
    mask[..., :20] = 1
    added[..., 20:] = 0.9
    torch.testing.assert_close(smooth(added, mask, sharp_places(mask, UNKNOWN))[..., :20], added[..., :20])
