"""Which pixels of an aligned face are covered: by a face mask, a hand, sunglasses ..."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.runtime.engine import Engine
from facefill.runtime.model import resize, to_network

SIDE_PX = 256
"""The network looks at faces of this side."""
THRESHOLD = 0.5
"""Probability from which a pixel counts as covered."""
SMALLEST_SHARE = 0.004
"""A spot below this share of the crop is no cover: it is dropped, as are holes in a cover below it filled."""
DOUBT = 0.02
"""Probability up to which the network rules a pixel out, whatever it looks like."""
LIKE_LEVELS = 30.0
"""Distance in RGB up to which a pixel looks like the cover beside it."""
REACH_SHARE = 0.0625
"""How far from the found edge a pixel is looked at, twice over, as a share of the crop's side (16 px of 256)."""
GROW_SHARE = 0.012
"""How far the mask grows beyond the found edge, as a share of the crop's side (4 px of 256): the network is exact
to a pixel or two, and a rim of the cover that stays would bleed into the completed skin."""


class Cover:
    """Finds covers with a network."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, faces: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(N, S, S, 3) aligned faces to (N, S, S) masks, True = covered; all False where nothing covers a face."""
        scores = self.probabilities(faces)
        found = (follow(clean(score > THRESHOLD), face, score) for face, score in zip(faces, scores, strict=True))
        return np.array([grow(mask, GROW_SHARE) for mask in found], bool).reshape(scores.shape)

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S): how sure the network is that something covers each pixel, 0-1."""
        side = faces.shape[1]
        if not len(faces):
            return np.zeros((0, side, side), np.float32)
        small = to_network(resize(faces, SIDE_PX, SIDE_PX))
        scores = next(iter(self._engine.run({"worn": small}).values()))[:, 0]
        return np.stack([cv2.resize(score, (side, side), interpolation=cv2.INTER_LINEAR) for score in scores])


def clean(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A copy without specks, and with pinholes filled; both below `SMALLEST_SHARE` of the picture."""
    smallest = SMALLEST_SHARE * mask.size
    for value in (True, False):
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        small = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] < smallest]
        mask = np.where(np.isin(labels, small), not value, mask) if small else mask
    return mask


def follow(mask: NDArray[np.bool_], face: NDArray[np.uint8], score: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Extend a mask to what hangs together with it, looks like the cover and is not ruled out by the network.

    The network is unsure where covers are of an unusual make, and then stops in the middle of one; colour goes on.
    mask, score: (S, S). face: (S, S, 3).
    """
    unit = mask.shape[0] / 256
    picture = cv2.GaussianBlur(face, (0, 0), 1.5 * unit).astype(np.float32)
    for _ in range(2):
        depth, height = (cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) for part in (mask, ~mask))
        inner = (depth > 5 * unit) & (depth <= 20 * unit)
        if not inner.any():
            break
        alike = np.linalg.norm(picture - nearest(picture, inner), axis=2) < LIKE_LEVELS
        able = mask | (alike & (height <= REACH_SHARE * mask.shape[0]) & (score > DOUBT))
        labels = cv2.connectedComponents(able.astype(np.uint8), connectivity=4)[1]
        mask = clean(able & np.isin(labels, np.unique(labels[mask])))
    return mask


def nearest(picture: NDArray[np.float32], band: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(S, S, 3), at each pixel what the picture is at the nearest pixel of a band (S, S) that has some."""
    labels = cv2.distanceTransformWithLabels((~band).astype(np.uint8), cv2.DIST_L2, 5,
                                             labelType=cv2.DIST_LABEL_PIXEL)[1]
    colours = np.zeros((int(labels.max()) + 1, picture.shape[2]), np.float32)
    colours[labels[band]] = picture[band]
    return np.asarray(colours[labels])


def grow(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Dilate by a disc whose radius is `share` of the picture's side, rounded up."""
    radius = int(np.ceil(share * mask.shape[0]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)
