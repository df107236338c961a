"""The faces of one film completed frame after frame, so that nothing flickers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

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

U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]


@dataclass
class _Held:
    """What one face had in the frame before, in its aligned square."""

    cover: NDArray[np.float32]
    """(S, S), 1 where it is covered, less for each frame since it was."""
    face: U8
    patch: NDArray[np.float32] | None = None
    """(S, S, 3), what was drawn."""
    fresh: float = 1.0
    """How much of the hole is drawn anew in this frame."""

    @property
    def hole(self) -> Bool:
        return self.cover > 0.5


@dataclass(frozen=True)
class Frame:
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
    """Completes the frames of one film or camera, in their order. Not for several threads at a time."""

    def __init__(self, finder: Finds, cover: Cover, model: Model) -> None:
        self._tracker, self._cover, self._model = Tracker(finder), cover, model
        self._held: dict[int, _Held] = {}

    def complete(self, pixels: U8) -> Frame:
        """The next (H, W, 3) uint8 RGB frame with the covers taken off."""
        tracks = self._tracker.follow(pixels)
        crops = [Crop.around_face(track.face.landmarks, self._model.record.size_px) for track in tracks]
        found = self._cover.find(pixels, [track.face for track in tracks])
        self._held = {
            track.number: self._update(track, crop.take(pixels), crop.take_mask(seen.mask(pixels.shape)))
            for track, crop, seen in zip(tracks, crops, found, strict=True)
        }
        states = list(self._held.values())
        usable = [state.hole.mean() <= LARGEST_SHARE for state in states]
        chosen = [(crop, state) for crop, state, ok in zip(crops, states, usable, strict=True)
                  if ok and state.hole.any()]
        mask = np.zeros(pixels.shape[:2], bool)
        if chosen:
            pixels = self._fill(pixels, chosen, mask)
        return Frame(pixels, mask, len(tracks), len(chosen), usable.count(False))

    def _update(self, track: Track, face: U8, hole: Bool) -> _Held:
        """The cover grows at once and shrinks slowly: a rim that comes and goes would be seen."""
        before = self._held.get(track.number)
        if before is None:
            return _Held(hole.astype(np.float32), face)
        cover = np.maximum(hole.astype(np.float32), HOLD * before.cover)
        known = ~(hole | before.hole)
        moved = float(cv2.absdiff(face, before.face)[known].mean()) if known.any() else MOVED_LEVELS
        return _Held(cover, face, before.patch, min(1.0, STILL + moved / MOVED_LEVELS))

    def _fill(self, pixels: U8, chosen: list[tuple[Crop, _Held]], mask: Bool) -> U8:
        """A copy with the holes filled; `mask` is set where they are."""
        holes = [state.hole | crop.outside(pixels.shape) for crop, state in chosen]
        faces = np.stack([state.face for _, state in chosen])
        drawn = self._model.complete(faces, np.stack(holes), seeds=[0] * len(chosen))[:, 0]
        for (crop, state), new in zip(chosen, drawn, strict=True):
            patch = new.astype(np.float32)
            if state.patch is not None and state.fresh < 1:
                patch = state.patch + state.fresh * (patch - state.patch)
            state.patch = patch
            missing = crop.put_mask(state.hole, pixels.shape)
            pixels = crop.put(pixels, np.rint(patch).astype(np.uint8), missing)
            mask |= missing
        return pixels
