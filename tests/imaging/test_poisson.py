"""The fast solver agrees with a slow exact one on every kind of hole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import spsolve

from facefill.imaging.masks import MASKS
from facefill.imaging.poisson import harmonic


def solve_exactly(values: np.ndarray, free: np.ndarray) -> np.ndarray:
    """One equation per free pixel, (degree) u - (free neighbours) = (known neighbours), by a sparse direct solver."""
    height, width = free.shape
    number = np.full(free.shape, -1)
    number[free] = np.arange(free.sum())
    y, x = np.nonzero(free)
    degree, right_hand = np.zeros(len(y)), np.zeros(len(y))
    rows, columns = [], []
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        degree += inside
        own = np.flatnonzero(inside)
        at = (y[own] + dy, x[own] + dx)
        unknown = free[at]
        rows.append(own[unknown])
        columns.append(number[at][unknown])
        right_hand[own[~unknown]] += values[at][~unknown]
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.diags(degree) - sparse.coo_matrix((np.ones(len(row)), (row, column)), (len(y), len(y)))
    solved = values.astype(float).copy()
    solved[free] = spsolve(matrix.tocsc(), right_hand)
    return solved


def rough_values(height: int, width: int, seed: int) -> np.ndarray:
    """Broad swings over the whole range and noise of 10 levels: harder than any border difference of a face."""
    rng = np.random.default_rng(seed)
    broad = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 10)
    return (np.clip(broad * 2000, -120, 120) + rng.normal(0, 10, (height, width))).astype(np.float32)


@pytest.mark.parametrize("name", MASKS)
def test_every_named_hole_is_solved_to_a_tenth_of_a_level(name: str) -> None:
    for size in (41, 120):
        free = MASKS[name](size, np.random.default_rng(size))
        values = rough_values(size, size, size)
        exact = solve_exactly(values, free)
        assert np.abs(harmonic(values[None], free)[0] - exact).max() < 0.1


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 60), st.integers(3, 60), st.integers(0, 10**6), st.floats(0.5, 4))
def test_any_hole_of_any_shape_is_solved(height: int, width: int, seed: int, blob: float) -> None:
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), blob)
    free = field > np.quantile(field, rng.uniform(0.05, 0.9))
    if free.all():
        free[0, 0] = False
    values = rough_values(height, width, seed)
    assert np.abs(harmonic(values[None], free)[0] - solve_exactly(values, free)).max() < 0.1


def test_a_ramp_is_harmonic_and_comes_back() -> None:
    y, x = np.mgrid[:50, :70].astype(np.float32)
    free = np.zeros((50, 70), bool)
    free[5:45, 8:60] = True
    ramps = np.stack([x, 2 * y - x])
    assert np.abs(harmonic(np.where(free, np.float32(99), ramps), free) - ramps).max() < 0.1


def test_nothing_flows_over_the_edge_of_the_picture() -> None:
    """A strip known at its left end only becomes constant; with both ends known it would be a ramp."""
    strip = np.zeros((1, 6, 40), np.float32)
    strip[..., 0] = 50
    free = np.ones((6, 40), bool)
    free[:, 0] = False
    assert np.abs(harmonic(strip, free) - 50).max() < 0.5


def test_parts_without_a_border_and_empty_holes() -> None:
    values = np.full((1, 9, 9), 7, np.float32)
    assert np.array_equal(harmonic(values, np.zeros((9, 9), bool)), values)
    assert (harmonic(values, np.ones((9, 9), bool)) == 0).all()
