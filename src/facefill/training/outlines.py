"""Outlines of real face masks and sunglasses, put onto other faces as holes."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from facefill.arrays import Bool, Points
from facefill.errors import InputError
from facefill.imaging.masks import dilate
from facefill.runtime.cover import FACE_PX, INSET_PX, SIDE_PX
from facefill.training.real_covers import GLASSES, MASK, SQUARE, Covered, draw_like, fit_points, read_real

DARK = 0.25
"""Share of the holes that are those of sunglasses."""
TRIED = 6
"""So many outlines are drawn, and the one whose pose is nearest to the face's is taken."""


Outlines = tuple[list[Covered], list[Covered]]
"""Faces in masks, and faces in sunglasses."""


@lru_cache(maxsize=1)
def read_outlines(folder: Path) -> Outlines:
    """Those of a folder as `real_covers` describes it, split train, read once for learning and validation.

    Raises InputError where none is in a mask.
    """
    # Below the aligned face, where a cover is only guessed, none is needed: holes end with the face.
    everything = [face for face in read_real(folder, "train", follow=False) if face.kind != "none"]
    masks, glasses = ([face for face in everything if (face.kinds == kind).any()] for kind in (MASK, GLASSES))
    if not masks:
        raise InputError("outlines of face masks in the split train", f"none in {folder}", "name others: data.covers")
    return masks, glasses


def draw_outline(outlines: Outlines, landmarks: Points, side_px: int, rng: Generator) -> Bool:
    """(S, S), True under a cover that somebody wears, moved onto a face. landmarks: (5, 2) pixels."""
    masks, glasses = outlines
    source = draw_like(landmarks, glasses if glasses and rng.random() < DARK else masks, TRIED, rng)
    apart = float(np.hypot(*(landmarks[1] - landmarks[0])))
    matrix = fit_points(source.landmarks, landmarks + rng.normal(0, 0.04 * apart, (1, 2)))
    inner = np.isin(source.kinds, (MASK, GLASSES))[SQUARE].astype(np.uint8) * 255
    # At the aligned face's edge it goes on to the square's.
    outline = np.pad(inner, ((0, SIDE_PX - FACE_PX), (INSET_PX, INSET_PX)), mode="edge")
    hole = cv2.warpAffine(outline, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR) > 127
    return dilate(hole, 1) if hole.any() else hole
