"""Faces followed from frame to frame of a film or a camera, in smooth paths."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from facefill.arrays import F64, U8, Points
from facefill.imaging.boxes import overlap
from facefill.imaging.crop import Crop, Matrix, chain, inverse
from facefill.runtime.finder import Face
from facefill.runtime.helpers import Finds
from facefill.runtime.plan import too_small

FOUND_EVERY = 8
"""The finder looks at every eighth frame; between, faces move with the picture."""
LOST_LOOKS = 2
"""A face that the finder has not seen so many times in a row is gone."""
FLOW_PX = 480
"""Long side of the picture in which movement is measured."""
POINTS = 80
"""Places of a face whose movement is measured."""
LEAST_POINTS = 8
"""With fewer of them the movement of a face is not known, and the finder looks again."""
CUT_LEVELS = 35.0
"""Mean difference of two frames in grey levels from which they belong to different scenes."""
SAME_IOU = 0.3
"""A face that the finder sees is the followed one whose box overlaps its own by more."""
PULL, JUMP = 0.25, 0.12
"""How much of the distance to what the finder sees is made up at each look; all of it where that is over `JUMP` of the
face's size."""
STILL_STEP, EAGER = 0.25, 30.0
"""How much of a landmark's movement is followed at once on a still face, and how much more for each face size that it
moves per frame (an exponential filter whose constant grows with the speed, as Casiez, Roussel & Vogel 2012)."""


@dataclass(frozen=True)
class Track:
    """A face that is followed."""

    number: int
    """The same in all frames."""
    face: Face
    """Where it is now, smoothed."""
    measured: Points
    """(5, 2) landmarks as they were measured last."""
    motion: Matrix = field(default_factory=lambda: np.eye(2, 3))
    """The similarity (2, 3) by which it moved since its first frame, as seen in the picture: not smoothed."""
    missed: int = 0


class Tracker:
    """Follows the faces of one film. Not for several threads at a time."""

    def __init__(self, finder: Finds) -> None:
        self._finder = finder
        self._tracks: list[Track] = []
        self._last: U8 | None = None
        self._age = 0
        self._count = 0
        self.looks = 0
        """How often the finder was asked."""

    def follow(self, frame: U8) -> list[Track]:
        """The faces of the next (H, W, 3) uint8 RGB frame that are large enough to complete."""
        grey, scale = _grey(frame)
        if self._last is None or _is_cut(self._last, grey):
            self._tracks, self._age = [], 0
        else:
            self._move(self._last, grey, scale)
        if self._age % FOUND_EVERY == 0:
            self._look(frame)
            self._age = 0
        self._last, self._age = grey, self._age + 1
        return list(self._tracks)

    def _move(self, last: U8, grey: U8, scale: float) -> None:
        moved = []
        for track in self._tracks:
            motion = movement(last, grey, np.asarray(track.face.box) * scale)
            if motion is None:
                self._age = 0  # the finder looks at this frame
                moved.append(track)
                continue
            motion[:, 2] /= scale
            measured = track.measured @ motion[:, :2].T + motion[:, 2]
            corners = np.asarray(track.face.box).reshape(2, 2)
            middle, half = corners.mean(0) @ motion[:, :2].T + motion[:, 2], (corners[1] - corners[0]) / 2
            half *= np.hypot(*motion[:, 0])
            box = (*(middle - half), *(middle + half))
            moved.append(replace(_smooth(track, measured, box, track.face.score), motion=chain(motion, track.motion)))
        self._tracks = moved

    def _look(self, frame: U8) -> None:
        self.looks += 1
        found = [face for face in self._finder.find(frame) if not too_small(face)]
        kept = []
        for track in self._tracks:
            at = max(range(len(found)), key=lambda index: overlap(track.face.box, found[index].box), default=None)
            if at is None or overlap(track.face.box, found[at].box) < SAME_IOU:
                kept.append(replace(track, missed=track.missed + 1))
                continue
            kept.append(_pull(track, found.pop(at)))
        self._tracks = [track for track in kept if track.missed < LOST_LOOKS]
        for face in found:
            self._tracks.append(Track(self._count, face, np.asarray(face.landmarks, np.float64)))
            self._count += 1


def movement(last: U8, grey: U8, box: F64) -> F64 | None:
    """The similarity (2, 3) by which what lies in a box x0, y0, x1, y1 of `last` moved in `grey`.

    None where that cannot be seen. Lucas & Kanade 1981 on pyramids, with RANSAC against what moves otherwise.
    """
    x0, y0 = np.clip(np.floor(box[:2]).astype(int), 0, None)
    x1, y1 = np.ceil(box[2:]).astype(int) + 1
    part = last[y0:y1, x0:x1]
    if min(part.shape) < 8:
        return None
    corners = cv2.goodFeaturesToTrack(part, POINTS, 0.01, 3)
    if corners is None or len(corners) < LEAST_POINTS:
        return None
    start = corners + np.array([x0, y0], np.float32)
    end, seen, _ = cv2.calcOpticalFlowPyrLK(last, grey, start, np.empty_like(start), winSize=(15, 15), maxLevel=3)
    ok = seen[:, 0] > 0
    if ok.sum() < LEAST_POINTS:
        return None
    motion, inner = cv2.estimateAffinePartial2D(start[ok], end[ok], ransacReprojThreshold=1.0)
    if motion is None or inner.sum() < LEAST_POINTS or not 0.8 < np.hypot(*motion[:, 0]) < 1.25:
        return None
    return np.asarray(motion, np.float64)


def _pull(track: Track, seen: Face) -> Track:
    """Towards what the finder sees: slowly where that is near, so that its own unrest does not move the face."""
    way = seen.landmarks - track.measured
    share = PULL
    if np.abs(way).mean() > JUMP * _size(seen.landmarks):
        share = 1.0
        step = chain(Crop.around_face(seen.landmarks).matrix, inverse(Crop.around_face(track.measured).matrix))
        track = replace(track, motion=chain(step, track.motion))
    box = (1 - share) * np.asarray(track.face.box) + share * np.asarray(seen.box)
    return replace(_smooth(track, track.measured + share * way, tuple(box), seen.score), missed=0)


def _smooth(track: Track, measured: Points, box: Sequence[float], score: float) -> Track:
    way = measured - track.face.landmarks
    speed = float(np.abs(way).mean()) / _size(measured)
    landmarks = track.face.landmarks + min(1.0, STILL_STEP + EAGER * speed) * way
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return replace(track, face=Face((x0, y0, x1, y1), landmarks, score), measured=measured)


def _size(landmarks: Points) -> float:
    return max(1.0, float(np.hypot(*(landmarks[:2].mean(0) - landmarks[3:].mean(0)))))


def _grey(frame: U8) -> tuple[U8, float]:
    scale = min(1.0, FLOW_PX / max(frame.shape[:2]))
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8), scale


def _is_cut(last: U8, grey: U8) -> bool:
    return last.shape != grey.shape or float(cv2.absdiff(last, grey).mean()) > CUT_LEVELS
