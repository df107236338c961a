"""What is mended in the small picture: dark corners of the mouth, blots in it, halos before even walls."""

from __future__ import annotations

import pytest
import torch

from facefill.nets.mending import dim_halos, fade_blots, fade_corners

SKIN, WALL = torch.tensor([0.5, 0.1, -0.1])[:, None], torch.tensor([0.3, 0.35, 0.45])[:, None]


def test_dark_spots_at_hidden_corners_of_the_mouth_fade_and_less_where_it_smiles() -> None:
    small, share = torch.full((2, 3, 32, 32), 0.4), torch.ones(2, 1, 32, 32)
    small[0, :, 18:23, 13:20] = 0.0  # lips
    small[1, :, 18:23, 13:20] = 0.6  # teeth
    for x, y in ((10, 20), (22, 20), (8, 8)):
        small[..., y, x] = -0.2
    corners = torch.tensor([[[42.0, 82.0], [90.0, 82.0]]]).expand(2, 2, 2)
    more = fade_corners(small, share, corners) - small
    (closed, beside), (smiling, _) = more[:, 0, 20, [10, 22]].tolist()
    assert closed == pytest.approx(beside, abs=1e-6)
    assert 0.25 < closed < 0.4  # still a corner
    assert 0.1 < smiling < closed / 1.8
    elsewhere = torch.ones(32, 32, dtype=torch.bool)
    elsewhere[16:25, 6:15] = elsewhere[16:25, 18:27] = False
    assert more[..., elsewhere].abs().max() < 5e-3
    assert (more >= 0).all()
    assert torch.equal(fade_corners(small, 0 * share, corners), small)
    assert torch.equal(fade_corners(small, share, torch.full((2, 2, 2), torch.nan)), small)


def test_a_blot_in_a_mouth_fades_and_the_line_of_lips_stays() -> None:
    small, share = torch.full((1, 3, 64, 64), 0.4), torch.ones(1, 1, 64, 64)
    small[..., 44, 24:41] = 0.1  # the line
    small[..., 43:46, 26:29] = -0.3
    corners = torch.tensor([[[97.0, 177.0], [161.0, 177.0]]])
    more = (fade_blots(small, share, corners) - small)[0, 0]
    assert more[44, 27] > 0.15
    assert more[44, 30:36].abs().max() < 0.05
    assert more[:30].abs().max() < 1e-3
    assert torch.equal(fade_blots(small, 0 * share, corners), small)


def before_a_wall(levels: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A face before a wall, and missing pixels: between them lies what is brighter than the wall, by so many levels."""
    small, share = WALL[..., None].repeat(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    small[..., 18:46] = SKIN[..., None]
    share[..., 20:, 12:52] = 1
    small[..., 30:50, 14:18] += levels / 127.5
    return small, share


def test_halos_before_an_even_wall_are_dimmed_and_the_face_is_not() -> None:
    small, share = before_a_wall(20)
    less = (small - dim_halos(small, share)) * 127.5
    assert less[..., 32:48, 14:16].mean() > 14
    assert less[..., 20:44].abs().max() < 0.5
    assert (less * (1 - share)).abs().max() == 0


def test_before_an_uneven_wall_nothing_is_dimmed() -> None:
    small, share = before_a_wall(20)
    small[..., :12] += 1.2 * (torch.rand((64, 12), generator=torch.Generator().manual_seed(1)) - 0.8)
    assert (small - dim_halos(small, share)).abs().max() * 127.5 < 2
