"""Pictures that explain a completion: the steps of blending, several samples side by side, borrowed places."""

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, U8, Bool
from facefill.imaging.blend import composite

GREY = 128


def side_by_side(pictures: U8) -> U8:
    """(N, H, W, 3) to (H, N W, 3)."""
    return np.concatenate(list(pictures), 1)


def spread_map(samples: U8) -> U8:
    """Where samples (N, H, W, 3) of one hole differ, (H, W, 3): 4 times the standard deviation of a channel's levels,
    the mean over channels, black for none."""
    deviation = samples.astype(np.float32).std(0).mean(-1, keepdims=True)
    return np.repeat(np.clip(np.rint(4 * deviation), 0, 255), 3, -1).astype(np.uint8)


def mean_distance(samples: U8, mask: Bool) -> float:
    """Mean absolute difference of two samples of (N, H, W, 3) inside the mask, over 255; the mean over all pairs."""
    inside = samples[:, mask].astype(np.float64)
    pairs = [np.abs(a - b).mean() / 255 for a, b in combinations(inside, 2)]
    return float(np.mean(pairs)) if pairs else 0.0


def gradients(picture: NDArray[np.generic]) -> F32:
    """Forward differences (2, H, W, C) along x and y; 0 in the last column and row."""
    values = picture.astype(np.float32)
    field = np.zeros((2, *values.shape), np.float32)
    field[0, :, :-1] = values[:, 1:] - values[:, :-1]
    field[1, :-1] = values[1:] - values[:-1]
    return field


def merge_gradients(known: F32, filled: F32, mask: Bool) -> F32:
    """The field of the filled picture wherever one of the two pixels of a difference is missing, else the known one."""
    touched = np.stack([mask, mask])
    touched[0, :, :-1] |= mask[:, 1:]
    touched[1, :-1] |= mask[1:]
    return np.asarray(np.where(touched[..., None], filled, known))


def divergence(field: F32) -> F32:
    """Backward differences of a field (2, H, W, C), (H, W, C). With forward differences before, the discrete Laplacian
    whose normal derivative is 0 at the picture's edge."""
    across, down = field
    out: F32 = across + down
    out[:, 1:] -= across[:, :-1]
    out[1:] -= down[:-1]
    return out


def blending_steps(image: U8, filled: U8, mask: Bool) -> U8:
    """The four steps of Poisson blending (Perez et al. 2003) as pictures (8, H, W, 3): the masked picture and its
    gradients, the filled picture and its gradients, merged gradients, their divergence, pasted, blended.

    Gradients are drawn as twice the mean absolute difference, the divergence on mid grey.
    """
    masked = np.where(mask[..., None], np.uint8(GREY), image)
    known, theirs = gradients(masked), gradients(filled)
    merged = merge_gradients(known, theirs, mask)
    drawn = [
        masked,
        _strength(known),
        filled,
        _strength(theirs),
        _strength(merged),
        _levels(GREY + divergence(merged).mean(-1, keepdims=True)),
        composite(image, filled, mask, blend="paste"),
        composite(image, filled, mask, limit=None),
    ]
    return np.stack(drawn)


def draw_offsets(face: U8, offsets: F32, mask: Bool) -> U8:
    """The face (H, W, 3) with each cell of its hole coloured by where it borrows from: the hue is the direction (red to
    the right, then clockwise yellow-green down, cyan left, violet up), full colour at half of the picture and beyond.

    offsets: (2, h, w) cells down and to the right.
    """
    down, right = offsets
    length = np.hypot(down, right) / (max(offsets.shape[1:]) / 2)
    hue = np.mod(np.degrees(np.arctan2(down, right)), 360)
    colours = np.stack([hue, np.clip(length, 0, 1), np.ones_like(hue)], -1).astype(np.float32)
    drawn = _levels(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB) * 255)
    height, width = mask.shape
    large = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.where(mask[..., None], large, face)


def _strength(field: F32) -> U8:
    return _levels(2 * np.abs(field).sum(0).mean(-1, keepdims=True))


def _levels(values: F32) -> U8:
    levels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.repeat(levels, 3, -1) if levels.shape[-1] == 1 else levels
