"""The few array types that everybody names, and the five landmarks."""

import numpy as np
from numpy.typing import NDArray

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

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the latter two exclusive."""
