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
GROW_SHARE = 0.012
"""How far the mask grows beyond the found edge, as a share of the crop's side (3 px of 256): the network is exact
to a pixel or two, and a rim of the cover that stays would bleed into the completed skin."""


class Cover:
    """Finds covers with a network."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, faces: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(N, S, S, 3) aligned faces to (N, S, S) masks, True = covered; all False where nothing covers a face."""
        scores = self.probabilities(faces)
        return np.array([grow(clean(score > THRESHOLD), GROW_SHARE) for score in scores], bool).reshape(scores.shape)

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


def grow(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Dilate by a disc whose radius is `share` of the picture's side, rounded up."""
    radius = int(np.ceil(share * mask.shape[0]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)
