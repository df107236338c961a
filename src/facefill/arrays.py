"""The few array types that everybody names, and the five landmarks."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floating = TypeVar("Floating", bound=np.floating[Any])

U8 = NDArray[np.uint8]
"""Pictures, RGB unless it is said."""
Bool = NDArray[np.bool_]
"""Masks, True = missing."""
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Points = NDArray[np.float64]
"""(..., 2) x, y in pixels; (0, 0) is the middle of the first."""

MIRRORED = [1, 0, 2, 4, 3]
"""Which of the five landmarks (eyes, nose tip, mouth corners) each becomes in a mirror."""


def mirror_points(points: NDArray[Floating], width: float) -> NDArray[Floating]:
    """Five landmarks, (..., 5, 2) pixels of a picture of that width, in its mirror image."""
    return np.stack([width - 1 - points[..., 0], points[..., 1]], -1)[..., MIRRORED, :]


Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the latter two exclusive."""
