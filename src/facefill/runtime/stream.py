"""The faces of one film completed frame after frame, so that nothing flickers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from facefill.arrays import F32, U8, Bool
from facefill.imaging.crop import Crop
from facefill.runtime.cover import Cover
from facefill.runtime.helpers import Finds
from facefill.runtime.model import Model
from facefill.runtime.plan import LARGEST_SHARE
from facefill.runtime.track import Track, Tracker

HOLD = 0.8
"""What is covered stays so for a while: at 0.8 a pixel that is no longer covered is shown again after four frames."""
STILL = 0.3
"""How much of a still face's hole is drawn anew in each frame."""
MOVED_LEVELS = 12.0
"""Mean change of the known part of a face, in grey levels, from which its hole is drawn anew at once."""


@dataclass(frozen=True)
class _View:
    """A face of a frame in its aligned square."""

    crop: Crop
    landmarks: F32
    """(5, 2) pixels of the crop."""
    face: U8
    cover: F32
    """(S, S), 1 where it is covered, less for each frame since it was."""
    fresh: float = 1.0
    """How much of the hole is drawn anew in this frame."""

    @property
    def hole(self) -> Bool:
        return self.cover > 0.5


@dataclass(frozen=True)
class Seen:
    """A frame that was looked at."""

    pixels: U8
    views: dict[int, _View]
    """By the number of the face's track."""


@dataclass(frozen=True)
class StreamFrame:
    """A completed frame."""

    pixels: U8
    """(H, W, 3) RGB."""
    mask: Bool
    """(H, W), True at every completed pixel."""
    faces: int
    completed: int
    too_covered: int
    """Faces left as they are, because too much of them is hidden."""


class Stream:
    """Completes the frames of one film or camera, in their order.

    `look` and `fill` may each run in a thread of its own: the next frame can be looked at while one is filled.
    """

    def __init__(self, finder: Finds, cover: Cover, model: Model) -> None:
        self._tracker, self._cover, self._model = Tracker(finder), cover, model
        self._views: dict[int, _View] = {}
        self._patches: dict[int, F32] = {}

    def complete(self, pixels: U8) -> StreamFrame:
        """The next (H, W, 3) uint8 RGB frame with the covers taken off."""
        return self.fill(self.look(pixels))

    def look(self, pixels: U8) -> Seen:
        """Find the faces of the next (H, W, 3) uint8 RGB frame and what covers them."""
        tracks = self._tracker.follow(pixels)
        found = self._cover.find(pixels, [track.face for track in tracks])
        self._views = {
            track.number: self._view(track, seen.mask(pixels.shape), pixels)
            for track, seen in zip(tracks, found, strict=True)
        }
        return Seen(pixels, self._views)

    def _view(self, track: Track, mask: Bool, pixels: U8) -> _View:
        """The cover grows at once and shrinks slowly: a rim that comes and goes would be seen."""
        crop = Crop.around_face(track.face.landmarks, self._model.record.size_px)
        landmarks = crop.to_crop(track.face.landmarks).astype(np.float32)
        face, hole = crop.take_known(pixels, mask), crop.take_mask(mask)
        before = self._views.get(track.number)
        if before is None:
            return _View(crop, landmarks, face, hole.astype(np.float32))
        cover = np.maximum(hole.astype(np.float32), HOLD * before.cover)
        known = ~(hole | before.hole)
        moved = float(cv2.absdiff(face, before.face)[known].mean()) if known.any() else MOVED_LEVELS
        return _View(crop, landmarks, face, cover, min(1.0, STILL + moved / MOVED_LEVELS))

    def fill(self, seen: Seen) -> StreamFrame:
        """Complete what was found. Frames come in the order in which they were looked at."""
        pixels = seen.pixels
        usable = {number: view for number, view in seen.views.items() if view.hole.mean() <= LARGEST_SHARE}
        chosen = {number: view for number, view in usable.items() if view.hole.any()}
        mask = np.zeros(pixels.shape[:2], bool)
        drawn = self._draw(pixels, list(chosen.values()))
        patches = {}
        for (number, view), new in zip(chosen.items(), drawn, strict=True):
            old = self._patches.get(number, new)
            patches[number] = old + view.fresh * (new - old)
            missing = view.crop.put_mask(view.hole, pixels.shape)
            pixels = view.crop.put(pixels, np.rint(patches[number]).astype(np.uint8), missing)
            mask |= missing
        self._patches = patches
        return StreamFrame(pixels, mask, len(seen.views), len(chosen), len(seen.views) - len(usable))

    def _draw(self, pixels: U8, views: list[_View]) -> list[F32]:
        """What the model draws in each hole, (S, S, 3)."""
        if not views:
            return []
        holes = np.stack([view.hole | view.crop.outside(pixels.shape) for view in views])
        faces = np.stack([view.face for view in views])
        given = {"worn": faces, "landmarks": np.stack([view.landmarks for view in views])}
        wanted: dict[str, Any] = {name: given[name] for name in self._model.record.inputs if name in given}
        filled = self._model.complete(faces, holes, seeds=[0] * len(views), **wanted)
        return [patch.astype(np.float32) for patch in filled[:, 0]]
