"""Biharmonic interpolation into holes of any shape: exact in pieces of bounded size, from coarse to fine where wide.

Discretised as in Damelin & Hoang 2018, "On surface completion and image inpainting by biharmonic functions": the sum
of squared Laplacians is least. The Laplacian takes the neighbours that there are, so nothing bends over the edge. What
lies above or below all that is known around it is cut.
"""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F64, U8, Bool, Box
from facefill.imaging.masks import bounding_box

# Thin holes are solved in pieces of so many pixels and sides: what is further away than the margin changes nothing.
MOST_FREE, MOST_SIDE_PX = 4_000, 512
MARGIN_PX = 16
# A hole that is deeper is solved at once up to so many pixels, of which each takes up to 7 kB; above, what lies deep
# comes from half the resolution, and the rest is thin.
DEEP_PX = 12.0
MOST_DEEP = 20_000
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def biharmonic(image: U8, mask: Bool, absent: Bool | None = None) -> U8:
    """Return the picture (H, W, 3) with missing pixels (mask True) on the surface of least curvature.

    absent: (H, W), pixels that are neither filled nor looked at, as if the picture ended there.
    Time and memory are linear in the missing pixels, beside a pass over their bounding box.
    """
    filled = image.copy()
    x0, y0, x1, y1 = bounding_box(mask, 2 * MARGIN_PX)
    view = np.s_[y0:y1, x0:x1]
    hole, free = np.ascontiguousarray(mask[view]), np.ascontiguousarray(mask[view])
    if not hole.any() or hole.all():
        return filled
    depth = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 3)
    whole = depth.max() > DEEP_PX
    if whole and np.count_nonzero(hole) > MOST_DEEP:
        deep, whole = depth > DEEP_PX, False
        filled[view][deep] = _coarse(filled[view], hole)[deep]
        free = hole & ~deep
    start, there = filled[view].copy(), None if absent is None else ~absent[view]
    for left, top, right, bottom in [bounding_box(free)] if whole else _pieces(free):
        core = np.s_[top:bottom, left:right]
        a, b = max(left - MARGIN_PX, 0), max(top - MARGIN_PX, 0)
        around = np.s_[b : bottom + MARGIN_PX, a : right + MARGIN_PX]
        solved = _solve(start[around], np.ascontiguousarray(free[around]), there if there is None else there[around])
        inner = np.s_[top - b : bottom - b, left - a : right - a]
        cv2.copyTo(solved[inner], np.ascontiguousarray(free[core]).view(np.uint8), filled[view][core])
    return filled


def _coarse(image: U8, mask: Bool) -> U8:
    """The solution on half the grid, enlarged."""
    height, width = mask.shape
    padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    known = cv2.copyMakeBorder((~mask).view(np.uint8), 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    half = (padded.shape[1] // 2, padded.shape[0] // 2)
    share = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    shown = cv2.resize(padded.astype(np.float32) * known[..., None], half, interpolation=cv2.INTER_AREA)
    small = np.clip(np.rint(shown / np.maximum(share, 0.25)[..., None]), 0, 255).astype(np.uint8)
    solved = biharmonic(small, share == 0)
    large = cv2.resize(solved, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[:height, :width], np.uint8)


def _pieces(free: Bool) -> Iterator[Box]:
    """Yield boxes (x0, y0, x1, y1) that hold every free pixel once, none with too many of them or too wide."""
    pending = [(0, 0, free.shape[1], free.shape[0])]
    while pending:
        left, top, right, bottom = pending.pop()
        x0, y0, x1, y1 = bounding_box(np.ascontiguousarray(free[top:bottom, left:right]))
        if x1 == 0:
            continue
        x0, y0, x1, y1 = x0 + left, y0 + top, x1 + left, y1 + top
        wide, high = x1 - x0, y1 - y0
        if max(wide, high) <= MOST_SIDE_PX and np.count_nonzero(free[y0:y1, x0:x1]) <= MOST_FREE:
            yield x0, y0, x1, y1
        elif wide >= high:
            pending += [(x0, y0, x0 + wide // 2, y1), (x0 + wide // 2, y0, x1, y1)]
        else:
            pending += [(x0, y0, x1, y0 + high // 2), (x0, y0 + high // 2, x1, y1)]


def _solve(image: U8, free: Bool, there: Bool | None) -> U8:
    """Solve for all free pixels of a piece (h, w, 3) at once; where none is known, black. there: the pixels that count,
    None for all."""
    if free.shape[1] > free.shape[0]:  # shorter rows are eliminated in less time
        turned = None if there is None else there.T
        return _solve(image.transpose(1, 0, 2), np.ascontiguousarray(free.T), turned).transpose(1, 0, 2)
    known = ~free if there is None else ~free & there
    levels = image.reshape(-1, image.shape[2]).astype(np.float64)
    columns, weights, right = _laplacians(levels, free, free | known)
    counts = np.add.reduceat(free.sum(1), np.arange(0, len(free), 2))
    surface = np.rint(_least_squares(columns, weights, right, counts[counts > 0]))
    around = levels[known.ravel()]
    lowest, highest = (around.min(0), around.max(0)) if len(around) else (0.0, 0.0)
    solved = image.copy()
    solved[free] = np.clip(surface, lowest, highest)
    return solved


def _laplacians(levels: F64, free: Bool, there: Bool) -> tuple[NDArray[np.intp], F64, F64]:
    """One row for each pixel whose Laplacian a free one is part of: numbers of up to five free pixels, in row-major
    order, -1 for none; their weights; and what the known ones leave on the right-hand side, (rows, C)."""
    height, width = free.shape
    number = np.full(free.size, -1)
    number[free.ravel()] = np.arange(np.count_nonzero(free))
    near = np.flatnonzero(cv2.dilate(free.view(np.uint8), _CROSS).astype(bool) & there)
    y, x = np.divmod(near, width)
    columns, weights = np.full((len(near), 5), -1), np.zeros((len(near), 5))
    right = np.zeros((len(near), levels.shape[1]))
    for place, (down, aside) in enumerate(((0, 1), (0, -1), (1, 0), (-1, 0), (0, 0))):
        inside = (y + down >= 0) & (y + down < height) & (x + aside >= 0) & (x + aside < width)
        inside[inside] = there.ravel()[near[inside] + down * width + aside]
        beside = near[inside] + down * width + aside
        weights[inside, place] = 1 if place < 4 else -weights[inside].sum(1)
        columns[inside, place] = number[beside]
        right[inside] -= np.where(number[beside] < 0, weights[inside, place], 0)[:, None] * levels[beside]
    return columns, weights, right


def _least_squares(columns: NDArray[np.intp], weights: F64, right: F64, counts: NDArray[np.int_]) -> F64:
    """Where the sum of squares of `weights` times the unknowns, less `right`, is least, (unknowns, C).

    counts: of unknowns in each pair of picture rows that has some. Normal equations couple a pair with the next one
    only: elimination goes from pair to pair (Golub & Van Loan 2013, section 4.5.1).
    """
    starts, total = np.concatenate([[0], np.cumsum(counts)]), int(counts.sum())
    ahead = np.append(counts[1:], 0)
    offsets = np.concatenate([[0], np.cumsum(counts * (counts + ahead))])
    first, second = np.broadcast_arrays(columns[:, :, None], columns[:, None, :])
    pair = np.repeat(np.arange(len(counts)), counts)
    used = (first >= 0) & (second >= 0)
    used[used] = second[used] >= starts[pair[first[used]]]
    row, column = first[used], second[used]
    block = pair[row]
    place = offsets[block] + (row - starts[block]) * (counts + ahead)[block] + column - starts[block]
    product = (weights[:, :, None] * weights[:, None, :])[used]
    matrix = np.bincount(place, product, minlength=int(offsets[-1])).astype(np.float64)
    wanted = np.zeros((total, right.shape[1]))
    for axis in range(5):
        some = columns[:, axis] >= 0
        wanted[columns[some, axis]] += weights[some, axis, None] * right[some]
    return _eliminate(matrix, wanted, starts, offsets)


def _eliminate(matrix: F64, wanted: F64, starts: NDArray[np.int_], offsets: NDArray[np.int_]) -> F64:
    """Solve a symmetric block tridiagonal system (n, C). matrix: blocks on the diagonal and right of it, row by row."""
    solved, passed, given = wanted.copy(), [], np.zeros(())
    for index, (start, stop) in enumerate(pairwise(starts)):
        count = stop - start
        rows = matrix[offsets[index] : offsets[index + 1]].reshape(count, -1)
        middle, beside = rows[:, :count] - given, rows[:, count:]
        # So little that it changes no level; it keeps a piece without known pixels solvable.
        middle[np.diag_indices(count)] += 1e-9
        both = np.linalg.solve(middle, np.concatenate([beside, solved[start:stop]], 1))
        passed.append(both[:, : beside.shape[1]])
        solved[start:stop] = both[:, beside.shape[1] :]
        given = beside.T @ passed[-1]
        after = slice(stop, stop + beside.shape[1])
        solved[after] -= beside.T @ solved[start:stop]
    for index in range(len(starts) - 2, -1, -1):
        after = slice(starts[index + 1], starts[index + 1] + passed[index].shape[1])
        solved[starts[index] : starts[index + 1]] -= passed[index] @ solved[after]
    return solved
