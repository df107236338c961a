"""A detector as a teacher of boxes and landmarks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from facefill.arrays import F32, MIRRORED, U8
from facefill.datasets.progress import track
from facefill.imaging.boxes import share_of_smaller
from facefill.runtime.yunet import YuNet

MARGIN_PX = 32
"""Reflected border put around an aligned face: the teacher misses faces that fill its view."""
SIDES_PX = (320, 640, 1024)
"""Sizes in which the teacher looks at a photo; no one of them shows it faces of all sizes."""
SURE, DOUBTFUL = 0.75, 0.45
"""Scores from which a finding in a photo is a face, and from which it counts neither way."""
VIEWS = ((1.0, False), (1.0, True), (0.6, False), (0.6, True))
"""(scale, mirrored) of the views whose mean is a label: one view alone jitters by 4 % of the eye distance."""


class Teacher(Protocol):
    def look(self, picture: U8, threshold: float) -> F32:
        """(H, W, 3) uint8 RGB to (n, 15): x0, y0, x1, y1, x and y of five landmarks, score."""


def open_teacher(path: Path) -> Teacher:
    """YuNet from a file of flexible size, in one thread. Raises InputError for another file."""
    return YuNet(path, multiple_px=32, threads=1)


def label_face(picture: U8, teacher: Teacher) -> F32 | None:
    """Label an aligned uncovered face (S, S, 3): box and x, y of five landmarks (14,) in its pixels, None for no face.

    The label is the mean over `VIEWS` of the finding nearest to the face's usual place.
    """
    size = picture.shape[0]
    usual = np.array([0.23, 0.19, 0.77, 0.92], np.float32) * size
    wide = cv2.copyMakeBorder(np.ascontiguousarray(picture), *(MARGIN_PX,) * 4, cv2.BORDER_REFLECT_101)
    views = [find_in_view(wide, teacher, *view)[:, :14] - MARGIN_PX for view in VIEWS]
    nearest = [view[np.abs(view[:, :4] - usual).max(1).argmin()] for view in views if len(view)]
    agreed = [row for row in nearest if np.abs(row[:4] - usual).max() < 0.25 * size]
    return np.mean(agreed, 0) if agreed else None


def label_faces(pictures: Any, places: Sequence[int], teacher: Callable[[], Teacher], path: Path) -> tuple[F32, F32]:
    """Boxes (n, 4) and landmarks (n, 5, 2) of the pictures at these places, nan where no face is seen; labelled once
    and kept in a file."""
    if not path.is_file():
        knows = teacher()
        rows = [label_face(pictures[at], knows) for at in track(places, "labelling", len(places))]
        np.save(path, np.array([np.full(14, np.nan) if row is None else row for row in rows], np.float32))
    kept = np.load(path)
    return kept[:, :4], kept[:, 4:].reshape(-1, 5, 2)


def label_photo(photo: U8, teacher: Teacher) -> tuple[F32, F32, list[int]]:
    """Label a photo (H, W, 3): boxes (n, 4), landmarks (n, 5, 2) in its pixels, and for each 1 = a face, 0 = neither a
    face nor its absence. Masks hide little from the teacher where a photo is looked at in several sizes."""
    rows = [np.zeros((0, 15), np.float32)]
    for side in SIDES_PX:
        scale = min(1.5, side / max(photo.shape[:2]))
        view = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 1)
        border = view.shape[0] // 4 if side == SIDES_PX[0] else 0  # it misses faces that fill its view
        grey = cv2.copyMakeBorder(view, *(border,) * 4, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        found = teacher.look(np.asarray(grey, np.uint8), DOUBTFUL)
        found[:, :14] = (found[:, :14] - border) / scale
        rows.append(found)
    every = np.concatenate(rows)
    every = every[np.argsort(-every[:, 14], kind="stable")]
    kept: list[F32] = []
    counts: list[int] = []
    for row in every:
        shared = [share_of_smaller(row[:4], other[:4]) for other in kept]
        if any(share > 0.6 for share in shared):
            continue  # the same face in another size
        kept.append(row)
        counts.append(int(row[14] >= SURE and all(share <= 0.25 for share in shared)))
    found = np.stack(kept) if kept else rows[0]
    return found[:, :4], found[:, 4:14].reshape(-1, 5, 2), counts


def find_in_view(picture: U8, teacher: Teacher, scale: float, mirrored: bool, threshold: float = 0.4) -> F32:
    """What the teacher finds, (n, 15) as `Teacher.look` has it, in one view; in pixels of the picture."""
    view = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale != 1 else picture
    rows = teacher.look(np.ascontiguousarray(view[:, ::-1]) if mirrored else view, threshold)
    points = rows[:, :14].reshape(-1, 7, 2)
    if mirrored:
        points[..., 0] = view.shape[1] - points[..., 0]
        points[:, :2, 0] = points[:, 1::-1, 0]
        points[:, 2:] = points[:, 2:][:, MIRRORED]
    points *= picture.shape[1] / view.shape[1]
    return np.concatenate([points.reshape(-1, 14), rows[:, 14:]], 1).astype(np.float32)
