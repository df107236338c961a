"""Completion without learning: what was known before GANs, as baselines and as a model that needs no weights.

Every function takes image (H, W, 3) uint8 RGB and mask (H, W) bool, True = missing, and returns `filled`, uint8 of
the same shape. What stands under the mask in `image` is never looked at. Known pixels come back as they were.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def fill_telea(image: Pixels, mask: Mask, *, radius_px: float = 5.0) -> Pixels:
    """Fast marching inwards, a weighted mean of known pixels each (Telea 2004, J. Graphics Tools 9(1))."""
    return _fill_opencv(image, mask, radius_px, cv2.INPAINT_TELEA)


def fill_navier_stokes(image: Pixels, mask: Mask, *, radius_px: float = 5.0) -> Pixels:
    """Carry isophotes into the hole as a fluid does (Bertalmio, Bertozzi & Sapiro, CVPR 2001)."""
    return _fill_opencv(image, mask, radius_px, cv2.INPAINT_NS)


def _fill_opencv(image: Pixels, mask: Mask, radius_px: float, flag: int) -> Pixels:
    hidden = np.where(mask[..., None], np.uint8(0), image)
    filled = cv2.inpaint(np.ascontiguousarray(hidden), mask.astype(np.uint8), radius_px, flag)
    return np.where(mask[..., None], filled, image).astype(np.uint8)


CLASSICAL: dict[str, Callable[[Pixels, Mask], Pixels]] = {
    "telea": fill_telea,
    "navier_stokes": fill_navier_stokes,
}
