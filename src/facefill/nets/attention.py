"""Contextual attention (Yu et al. 2018, section 4): hole features are put together from patches of known features.

For a cell p of the hole and a cell q of the known rest, on maps of half the features' size (h x w cells):

    s(p, q)   = cosine of the 3x3 patches around p and q                                       (their equation 1)
    s'(p, q)  = sum over d of s(p + d, q + d), d in {-1, 0, 1} along x, then along y              (equation 2)
    a(p, q)   = softmax over q of scale * s'(p, q), patches with missing pixels left out
    out       = transposed convolution of a with the 4x4 patches of the features, stride 2, over 4

All pictures of a batch are computed together and no patch is ever cut out. A sum over patches is a sum over shifts of
both p and q: where S0(p, q) is the product of single cells, the product of 3x3 patches is the sum of S0(p + d, q + d)
over nine d, and the transposed convolution is, for each of the four places in a cell, a product with a summed over four
such shifts. Cells are numbered row by row with one zero cell after each row and one zero row at the end, so that
such a shift is one shift of the flat matrix and nothing wraps around: L = (h + 1)(w + 1) cells.

Rows of p are computed in blocks, and again in the backward pass: memory grows with L, not with its square.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

HALO = 3
"""Rows beside a block that its result depends on: one each for patches, propagation and reconstruction."""
INCOMPLETE = 1000.0
"""What a key's softmax input loses where all of its patch is missing. A patch with one missing pixel in hundreds loses
little, so that holes of single pixels everywhere still leave something to borrow from."""
NO_CELL = -1e4


class Borrowed(NamedTuple):
    """What attention returns."""

    features: Tensor
    """(N, C, 2h, 2w)."""
    source: Tensor
    """(N, h, w) int64: y * w + x of the cell that each cell takes most of."""


class ContextualAttention(nn.Module):
    """See above. scale: of the softmax. block: most entries of one picture's scores at a time, about."""

    def __init__(self, scale: float = 10.0, block: int = 1 << 21) -> None:
        super().__init__()
        self.scale, self.block = scale, block

    def forward(self, features: Tensor, mask: Tensor) -> Borrowed:
        """features: (N, C, 2h, 2w). mask: (N, 1, 8h, 8w), 1 = missing: eight pixels to a cell."""
        cells = features[:, :, ::2, ::2]
        high, wide = cells.shape[-2:]
        lengths = _sum_3x3(cells.float().square().sum(1, keepdim=True)).clamp_min(1e-12).rsqrt()
        missing = F.avg_pool2d(F.avg_pool2d(mask.float(), 8), 3, 1, 1, count_include_pad=False)
        places = [features[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        given = (
            _in_line(cells).transpose(1, 2).float(), _in_line(lengths)[:, 0],
            F.pad(-INCOMPLETE * missing, (0, 1, 0, 1), value=NO_CELL).flatten(1), torch.stack(
                [_in_line(place).transpose(1, 2) for place in places], 1),
        )
        rows = high if torch.compiler.is_exporting() else max(1, self.block // ((wide + 1) * given[0].shape[1]))
        if rows >= high:
            parts = [self._rows(*given, 0, high, wide)]
        else:
            # Kept for the backward pass, the scores of all blocks together would be the whole matrix again.
            parts = [checkpoint(self._rows, *given, first, min(first + rows, high), wide, use_reentrant=False)
                     for first in range(0, high, rows)]
        return Borrowed(torch.cat([part[0] for part in parts], 2), torch.cat([part[1] for part in parts], 1))

    def _rows(
        self, cells: Tensor, lengths: Tensor, bias: Tensor, places: Tensor, first: int, last: int, wide: int
    ) -> tuple[Tensor, Tensor]:
        """The result for the rows `first` to `last` of cells.

        cells: (N, L, C). lengths: (N, L), one over the length of each patch, 0 where there is no cell. bias: (N, L).
        places: (N, 4, L, C) the features at each of the four places in a cell.
        """
        step, (count, total, _) = wide + 1, cells.shape
        top, end = max(first - HALO, 0), min(last + HALO, total // step)
        mine = slice(top * step, end * step)
        aside, below = total + 1, step * (total + 1)
        scores = _three(_three(cells[:, mine] @ cells.transpose(1, 2), aside), below)
        scores = scores * (lengths[:, mine, None] * lengths[:, None])
        scores = _three(_three(scores, aside), below)
        share = torch.softmax(self.scale * scores + bias[:, None], 2) * (lengths[:, mine, None] > 0)
        inner = slice((first - top) * step, (last - top) * step)
        rows = []
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            summed = _two(_two(share, aside if column else -aside), below if row else -below)[:, inner]
            rows.append(summed.to(places.dtype) @ places[:, 2 * row + column] / 4)
        picture = torch.stack(rows, -1).view(count, last - first, step, -1, 2, 2)[:, :, :wide]
        picture = picture.permute(0, 3, 1, 4, 2, 5).reshape(count, -1, 2 * (last - first), 2 * wide)
        source = share[:, inner].argmax(2).view(count, last - first, step)[:, :, :wide]
        return picture, source - source // step


def _sum_3x3(plane: Tensor) -> Tensor:
    return F.avg_pool2d(plane, 3, 1, 1) * 9


def _in_line(maps: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, (h + 1)(w + 1)) with zeros after each row and below the last."""
    return F.pad(maps, (0, 1, 0, 1)).flatten(2)


def _three(scores: Tensor, by: int) -> Tensor:
    """scores(p, q) + scores(p + d, q + d) + scores(p - d, q - d), the shift given in entries of the flat matrix."""
    line = scores.flatten(1)
    longer = F.pad(line, (by, by))
    return (longer[:, : line.shape[1]] + line + longer[:, 2 * by :]).view_as(scores)


def _two(scores: Tensor, by: int) -> Tensor:
    """scores(p, q) + scores(p + d, q + d); `by` below 0: minus d."""
    line = scores.flatten(1)
    other = F.pad(line[:, by:], (0, by)) if by > 0 else F.pad(line[:, :by], (-by, 0))
    return (line + other).view_as(scores)
