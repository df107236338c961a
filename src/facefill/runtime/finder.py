"""Where the faces of a photo are, covered ones too, and five landmarks of each."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, F64, MIRRORED, U8
from facefill.imaging.boxes import area, overlap, share_of_smaller
from facefill.imaging.crop import Crop
from facefill.runtime.engine import Engine
from facefill.runtime.model import to_network

STRIDES = (8, 16, 32)
"""Pixels between the points of the network's three levels."""
LONG_SIDE_PX = 640
"""A larger photo is looked at in this size; a smaller one as it is, never enlarged."""
COARSE_SIDE_PX = 320
"""A photo larger than this is looked at a second time in this size, for faces larger than the network knows them."""
CANVAS_PX = (160, 320, 480, 512, 640)
"""What the network gets is filled up with grey to the next of these sides, multiples of the largest stride: each size
is compiled anew."""
CANDIDATE = 0.4
"""Score from which a place is looked at again."""
THRESHOLD = 0.66
"""Score of the second look, the mean of its views, from which a finding is checked, see `Check`."""
CERTAIN = 0.9
"""Score of the first look from which a face counts although the second does not see it."""
SAME_IOU = 0.4
"""Two findings that overlap by more are one face."""
SAME_SHARE = 0.65
"""Two faces that share more than this of the smaller one's box are one; the more certain stays."""
AGREE_IOU = 0.6
"""Findings of one face that overlap by more are averaged."""
LOOK_PX = 128
"""Side of the aligned crop of the second look; a face is about 80 pixels wide in it, whatever it is in the photo."""
STEPS_PX = 8
"""Landmarks stand on eighths of a pixel: what is cut out by them is the same then on every processor and engine."""
USUAL = np.array([0.23, 0.19, 0.77, 0.92], np.float32) * LOOK_PX
"""The box of a face in its aligned crop."""


@dataclass(frozen=True)
class Face:
    """A face in a photo; coordinates in its pixels, (0, 0) is the centre of the first."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1: hairline to chin, ear to ear, the covered part included; cut to the photo."""
    landmarks: F64
    """(5, 2) x, y: eye, eye, nose tip, mouth corner, mouth corner, the viewer's left first on an upright face. Where
    something covers them they are where they should be; they may lie outside the photo."""
    score: float
    """How certain and how well placed, 0 to 1."""
    moved: float = 0.0
    """How far the landmarks lay apart when somebody looked again, on average, as a share of the eyes' distance."""


Check = Callable[[U8, list[Face]], list[Face]]


class Finder:
    """Finds faces with a network."""

    def __init__(self, engine: Engine, check: Check | None = None) -> None:
        """engine: an `Engine` of finder.onnx (input `image`). check: keeps those of a photo's findings that are faces,
        with better landmarks: a `SecondLook`'s `look`."""
        self._engine, self._check = engine, check

    def find(self, photo: U8) -> list[Face]:
        """All faces of a (H, W, 3) uint8 RGB photo, the largest first; also those too small to complete.

        The rule of sizes: the long side goes down to `LONG_SIDE_PX`, and once more to `COARSE_SIDE_PX`, so a face
        of less than about 2 % of the photo's long side is not found. Each place where a face may be is then cut out
        of the photo upright and in one size, and looked at again, as it is and, if it shows a face, mirrored.
        """
        height, width = photo.shape[:2]
        seen = [self._look_again(photo, row) for row in self._suspects(photo, CANDIDATE)]
        sure = np.array([row for row in seen if row is not None], np.float32).reshape(-1, 15)
        faces: list[Face] = []
        for face in (_face(row, height, width) for row in merge(sure)):
            if face is not None and all(share_of_smaller(face.box, other.box) <= SAME_SHARE for other in faces):
                faces.append(face)
        faces.sort(key=lambda face: area(face.box), reverse=True)
        return self._check(photo, faces) if self._check else faces

    def suspect(self, photo: U8, least: float) -> list[tuple[float, F64]]:
        """Score and (5, 2) landmarks of all that the first look takes for a face with that score or more."""
        return [(float(row[0]), row[5:].reshape(5, 2).astype(np.float64)) for row in self._suspects(photo, least)]

    def _suspects(self, photo: U8, least: float) -> list[F32]:
        """What the first look finds, in its two sizes."""
        view = _shrink(photo, LONG_SIDE_PX)
        rows = [self._look(view, photo.shape, least)]
        if max(view.shape[:2]) > COARSE_SIDE_PX:
            rows.append(self._look(_shrink(view, COARSE_SIDE_PX), photo.shape, least))
        return merge(np.concatenate(rows))

    def _look(self, view: U8, shape: tuple[int, ...], least: float) -> F32:
        """Findings (n, 15) in one size, in pixels of the photo."""
        height, width = view.shape[:2]
        down, right = (min(px for px in CANVAS_PX if px >= side) - side for side in (height, width))
        canvas = cv2.copyMakeBorder(view, 0, down, 0, right, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        rows = self._say(canvas, least)
        scale = np.array([shape[1] / width, shape[0] / height], np.float32)
        rows[:, 1:] = ((rows[:, 1:].reshape(-1, 7, 2) + 0.5) * scale - 0.5).reshape(-1, 14)
        return rows

    def _look_again(self, photo: U8, row: F32) -> F32 | None:
        """The finding as seen in its aligned crop, and mirrored where that shows a face; None where it shows none."""
        unseen = row if row[0] >= CERTAIN else None
        try:
            crop = Crop.around_face(snap(row[5:].reshape(5, 2)), LOOK_PX)
        except ValueError:  # landmarks that fall together
            return unseen
        view = crop.take(photo)
        once = _usual(self._say(view, CANDIDATE))
        if once is None:
            return unseen
        again = _usual(_mirror(self._say(view[:, ::-1], CANDIDATE), LOOK_PX))
        mean = once if again is None else np.mean([once, again], 0)
        return _into_photo(mean, crop) if mean[0] >= THRESHOLD else unseen

    def _say(self, view: U8, least: float) -> F32:
        """What the network says of a picture (H, W, 3), sides multiples of the largest stride: findings (n, 15)."""
        said = next(iter(self._engine.run({"image": to_network(view[None])}).values()))
        return decode(said[0], view.shape[0], view.shape[1], least)


def snap(points: NDArray[np.floating]) -> F64:
    """Points (n, 2) on the nearest places where landmarks stand, see `STEPS_PX`."""
    return np.asarray(np.rint(points * STEPS_PX) / STEPS_PX, np.float64)


def decode(said: F32, height: int, width: int, threshold: float) -> F32:
    """What the network's K points say, (15, K), to (n, 15) findings of that score or more: score, x0, y0, x1, y1, x
    and y of five landmarks, in pixels of the network's input of that height and width.

    Points are the middles of squares of stride × stride pixels, level after level, row by row. Each says: score before
    the sigmoid; centre x, y in strides from the point; log of width and height in units of 4 strides; x, y of five
    landmarks in strides from the point.
    """
    found, start = [np.empty((0, 15))], 0
    least = np.log(threshold / (1 - threshold))
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        level = said[:, start : start + rows * columns]
        start += rows * columns
        index = np.flatnonzero(level[0] >= least)
        if not len(index):
            continue
        values = level[:, index].T
        point = (np.stack([index % columns, index // columns], 1) + 0.5) * stride - 0.5
        score = 1 / (1 + np.exp(-values[:, :1]))
        centre = point + values[:, 1:3] * stride
        half = np.exp(np.clip(values[:, 3:5], -6, 6)) * 2 * stride
        landmarks = (point[:, None] + values[:, 5:].reshape(-1, 5, 2) * stride).reshape(-1, 10)
        found.append(np.concatenate([score, centre - half, centre + half, landmarks], 1))
    return np.concatenate(found).astype(np.float32)


def merge(rows: F32) -> list[F32]:
    """One row for each face, the most certain first: the best finding, averaged by score with those that agree with it
    (non-maximum suppression with voting, Gidaris & Komodakis 2015, section 3)."""
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    faces = []
    while len(rows):
        shared = overlap(rows[0, 1:5], rows[:, 1:5])
        agree = rows[shared >= AGREE_IOU]
        weights = agree[:, 0] / agree[:, 0].sum()
        faces.append(np.concatenate([rows[0, :1], weights @ agree[:, 1:]]))
        rows = rows[shared < SAME_IOU]
    return faces


def _usual(rows: F32) -> F32 | None:
    """The most certain face of an aligned crop, if it lies about where faces do."""
    faces = [row for row in merge(rows) if overlap(USUAL, row[1:5]) >= 0.35]
    return faces[0] if faces else None


def _mirror(rows: F32, width: int) -> F32:
    """Findings in a mirrored picture to those in the picture."""
    points = rows[:, 1:].reshape(-1, 7, 2).copy()
    points[..., 0] = width - 1 - points[..., 0]
    points[:, :2, 0] = points[:, 1::-1, 0]
    points[:, 2:] = points[:, 2:][:, MIRRORED]
    return np.concatenate([rows[:, :1], points.reshape(-1, 14)], 1)


def _into_photo(row: F32, crop: Crop) -> F32:
    """A finding in a crop to one in the photo. The box of a turned face is that of the ellipse in its upright box."""
    points = row[1:].reshape(7, 2).astype(np.float64)
    corners, landmarks = points[:2], points[2:]
    half = np.hypot(*((corners[1] - corners[0]) / 2 * crop.matrix[:, :2]).T)
    middle = crop.to_photo(corners.mean(0))
    return np.concatenate([row[:1], middle - half, middle + half, crop.to_photo(landmarks).ravel()]).astype(np.float32)


def _shrink(picture: U8, long_side: int) -> U8:
    """The picture with its longer side brought down to `long_side`, by halves first, which is faster."""
    height, width = picture.shape[:2]
    if max(height, width) <= long_side:
        return picture
    scale = long_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    while picture.shape[1] >= 2 * size[0] and picture.shape[0] >= 2 * size[1]:
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        even = picture[: 2 * half[1], : 2 * half[0]]
        picture = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _face(row: F32, height: int, width: int) -> Face | None:
    """None for what lies in the grey that fills the canvas up."""
    x0, y0 = (float(max(value, -0.5)) for value in row[1:3])
    x1, y1 = float(min(row[3], width - 0.5)), float(min(row[4], height - 0.5))
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    return Face((x0, y0, x1, y1), snap(row[5:].reshape(5, 2)), float(row[0]))
