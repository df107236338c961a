"""Upright boxes, (..., 4): x0, y0, x1, y1 in pixels; of several, shapes broadcast."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def area(box: ArrayLike) -> Any:
    """(...,) square pixels."""
    corners = np.asarray(box)
    return (corners[..., 2:] - corners[..., :2]).prod(-1)


def overlap(one: ArrayLike, other: ArrayLike) -> Any:
    """Intersection over union, (...,); 1 of a box with itself."""
    inner = _common(one, other)
    return inner / np.maximum(area(one) + area(other) - inner, 1e-6)


def share_of_smaller(one: ArrayLike, other: ArrayLike) -> Any:
    """Which share of the smaller box lies in the larger one, (...,)."""
    return _common(one, other) / np.maximum(np.minimum(area(one), area(other)), 1e-6)


def _common(one: ArrayLike, other: ArrayLike) -> Any:
    first, second = np.asarray(one), np.asarray(other)
    span = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    return np.maximum(span, 0).prod(-1)
