"""From a photo to a completed photo: plan what to complete, run the model on crops, finish in the photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facefill.errors import InputError
from facefill.files.mask import read_mask
from facefill.files.photo import Photo, Provenance, read_photo, write_photo
from facefill.files.provenance import Signature
from facefill.imaging.blend import composite
from facefill.imaging.crop import Crop, put_all
from facefill.imaging.detail import match_grain, restore_contrast
from facefill.runtime.cover import Cover
from facefill.runtime.doubts import listening
from facefill.runtime.finder import Face
from facefill.runtime.helpers import Finds, open_cover, open_finder
from facefill.runtime.model import Model, load
from facefill.runtime.plan import (
    U8,
    Bool,
    FoundFace,
    Plan,
    Task,
    Window,
    assign,
    place_of,
    task_of,
    too_small,
)
from facefill.threads import once

HONEST = "What was hidden is invented: it shows what could be there, and is no evidence of anyone's identity."


@dataclass(frozen=True, repr=False)
class Result:
    """A completed photo."""

    photo: U8
    """(H, W, 3) RGB, upright."""
    mask: Bool
    """(H, W), True at every completed pixel."""
    faces: tuple[FoundFace, ...]
    warnings: tuple[str, ...]
    source: Photo
    provenance: Provenance

    def __repr__(self) -> str:
        height, width = self.mask.shape
        done = sum(bool(face.missing.any()) for face in self.faces)
        return (f"Result({width}x{height}, {int(self.mask.sum()):,} pixels and {done} of {len(self.faces)} faces "
                f"completed by {self.provenance.method}, {len(self.warnings)} warnings)")

    def save(self, path: str | Path, *, overwrite: bool = False, sign: Signature | None = None) -> tuple[str, ...]:
        """Write the photo in the format of the path's suffix; pixels outside the mask keep the source's samples.

        sign: what `files.provenance.read_signature` reads of a PEM file; signs a C2PA manifest of the completion.
        Returns notes on what the format could not hold. Raises InputError for an existing file without
        `overwrite`, the source itself, an unknown suffix, a folder that cannot be written, a full disk, a key that
        cannot sign.
        """
        return write_photo(self.source, self.photo, self.mask, Path(path), overwrite=overwrite,
                           provenance=self.provenance, signature=sign)


class Inpainter:
    """Completes photos with one model; keeps nothing between calls but the loaded networks.

    finder, cover: functions that load the helpers; they are called when a photo first needs them.
    """

    def __init__(self, model: Model, finder: Callable[[], Finds], cover: Callable[[], Cover]) -> None:
        self.model = model
        self._finder = once(finder)
        self._cover = once(cover)

    # ---- plan

    def plan_unmask(self, photo: Photo, *, large_hole: bool = False) -> Plan:
        """Find the faces and what covers each.

        Raises InputError when there is no face, none is large enough, none is covered, or all holes are too large.
        """
        found = self._finder().find(photo.pixels)
        if not found:
            raise InputError("a photo with a face", "none in it",
                             "mark the hole yourself: facefill complete PHOTO --mask MASK -o OUT")
        warnings = [small and f"{small}: left as it is" for small in map(too_small, found)]
        crops = [self._face_crop(face) for face in found]
        views = np.stack([crop.take(photo.pixels) for crop in crops])
        covers = self._cover().find(photo.pixels, found)
        for index, cover in enumerate(covers):
            if not warnings[index] and not cover.missing.any():
                warnings[index] = f"{place_of(found[index])}: nothing covers it, left as it is"
        missing = np.zeros(photo.pixels.shape[:2], bool)
        for cover, warning in zip(covers, warnings, strict=True):
            if not warning:
                missing[cover.window] |= cover.missing
        plan = assign(photo, missing, found, crops, warnings, large_hole=large_hole, context_px=None)
        return replace(plan, covered=True, views=views)

    def plan_complete(
        self, photo: Photo, mask: Bool, *, aligned: bool = False, large_hole: bool = False
    ) -> Plan:
        """Share a mask that the user gave among the faces and, away from them, context crops.

        mask: (H, W) bool. aligned: the photo is an aligned square face already.
        A face that is too small to align counts as none. Raises InputError when aligned and not square, or when every
        hole is too large.
        """
        height, width = mask.shape
        if aligned:
            if height != width:
                raise InputError("a square picture with aligned", f"{width}x{height}", "leave --aligned out")
            side = self.model.record.size_px
            scale = height / side
            crop = Crop(side, np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]]))
            task = task_of(crop, mask, (slice(0, height), slice(0, width)), None)
            return Plan(photo, mask, mask, (task,), (), ())
        found = self._finder().find(photo.pixels)
        faces = [face for face in found if not too_small(face)]
        crops = [self._face_crop(face) for face in faces]
        plan = assign(photo, mask, faces, crops, [""] * len(faces), large_hole=large_hole,
                      context_px=self.model.record.size_px)
        said = [f"{small}: its hole is completed from its surroundings" for face in found
                if (small := too_small(face)) and _touches(face, mask)]
        return replace(plan, warnings=(*said, *plan.warnings))

    def _face_crop(self, face: Face) -> Crop:
        return Crop.around_face(face.landmarks, self.model.record.size_px)

    # ---- run

    def run(self, plans: Sequence[Plan], *, seed: int = 0, samples: int = 1) -> list[U8]:
        """Complete the crops of many photos in one call of the model.

        Returns for each plan (N, samples, S, S, 3): its tasks' patches. Raises InputError for a seed below 0.
        """
        if seed < 0:
            raise InputError("a seed of 0 or more", str(seed), "choose another")
        if not plans:
            return []
        faces = np.concatenate([plan.crops[0] for plan in plans])
        masks = np.concatenate([plan.crops[1] for plan in plans])
        seeds = [seed + index for plan in plans for index in range(len(plan.tasks))]
        wanted = [name for name in ("worn", "landmarks") if name in self.model.record.inputs]
        inputs = {name: np.concatenate([getattr(plan, name) for plan in plans]) for name in wanted}
        filled = self.model.complete(faces, masks, seeds=seeds, samples=samples, **inputs)
        ends = np.cumsum([len(plan.tasks) for plan in plans])
        return list(np.split(filled, ends[:-1]))

    # ---- finish

    def finish(self, plan: Plan, patches: U8, *, seed: int = 0, doubts: Sequence[str] = ()) -> Result:
        """Put patches (N, S, S, 3) into the photo: on enlarged faces with the contrast and grain they lack.

        doubts: what the method said of these patches (`runtime.doubts`), further warnings.
        """
        pixels = plan.photo.pixels.copy()
        for group in _groups(plan.tasks):
            window = _around([plan.tasks[index].window for index in group], pixels.shape[:2])
            known = plan.photo.pixels[window]
            tasks = [plan.tasks[index] for index in group]
            crops = [task.crop.moved(-window[1].start, -window[0].start) for task in tasks]
            parts = [np.zeros(known.shape[:2], bool) for _ in tasks]
            for part, task in zip(parts, tasks, strict=True):
                part[_inside(task.window, window)] = task.missing
            shown = [restore_contrast(patches[index], plan.crops[1][index], crop.scale)
                     for index, crop in zip(group, crops, strict=True)]
            filled = put_all(known, crops, shown, parts)
            missing = np.logical_or.reduce(parts)
            scale = max(crop.scale for crop in crops)
            # The patch holds the photo's own pixels beside the hole, so there is nothing that Poisson could mend.
            completed = composite(known, filled, missing, blend="paste")
            if scale > 1:
                completed = match_grain(known, completed, missing, np.random.default_rng(seed), detail_px=scale)
            pixels[window][missing] = completed[missing]
        provenance = Provenance(self.model.name, self.model.sha256 or "", seed)
        warnings = (*plan.photo.notes, *plan.warnings, *doubts)
        return Result(pixels, plan.mask, plan.faces, warnings, plan.photo, provenance)

    def complete(self, plan: Plan, *, seed: int = 0, tell: bool = False) -> Result:
        """Run and finish one photo. tell: see `runtime.doubts.listening`."""
        with listening(tell=tell) as doubts:
            patches = self.run([plan], seed=seed)[0]
        return self.finish(plan, patches[:, 0], seed=seed, doubts=doubts.of([plan])[0])


def _touches(face: Face, mask: Bool) -> bool:
    x0, y0, x1, y1 = (max(round(edge), 0) for edge in face.box)
    return bool(mask[y0 : y1 + 1, x0 : x1 + 1].any())


def _groups(tasks: Sequence[Task]) -> list[list[int]]:
    """Tasks whose windows touch are finished together, so that neither blends against the other's hole."""
    groups: list[list[int]] = []
    for index, task in enumerate(tasks):
        near = [group for group in groups if any(_touch(task.window, tasks[other].window) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append(sorted([index, *(other for group in near for other in group)]))
    return groups


def _touch(a: Window, b: Window) -> bool:
    return all(p.start <= q.stop and q.start <= p.stop for p, q in zip(a, b, strict=True))


def _around(windows: Sequence[Window], shape: tuple[int, ...]) -> Window:
    """The window that holds all, with a quarter of its size as a margin, cut to the photo."""
    cut = []
    for axis, limit in enumerate(shape[:2]):
        low, high = min(w[axis].start for w in windows), max(w[axis].stop for w in windows)
        margin = max(16, (high - low) // 4)
        cut.append(slice(max(0, low - margin), min(limit, high + margin)))
    return cut[0], cut[1]


def _inside(inner: Window, outer: Window) -> Window:
    y, x = outer[0].start, outer[1].start
    return slice(inner[0].start - y, inner[0].stop - y), slice(inner[1].start - x, inner[1].stop - x)


# ---- the two functions that most people need


def open_inpainter(
    method: str = "swift", *, device: str = "cpu", threads: int | None = None, exact: bool = False,
    settings: Sequence[str] = (),
) -> Inpainter:
    """An `Inpainter` with a shipped or exported model and the shipped helpers. Options as in `facefill.load`."""
    options: dict[str, Any] = {"device": device, "threads": threads, "exact": exact}
    model = load(method, **options, settings=settings)
    return Inpainter(model, partial(open_finder, **options), partial(open_cover, **options))


_open_once = once(open_inpainter)


def unmask(photo: Any, *, method: str = "swift", seed: int = 0, large_hole: bool = False) -> Result:
    """Find the faces of a photo and what covers each, and complete what is covered.

    photo: a path, an open file, its bytes, a Pillow image or (H, W, 3) uint8 RGB. method: see `facefill.METHODS`.
    seed: of the random numbers; the same one gives the same picture. large_hole: also complete a face of which more
    than 60 % is missing.
    Raises InputError when no face could be completed; faces that could not, while others could, are warned about.
    """
    inpainter = _open_once(method)
    return inpainter.complete(inpainter.plan_unmask(read_photo(photo), large_hole=large_hole), seed=seed)


def complete(
    photo: Any, mask: Any, *, method: str = "swift", seed: int = 0, aligned: bool = False, large_hole: bool = False
) -> Result:
    """Complete the missing pixels of a photo.

    photo: as for `unmask`. mask: the same kinds, of the photo's size, True or above 127 = missing.
    aligned: the photo is an aligned square face already: no finder, no crop, no limit on the hole.
    Raises InputError for a mask that does not fit, is empty or full, or leaves no face that can be completed.
    """
    inpainter = _open_once(method)
    source = read_photo(photo)
    height, width = source.pixels.shape[:2]
    plan = inpainter.plan_complete(source, read_mask(mask, (height, width)), aligned=aligned, large_hole=large_hole)
    return inpainter.complete(plan, seed=seed)
