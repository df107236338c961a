"""Building blocks of contextual_attention's networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from facefill.nets.coarse_to_fine import UpConv, crop_around
from facefill.nets.losses import distance_to_known


def test_twice_is_an_enlargement_and_a_convolution() -> None:
    torch.manual_seed(0)
    layer, x = UpConv(3, 5), torch.randn(2, 3, 7, 9)
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.97])
def test_distances_are_those_of_scipy(share: float) -> None:
    mask = (torch.rand((3, 1, 40, 50), generator=torch.Generator().manual_seed(1)) < share).float()
    expected = np.stack([distance_transform_edt(one)[None] for one in mask[:, 0].numpy()])
    np.testing.assert_allclose(distance_to_known(mask).numpy(), expected, atol=1e-5)


def test_distances_where_columns_or_everything_is_missing() -> None:
    mask = torch.ones(2, 1, 8, 8)
    mask[0, :, :, 3] = 0
    distance = distance_to_known(mask)
    assert distance[0, 0, 0].tolist() == [3, 2, 1, 0, 1, 2, 3, 4]
    assert (distance[1] == 16).all()


def numbered(side: int) -> torch.Tensor:
    return torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side).expand(-1, 3, -1, -1)


@pytest.mark.parametrize(
    ("box", "corner"), [((8, 8, 16, 16), (4, 4)), ((0, 20, 6, 31), (0, 16)), ((2, 2, 17, 5), (1, 0))]
)
def test_the_local_crop_is_a_square_of_half_the_side_around_the_hole(
    box: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    x0, y0, x1, y1 = box
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, y0:y1, x0:x1] = 1
    (crop,) = crop_around(mask, [numbered(32)])
    left, top = corner
    torch.testing.assert_close(crop, numbered(32)[:, :, top : top + 16, left : left + 16], atol=1e-2, rtol=0)


def test_a_wider_hole_is_taken_whole() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, 10, 1:31] = 1
    (crop,) = crop_around(mask, [mask])
    assert crop.shape == (1, 1, 16, 16)
    assert float(crop.sum()) > 5
