"""Loss terms that several methods share. All return a scalar; masks are 1 where pixels are missing."""

from __future__ import annotations

from torch import Tensor


def hole_l1(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference over the missing pixels and channels of the whole batch, on [-1, 1] values."""
    difference = (filled.float() - truth).abs() * mask
    return difference.sum() / (mask.sum() * truth.shape[1]).clamp_min(1.0)
