"""What to complete: which pixels of a photo are missing, and which crop completes each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.errors import NothingCompleted
from facefill.files.photo import Photo
from facefill.imaging.crop import Crop
from facefill.imaging.masks import bounding_box
from facefill.runtime.finder import Face
from facefill.runtime.model import grey_holes

U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Window = tuple[slice, slice]
"""Rows and columns of a photo."""

SMALLEST_FACE_PX = 32
"""The shorter side of a face's box; below it there is too little to see."""
LARGEST_SHARE = 0.60
"""Of a face crop that may be missing, unless the user allows more."""
_NOBODY, _KNOWN, _REFUSED = -1, -2, -3
CONTEXT = 2.0
"""Side of a context crop over the longer side of its hole."""


@dataclass(frozen=True)
class FoundFace:
    """A face of the photo and what became of it."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels of the photo."""
    landmarks: NDArray[np.float64]
    """(5, 2) pixels of the photo: eyes, nose, mouth corners; the viewer's left first."""
    score: float
    """The finder's certainty, 0 to 1."""
    shape: tuple[int, int]
    """Height and width of the photo."""
    window: Window = (slice(0), slice(0))
    """Where in the photo `missing` lies."""
    missing: Bool = field(default_factory=lambda: np.zeros((0, 0), bool))
    warnings: tuple[str, ...] = ()

    @property
    def mask(self) -> Bool:
        """(H, W), True where this face was completed."""
        mask = np.zeros(self.shape, bool)
        mask[self.window] = self.missing
        return mask


@dataclass(frozen=True)
class Task:
    """What one crop has to complete: `missing` in the photo's `window`, by the owner of those pixels."""

    crop: Crop
    window: Window
    missing: Bool
    face: int | None
    """Index into the plan's faces, None for a context crop."""


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the model runs."""

    photo: Photo
    mask: Bool
    """(H, W), every pixel that will be completed."""
    hidden: Bool
    """(H, W), `mask` and what is left uncompleted: the model sees none of it."""
    tasks: tuple[Task, ...]
    faces: tuple[FoundFace, ...]
    warnings: tuple[str, ...]
    covered: bool = False
    """Whether what is missing is a cover, at which a method may look."""
    views: U8 | None = None
    """(faces, S, S, 3), the crop of each face where it was taken already."""

    @cached_property
    def crops(self) -> tuple[U8, Bool]:
        """What the model gets: (N, S, S, 3) faces and their (N, S, S) masks."""
        faces = [self._view(task) for task in self.tasks]
        masks = [task.crop.take_mask(self.hidden) for task in self.tasks]
        return np.stack(faces), np.stack(masks)

    def _view(self, task: Task) -> U8:
        if self.views is None or task.face is None:
            return task.crop.take(self.photo.pixels)
        view: U8 = self.views[task.face]
        return view

    @property
    def worn(self) -> U8:
        """What a method that looks at covers sees, (N, S, S, 3): the faces; a hole that is no cover is grey."""
        faces, masks = self.crops
        return faces if self.covered else grey_holes(faces, masks)

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(N, 5, 2) pixels of the crops: those of the face that a crop is of, nan in a crop of none."""
        return np.stack([
            np.full((5, 2), np.nan, np.float32) if task.face is None
            else task.crop.to_crop(self.faces[task.face].landmarks).astype(np.float32) for task in self.tasks])


def assign(
    photo: Photo, missing: Bool, found: Sequence[Face], crops: Sequence[Crop], warnings: Sequence[str], *,
    large_hole: bool, context_px: int | None,
) -> Plan:
    """Share the missing pixels out: each belongs to the face crop with the nearest centre that contains it, else to
    its component's context crop.

    missing: (H, W). crops, warnings: one per found face; a face with a warning is left as it is. large_hole: also
    complete a face of which more than `LARGEST_SHARE` is missing. context_px: side of context crops, None for none.
    Raises InputError when nothing is left to complete.
    """
    said = list(warnings)
    able = [index for index, warning in enumerate(said) if not warning]
    owners, window = _owners(missing, [crops[index] for index in able])
    tasks: list[Task] = []
    for place, index in enumerate(able):
        owned = owners == place
        if not owned.any():
            continue
        share = float(crops[index].take_mask(missing).mean())
        if share > LARGEST_SHARE and not large_hole:
            said[index] = (f"{place_of(found[index])}: {share:.0%} of it is missing, more than {LARGEST_SHARE:.0%}: "
                           "left as it is (--large-hole completes it all the same)")
            owners[owned] = _REFUSED
            continue
        tasks.append(task_of(crops[index], owned, window, index))
    if context_px is not None:
        tasks += _context_tasks(owners, window, context_px)
    if not tasks:
        fix = ("try another photo, or draw the mask: facefill complete PHOTO --mask MASK -o OUT" if context_px is None
               else "draw a smaller mask, or add --large-hole")
        raise NothingCompleted("a face that can be completed", fix, tuple(filter(None, said)))
    done = np.zeros_like(missing)
    for task in tasks:
        done[task.window] |= task.missing
    by_face = {task.face: task for task in tasks}
    faces = tuple(_report(face, by_face.get(index), said[index], missing.shape) for index, face in enumerate(found))
    return Plan(photo, done, missing, tuple(tasks), faces, tuple(filter(None, said)))


def _context_tasks(owners: NDArray[np.int32], window: Window, size_px: int) -> list[Task]:
    """One crop for each connected piece of what belongs to no face; not for the rim of a refused hole."""
    tasks = []
    count, labels, stats, _ = cv2.connectedComponentsWithStats((owners == _NOBODY).astype(np.uint8), connectivity=8)
    refused = cv2.dilate((owners == _REFUSED).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rims = set(np.unique(labels[refused]).tolist())
    y0, x0 = window[0].start, window[1].start
    for label in sorted(set(range(1, count)) - rims):
        x, y, w, h = (int(value) for value in stats[label, :4])
        box = (x0 + x - 0.5, y0 + y - 0.5, x0 + x + w - 0.5, y0 + y + h - 0.5)
        tasks.append(task_of(context_crop(box, size_px), labels == label, window, None))
    return tasks


def _report(face: Face, task: Task | None, warning: str, shape: tuple[int, ...]) -> FoundFace:
    x0, y0, x1, y1 = (float(value) for value in face.box)
    warnings = (warning,) if warning else ()
    whole = FoundFace((x0, y0, x1, y1), face.landmarks, float(face.score), (shape[0], shape[1]), warnings=warnings)
    return replace(whole, window=task.window, missing=task.missing) if task else whole


def context_crop(box: tuple[float, float, float, float], size: int) -> Crop:
    """An upright square `CONTEXT` times as wide as the box (x0, y0, x1, y1), with the box in its middle."""
    side = max(box[2] - box[0], box[3] - box[1]) * CONTEXT
    side = max(side, size / 4)
    scale = side / size
    x = (box[0] + box[2]) / 2 - (size - 1) / 2 * scale
    y = (box[1] + box[3]) / 2 - (size - 1) / 2 * scale
    return Crop(size, np.array([[scale, 0, x], [0, scale, y]]))


def place_of(face: Face) -> str:
    x0, y0, x1, y1 = (round(float(value)) for value in face.box)
    return f"the face at x {x0}-{x1}, y {y0}-{y1}"


def too_small(face: Face) -> str:
    """Why a face cannot be aligned, empty where it can."""
    side = min(face.box[2] - face.box[0], face.box[3] - face.box[1])
    if side >= SMALLEST_FACE_PX:
        return ""
    return f"{place_of(face)} is {side:.0f} px wide, below {SMALLEST_FACE_PX}"


def _owners(missing: Bool, crops: Sequence[Crop]) -> tuple[NDArray[np.int32], Window]:
    """Which crop each missing pixel belongs to, in the window that holds them all: its index or one of the below."""
    x0, y0, x1, y1 = bounding_box(missing)
    window = slice(y0, y1), slice(x0, x1)
    owners = np.where(missing[window], _NOBODY, _KNOWN).astype(np.int32)
    ys, xs = np.nonzero(missing[window])
    points = np.stack([xs + x0, ys + y0], 1).astype(np.float64)
    best, owner = np.full(len(points), np.inf), np.full(len(points), _NOBODY, np.int32)
    for index, crop in enumerate(crops):
        inside = crop.to_crop(points)
        holds = ((inside >= -0.5) & (inside < crop.size - 0.5)).all(1)
        distance = np.hypot(*(points - crop.to_photo(np.full((1, 2), (crop.size - 1) / 2))).T)
        nearer = holds & (distance < best)
        best[nearer], owner[nearer] = distance[nearer], index
    owners[ys, xs] = owner
    return owners, window


def task_of(crop: Crop, missing: Bool, window: Window, face: int | None) -> Task:
    """A task whose window is cut to its own pixels."""
    x0, y0, x1, y1 = bounding_box(missing)
    top, left = window[0].start, window[1].start
    outer = slice(top + y0, top + y1), slice(left + x0, left + x1)
    return Task(crop, outer, missing[y0:y1, x0:x1].copy(), face)


