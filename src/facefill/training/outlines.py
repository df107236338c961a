"""Outlines of real face masks and sunglasses, put onto other faces as holes."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from facefill.arrays import U8, Bool, Points
from facefill.errors import InputError
from facefill.imaging.masks import dilate
from facefill.runtime.cover import FACE_PX, INSET_PX
from facefill.training.real_covers import GLASSES, MASK, Covered, draw_like, fit_points, read_real

DARK = 0.25
"""Share of the holes that are those of sunglasses."""
TRIED = 6
"""So many outlines are drawn, and the one whose pose is nearest to the face's is taken."""


class Outlines:
    """The covers of a folder as `real_covers` describes it, split train. Raises InputError where none is a mask."""

    def __init__(self, folder: Path) -> None:
        # Below the aligned face, where a cover is only guessed, none is needed: holes end with the face.
        everything = [face for face in read_real(folder, "train", follow=False) if face.kind != "none"]
        self._masks = [face for face in everything if (face.kinds == MASK).any()]
        self._glasses = [face for face in everything if (face.kinds == GLASSES).any()]
        if not self._masks:
            raise InputError(
                "outlines of face masks in the split train", f"none in {folder}", "name others: data.covers"
            )

    def draw(self, landmarks: Points, side_px: int, rng: Generator) -> Bool:
        """(S, S), True under a cover that somebody wears, moved onto a face. landmarks: (5, 2) pixels."""
        covers = self._glasses if self._glasses and rng.random() < DARK else self._masks
        source = draw_like(landmarks, covers, TRIED, rng)
        apart = float(np.hypot(*(landmarks[1] - landmarks[0])))
        target = landmarks + rng.normal(0, 0.04 * apart, (1, 2))
        matrix = fit_points(source.landmarks, target)
        hole = cv2.warpAffine(outline_of(source), matrix, (side_px, side_px), flags=cv2.INTER_LINEAR) > 127
        return dilate(hole, 1) if hole.any() else hole


@lru_cache(maxsize=1)
def open_outlines(folder: Path) -> Outlines:
    """The outlines of a folder, read once for learning and validation."""
    return Outlines(folder)


def outline_of(face: Covered) -> U8:
    """(S, S), 255 where a cover is; at the aligned face's edge it goes on to the square's."""
    worn = np.isin(face.kinds, (MASK, GLASSES))
    inner = worn[:FACE_PX, INSET_PX : INSET_PX + FACE_PX]
    padded = np.pad(
        inner, ((0, face.kinds.shape[0] - FACE_PX), (INSET_PX, face.kinds.shape[1] - FACE_PX - INSET_PX)), mode="edge"
    )
    return padded.astype(np.uint8) * 255
