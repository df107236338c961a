"""What the second look learns from: faces as a finder would align them, covered ones too, and what is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from torch.utils.data import Dataset

from facefill.arrays import F32, U8, Points, mirror_points
from facefill.covers.fabric import choose
from facefill.imaging.crop import Crop
from facefill.runtime.cover import FACE_PX, OUTSIDE, SIDE_PX, square_around, view_of
from facefill.runtime.finder import Face
from facefill.runtime.second_look import SIDE_PX as LOOK_PX
from facefill.training import backdrops
from facefill.training.augmentation import tint
from facefill.training.dolls import draw_doll
from facefill.training.headwear import dress
from facefill.training.real_covers import Covered

NEGATIVE = 0.4
"""Share of the pictures that show no face."""
OTHERS = {
    "found": 0.36, "anywhere": 0.16, "tiles": 0.07, "beside": 0.1, "part": 0.08, "drawn": 0.08, "turned": 0.05,
    "cloth": 0.1, "toy": 0.1,
}  # fmt: skip
"""How often these show no face: what a finder took for one, places of photos, shuffled tiles of a face, what is beside
it, a part of it such as an ear, its print, a face upside down, a cover that nobody wears, and the heads of dolls, toys
and statues."""

DRESSED = 0.2
"""Share of the faces whose hair is drawn over."""
TOY_PX = 224
"""Side of the picture that a toy is drawn in."""
USUAL = np.array([[97.0, 121], [159, 121], [128, 160], [103, 190], [153, 190]])
"""Landmarks of a face of `FACE_PX`."""


class Person(NamedTuple):
    photo: U8
    """(H, W, 3) RGB."""
    landmarks: Points
    """(5, 2) pixels of the photo."""


@dataclass(eq=False)
class Looks(Dataset[dict[str, Any]]):
    """Item `place, side_px` is the place-th picture that training sees.

    pool, marks: of `painter.draw_pool`. real: faces in real covers. people: of each photo its faces. others: photos
    without a face. found: where a finder saw one there all the same: which photo, five landmarks.
    """

    pool: U8
    marks: F32
    real: Sequence[Covered]
    people: Sequence[Sequence[Person]]
    others: Sequence[U8]
    found: Sequence[tuple[int, Points]]
    seed: int

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, item[0]])
        face = rng.random() >= NEGATIVE
        picture, points = self._face(rng) if face else (self._other(rng), np.zeros((5, 2)))
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
            points = mirror_points(points, LOOK_PX)
        outside = (picture == OUTSIDE).all(2)
        if rng.random() < 0.8:
            picture = cv2.LUT(np.ascontiguousarray(picture), tint(0.8, rng))
        if rng.random() < 0.3:
            picture = recolour(np.ascontiguousarray(picture), float(2 ** rng.uniform(-1, 1)))
        picture = np.where(outside[..., None], np.uint8(OUTSIDE), picture)
        if rng.random() < 0.35:
            small = int(rng.integers(30, LOOK_PX))
            picture = cv2.resize(cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA), (LOOK_PX, LOOK_PX))
        units = (points - (LOOK_PX - 1) / 2) / LOOK_PX
        said = {"faces": np.float32(face), "landmarks": units.astype(np.float32), "index": 0}
        return {"image": np.ascontiguousarray(picture), **said}

    def _face(self, rng: Generator) -> tuple[U8, Points]:
        kind = rng.random()
        if kind < 0.2 and self.real:
            face = self.real[int(rng.integers(len(self.real)))]
            picture, points = face.picture, face.landmarks
        elif kind > 0.7 and self.people:
            people = self.people[int(rng.integers(len(self.people)))]
            picture, points = people[int(rng.integers(len(people)))]
        else:
            at = int(rng.integers(len(self.pool)))
            picture, points = self.pool[at, ..., :3], self.marks[at].astype(np.float64)
        if self.others and rng.random() < DRESSED:
            picture, points = self._dressed(picture, points, rng)
        apart = float(np.hypot(*(points[1] - points[0])))
        seen = points + rng.normal(0, 0.07 * apart, (1, 2)) + rng.normal(0, 0.05 * apart, (5, 2))
        if rng.random() < 0.3:
            seen += rng.normal(0, 0.12 * apart, (1, 2))
            seen = seen.mean(0) + (seen - seen.mean(0)) * 2 ** rng.normal(0, 0.2)
        square = _square(seen)
        return view_of(picture, square), square.to_crop(points)

    def _dressed(self, picture: U8, points: Points, rng: Generator) -> tuple[U8, Points]:
        """The face with a cap or a hood, or bald, in a square of its own."""
        square = square_around(Face((0.0, 0.0, 1.0, 1.0), points, 1.0), SIDE_PX)
        picture, points = view_of(np.ascontiguousarray(picture), square), square.to_crop(points)
        behind, cloth = (
            _part(self.others[int(rng.integers(len(self.others)))], SIDE_PX, low, high, rng)
            for low, high in ((0.3, 1.0), (0.1, 0.4))
        )
        return dress(picture, points, behind, cloth, rng), points

    def _other(self, rng: Generator) -> U8:
        kind = choose(rng, OTHERS)
        at = int(rng.integers(len(self.pool)))
        face, marks = self.pool[at, ..., :3], self.marks[at].astype(np.float64)
        apart = float(np.hypot(*(marks[1] - marks[0])))
        if kind == "found" and self.found:
            index, points = self.found[int(rng.integers(len(self.found)))]
            return _cut_about(self.others[index], points, rng)
        if kind == "tiles":
            return _cut(backdrops.shuffle_tiles(np.ascontiguousarray(face), rng), marks)
        if kind == "beside":
            way = rng.uniform(0, 2 * np.pi)
            return _cut(face, marks + apart * rng.uniform(1.8, 3) * np.array([np.cos(way), np.sin(way)]))
        if kind == "part":
            if self.people:
                people = self.people[int(rng.integers(len(self.people)))]
                face, marks = people[int(rng.integers(len(people)))]
            return _cut(face, _part_of(marks, rng))
        if kind == "turned":
            return np.ascontiguousarray(_cut(face, marks)[::-1, ::-1])
        picture = self.others[int(rng.integers(len(self.others)))]
        if kind == "toy":
            return _toy(picture, face, rng)
        side = rng.uniform(0.08, 0.6) * min(picture.shape[:2])
        middle = rng.uniform((0, 0), picture.shape[1::-1])
        points = middle + (USUAL - USUAL.mean(0)) / FACE_PX * side
        view = _cut(picture, points)
        if kind == "drawn":
            return _print(view, _cut(face, marks), rng)
        if kind == "cloth":  # a cover that nobody wears
            worn = _square(marks).take_mask((self.pool[at, ..., 3] > 0) & (self.pool[at, ..., 3] < 10))
            return np.where(worn[..., None], _cut(face, marks), view)
        return view


def _part_of(face: Points, rng: Generator) -> Points:
    """The landmarks (5, 2) that a finder would see in a part of a face, taken for a face: mostly an ear."""
    across = face[1] - face[0]
    down = np.array([-across[1], across[0]])
    aside = rng.choice([-1, 1]) * rng.uniform(1.0, 1.7) if rng.random() < 0.6 else rng.uniform(-0.9, 0.9)
    middle = face[:2].mean(0) + aside * across + rng.uniform(-0.2, 1.2) * down
    side = rng.uniform(0.5, 1.1) * float(np.hypot(*across))
    return np.asarray(middle + (USUAL - USUAL.mean(0)) / FACE_PX * side)


def recolour(picture: U8, share: float) -> U8:
    """The picture with its colours' distance from grey times a share."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return np.asarray(np.clip(np.rint(grey + (picture - grey) * share), 0, 255), np.uint8)


def _toy(photo: U8, face: U8, rng: Generator) -> U8:
    """A doll's, a toy's or a statue's head before a part of a photo, as a finder that takes it for a face aligns it."""
    image, points = draw_doll(_part(photo, TOY_PX, 0.3, 1.0, rng), face, rng)
    return _cut_about(image, points, rng)


def _part(photo: U8, side: int, low: float, high: float, rng: Generator) -> U8:
    """A square part of a photo, of `low` to `high` of its smaller side, scaled to `side` pixels."""
    edge = max(1, int(rng.uniform(low, high) * min(photo.shape[:2])))
    top, left = (int(rng.integers(0, length - edge + 1)) for length in photo.shape[:2])
    return np.asarray(cv2.resize(photo[top : top + edge, left : left + edge], (side, side)), np.uint8)


def _print(cloth: U8, face: U8, rng: Generator) -> U8:
    grey = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (0, 0), float(rng.uniform(0.7, 2.5)))
    steps = int(rng.integers(2, 4))
    level = np.digitize(grey, np.quantile(grey, np.linspace(0, 1, steps + 1)[1:-1]))
    colours = rng.integers(0, 256, (steps, 3))
    ink = colours[level]
    alpha = float(rng.uniform(0.5, 1)) * (level < steps - 1 if rng.random() < 0.5 else np.ones_like(level))
    return np.asarray(np.rint(cloth + (ink - cloth.astype(np.float32)) * alpha[..., None]), np.uint8)


def _cut(picture: U8, points: Points) -> U8:
    return view_of(picture, _square(points))


def _cut_about(picture: U8, points: Points, rng: Generator) -> U8:
    """The square of landmarks that a finder has put a little beside their places."""
    apart = float(np.hypot(*(points[1] - points[0])))
    return _cut(picture, points + rng.normal(0, 0.1 * apart, (1, 2)) + rng.normal(0, 0.05 * apart, (5, 2)))


def _square(landmarks: Points) -> Crop:
    return square_around(Face((0.0, 0.0, 1.0, 1.0), landmarks, 1.0), LOOK_PX)
