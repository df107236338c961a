"""Harmonic interpolation into holes of any shape: conjugate gradients, preconditioned by one multigrid cycle.

Planes are (C, H, W) float32, so that every OpenCV call sees one contiguous plane.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from facefill.arrays import F32, Bool

# Two Chebyshev steps over the upper three quarters of the spectrum of (neighbours' degree)^-1 times the graph
# Laplacian, [1/2, 2]: smoother than two damped Jacobi steps at the same cost (Saad 2003, section 12.3.2).
STEPS = tuple(1 / (1.25 + 0.75 * np.cos(np.pi * (2 * k + 1) / 4)) for k in range(2))
# A known pixel beside a cell stands nearer than the next cell's centre, but bilinear prolongation also reaches past it;
# of factors from 0.75 to 1 for what a coarser level keeps of that pull, this had the best worst case.
PULL = 0.9


def harmonic(values: F32, free: Bool, *, tolerance: float = 0.1, most_cycles: int = 40) -> F32:
    """Return the values with free pixels replaced by the solution of Laplace's equation.

    values: (C, H, W). free: (H, W), True = to be solved for; the other pixels are Dirichlet values, of which only
    those beside a free pixel matter. Where a free pixel stands on the array's edge, nothing flows out (natural
    condition); a free part that touches no known pixel becomes 0.
    tolerance: largest error, in the values' own unit, about.

    The discrete equation: each free pixel is the mean of its up to 4 neighbours. Solved from coarse to fine, on each
    grid by flexible conjugate gradients (Notay 2000) around a multigrid cycle.
    """
    free_cells = free.astype(np.float32)
    known = np.ascontiguousarray(np.where(free, np.float32(0), values), np.float32)
    if not free.any():
        return known
    answer = _guess(known, free_cells, tolerance) if max(free.shape) > 48 else np.zeros_like(known)
    levels = _levels(free_cells, len(values))
    residual = _fine_laplacian(known + answer)
    residual *= free_cells
    direction = np.zeros_like(residual)
    previous, norm = residual, np.ones(len(values), np.float32)
    for _ in range(most_cycles):
        step = _cycle(levels, 0, residual)
        # Polak-Ribiere: the cycle is not a symmetric operator, and Fletcher-Reeves would stall on it.
        turn = (_dots(residual, step) - _dots(previous, step)) / norm
        direction = _add(step, turn, direction)
        image = _fine_laplacian(direction)
        image *= free_cells
        norm = _away_from_zero(_dots(residual, step))
        amount = _dots(residual, direction) / _away_from_zero(-_dots(direction, image))
        answer = _add(answer, amount, direction)
        largest = max(abs(by) * float(np.abs(plane).max()) for by, plane in zip(amount, direction, strict=True))
        # A cycle takes off at least three quarters of the error.
        if largest < 3 * tolerance:
            break
        previous, residual = residual, _add(residual, amount, image)
    return known + answer


def _guess(known: F32, free: F32, tolerance: float) -> F32:
    """Return the solution on a grid of half the size, enlarged, in the free pixels and 0 elsewhere."""
    border = (1 - free) * (_neighbour_sum(free) > 0)
    count = _quads(border)
    inside = _quads(free) == _quads(np.ones_like(free))
    coarse = _quads(known * border) / np.maximum(count, 1)
    solved = harmonic(coarse.astype(np.float32), inside, tolerance=tolerance)
    return _enlarged(solved, free)


@dataclass(frozen=True)
class _Level:
    """One grid. free: (H, W), 1 in cells to solve for. The others hold all planes of a solution in a row, (C * H * W,):
    right, down: weights of edges to the next cell, 0 at the grid's end. total: all weights of a cell, those to known
    pixels included. damped: (C, H, W), what each Chebyshev step multiplies a residual by."""

    free: F32
    right: F32
    down: F32
    total: F32
    damped: tuple[F32, ...]


def _levels(cells: F32, planes: int) -> list[_Level]:
    right, down = cells[:, :-1] * cells[:, 1:], cells[:-1] * cells[1:]
    pull = cells * _neighbour_sum(1 - cells)
    levels = [_level(cells, right, down, pull, planes)]
    while max(cells.shape) > 2:
        height, width = (cells.shape[0] + 1) // 2, (cells.shape[1] + 1) // 2
        # An edge between two coarse cells stands for two fine ones and is twice as long.
        right = 0.5 * _pairs(right[:, 1::2], 0)[:, : width - 1]
        down = 0.5 * _pairs(down[1::2], 1)[: height - 1]
        pull = PULL * _quads(pull)
        cells = (_quads(cells) > 0).astype(np.float32)
        levels.append(_level(cells, right, down, pull, planes))
    return levels


def _level(cells: F32, right: F32, down: F32, pull: F32, planes: int) -> _Level:
    total = pull.copy()
    total[:, :-1] += right
    total[:, 1:] += right
    total[:-1] += down
    total[1:] += down
    inverse = cells * (total > 0) / np.maximum(total, np.float32(1e-6))
    layers = np.zeros((3 + len(STEPS), planes, *cells.shape), np.float32)
    layers[0, :, :, :-1], layers[1, :, :-1], layers[2] = right, down, total
    for layer, step in zip(layers[3:], STEPS, strict=True):
        layer[:] = inverse * step
    right, down, total = layers[:3].reshape(3, -1)
    return _Level(cells, right, down, total, tuple(layers[3:]))


def _cycle(levels: list[_Level], index: int, residual: F32) -> F32:
    """Return about the error that belongs to a residual (Trottenberg, Oosterlee & Schueller 2001, chapter 2)."""
    level, last = levels[index], index == len(levels) - 1
    error = residual * level.damped[0]
    for damped in (level.damped * 4)[1:] if last else level.damped[1:]:
        _smooth(level, index, error, residual, damped)
    if last:
        return error
    rest = _remaining(level, index, error, residual)
    rest *= level.free
    coarse = _cycle(levels, index + 1, _quads(rest))
    error += _enlarged(coarse, level.free)
    for damped in level.damped[::-1]:
        _smooth(level, index, error, residual, damped)
    return error


def _smooth(level: _Level, index: int, error: F32, residual: F32, damped: F32) -> None:
    rest = _remaining(level, index, error, residual)
    rest *= damped
    error += rest


def _remaining(level: _Level, index: int, error: F32, residual: F32) -> F32:
    """Return residual - A error; only its free cells mean anything."""
    if index == 0:
        rest = _fine_laplacian(error)
        rest += residual
        return rest
    # All planes as one row of cells: the weights of edges that would lead into the next line are 0.
    cells = error.reshape(-1)
    row = level.total * cells
    np.subtract(residual.reshape(-1), row, out=row)
    for weights, step in ((level.right, 1), (level.down, error.shape[2])):
        flow = weights[:-step] * cells[step:]
        row[:-step] += flow
        np.multiply(weights[:-step], cells[:-step], out=flow)
        row[step:] += flow
    return row.reshape(error.shape)


def _fine_laplacian(planes: F32) -> F32:
    """Sum of (neighbour - pixel) over the neighbours inside: a repeated edge differs by nothing."""
    out = np.empty_like(planes)
    for plane, target in zip(planes, out, strict=True):
        cv2.Laplacian(plane, cv2.CV_32F, dst=target, ksize=1, borderType=cv2.BORDER_REPLICATE)
    return out


def _enlarged(planes: F32, free: F32) -> F32:
    """Interpolate planes to twice their size, cut to the grid of `free`, 0 where that is."""
    count, height, width = planes.shape
    fine = np.empty((count, 2 * height, 2 * width), np.float32)
    for plane, target in zip(planes, fine, strict=True):
        cv2.resize(plane, (2 * width, 2 * height), dst=target, interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine[:, : free.shape[0], : free.shape[1]] * free, np.float32)


def _neighbour_sum(plane: F32) -> F32:
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, cross, borderType=cv2.BORDER_CONSTANT), np.float32)


def _quads(planes: F32) -> F32:
    return _pairs(_pairs(planes, 0), 1)


def _pairs(planes: F32, axis: int) -> F32:
    """Sum two and two along an axis of (..., H, W), 0 for H and 1 for W; a last odd one stays alone."""
    even, odd = (planes[..., start::2, :] if axis == 0 else planes[..., start::2] for start in (0, 1))
    out = even.copy()
    if axis == 0:
        out[..., : odd.shape[-2], :] += odd
    else:
        out[..., : odd.shape[-1]] += odd
    return out


def _dots(first: F32, second: F32) -> F32:
    return np.array([np.vdot(a, b) for a, b in zip(first, second, strict=True)], np.float32)


def _away_from_zero(numbers: F32) -> F32:
    return np.where(np.abs(numbers) < 1e-12, np.float32(1e-12), numbers)


def _add(planes: F32, factors: F32, others: F32) -> F32:
    """planes + factors * others, a factor per plane."""
    out = np.empty_like(planes)
    for index, factor in enumerate(factors):
        cv2.scaleAdd(others[index], float(factor), planes[index], dst=out[index])
    return out
