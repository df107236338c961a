"""swift: its critics, each of which sees more of the face than the one before."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facefill.methods.swift import Swift, SwiftConfig


def build(critic_scales: int) -> Swift:
    torch.manual_seed(0)
    return Swift(SwiftConfig(widths=(8, 8, 16, 16), bottom_dilations=(1,), critic_width=8, adversarial=1.0,
                             feature_matching=1.0, critic_scales=critic_scales))


def example(side: int = 64) -> dict[str, Tensor]:
    truth = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(2, 1, side, side)
    mask[:, :, side // 2 :, side // 4 : -side // 4] = 1
    return {"truth": truth, "mask": mask, "image": truth * (1 - mask)}


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
