"""The cover network: it learns kinds, leaves out what does not count, and is a player like any other."""

from __future__ import annotations

import torch

from facefill.nets.cover import BESIDE, IGNORED, KINDS, THIN, UNKNOWN, CoverConfig, CoverNet, weights_of
from facefill.nets.layers import UNet


def small() -> CoverNet:
    torch.manual_seed(0)
    return CoverNet(CoverConfig(widths=(8, 8, 16), bottom_dilations=(1,), passed=2, fine_dilations=(1,)))


def example() -> dict[str, torch.Tensor]:
    kinds = torch.zeros(4, 32, 32, dtype=torch.uint8)
    worn = torch.rand((4, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    for index in range(3):
        kinds[index, 8 * index : 8 * index + 14, 6:20] = index + 1
        worn[index, index][kinds[index] > 0] = -1
    return {"worn": worn, "kinds": kinds}


def learn(net: CoverNet, batch: dict[str, torch.Tensor], steps: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(steps):
        loss = torch.stack(list(net.losses("generator", batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_it_learns_what_is_covered_and_by_what() -> None:
    net, batch = small(), example()
    before = net.score(batch).mean()
    learn(net, batch, 80)
    assert net.score(batch).mean() > max(0.8, float(before))
    said = net(worn=batch["worn"])
    for index in range(3):
        inside = batch["kinds"][index] == index + 1
        assert (said[index].argmax(0)[inside] == index).float().mean() > 0.8


def test_a_cover_of_an_unknown_kind_teaches_that_something_covers() -> None:
    net, batch = small(), example()
    batch["kinds"] = torch.where(batch["kinds"] > 0, UNKNOWN, 0).to(torch.uint8)
    learn(net, batch, 80)
    assert net.score(batch).mean() > 0.8


def test_pixels_that_do_not_count_change_neither_loss_nor_score() -> None:
    net, batch = small(), example()
    batch["kinds"][:, :, 16:] = IGNORED
    losses, score = net.losses("generator", batch), net.score(batch)
    whole = torch.where(batch["kinds"] == IGNORED, 0, batch["kinds"])
    assert net.losses("generator", {**batch, "kinds": whole})["entropy"] != losses["entropy"]
    found = net(worn=batch["worn"]).sum(1) > 0.5
    counts = batch["kinds"] != IGNORED
    mask = (batch["kinds"] > 0) & counts
    both, either = (found & mask).sum((1, 2)), ((found & counts) | mask).sum((1, 2))
    assert torch.allclose(score, (both + 1e-6) / (either + 1e-6))


def test_iou_by_hand() -> None:
    net = small()
    found = torch.zeros(3, KINDS, 4, 4)
    found[0, 0, :2] = 1
    found[1, 1, :, 0] = 1
    kinds = torch.zeros(3, 4, 4, dtype=torch.uint8)
    kinds[0, :1] = 2
    net.forward = lambda **inputs: found  # type: ignore[method-assign]
    assert torch.allclose(net.score({"worn": found, "kinds": kinds}), torch.tensor([0.5, 0.0, 1.0]), atol=1e-5)


def test_probabilities_at_any_multiple_of_the_stride() -> None:
    net = small()
    covered = net(worn=torch.zeros(1, 3, 16, 48))
    assert covered.shape == (1, KINDS, 16, 48)
    assert 0 <= covered.min() <= covered.sum(1).max() <= 1
    assert list(net.players) == ["generator"]


def test_blocks_of_four_pixels_are_decided_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    net = UNet(3, 1, (8, 8), (1,), block=4)
    result = net(torch.rand(2, 3, 24, 40))
    assert result.shape == (2, 1, 24, 40)
    assert (result[:, :, ::4, ::4] != result[:, :, 1::4, ::4]).all()
    assert net.stem.in_channels == 48


def test_straps_and_what_lies_beside_them_count_more() -> None:
    kinds = torch.zeros(1, 64, 64, dtype=torch.uint8)
    kinds[0, 20:50, 10:40] = 1
    kinds[0, 30:34, 40:60] = 1
    kinds[0, :, :4] = IGNORED
    weights = weights_of(kinds)[0]
    assert (weights[30:34, 44:60] == 1 + THIN).all()
    assert (weights[27:30, 44:60] == 1 + BESIDE).all()
    assert (weights[26:44, 12:30] == 1).all()
    assert (weights[:, :4] == 1).all()
    assert (weights[:16, 44:] == 1).all()


def test_a_strap_that_is_missed_costs_more_than_as_many_pixels_of_an_edge() -> None:
    net, costs = small(), []
    strap, edge = torch.zeros(1, 64, 64, dtype=torch.uint8), torch.zeros(1, 64, 64, dtype=torch.uint8)
    strap[0, 20:50, 10:40] = edge[0, 20:50, 10:40] = 1
    strap[0, 30:33, 40:50] = 1
    edge[0, 20:50, 40] = 1
    for kinds in (strap, edge):
        batch = {"worn": torch.zeros(1, 3, 64, 64), "kinds": kinds}
        costs.append(float(net.losses("generator", batch)["entropy"].detach()))
    assert costs[0] > 1.02 * costs[1]
