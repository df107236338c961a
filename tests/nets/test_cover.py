"""The cover network: it learns, it scores by intersection over union, and it is a player like any other."""

from __future__ import annotations

import torch

from facefill.nets.cover import CoverConfig, CoverNet
from facefill.nets.layers import UNet


def small() -> CoverNet:
    torch.manual_seed(0)
    return CoverNet(CoverConfig(widths=(8, 8, 16), bottom_dilations=(1,)))


def example() -> dict[str, torch.Tensor]:
    mask = torch.zeros(4, 1, 32, 32)
    for index in range(3):
        mask[index, :, 8 * index : 8 * index + 14, 6:20] = 1
    worn = torch.rand((4, 3, 32, 32), generator=torch.Generator().manual_seed(1)) - mask
    return {"worn": worn, "mask": mask}


def test_it_learns_what_is_covered() -> None:
    net, batch = small(), example()
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    before = net.score(batch).mean()
    for _ in range(60):
        loss = torch.stack(list(net.losses("generator", batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert net.score(batch).mean() > max(0.8, float(before))


def test_iou_by_hand() -> None:
    net = small()
    found = torch.zeros(3, 1, 4, 4)
    found[0, :, :2] = 1
    found[1, :, :, 0] = 1
    mask = torch.zeros(3, 1, 4, 4)
    mask[0, :, :1] = 1
    net.forward = lambda **inputs: found  # type: ignore[method-assign]
    assert torch.allclose(net.score({"worn": found, "mask": mask}), torch.tensor([0.5, 0.0, 1.0]), atol=1e-5)


def test_probabilities_at_any_multiple_of_the_stride() -> None:
    net = small()
    covered = net(worn=torch.zeros(1, 3, 16, 48))
    assert covered.shape == (1, 1, 16, 48)
    assert 0 <= covered.min() <= covered.max() <= 1
    assert list(net.players) == ["generator"]


def test_blocks_of_four_pixels_are_decided_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    net = UNet(3, 1, (8, 8), (1,), block=4)
    result = net(torch.rand(2, 3, 24, 40))
    assert result.shape == (2, 1, 24, 40)
    assert (result[:, :, ::4, ::4] != result[:, :, 1::4, ::4]).all()
    assert net.stem.in_channels == 48
