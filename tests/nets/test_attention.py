"""Contextual attention against a naive formulation, one sample and one patch at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facefill.nets import attention
from facefill.nets.attention import INCOMPLETE, PatchAttention, _given


def patches_of(maps: Tensor, side: int, stride: int, before: int) -> Tensor:
    """(C, H, W) to (cells, C, side, side), zeros around the picture."""
    after = side - stride - before if stride > 1 else side - 1 - before
    cut = F.pad(maps, (before, after, before, after)).unfold(1, side, stride).unfold(2, side, stride)
    return cut.permute(1, 2, 0, 3, 4).flatten(0, 1)


def naive(features: Tensor, mask: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """One picture: (C, 2h, 2w) and (1, 8h, 8w). Cuts every patch out and visits every pair of cells."""
    cells = features[:, ::2, ::2]
    high, wide = cells.shape[1:]
    small = patches_of(cells, 3, 1, 1).flatten(1)
    small = small / small.norm(dim=1, keepdim=True)
    scores = (small @ small.T).view(high, wide, high, wide)
    for axis in (1, 0):
        summed = torch.zeros_like(scores)
        for y in range(high):
            for x in range(wide):
                for ky in range(high):
                    for kx in range(wide):
                        for d in (-1, 0, 1):
                            at = (y, x + d, ky, kx + d) if axis else (y + d, x, ky + d, kx)
                            inside = all(0 <= place < most for place, most in zip(at, scores.shape, strict=True))
                            summed[y, x, ky, kx] += scores[at] if inside else 0
        scores = summed
    known = F.avg_pool2d(mask[None], 8)[0, 0]
    bias = torch.zeros(high, wide)
    for y in range(high):
        for x in range(wide):
            bias[y, x] = -INCOMPLETE * known[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean()
    share = torch.softmax(scale * scores.flatten(2) + bias.flatten(), 2)
    raw = patches_of(features, 4, 2, 1)
    out = torch.zeros(features.shape[0], 2 * high + 2, 2 * wide + 2)
    for y in range(high):
        for x in range(wide):
            patch = (share[y, x][:, None, None, None] * raw).sum(0)
            out[:, 2 * y : 2 * y + 4, 2 * x : 2 * x + 4] += patch / 4
    return out[:, 1:-1, 1:-1], share.argmax(2)


@pytest.fixture
def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn((2, 6, 10, 14), generator=generator)
    mask = torch.zeros(2, 1, 40, 56)
    mask[0, :, 8:24, 16:40] = 1
    mask[1] = (torch.rand((1, 40, 56), generator=generator) < 0.3).float()
    return features, mask


@pytest.mark.parametrize("block", [1 << 21, 500])
def test_equal_to_the_naive_formulation(example: tuple[Tensor, Tensor], block: int) -> None:
    features, mask = example
    got = PatchAttention(10.0, block)(features, mask)
    for index in range(2):
        expected, source = naive(features[index], mask[index], 10.0)
        torch.testing.assert_close(got.features[index], expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(got.source[index], source)


def test_the_gradient_is_the_naive_formulation_s(example: tuple[Tensor, Tensor]) -> None:
    features, mask = (value[:1, :, : 6 * scale, : 8 * scale] for value, scale in zip(example, (1, 4), strict=True))
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    leaf = features.clone().requires_grad_()
    (PatchAttention(10.0)(leaf, mask).features * weights).sum().backward()
    plain = features.clone().requires_grad_()
    (naive(plain[0], mask[0], 10.0)[0] * weights[0]).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().max() > 0.1
    torch.testing.assert_close(leaf.grad, plain.grad, atol=1e-4, rtol=1e-4)


def test_blocks_change_neither_the_result_nor_its_gradient(example: tuple[Tensor, Tensor]) -> None:
    features, mask = example
    results = []
    for block in (1 << 21, 1):
        leaf = features.clone().requires_grad_()
        borrowed = PatchAttention(10.0, block)(leaf, mask).features
        (borrowed * features).sum().backward()
        results.append((borrowed.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-4)


def test_the_loop_of_an_exported_file_computes_the_same(
    example: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten rows of cells are two turns of it. What the exporter makes of it, the method's test shows."""

    def turns(turn: Any, carried: Any, blocks: Any) -> Any:
        done = []
        for block in zip(*blocks, strict=True):
            carried, parts = turn(carried, block)
            done.append(parts)
        return carried, [torch.stack(parts) for parts in zip(*done, strict=True)]

    monkeypatch.setattr(attention, "scan", turns)
    features, mask = (
        value.transpose(2, 3).repeat(1, 1, 2, 1)[:, :, : 20 * scale]
        for value, scale in zip(example, (1, 4), strict=True)
    )
    layer = PatchAttention(10.0)
    expected = layer(features, mask)
    got = layer._scanned(_given(features, mask), 10, 6)
    torch.testing.assert_close(got.features, expected.features, atol=1e-5, rtol=1e-4)
    assert torch.equal(got.source, expected.source)


def test_memory_of_a_block_does_not_grow_with_the_square_of_the_cells() -> None:
    """The largest tensor of a forward and backward pass, counted by watching every operation."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        entries = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, Tensor):
                    Largest.entries = max(Largest.entries, tensor.numel())
            return out

    def largest(side: int) -> int:
        Largest.entries = 0
        features = torch.randn(1, 2, 2 * side, 2 * side, requires_grad=True)
        with Largest():
            PatchAttention(block=1)(features, torch.zeros(1, 1, 8 * side, 8 * side)).features.sum().backward()
        return Largest.entries

    # One row of cells and its halo against all cells: side ** 3, where the whole matrix would be side ** 4.
    assert largest(32) < 10 * largest(16)


def test_a_patch_that_is_there_twice_is_found() -> None:
    """The hole holds a copy of a known place: each of its cells borrows from there."""
    generator = torch.Generator().manual_seed(3)
    features = torch.randn((1, 8, 24, 24), generator=generator)
    features[:, :, 14:22, 14:22] = features[:, :, 2:10, 2:10]
    mask = torch.zeros(1, 1, 96, 96)
    mask[:, :, 64:80, 64:80] = 1
    borrowed = PatchAttention(50.0)(features, mask)
    for y in (8, 9):
        for x in (8, 9):
            assert int(borrowed.source[0, y, x]) == (y - 6) * 12 + x - 6
    torch.testing.assert_close(borrowed.features[:, :, 17:19, 17:19], features[:, :, 5:7, 5:7], atol=1e-2, rtol=1e-2)


def test_a_full_mask_still_gives_numbers(example: tuple[Tensor, Tensor]) -> None:
    features, mask = example
    assert torch.isfinite(PatchAttention()(features, torch.ones_like(mask)).features).all()
