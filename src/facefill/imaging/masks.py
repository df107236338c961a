"""Holes: by name for training and frozen protocols, and what is asked of any of them.

A mask is (H, W) bool, True = missing, always.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import U8, Bool, Box
from facefill.errors import InputError

# --- Holes by name: (size, rng) -> (size, size) ------------------------------------------------


def centre(size: int, rng: np.random.Generator) -> Bool:
    """Square of half the side in the middle (Pathak et al. 2016, section 3.2). Uses no randomness."""
    start, side = (size - size // 2) // 2, size // 2
    return _rectangle(size, start, start, start + side, start + side)


def box(size: int, rng: np.random.Generator) -> Bool:
    """One rectangle anywhere inside, each side uniformly 1/4 to 5/8 of the picture's."""
    width, height = rng.integers(size // 4, max(5 * size // 8, size // 4 + 1), 2, endpoint=True)
    x0, y0 = (int(rng.integers(size - side, endpoint=True)) for side in (width, height))
    return _rectangle(size, x0, y0, x0 + int(width), y0 + int(height))


def _band(left: float, top: float, right: float, bottom: float, size: int, rng: np.random.Generator) -> Bool:
    """A fixed rectangle, its edges as shares of the side."""
    return _rectangle(size, *(round(share * size) for share in (left, top, right, bottom)))


def _rectangle(size: int, x0: int, y0: int, x1: int, y1: int) -> Bool:
    mask = np.zeros((size, size), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def random_pixels(share: float, size: int, rng: np.random.Generator) -> Bool:
    """Each pixel missing independently with probability `share`."""
    return rng.random((size, size)) < share


def freeform(size: int, rng: np.random.Generator) -> Bool:
    """One to four winding brush strokes (Yu et al. 2019, "Free-form image inpainting", supplement, alg. 1)."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(1, 4, endpoint=True))):
        _brush(canvas, rng, size * rng.uniform(0.05, 0.15))
    return canvas > 0


def freeform_share(low: float, high: float, size: int, rng: np.random.Generator) -> Bool:
    """Brush strokes until the missing share lies in [low, high] (the deciles of Liu et al. 2018, section 4).

    The share is sure from 32 pixels a side; smaller pictures, where one stroke may be too much, come near.
    """
    target = rng.uniform(low, high)
    canvas = np.zeros((size, size), np.uint8)
    width_px = size * min(0.12, target * 0.5)
    for _ in range(500):
        trial = canvas.copy()
        _brush(trial, rng, width_px * rng.uniform(0.4, 1.0))
        share = trial.mean()
        if share > high:
            width_px = max(width_px * 0.9, 1.0)
        elif abs(share - target) > abs(canvas.mean() - target) and canvas.mean() >= low:
            break
        else:
            canvas = trial
        if canvas.mean() >= target:
            break
    return canvas > 0


def _brush(canvas: U8, rng: np.random.Generator, width_px: float) -> None:
    """Draw one stroke of ones that turns at its 4 to 12 vertices. Its direction is random; the paper's is upright."""
    size = canvas.shape[0]
    heading = rng.uniform(0, 2 * math.pi)
    points = [rng.uniform(0, size, 2)]
    for index in range(int(rng.integers(4, 12, endpoint=True))):
        angle = 2 * math.pi / 5 + rng.uniform(-2 * math.pi / 15, 2 * math.pi / 15)
        angle = 2 * math.pi - angle if index % 2 == 0 else angle
        length = float(np.clip(rng.normal(size / 8, size / 16), 0, size / 4))
        step = np.array([math.sin(heading + angle), math.cos(heading + angle)]) * length
        points.append(np.clip(points[-1] + step, 0, size - 1))
    whole = np.rint(points).astype(np.int32)
    cv2.polylines(canvas, [whole], False, 1, max(round(width_px), 1))
    for x, y in whole:
        cv2.circle(canvas, (int(x), int(y)), round(width_px / 2), 1, -1)


def scratches(size: int, rng: np.random.Generator) -> Bool:
    """Three to twelve thin, slightly bent lines from edge to edge or shorter, as on an old print."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(3, 12, endpoint=True))):
        start, end = rng.uniform(-0.1 * size, 1.1 * size, (2, 2))
        along = np.linspace(0, 1, 24)[:, None]
        bend = rng.normal(0, 0.06 * size, 2) * np.sin(math.pi * along)
        shake = rng.normal(0, 0.003 * size, (24, 2))
        line = np.rint(start + (end - start) * along + bend + shake).astype(np.int32)
        cv2.polylines(canvas, [line], False, 1, max(round(size * rng.uniform(0.003, 0.014)), 1))
    return canvas > 0


def lost_blocks(size: int, rng: np.random.Generator) -> Bool:
    """Blocks of a coarse grid that never arrived, 5 to 40 % of them, each 1/32, 1/16 or 1/8 of the side."""
    side = max(size // int(rng.choice([8, 16, 32])), 1)
    count = -(-size // side)
    lost = rng.random((count, count)) < rng.uniform(0.05, 0.4)
    return np.kron(lost, np.ones((side, side), bool))[:size, :size]


def text(size: int, rng: np.random.Generator) -> Bool:
    """Lines of letters across the picture, as a caption or watermark leaves them."""
    canvas = np.zeros((size, size), np.uint8)
    height = size * rng.uniform(0.06, 0.16)
    scale, thickness = height / 22, max(round(height / rng.uniform(5, 9)), 1)
    spacing = height * rng.uniform(1.3, 2.5)
    baseline = rng.uniform(height, size)
    for _ in range(int(rng.integers(1, 5, endpoint=True))):
        letters = "".join(chr(code) for code in rng.choice([32, *range(65, 91), *range(97, 123)], 24))
        origin = (int(rng.uniform(-0.2, 0.5) * size), int(baseline))
        cv2.putText(canvas, letters, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, 1, thickness)
        baseline = (baseline + spacing) % (size + height)
    return canvas > 0


MASKS: dict[str, Callable[[int, np.random.Generator], Bool]] = {
    "centre": centre,
    "box": box,
    "half-left": partial(_band, 0.0, 0.0, 0.5, 1.0),
    "half-right": partial(_band, 0.5, 0.0, 1.0, 1.0),
    "lower": partial(_band, 0.0, 0.5, 1.0, 1.0),
    "upper": partial(_band, 0.0, 0.0, 1.0, 0.5),
    # A band over both eyes and brows of a face in FFHQ alignment, whose pupils stand at 0.476 of the height.
    "eyes": partial(_band, 0.22, 0.38, 0.78, 0.56),
    "freeform": freeform,
    **{f"random{percent}": partial(random_pixels, percent / 100) for percent in (20, 40, 60, 80)},
    **{f"freeform{p}": partial(freeform_share, max(p - 10, 1) / 100, p / 100) for p in range(10, 70, 10)},
    "scratches": scratches,
    "blocks": lost_blocks,
    "text": text,
}


# --- Geometry -----------------------------------------------------------------------------------


def bounding_box(mask: Bool, margin_px: int = 0) -> Box:
    """Return the smallest (x0, y0, x1, y1) with every missing pixel in mask[y0:y1, x0:x1], grown by a margin
    but not beyond the picture. All zero when nothing is missing."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return 0, 0, 0, 0
    rows, columns = mask.shape
    grown = (x - margin_px, y - margin_px, x + width + margin_px, y + height + margin_px)
    return max(grown[0], 0), max(grown[1], 0), min(grown[2], columns), min(grown[3], rows)


def dilate(mask: Bool, px: float) -> Bool:
    """Return the mask grown by a disc: pixels whose centres are within `px` of a missing one's. Raises InputError."""
    if not px >= 0:
        raise InputError("a dilation of 0 px or more", f"{px}", "give a number that is not negative")
    grown = mask.copy()
    x0, y0, x1, y1 = bounding_box(mask, math.floor(px))
    if px < 1 or x1 == 0:
        return grown
    known = (~mask[y0:y1, x0:x1]).astype(np.uint8)
    distance_px = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    grown[y0:y1, x0:x1] = distance_px <= px + 1e-5
    return grown


# --- Masks that somebody drew -------------------------------------------------------------------


def nearest(picture: NDArray[Any], known: Bool, where: Bool) -> NDArray[Any]:
    """Return (n, C), for each pixel of `where` what the picture (H, W, C) is at the nearest one of `known`.

    known: (H, W), not empty. where: (H, W); its pixels in order, row after row.
    """
    labels = cv2.distanceTransformWithLabels((~known).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    # Labels count the known pixels from 1, row after row.
    return np.asarray(picture.reshape(-1, picture.shape[2])[np.flatnonzero(known)[labels[where] - 1]])
