"""The context encoder: its latent vector is all that passes, it trains at every size of the paper, on any pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facefill.arrays import Bool
from facefill.methods.context_encoder import ContextEncoder, ContextEncoderConfig, Unit
from facefill.training.distributed import free_only

SMALL = (8, 8, 8, 8, 8, 8)


def build(**settings: object) -> ContextEncoder:
    torch.manual_seed(0)
    return ContextEncoder(ContextEncoderConfig.model_validate({"widths": SMALL, **settings}))


def batch_of(truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
    return {"truth": truth, "mask": mask, "image": torch.where(mask > 0.5, -1.0, truth)}


def streets(count: int, side: int, seed: int = 0) -> Tensor:
    """Pictures without a face: sky, a row of houses with windows, a road."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((count, side, side, 3), np.float32)
    for picture in pictures:
        picture[: side // 2] = rng.uniform(0.5, 1, 3)
        picture[side // 2 :] = rng.uniform(0.2, 0.4)
        for left in range(0, side, side // 4):
            top = int(rng.integers(side // 8, side // 3))
            picture[top : 3 * side // 4, left : left + side // 4 - 2] = rng.uniform(0.2, 0.9, 3)
            picture[top + 6 : 3 * side // 4 : 10, left + 3 : left + side // 4 - 5 : 6] = 0.1
    return torch.from_numpy(pictures * 2 - 1).permute(0, 3, 1, 2)


def streaks(side: int, rng: np.random.Generator) -> Bool:
    """Rain: thin slanted lines over a fifth of the picture."""
    mask = np.zeros((side, side), bool)
    while mask.mean() < 0.2:
        x, y, length = rng.uniform(-10, side), rng.uniform(-20, side), rng.uniform(10, 40)
        along = np.arange(length)
        columns, rows = (x + 0.3 * along).astype(int), (y + along).astype(int)
        inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
        mask[rows[inside], columns[inside]] = True
    return mask


def learn(method: ContextEncoder, batch: dict[str, Tensor], steps: int) -> list[float]:
    optimizers = {name: torch.optim.Adam(player.parameters(), 2e-3) for name, player in method.players.items()}
    totals = []
    for _ in range(steps):
        for name, player in method.players.items():
            free_only(method, player)
            loss = torch.stack(list(method.losses(name, batch).values())).sum()
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
        totals.append(float(loss.detach()))
    return totals


def test_nothing_passes_but_the_latent_vector() -> None:
    method = build(bottleneck=3)
    image = streets(1, 128)
    latent = method.generator.encode(image)  # type: ignore[operator]
    assert latent.shape == (1, 48)
    filled = method.generator.decoder(latent.view(1, 3, 4, 4))  # type: ignore[operator]
    assert torch.equal(filled, method(image=image))


def test_the_critic_moves_first_and_units_are_as_written() -> None:
    method = build()
    assert list(method.players) == ["critic", "generator"]
    for part, pools in ((method.generator.encoder, 5), (method.generator.decoder, 0), (method.critic, 5)):
        units = [module for module in part if isinstance(module, Unit)]
        assert len(units) == 6
        for unit in units:
            kernels = [layer.kernel_size for layer in unit if isinstance(layer, nn.Conv2d)]
            assert kernels == [(3, 3), (2, 2)]
            assert sum(isinstance(layer, nn.ELU) for layer in unit) == 2
        assert sum(isinstance(module, nn.MaxPool2d) for module in part) == pools


def test_the_critic_s_score_is_fully_connected_to_every_place() -> None:
    method, pictures = build(), streets(2, 128)
    features = pictures
    for part in method.critic[:11]:  # type: ignore[attr-defined]
        features = part(features)
    score = method.critic[-1]
    assert features.shape == (2, 8, 4, 4)
    torch.testing.assert_close(method.judge(pictures), (features.flatten(1) @ score.weight.T + score.bias)[:, 0])  # type: ignore[operator]
    assert len(torch.unique(score.weight)) > 100  # each place has weights of its own


@pytest.mark.parametrize("before", [True, False])
def test_the_two_by_two_convolutions_keep_the_size(before: bool) -> None:
    assert Unit(3, 4, False, before=before)(torch.zeros(1, 3, 10, 14)).shape == (1, 4, 10, 14)


def test_the_reconstruction_is_a_sum_of_squares_on_0_to_1() -> None:
    method = build()
    batch = batch_of(streets(2, 64), torch.zeros(2, 1, 64, 64))
    filled = method(image=batch["image"])
    squares = ((filled - batch["truth"]) / 2).square().sum() / 2
    torch.testing.assert_close(method.losses("generator", batch)["reconstruction"], squares, rtol=1e-5, atol=0)


@pytest.mark.parametrize("normed", [False, True])
def test_it_trains_on_pictures_that_are_no_faces(normed: bool) -> None:
    mask = torch.zeros(4, 1, 64, 64)
    mask[..., 24:48, 16:48] = 1
    batch = batch_of(streets(4, 64), mask)
    totals = learn(build(batch_norm=normed, bottleneck=8), batch, 30)
    assert totals[-1] < 0.7 * totals[0]


def test_it_fills_what_rain_hides() -> None:
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(np.stack([streaks(64, rng) for _ in range(4)]))[:, None].float()
    batch = batch_of(streets(4, 64), masks)
    method = build(bottleneck=16)
    before = method.score(batch)
    learn(method, batch, 60)
    assert (method.score(batch) > before + 2).all()
    known = (masks < 0.5).expand_as(batch["truth"])
    assert torch.equal(method.complete(batch)[known], batch["truth"][known])


def test_512_pixels_train_and_complete() -> None:
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 200:400, 150:350] = 1
    batch = batch_of(streets(1, 512), mask)
    method = build()
    totals = learn(method, batch, 3)
    assert all(np.isfinite(totals))
    assert method.generator.encode(batch["image"]).shape == (1, 3 * 16 * 16)  # type: ignore[operator]
    assert method.complete(batch).shape == (1, 3, 512, 512)
