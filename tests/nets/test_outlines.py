"""Outlines: a soft jaw gets a clear edge where it is, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from facefill.arrays import MIRRORED
from facefill.nets.hints import blur
from facefill.nets.outlines import crispness, sharpen_outlines

SKIN = torch.tensor([0.5, 0.1, -0.1])[:, None]
POINTS = torch.tensor([[[100.0, 100.0], [156.0, 100.0], [128.0, 136.0], [104.0, 164.0], [152.0, 164.0]]])


def soft_face() -> tuple[torch.Tensor, torch.Tensor]:
    """A face from column 16 to 47 before a darker wall, with a dark line for a mouth; all but the first rows is
    missing, and soft."""
    small = (SKIN - 1.0)[None, :, :, None].expand(1, 3, 64, 64).clone()
    small[..., 16:48] = SKIN[None, :, :, None]
    small[..., 41, 27:38] = 0.0
    share = torch.ones(1, 1, 64, 64)
    share[:, :, :20] = 0
    return torch.lerp(small, blur(small, 2.0), share), share


def test_a_soft_jaw_gets_a_clear_outline_where_it_is() -> None:
    small, share = soft_face()
    clear = sharpen_outlines(small, share, POINTS)
    row, before = clear[0, 0, 50], small[0, 0, 50]
    middle = SKIN[0, 0] - 0.5

    assert row.diff()[:32].max() > 1.4 * before.diff()[:32].max()
    assert torch.equal(row > middle, before > middle)
    assert clear.max() <= small.max()
    assert clear.min() >= small.min()
    assert torch.equal(clear[:, :, :20], small[:, :, :20])
    mouth = clear[..., 39:44, 27:38] - small[..., 39:44, 27:38]
    assert mouth.abs().max() < 0.02
    mirrored = torch.stack([255 - POINTS[..., 0], POINTS[..., 1]], -1)[:, list(MIRRORED)]
    torch.testing.assert_close(sharpen_outlines(small.flip(3), share, mirrored).flip(3), clear)


@pytest.mark.parametrize("tone", [0.0, 0.6])
def test_an_even_picture_stays_as_it_is(tone: float) -> None:
    small = torch.full((2, 3, 16, 32), tone)
    assert torch.allclose(sharpen_outlines(small, torch.ones(2, 1, 16, 32), POINTS.expand(2, 5, 2)), small, atol=1e-6)


def test_without_landmarks_the_middle_of_the_aligned_face_stays_and_its_outline_gets_clear() -> None:
    small, share = soft_face()
    clear = sharpen_outlines(small, share, torch.full((1, 5, 2), torch.nan))
    assert (clear - small)[..., 50, 12:20].abs().max() > 0.1
    assert (clear - small)[..., 39:44, 28:36].abs().max() < 0.02


def test_outlines_of_a_blurred_photo_stay() -> None:
    small, share = soft_face()
    small[:, :, :20] = blur(small, 4.0)[:, :, :20]
    assert crispness(small, share) == 0
    assert torch.allclose(sharpen_outlines(small, share, POINTS), small, atol=1e-6)
    small[:, :, :20] = 0.0
    small[:, :, :20, ::3] = 0.5
    assert crispness(small, share) == 1
    assert crispness(small, torch.ones_like(share)) == 0
