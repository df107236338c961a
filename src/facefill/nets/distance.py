"""How far each missing pixel is from the nearest known one, exactly, for whole batches."""

import torch
from torch import Tensor


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
