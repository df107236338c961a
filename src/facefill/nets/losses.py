"""Loss terms that several methods share. All return a scalar; masks are 1 where pixels are missing.

Each is the mean over a batch's pictures of something that depends on one picture only. So it comes out the same whether
a batch goes through at once, in parts, or spread over processes.
"""

from torch import Tensor

HOLE_SHARE = 0.2
"""What a usual hole takes of its picture. Losses over holes are divided by it and not by what the batch's holes take:
of the size of one loss over its hole, and linear in the pictures."""


def hole_l1(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Sum of absolute differences over the missing pixels, on [-1, 1] values, over `HOLE_SHARE` of all values."""
    difference = (filled.float() - truth).abs() * mask
    return difference.mean() / HOLE_SHARE
