"""Blocks that several networks share."""

from __future__ import annotations

import torch

from facefill.nets.layers import Residual


def test_a_residual_stays_in_bfloat16_and_is_exact_in_float32() -> None:
    block, x = Residual(8), torch.rand(1, 8, 6, 6)
    branch = block.second(block.act(block.first(block.act(x))))
    assert torch.equal(block(x), x + 0.2 * branch)
    with torch.autocast("cpu", torch.bfloat16):
        made = block(x.bfloat16())
    assert made.dtype == torch.bfloat16
    assert (made.float() - block(x)).abs().max() < 0.03
    made.float().sum().backward()
    assert block.gain.grad is not None
    assert block.gain.grad.dtype == torch.float32
