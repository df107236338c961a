"""Completion without learning: what was known before GANs, as baselines and as a model that needs no weights.

Every function takes image (H, W, 3) uint8 RGB and mask (H, W) bool, True = missing, and returns `filled`, uint8 of the
same shape. What stands under the mask in `image` is never looked at. Known pixels come back as they were. The cost
is that of the missing parts' bounding boxes and what is looked at around them, beside one copy.
"""

from collections.abc import Callable

import cv2
import numpy as np

from facefill.arrays import F32, U8, Bool
from facefill.errors import InputError
from facefill.imaging.biharmonic import biharmonic
from facefill.imaging.blend import windows
from facefill.imaging.poisson import harmonic
from facefill.threads import Slots

Fill = Callable[[U8, Bool], U8]

# PyPatchMatch draws from one generator for the whole process.
_PATCHMATCH = Slots(1)
# Deviation of the blur in `fill_softly`, twice as far from the hole's border.
SOFT_PX = 6
# How far OpenCV looks around each pixel.
RADIUS_PX = 3
# How far around the hole PatchMatch looks for what could go into it.
SOURCES_PX = 128


def fill_telea(image: U8, mask: Bool) -> U8:
    """Fast marching inwards, a weighted mean of known pixels each (Telea 2004, J. Graphics Tools 9(1))."""
    return _fill_by_opencv(image, mask, cv2.INPAINT_TELEA)


def fill_softly(image: U8, mask: Bool) -> U8:
    """`fill_telea`, blurred further inside: an unseen neck can be given a colour, but no detail."""
    filled = fill_telea(image, mask)
    depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)[..., None]
    inner = np.minimum(depth / np.float32(2 * SOFT_PX), np.float32(1))
    blurred = cv2.GaussianBlur(filled, (0, 0), SOFT_PX).astype(np.float32)
    return np.asarray(np.rint(filled + inner * (blurred - filled)), np.uint8)


def fill_navier_stokes(image: U8, mask: Bool) -> U8:
    """Carry isophotes into the hole as a fluid does (Bertalmio, Bertozzi & Sapiro, CVPR 2001)."""
    return _fill_by_opencv(image, mask, cv2.INPAINT_NS)


def fill_total_variation(image: U8, mask: Bool, *, steps: int = 1000) -> U8:
    """Least total variation in the hole with known pixels fixed (Shen & Chan 2002, SIAM J. Appl. Math. 62(3), with
    lambda = infinity), one norm over directions and channels (Bresson & Chan 2008).

    steps: number of steps of the primal-dual solver on each grid, from coarse to fine.
    """

    def fill(picture: U8, hole: Bool) -> U8:
        planes = np.stack(cv2.split(picture)).astype(np.float32)
        solved = least_variation(planes, hole, steps)
        return np.asarray(np.clip(np.rint(solved), 0, 255).transpose(1, 2, 0), np.uint8)

    return _fill_windows(image, mask, 2, fill)


def fill_patchmatch(image: U8, mask: Bool) -> U8:
    """Patches of the surroundings (Wexler et al. 2007, Barnes et al. 2009), by PyPatchMatch. Raises InputError."""
    try:
        from patchmatch import patch_match
    except ImportError:
        raise InputError("PyPatchMatch for patchmatch", "none installed", "pip install 'facefill[classic]'") from None

    def fill(picture: U8, hole: Bool) -> U8:
        with _PATCHMATCH:
            patch_match.set_random_seed(0)
            filled = patch_match.inpaint(picture, hole.astype(np.uint8) * 255, patch_size=3)
        return np.asarray(filled, np.uint8)

    return _fill_windows(image, mask, SOURCES_PX, fill)


CLASSICAL: dict[str, Fill] = {
    "telea": fill_telea, "navier_stokes": fill_navier_stokes, "biharmonic": biharmonic,
    "total_variation": fill_total_variation, "patchmatch": fill_patchmatch,
}  # fmt: skip


def least_variation(values: F32, free: Bool, steps: int) -> F32:
    """Return the values (C, H, W) with free pixels replaced so that the sum of |gradient| is least.

    Gradients are forward differences, none over the array's edge; |.| is Euclidean over both directions and C. Solved
    by the primal-dual iteration of Chambolle & Pock 2011 (algorithm 1), from the solution of half the size where that
    has free pixels, and otherwise from the harmonic interpolation.
    """
    solved = harmonic(values, free, tolerance=1.0)
    if not free.any():
        return solved
    if min(free.shape) > 16:
        rows, columns = (side // 2 * 2 for side in free.shape)
        cut, size = solved[:, :rows, :columns], (columns // 2, rows // 2)
        small = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in cut])
        inside = np.asarray(free[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).all(axis=(1, 3)))
        small = least_variation(small, inside, steps)
        large = np.stack([cv2.resize(plane, free.shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in small])
        inner = cv2.erode(free.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        solved = np.where(free & inner, large, solved).astype(np.float32)
    # The product of both steps is 1 / 8, what the norm of the gradient allows; their ratio fits values of 0 to 255.
    primal_step = np.float32(3.0)
    dual_step = np.float32(1 / (8 * primal_step))
    across, down, ahead = np.zeros_like(solved), np.zeros_like(solved), solved
    shape_free = free.astype(np.float32)
    for _ in range(steps):
        across[:, :, :-1] += dual_step * (ahead[:, :, 1:] - ahead[:, :, :-1])
        down[:, :-1] += dual_step * (ahead[:, 1:] - ahead[:, :-1])
        length = np.sqrt((across**2 + down**2).sum(axis=0))
        shorten = 1 / np.maximum(length, np.float32(1))
        across *= shorten
        down *= shorten
        divergence = across + down
        divergence[:, :, 1:] -= across[:, :, :-1]
        divergence[:, 1:] -= down[:, :-1]
        moved = solved + primal_step * shape_free * divergence
        ahead, solved = 2 * moved - solved, moved
    return solved


def _fill_by_opencv(image: U8, mask: Bool, flag: int) -> U8:
    def fill(picture: U8, hole: Bool) -> U8:
        return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), RADIUS_PX, flag), np.uint8)

    return _fill_windows(image, mask, RADIUS_PX + 3, fill)


def _fill_windows(image: U8, mask: Bool, margin_px: int, fill: Fill) -> U8:
    """Let `fill` work on each missing part with its margin, hidden pixels black, and keep known pixels."""
    filled = image.copy()
    for x0, y0, x1, y1 in windows(mask, margin_px):
        view = np.s_[y0:y1, x0:x1]
        missing = np.ascontiguousarray(mask[view])
        shown = np.where(missing[..., None], np.uint8(0), image[view])
        cv2.copyTo(fill(shown, missing), missing.view(np.uint8), filled[view])
    return filled
