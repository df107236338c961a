"""What to complete: which pixels of a photo are missing, and on which grid each of them is drawn.

The only place that chooses a grid. What is wide goes into aligned face crops, or context crops away from faces, at the
network's own size; beyond a face's crop its hole is filled softly. What is fine (scratches, dropped pixels, text,
seams) is filled first, at the photo's own size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, U8, Bool
from facefill.errors import NothingCompleted
from facefill.files.photo import Photo
from facefill.imaging.crop import Crop
from facefill.imaging.masks import bounding_box
from facefill.runtime.cover import FoundCover
from facefill.runtime.face_warnings import reasons_for_doubt
from facefill.runtime.finder import Face
from facefill.runtime.model import Model, grey_holes

Window = tuple[slice, slice]
"""Rows and columns of a photo."""

SMALLEST_FACE_PX = 32
"""The shorter side of a face's box; below it there is too little to see."""
LARGEST_SHARE = 0.60
"""The largest share of a face crop that may be missing, 0 to 1, unless the user allows more."""
FINE_SHARE, FINE_PX = 1 / 60, (4.25, 8.0)
"""What lies no deeper in a hole than this share of its face crop's side, within these bounds in pixels of the photo, is
fine: there biharmonic interpolation is nearer to the truth than `swift` (docs/evaluation.md). Away from faces the upper
bound counts."""
WIDE_AREA_PX = 6
"""A place in a hole is wide where so many pixels together lie deeper: of many dropped by chance, a few do, too."""
CONTEXT = 2.0
"""Side of a context crop over the longer side of its hole."""
MOST_CONTEXTS = 64
"""Further holes share context crops with their neighbours, so that time and memory are bounded."""
WINDOW_MARGIN = 1 / 8
"""Share of a window's side, on each side, that is seen only: the next windows complete it."""
SOFT_EDGE = 1 / 16, 2.0
"""How far what is filled softly fades into a face's crop, over the crop's side, and at most over how deep it is."""
_NOBODY, _KNOWN, _REFUSED = -1, -2, -3


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
    """Why it was left as it is; of a completed face, why the completion may look wrong."""
    covers: tuple[str, ...] = ()
    """Kinds of what covers it (`runtime.cover.KINDS`), the largest first."""
    cut: bool = False
    """Whether what looks like its cover goes on where its mask ends."""
    left_on: tuple[str, ...] = ()
    """Kinds that cover it and stay, as they were not to be taken off, the largest first."""

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
    """Its size is the side of the grid that the network gets."""
    window: Window
    missing: Bool
    face: int | None = None
    """Index into the plan's faces, None for any other crop."""
    stage: int = 1
    """Tasks of a later stage see what the earlier ones completed: 0 windows of fine parts, 1 faces, 2 context crops."""
    landmarks: NDArray[np.float32] = field(default_factory=lambda: np.full((5, 2), np.nan, np.float32))
    """(5, 2) pixels of the crop, NaN where it shows no face that was found."""
    softly: F32 | None = None
    """None for what a network draws. Beyond a face's crop, where its hole goes on, networks draw another face:
    `fill_softly` fills that, and this says how much of it shows, 0 to 1: it fades into what the face's crop drew."""


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the model runs."""

    photo: Photo
    mask: Bool
    """(H, W), every pixel that will be completed."""
    hidden: Bool
    """(H, W), `mask` and what is left uncompleted: the model sees none of it."""
    fine: Bool
    """(H, W), the part of `mask` that is filled at the photo's own size without a network, before all tasks."""
    tasks: tuple[Task, ...]
    faces: tuple[FoundFace, ...] = ()
    warnings: tuple[str, ...] = ()
    covered: bool = False
    """Whether what is missing is a cover, at which a method may look."""

    @cached_property
    def crops(self) -> list[tuple[U8, Bool]]:
        """Each task's crop (S, S, 3) and what of it is missing (S, S), before anything is completed."""
        return [self.view(task, self.photo.pixels, self.hidden) for task in self.tasks]

    def view(self, task: Task, pixels: U8, hidden: Bool) -> tuple[U8, Bool]:
        """A task's crop of a photo in work (H, W, 3), and what of it is still missing: hidden (H, W) and what lies
        outside the photo."""
        return task.crop.take_known(pixels, hidden), task.crop.take_mask(hidden) | task.crop.outside(hidden.shape)

    def worn(self, task: Task, missing: Bool) -> U8:
        """What a method that looks at covers sees, (S, S, 3): the crop of the photo; a hole that is no cover is grey,
        as is what lies outside."""
        face = task.crop.take(self.photo.pixels)
        return grey_holes(face, task.crop.outside(self.mask.shape) if self.covered else missing)


# --- Who completes a pixel ----------------------------------------------------------------------


def assign(
    photo: Photo,
    missing: Bool,
    found: Sequence[Face],
    model: Model,
    warnings: Sequence[str],
    covers: Sequence[FoundCover] = (),
    *,
    large_hole: bool,
) -> Plan:
    """Share the missing pixels out: each belongs to the face crop with the nearest centre that contains it, else to a
    context crop; what of them is fine is filled at the photo's size.

    missing: (H, W). warnings: one per found face; a face with a warning is left as it is. covers: one per found face,
    where they are what is missing: what of one lies beyond the crops is that face's. large_hole: also complete a face
    of which more than `LARGEST_SHARE` is missing.
    Raises NothingCompleted when nothing is left to complete.
    """
    crops = {
        index: Crop.around_face(face.landmarks, model.record.size_px)
        for index, face in enumerate(found)
        if not warnings[index]
    }
    said = list(warnings)
    owners, window = _owners(missing, crops)
    most = 0.9 * LARGEST_SHARE * min((crop.size * crop.scale) ** 2 for crop in crops.values()) if crops else 0.0
    many = np.count_nonzero(missing[window]) > most  # else no share is near the limit, and nobody need measure one
    for index, crop in crops.items():
        owned = owners == index
        share = crop.share(missing) if many and owned.any() else 0.0
        if share > LARGEST_SHARE and not large_hole:
            said[index] = (
                f"{place_of(found[index])}: {share:.0%} of it is missing, more than {LARGEST_SHARE:.0%}: "
                "left as it is (--large-hole completes it all the same)"
            )
            owners[owned] = _REFUSED
    if (owners == _REFUSED).any():
        _refuse_rims(owners)
    if not (owners >= _NOBODY).any():
        fix = _way_out(covers, missing)
        raise NothingCompleted("a face that can be completed", fix, tuple(filter(None, said)))
    plan = _on_grids(photo, missing, owners, window, crops, model)
    tasks = tuple(_told(task, found) for task in plan.tasks)
    belong = owners.copy()
    for index in range(len(covers)):
        if not said[index]:
            beyond = covers[index].mask(missing.shape)[window] & (belong == _NOBODY)
            belong[beyond] = index
    drawn = {task.face for task in plan.tasks}
    for index, face in enumerate(found):
        if index in drawn:
            said[index] = _doubt(face, photo, missing, cut=bool(covers) and covers[index].cut) or said[index]
    faces = tuple(
        _report(face, belong == index, window, said[index], missing.shape) for index, face in enumerate(found)
    )
    return replace(plan, tasks=tasks, faces=faces, warnings=tuple(filter(None, said)))


def _way_out(covers: Sequence[FoundCover], missing: Bool) -> str:
    """What to do where no face can be completed."""
    if not covers:
        return "draw a smaller mask, or add --large-hole"
    if any(cover.left_on for cover in covers) and not missing.any():
        return "name what stays in --covers too, or leave --covers out"
    return "try another photo, or draw the mask: facefill complete PHOTO --mask MASK -o OUT"


def _told(task: Task, found: Sequence[Face]) -> Task:
    """The task with the landmarks of its face, in its crop."""
    if task.face is None:
        return task
    return replace(task, landmarks=task.crop.to_crop(found[task.face].landmarks).astype(np.float32))


def _doubt(face: Face, photo: Photo, missing: Bool, *, cut: bool) -> str:
    """Why to look at a completed face again, or nothing. cut: see `FoundCover`."""
    said = ""
    if reasons := reasons_for_doubt(face, photo.pixels, missing):
        said = f"{place_of(face)} may look wrong: it is {', '.join(reasons)}"
    if cut:
        before = f"{said};" if said else f"{place_of(face)}:"
        said = f"{before} what covers it, or clothes that look so, goes on where the completed part ends"
    return said


def assign_aligned(photo: Photo, missing: Bool, model: Model) -> Plan:
    """The plan of a photo that is an aligned square face already: one crop, the whole of it."""
    side, height = model.record.size_px, missing.shape[0]
    scale = height / side
    crop = Crop(side, np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]]))
    owners, window = np.where(missing, 0, _KNOWN).astype(np.int32), (slice(0, height), slice(0, height))
    plan = _on_grids(photo, missing, owners, window, {0: crop}, model)
    return replace(plan, tasks=tuple(replace(task, face=None) for task in plan.tasks))


def _owners(missing: Bool, crops: dict[int, Crop]) -> tuple[NDArray[np.int32], Window]:
    """Which crop each missing pixel belongs to, in the window that holds them all: its key or one of `_NOBODY` ..."""
    x0, y0, x1, y1 = bounding_box(missing)
    window = slice(y0, y1), slice(x0, x1)
    owners = np.where(missing[window], _NOBODY, _KNOWN).astype(np.int32)
    best = np.full(owners.shape, np.inf)
    for index, crop in crops.items():
        left, top, right, bottom = crop.bounds(missing.shape)
        view = slice(max(top - y0, 0), max(bottom - y0, 0)), slice(max(left - x0, 0), max(right - x0, 0))
        part = owners[view]
        xs = np.arange(part.shape[1]) + max(left, x0)
        ys = np.arange(part.shape[0])[:, None] + max(top, y0)
        holds, origin = part != _KNOWN, crop.matrix[:, 2]
        for across, down in np.linalg.inv(crop.matrix[:, :2]):
            place = across * (xs - origin[0]) + down * (ys - origin[1])
            holds &= (place >= -0.5) & (place < crop.size - 0.5)
        middle = crop.to_photo(np.full(2, (crop.size - 1) / 2))
        distance = np.square(xs - middle[0]) + np.square(ys - middle[1])
        nearer = holds & (distance < best[view])
        best[view][nearer], part[nearer] = distance[nearer], index
    return owners, window


def _refuse_rims(owners: NDArray[np.int32]) -> None:
    """Refuse what belongs to no face and hangs together with a refused hole: it is that hole's rim."""
    refused = cv2.dilate((owners == _REFUSED).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    labels = cv2.connectedComponents((owners == _NOBODY).astype(np.uint8), connectivity=8)[1]
    owners[np.isin(labels, np.setdiff1d(labels[refused], [0]))] = _REFUSED


def _report(face: Face, owned: Bool, window: Window, warning: str, shape: tuple[int, ...]) -> FoundFace:
    x0, y0, x1, y1 = (float(value) for value in face.box)
    warnings = (warning,) if warning else ()
    whole = FoundFace((x0, y0, x1, y1), face.landmarks, float(face.score), (shape[0], shape[1]), warnings=warnings)
    if not owned.any():
        return whole
    inner, missing = _cut(owned, window)
    return replace(whole, window=inner, missing=missing)


# --- On which grid ------------------------------------------------------------------------------


def _on_grids(
    photo: Photo, hidden: Bool, owners: NDArray[np.int32], window: Window, crops: dict[int, Crop], model: Model
) -> Plan:
    """A plan without faces for pixels by owner, (h, w) in the photo's window."""
    mask, fine = (np.zeros(hidden.shape, bool) for _ in range(2))  # not zeros_like, which writes all of them
    mask[window] = owners >= _NOBODY
    wide = np.zeros(owners.shape, bool)
    classical = model.record.kind == "classical"
    ruled = classical or model.record.interpolates_fine
    if not classical:
        # A network that fills fine parts itself, in a crop that has the photo's grid, gets all of the hole at once.
        same = [index for index, crop in crops.items() if not ruled and abs(crop.scale - 1) < 1e-9]
        wide = _wide(mask, owners, window, crops) | np.isin(owners, same)
    fine[window] = mask[window] & ~wide
    tasks = list(_windows(fine, model)) if not ruled and fine[window].any() else []
    for index in sorted(crops):
        owned = wide & (owners == index)
        if owned.any():
            tasks.append(Task(crops[index], *_cut(owned, window), index))
    lonely = wide & (owners == _NOBODY)
    if lonely.any():
        reach_px = SOFT_EDGE[0] * min((crop.size * crop.scale for crop in crops.values()), default=0.0)
        tasks += _context_tasks(lonely, window, model.record.size_px, wide & (owners >= 0), reach_px)
    return Plan(photo, mask, hidden, fine if ruled else np.zeros(hidden.shape, bool), tuple(tasks))


def _wide(mask: Bool, owners: NDArray[np.int32], window: Window, crops: dict[int, Crop]) -> Bool:
    """The wide parts of a mask, (h, w) in its window: what lies about its deep places."""
    grown = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in window)
    depth = cv2.distanceTransform(np.ascontiguousarray(mask[grown]).view(np.uint8), cv2.DIST_L2, 5)
    depth = depth[within(window, (grown[0], grown[1]))]
    wide = np.zeros(owners.shape, bool)
    for index in (_NOBODY, *crops):
        owned = owners == index
        side_px = crops[index].size * crops[index].scale if index in crops else np.inf
        limit_px = float(np.clip(FINE_SHARE * side_px, *FINE_PX))
        deep = (depth > limit_px) & owned
        if not deep.any():
            continue
        _, labels, stats, _ = cv2.connectedComponentsWithStats(deep.view(np.uint8), connectivity=8)
        large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= WIDE_AREA_PX)
        away = np.isin(labels, np.setdiff1d(large, [0]), invert=True)
        if not away.all():
            # One and a half times as far as the deep places lie from the border reaches into corners.
            wide |= owned & (cv2.distanceTransform(away.view(np.uint8), cv2.DIST_L2, 5) <= 1.5 * limit_px + 1.5)
    drawn, lonely = wide & (owners >= 0), owners == _NOBODY
    if drawn.any() and lonely.any():
        # A thin rest of a face's hole beyond its crop is no fine part: filled before, it would end in a line.
        wide |= lonely & (cv2.distanceTransform((~drawn).view(np.uint8), cv2.DIST_L2, 5) <= 2 * FINE_PX[1])
    return wide


def _windows(fine: Bool, model: Model) -> Iterator[Task]:
    """Squares at the photo's own size that overlap by what they see only."""
    height, width = fine.shape
    side = model.record.size_px if model.record.fixed_size else min(model.record.size_px, max(height, width))
    margin = int(side * WINDOW_MARGIN) if side < max(height, width) else 0
    step = side - 2 * margin
    for top in range(0, height, step):
        for left in range(0, width, step):
            core = slice(top, min(top + step, height)), slice(left, min(left + step, width))
            if fine[core].any():
                y, x = (max(0, min(start - margin, end - side)) for start, end in ((top, height), (left, width)))
                crop = Crop(side, np.array([[1.0, 0, x], [0, 1.0, y]]))
                yield Task(crop, *_cut(fine[core], core), stage=0)


def _context_tasks(lonely: Bool, window: Window, size_px: int, drawn: Bool, reach_px: float) -> Iterator[Task]:
    """A crop for each connected piece of what belongs to no face, `CONTEXT` times as wide; of many, those in one cell
    of the photo share one. drawn: what faces' crops complete, into which their edge fades as far as reach_px."""
    count, labels, _, centres = cv2.connectedComponentsWithStats(lonely.view(np.uint8), connectivity=8)
    groups = np.arange(count)
    if count - 1 > MOST_CONTEXTS:
        cells = round(MOST_CONTEXTS**0.5)
        across, down = (np.minimum(centres[:, axis] * cells // lonely.shape[1 - axis], cells - 1) for axis in (0, 1))
        groups = (1 + across + cells * down).astype(int)
        groups[0] = 0
    beside = cv2.dilate(drawn.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    for group in np.unique(groups[1:]):
        piece = np.isin(labels, np.flatnonzero(groups == group))
        share = _fading(piece, drawn, reach_px) if (piece & beside).any() else None
        inner, missing = _cut(piece if share is None else share > 0, window)
        rows, columns = inner
        scale = max(max(columns.stop - columns.start, rows.stop - rows.start) * CONTEXT, size_px / 4) / size_px
        x, y = ((side.start + side.stop - 1) / 2 - (size_px - 1) / 2 * scale for side in (columns, rows))
        crop = Crop(size_px, np.array([[scale, 0, x], [0, scale, y]]))
        softly = None if share is None else share[within(inner, window)].copy()
        yield Task(crop, inner, missing, stage=2, softly=softly)


def _fading(piece: Bool, drawn: Bool, reach_px: float) -> F32:
    """(h, w): 1 in a piece, and from there to 0 in what is drawn beside it."""
    inside, away = (cv2.distanceTransform(part.view(np.uint8), cv2.DIST_L2, 5) for part in (piece, ~piece))
    reach_px = min(reach_px, SOFT_EDGE[1] * float(inside.max())) + 1
    return np.asarray(np.where(piece, 1, np.where(drawn, 1 - away / reach_px, 0)).clip(0, 1), np.float32)


def within(inner: Window, outer: Window) -> Window:
    """A window of the photo as one of another window."""
    y, x = outer[0].start, outer[1].start
    return slice(inner[0].start - y, inner[0].stop - y), slice(inner[1].start - x, inner[1].stop - x)


def _cut(missing: Bool, window: Window) -> tuple[Window, Bool]:
    """A mask and its window, cut to its own pixels."""
    x0, y0, x1, y1 = bounding_box(np.ascontiguousarray(missing))
    top, left = window[0].start, window[1].start
    return (slice(top + y0, top + y1), slice(left + x0, left + x1)), missing[y0:y1, x0:x1].copy()


# --- What is said of faces ----------------------------------------------------------------------


def place_of(face: Face) -> str:
    x0, y0, x1, y1 = (round(float(value)) for value in face.box)
    return f"the face at x {x0}-{x1}, y {y0}-{y1}"


def too_small(face: Face) -> str:
    """Why a face cannot be aligned, empty where it can."""
    side = min(face.box[2] - face.box[0], face.box[3] - face.box[1])
    if side >= SMALLEST_FACE_PX:
        return ""
    return f"{place_of(face)} is {side:.0f} px wide, below {SMALLEST_FACE_PX}"
