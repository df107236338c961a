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

Rows of p are computed in blocks, and again in the backward pass: what is held at a time is a few rows of p against all
q, not L x L. A file exported for any size has them as an ONNX Scan over blocks of `SCANNED` rows.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch.utils.checkpoint import checkpoint

HALO = 3
"""Rows beside a block that its result depends on: one each for patches, propagation and reconstruction."""
SCANNED = 8
"""Rows of a block in a file for any size."""
INCOMPLETE = 1000.0
"""What a key's softmax input loses where all of its patch is missing. A patch with one missing pixel in hundreds loses
little, so that holes of single pixels everywhere still leave something to borrow from."""
NO_CELL = -1e4
Tensors = tuple[Tensor, ...]


class Borrowed(NamedTuple):
    features: Tensor
    """(N, C, 2h, 2w)."""
    source: Tensor
    """(N, h, w) int64: y * w + x of the cell that each cell takes most of."""


class Given(NamedTuple):
    """What every block of cells looks at; cells in line, L = (h + 1)(w + 1)."""

    cells: Tensor
    """(N, L, C)."""
    lengths: Tensor
    """(N, L), one over the length of each patch, 0 where there is no cell."""
    bias: Tensor
    """(N, L)."""
    places: Tensor
    """(N, 4, L, C), the features at each of the four places in a cell."""


class PatchAttention(nn.Module):
    """See above. scale: of the softmax. block: most entries of one picture's scores at a time, about."""

    def __init__(self, scale: float = 10.0, block: int = 1 << 21) -> None:
        super().__init__()
        self.scale, self.block = scale, block

    def forward(self, features: Tensor, mask: Tensor) -> Borrowed:
        """features: (N, C, 2h, 2w). mask: (N, 1, 8h, 8w), 1 = missing: eight pixels to a cell."""
        given, (high, wide) = _given(features, mask), (features.shape[2] // 2, features.shape[3] // 2)
        if not isinstance(high, int):
            return self._scanned(given, high, wide + 1)
        rows = max(1, self.block // ((wide + 1) * given.cells.shape[1]))
        if rows >= high:
            parts = [self._rows(given, wide + 1, 0, high)]
        else:
            # Kept for the backward pass, the scores of all blocks together would be the whole matrix again.
            blocks = ((first, min(first + rows, high)) for first in range(0, high, rows))
            parts = [checkpoint(self._rows, given, wide + 1, *block, use_reentrant=False) for block in blocks]
        return Borrowed(torch.cat([part[0] for part in parts], 2), torch.cat([part[1] for part in parts], 1))

    def _rows(self, given: Given, step: int, first: int, last: int) -> tuple[Tensor, Tensor]:
        """The result for the rows `first` to `last` of `step` cells each."""
        top, end = max(first - HALO, 0), min(last + HALO, given.cells.shape[1] // step)
        mine = slice(top * step, end * step)
        inner = slice(first - top, last - top)
        return _block(given, self.scale, given.cells[:, mine], given.lengths[:, mine], end - top, inner)

    def _scanned(self, given: Given, high: int, step: int) -> Borrowed:
        """As `forward`, for an exporter that does not know the size: blocks of `SCANNED` rows in a loop of its own.

        Rows beyond the picture are cells of length 0. The loop gives `given` on from turn to turn because OpenVINO
        takes nothing else from around it.
        """
        blocks = (high + SCANNED - 1) // SCANNED
        rows = SCANNED + 2 * HALO
        index = torch.arange(blocks)[:, None] * SCANNED * step + torch.arange(rows * step)
        around = (HALO * step, (HALO + SCANNED) * step)
        padded = F.pad(given.cells, (0, 0, *around)), F.pad(given.lengths, around)
        own = padded[0][:, index].transpose(0, 1), padded[1][:, index].transpose(0, 1)

        def turn(carried: Tensors, block: Tensors) -> tuple[Tensors, Tensors]:
            cells, lengths = block
            parts = _block(Given(*carried), self.scale, cells, lengths, rows, slice(HALO, HALO + SCANNED))
            return tuple(value.clone() for value in carried), parts

        features, source = scan(turn, tuple(given), own)[1]
        return Borrowed(
            features.movedim(0, 2).flatten(2, 3)[:, :, : 2 * high], source.transpose(0, 1).flatten(1, 2)[:, :high]
        )


def _given(features: Tensor, mask: Tensor) -> Given:
    cells = features[:, :, ::2, ::2]
    squares = F.avg_pool2d(cells.float().square().sum(1, keepdim=True), 3, 1, 1) * 9  # of all 3x3 cells
    lengths = squares.clamp_min(1e-12).rsqrt()
    missing = F.avg_pool2d(F.avg_pool2d(mask.float(), 8), 3, 1, 1, count_include_pad=False)
    places = [_in_line(features[:, :, row::2, column::2]).transpose(1, 2) for row in (0, 1) for column in (0, 1)]
    bias = F.pad(-INCOMPLETE * missing, (0, 1, 0, 1), value=NO_CELL).flatten(1)
    return Given(_in_line(cells).transpose(1, 2).float(), _in_line(lengths)[:, 0], bias, torch.stack(places, 1))


def _block(
    given: Given, scale: float, cells: Tensor, lengths: Tensor, rows: int, inner: slice
) -> tuple[Tensor, Tensor]:
    """Features (N, C, 2r, 2w) and sources (N, r, w) of the rows `inner` of a block of so many rows.

    cells, lengths: the block's own, the rows beside it among them.
    """
    count, step, total = cells.shape[0], cells.shape[1] // rows, given.cells.shape[1]
    aside, below = total + 1, step * (total + 1)
    scores = add_shifted(cells @ given.cells.transpose(1, 2), aside, -aside)
    scores = add_shifted(scores, below, -below)
    scores = scores * (scale * lengths[:, :, None] * given.lengths[:, None])
    scores = add_shifted(add_shifted(scores, aside, -aside), below, -below)
    share = torch.softmax(scores + given.bias[:, None], 2)
    source = share.argmax(2).view(count, rows, step)[:, inner, :-1]
    share = share.to(given.places.dtype) * (lengths[:, :, None] > 0)
    across = [add_shifted(share, by) for by in (-aside, aside)]
    moved = [add_shifted(part, by) for by in (-below, below) for part in across]
    parts = [part @ given.places[:, place] / 4 for place, part in enumerate(moved)]
    grid = [part.view(count, rows, step, -1)[:, inner, :-1] for part in parts]
    # Channels last: whole cells are copied, and what follows works in that order.
    picture = torch.stack([torch.stack(grid[:2], 3), torch.stack(grid[2:], 3)], 2)
    picture = picture.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
    return picture, source - source // step


def _in_line(maps: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, (h + 1)(w + 1)) with zeros after each row and below the last."""
    return F.pad(maps, (0, 1, 0, 1)).flatten(2)


def add_shifted(scores: Tensor, *shifts: int) -> Tensor:
    """scores(p, q) plus, for each shift, scores(p + d, q + d), the shift given in entries of the flat matrix."""
    if torch.compiler.is_exporting():
        line = scores.flatten(1)
        return (line + sum(F.pad(line, (-by, by)) for by in shifts)).view_as(scores)
    summed: Tensor = _AddShifted.apply(scores, shifts)  # type: ignore[no-untyped-call]
    return summed


class _AddShifted(torch.autograd.Function):
    """The derivative of shifts is shifts the other way; left to itself, autograd fills a matrix with zeros for each."""

    @staticmethod
    def forward(context: Any, scores: Tensor, shifts: tuple[int, ...]) -> Tensor:
        context.shifts = shifts
        return _add_shifted(scores, shifts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _add_shifted(gradients[0], tuple(-by for by in context.shifts)), None


def _add_shifted(scores: Tensor, shifts: tuple[int, ...]) -> Tensor:
    line = scores.flatten(1)
    before, count = max(0, -min(shifts)), line.shape[1]
    longer = F.pad(line, (before, max(0, *shifts)))
    for by in shifts:
        line = line + longer[:, before + by : before + by + count]
    return line.view_as(scores)
