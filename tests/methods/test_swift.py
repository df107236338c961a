"""swift: its critics, each of which sees more of the face than the one before."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facefill.methods.base import draw_noise
from facefill.methods.swift import Swift, SwiftConfig


def build(critic_scales: int, **settings: object) -> Swift:
    torch.manual_seed(0)
    small = {"widths": (8, 8, 16, 16), "bottom_dilations": (1,), "critic_width": 8, "adversarial": 1.0,
             "feature_matching": 1.0, "critic_scales": critic_scales}
    return Swift(SwiftConfig.model_validate(small | settings))


def example(side: int = 64) -> dict[str, Tensor]:
    truth = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(2, 1, side, side)
    mask[:, :, side // 2 :, side // 4 : -side // 4] = 1
    return {"truth": truth, "mask": mask, "image": truth * (1 - mask), "seed": torch.arange(2)}


def test_each_critic_looks_at_half_the_side_of_the_one_before() -> None:
    method, batch = build(3).eval(), example()
    assert [tuple(look[-1].shape) for look in method.judge(batch["truth"], batch["mask"])] == [
        (2, 1, 4, 4), (2, 1, 2, 2), (2, 1, 1, 1)]


@pytest.mark.parametrize(("player", "term"), [("critic", "critic"), ("generator", "adversarial"),
                                              ("generator", "feature_matching")])
def test_what_every_critic_says_counts(player: str, term: str) -> None:
    method = build(2)
    method.losses(player, example())[term].backward()
    for scale in (0, 1):
        first = method.get_parameter(f"critic.{scale}.stages.0.parametrizations.weight.original")
        assert first.grad is not None
        assert first.grad.any()


def test_noise_moves_the_hole_only_and_no_noise_is_the_default() -> None:
    method, batch = build(1).eval(), example()
    loud = batch | {"noise": draw_noise(batch["seed"], batch["mask"])}
    with torch.no_grad():
        default, silent, moved = (method.complete(given) for given in (
            batch, batch | {"noise": torch.zeros_like(batch["mask"])}, loud))
    assert torch.equal(default, silent)
    changed = (default != moved).any(1, keepdim=True)
    assert changed.any()
    assert not changed[batch["mask"] == 0].any()


def test_completions_with_different_noise_are_pushed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def distance(self: Swift, device: torch.device) -> object:
        return lambda picture, truth: (picture - truth.detach()).square().mean((1, 2, 3))

    monkeypatch.setattr(Swift, "perceptual", distance)
    method = build(1, perceptual=1.0, diversity=1.0, apart=100.0)
    for seeds, expected in (((4, 8), True), ((1, 4), True), ((1, 3), False)):
        method.zero_grad()
        lack = method.losses("generator", example() | {"seed": torch.tensor(seeds)})["diversity"]
        if expected:
            lack.backward()
            gradient = method.get_parameter("generator.noise.weight").grad
            assert gradient is not None
            assert gradient.any()
        else:
            assert lack == 0
