"""masked_gan: what it sees, how its critic judges, that noise matters, and the paper's set-up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.errors import InputError
from facefill.methods import masked_gan as module
from facefill.methods.base import draw_noise
from facefill.methods.masked_gan import MaskedGan, MaskedGanConfig
from facefill.nets.losses import HOLE_SHARE
from facefill.training.data import DataConfig, Faces, split_validation
from facefill.training.recipe import read_recipe

ROOT = Path(__file__).parents[2]
SMALL = {"widths": (8, 8, 8, 8, 8, 8), "noise": 2, "critic_width": 4}


def build(**settings: object) -> MaskedGan:
    torch.manual_seed(0)
    return MaskedGan(MaskedGanConfig.model_validate({**SMALL, **settings}))


def example(count: int = 2, side: int = 64) -> dict[str, Tensor]:
    truth = torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(count, 1, side, side)
    mask[:, :, side // 2 :, side // 4 : -side // 4] = 1
    worn = torch.where(mask > 0.5, 0.3, truth)
    return {"truth": truth, "mask": mask, "worn": worn, "image": worn * (1 - mask), "seed": torch.arange(count)}


def filled(method: MaskedGan, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return method(**method.shown(batch))


@pytest.mark.parametrize("sees", [True, False])
def test_the_cover_tells_something_only_where_it_may_be_seen(sees: bool) -> None:
    method, batch = build(sees_cover=sees).eval(), example()
    other = dict(batch, worn=torch.where(batch["mask"] > 0.5, -0.8, batch["worn"]))
    assert torch.equal(filled(method, batch), filled(method, other)) != sees
    assert torch.equal(method.judge(batch["truth"], batch)[-1], method.judge(batch["truth"], other)[-1]) != sees


def test_the_critic_gives_one_number_for_a_pair_or_one_for_each_patch() -> None:
    batch = example(side=128)
    assert MaskedGanConfig().critic == "scalar"
    assert build().judge(batch["truth"], batch)[-1].shape == (2, 1, 1, 1)
    assert build(critic="patch").judge(batch["truth"], batch)[-1].shape == (2, 1, 8, 8)


def test_the_critic_judges_a_picture_with_its_input() -> None:
    method, batch = build().eval(), example()
    moved = dict(batch, worn=batch["worn"].flip(3))
    assert not torch.equal(method.judge(batch["truth"], batch)[-1], method.judge(batch["truth"], moved)[-1])


def test_patches_weigh_as_much_as_their_share_of_the_hole() -> None:
    method, batch = build(critic="patch"), example(1)
    losses = torch.ones(1, 1, 4, 4)
    losses[:, :, :2] = 1000  # the upper half has no hole
    torch.testing.assert_close(method.mean(losses, batch["mask"]), torch.tensor(0.25 / 0.2))


def test_noise_belongs_to_the_seed_and_changes_the_drawing() -> None:
    method, batch = build(), example()
    noise = draw_noise(batch["seed"], batch["mask"])
    calm, drawn, louder = (
        filled(*one)
        for one in (
            (method, batch),
            (method, batch | {"noise": noise}),
            (build(loudness=3.0), batch | {"noise": noise}),
        )
    )
    assert torch.equal(drawn, filled(method, batch | {"noise": noise}))
    assert 0 < (drawn - calm).abs().mean() < (louder - calm).abs().mean()
    planes = draw_noise(torch.tensor([3, 4, 3]), torch.zeros(3, 1, 8, 8))
    assert torch.equal(planes[0], planes[2])
    assert not torch.equal(planes[0], planes[1])


class Pixels(nn.Module):
    """A perceptual distance that is known: mean squared pixels."""

    def forward(self, picture: Tensor, truth: Tensor) -> Tensor:
        return (picture - truth).square().mean((1, 2, 3))


def test_diversity_costs_what_two_noisy_drawings_lack_of_the_distance_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "open_perceptual", lambda path, device: Pixels())
    batch = example(6)
    hungry, sated, calm = (build(diversity=1.0, apart=apart, adversarial=0.0) for apart in (0.5, 0.0, 0.5))
    noise = draw_noise(batch["seed"], batch["mask"])
    noise[[1, 2, 4, 5]] = 0  # seeds 0 and 3 draw with noise
    one, other = (
        torch.where(batch["mask"] > 0.5, filled(hungry, batch | {"noise": drawn}), batch["truth"])
        for drawn in (noise, draw_noise(batch["seed"] + 1, batch["mask"]))
    )
    one, other, truth = (F.avg_pool2d(picture, 4) for picture in (one, other, batch["truth"]))
    lack = 0.5 * Pixels()(one, truth) - Pixels()(one, other)
    wanted = lack[[0, 3]].relu().sum() / (6 * HOLE_SHARE)
    torch.testing.assert_close(hungry.losses("generator", dict(batch))["diversity"], wanted)
    assert wanted > 0
    assert sated.losses("generator", dict(batch))["diversity"] == 0
    assert calm.losses("generator", batch | {"seed": batch["seed"] * 3 + 1})["diversity"] == 0


def test_an_attack_moves_known_pixels_by_little_and_to_the_generators_harm() -> None:
    method, batch = build(attack=0.1), example()
    shown = method.shown(batch)
    moved = method.attacked(shown, batch)["worn"] - shown["worn"]
    hole = (batch["mask"] > 0.5).expand_as(moved)
    assert (moved[hole] == 0).all()
    assert 0.02 < moved[~hole].abs().mean() <= moved.abs().max() <= 0.1 + 1e-6
    pushed = shown | {"worn": shown["worn"] + moved}
    calm, harmed = (((method(**one) - batch["truth"]).abs() * batch["mask"]).mean() for one in (shown, pushed))
    assert harmed > calm


def test_it_goes_without_skips_and_without_a_critic() -> None:
    method, batch = build(skips=False, adversarial=0.0), example()
    assert list(method.players) == ["generator"]
    assert set(method.losses("generator", dict(batch))) == {"l1"}
    assert filled(method, batch).shape == batch["truth"].shape
    assert list(build().players) == ["generator", "critic"]


def test_a_perceptual_term_without_its_network_is_one_line() -> None:
    with pytest.raises(InputError, match="perceptual_net"):
        build(perceptual=0.1).losses("generator", example())


def test_the_papers_recipe_has_its_steps_and_its_split() -> None:
    recipe = read_recipe(ROOT / "configs/paper/masked_gan.toml", [])
    (stage,) = recipe.train.stages
    assert stage.images // stage.batch == 200_000
    assert stage.side_px == 256
    assert isinstance(recipe.data, DataConfig)
    names = tuple(f"{index}.png" for index in range(10_060))
    faces = Faces(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 5, 2), np.float32), names, names, "")
    learning, judged = split_validation(faces.identities, recipe.data.validation_images)
    assert (len(learning), len(judged)) == (7030, 3030)


def test_the_shipped_recipe_is_of_the_papers_kind() -> None:
    recipe = read_recipe(ROOT / "configs/masked_gan.toml", [])
    config = MaskedGanConfig.model_validate(recipe.model)
    assert config.sees_cover
    assert sum(value.numel() for value in MaskedGan(config).generator.parameters()) < 5_000_000
