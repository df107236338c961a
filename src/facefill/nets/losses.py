"""What losses over holes share. Masks are 1 where pixels are missing.

A term is the mean over a batch's pictures of something that depends on one picture only. So it comes out the same
whether a batch goes through at once, in parts, or spread over processes.
"""

import torch
from torch import Tensor

HOLE_SHARE = 0.2
"""What a usual hole takes of its picture. Losses over holes are divided by it and not by what the batch's holes take:
of the size of one loss over its hole, and linear in the pictures."""


def hole_l1(filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Sum of absolute differences over the missing pixels, on [-1, 1] values, over `HOLE_SHARE` of all values."""
    difference = (filled.float() - truth).abs() * mask
    return difference.mean() / HOLE_SHARE


def distance_to_known(mask: Tensor) -> Tensor:
    """(N, 1, H, W) with 1 = missing to Euclidean distances in pixels, 0 on known pixels; H + W where all is missing.

    In two passes (Felzenszwalb & Huttenlocher 2012): along columns by cumulative maxima, then the smallest
    (x - x')² + g(x')² along rows, with offsets up to the largest g only.
    """
    missing = mask > 0.5
    height, width = mask.shape[-2:]
    far = float(height + width)
    line = torch.arange(height, dtype=torch.float32, device=mask.device).view(1, 1, -1, 1)
    before = line - torch.where(missing, -far, line).cummax(2).values
    after = torch.where(missing, height - 1 + far, line).flip(2).cummin(2).values.flip(2) - line
    column = torch.minimum(before, after).clamp_max(far)
    squares = column.square()
    nearest = squares.clone()
    finite = column[column < far]
    reach = width - 1 if (column >= far).any() else min(width - 1, int(finite.max()))
    for offset in range(1, reach + 1):
        shifted = squares + offset**2
        for place, other in ((slice(offset, None), slice(-offset)), (slice(-offset), slice(offset, None))):
            torch.minimum(nearest[..., place], shifted[..., other], out=nearest[..., place])
    return nearest.sqrt().clamp_max(far)
