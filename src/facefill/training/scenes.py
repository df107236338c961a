"""Synthetic photos: labelled faces, half of them covered afterwards, pasted over backgrounds without faces.

What the finder learns from. The labels are made on the uncovered face, so that it learns what its teacher misses.
A scene is a similarity transform of aligned faces, so the boxes and landmarks are known exactly.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from facefill.arrays import F32, F64, MIRRORED, U8, Bool, Points, mirror_points
from facefill.imaging.crop import turn_of
from facefill.training import backdrops
from facefill.training.augmentation import tint

KINDS = {"portrait": 0.34, "group": 0.34, "crowd": 0.22, "empty": 0.10}
"""How often each kind of scene is drawn."""
SMALLEST_PX = 13.0
"""Faces of a smaller side count neither way: there is too little of them to see."""
LEAST_SEEN = 0.5
"""Faces of which less than this share of the box is in the picture and in front count neither way."""


@dataclass(frozen=True)
class LabelledFaces:
    """Aligned faces with their labels, all of one size S.

    pictures, covered: (N, S, S, 3) uint8 RGB, without and with something drawn over them. covers: (N, S, S) bool, what
    was drawn. boxes: (N, 4) x0, y0, x1, y1. landmarks: (N, 5, 2). Both in pixels of the pictures.
    """

    pictures: Any
    covered: Any
    covers: Bool
    boxes: F32
    landmarks: F32

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def turned(self) -> NDArray[np.int64]:
        """The sixth of the faces that are turned away most."""
        turns = np.array([turn_of(points) for points in self.landmarks])
        return np.argsort(-turns, kind="stable")[: max(1, len(self) // 6)]

    def draw(self, rng: Generator) -> int:
        """The index of a face; turned ones come more often than they are in the data, as they do in photos."""
        return int(rng.choice(self.turned) if rng.random() < 0.3 else rng.integers(len(self)))


@dataclass
class LabelledScene:
    """image: (S, S, 3) uint8. boxes: (4,) each, also where they leave the image. landmarks: (5, 2) each.
    counts: 1 = a face, 0 = neither a face nor its absence."""

    image: U8
    boxes: list[F32] = field(default_factory=list)
    landmarks: list[F32] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def mirrored(self) -> "LabelledScene":
        """Left is right, and the names of the landmarks go with it."""
        last = self.image.shape[1] - 1
        boxes = [np.array([last - box[2], box[1], last - box[0], box[3]], np.float32) for box in self.boxes]
        flipped = [mirror_points(points, last + 1) for points in self.landmarks]
        return LabelledScene(np.ascontiguousarray(self.image[:, ::-1]), boxes, flipped, list(self.counts))


def compose_scene(faces: LabelledFaces, rng: Generator, size: int) -> LabelledScene:
    scene = LabelledScene(backdrops.draw_backdrop(faces.pictures, faces.boxes, rng, size))
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    for _ in range(rng.integers(0, 4)):
        paste_decoy(scene, faces, rng)
    if kind == "portrait":
        paste_face(scene, faces, rng, _between(rng, 0.22, 1.0) * size, loose=True)
        for _ in range(rng.integers(0, 3)):
            paste_face(scene, faces, rng, _between(rng, 16, 70))
    elif kind == "group":
        for _ in range(rng.integers(1, 6)):
            paste_face(scene, faces, rng, _between(rng, 28, 0.5 * size))
    elif kind == "crowd":
        typical = _between(rng, 18, 60)
        for _ in range(rng.integers(5, 16)):
            paste_face(scene, faces, rng, typical * _between(rng, 0.7, 1.6))
    else:
        for _ in range(rng.integers(2, 7)):
            paste_decoy(scene, faces, rng)
    scene.image = backdrops.photograph(scene.image, rng)
    return scene


def compose_portrait(faces: LabelledFaces, rng: Generator, size: int) -> LabelledScene:
    """Draw what the finder's second look sees where it is right: one face, about upright, about in its place."""
    index = faces.draw(rng)
    picture, box = (faces.covered if rng.random() < 0.5 else faces.pictures)[index], faces.boxes[index]
    if rng.random() < 0.2:
        picture = backdrops.hide_part(picture, box, rng)
    linear, half = _pose(box, rng, rng.uniform(0.42, 0.85) * size, rng.normal(0, 10))
    centre = rng.normal((0.5, 0.55), 0.05) * size
    matrix = _centred(linear, box, centre)
    scene = LabelledScene(backdrops.draw_backdrop(faces.pictures, faces.boxes, rng, size))
    place(scene.image, picture, np.ones(picture.shape[:2], np.float32), matrix)
    label(scene, np.concatenate([centre - half, centre + half]), faces.landmarks[index], matrix, 1)
    scene.image = backdrops.photograph(scene.image, rng)
    return scene


def compose_decoy(faces: LabelledFaces, rng: Generator, size: int) -> LabelledScene:
    """Draw what the second look sees where the first was wrong: no face, but part of one, a toy, or mere texture."""
    index = int(rng.integers(len(faces)))
    kind = rng.random()
    if kind < 0.35:
        image = backdrops.close_up(faces.pictures[index], rng, size)
    elif kind < 0.42:
        image = np.asarray(cv2.resize(backdrops.shuffle_tiles(faces.pictures[index], rng), (size, size)), np.uint8)
    else:
        image = backdrops.draw_backdrop(faces.pictures, faces.boxes, rng, size)
        if kind < 0.62:
            linear, _ = _pose(faces.boxes[index], rng, rng.uniform(0.48, 1.0) * size, rng.normal(0, 30))
            matrix = _centred(linear, faces.boxes[index], rng.normal(0.5, 0.08, 2) * size)
            place(image, _faceless(faces, index), np.ones(faces.covers.shape[1:], np.float32), matrix)
        elif kind < 0.8:
            backdrops.draw_toy(image, rng)
    scene = LabelledScene(image)
    if rng.random() < 0.4:
        paste_decoy(scene, faces, rng)
    scene.image = backdrops.photograph(scene.image, rng)
    return scene


def paste_face(scene: LabelledScene, faces: LabelledFaces, rng: Generator, side: float, *, loose: bool = False) -> None:
    """Put a random face of that side (square root of the box's area, pixels) where it hides little of the others.

    loose: it may leave the picture by up to a third of itself. Nothing is pasted when no place was found.
    """
    index = faces.draw(rng)
    box, landmarks = faces.boxes[index], faces.landmarks[index]
    picture = (faces.covered if rng.random() < 0.5 else faces.pictures)[index]
    linear, half = _pose(box, rng, side)
    size = scene.image.shape[0]
    edge = 0.3 if loose else 0.8 if rng.random() < 0.2 else 1.0
    low = np.minimum(half * edge, size / 2)
    for _ in range(6):
        centre = rng.uniform(low, size - low)
        placed = np.concatenate([centre - half, centre + half]).astype(np.float32)
        head = placed + 0.2 * side * np.array([-1, -1, 1, 1], np.float32)
        if all(share_inside(other, head) < 0.35 for other in scene.boxes):
            break
    else:
        return
    if rng.random() < 0.4 and not loose:
        backdrops.draw_body(scene.image, placed, scene.boxes, rng)
    if rng.random() < 0.2:
        picture = backdrops.hide_part(picture, box, rng)
    if rng.random() < 0.5:
        picture = cv2.LUT(picture, tint(0.6, rng))
    matrix = _centred(linear, box, centre)
    place(scene.image, picture, _outline(box, rng, picture.shape[0], loose), matrix)
    for other, taken in enumerate(scene.boxes):
        if share_inside(taken, head) > 1 - LEAST_SEEN:
            scene.counts[other] = 0
    seen = share_inside(placed, np.array([0, 0, size, size], np.float32))
    label(scene, placed, landmarks, matrix, int(seen >= LEAST_SEEN and side >= SMALLEST_PX))


def paste_decoy(scene: LabelledScene, faces: LabelledFaces, rng: Generator) -> None:
    """Put something that is cut out and pasted as a face is, but isn't one: a cover that nobody wears, a shuffled
    face, a patch of skin, a piece of one face, another backdrop."""
    index = int(rng.integers(len(faces)))
    box, size = faces.boxes[index], scene.image.shape[0]
    linear, _ = _pose(box, rng, _between(rng, 16, 0.6 * size))
    x, y = centre = rng.uniform(0, size, 2)
    if any(b[0] - 4 < x < b[2] + 4 and b[1] - 4 < y < b[3] + 4 for b in scene.boxes):
        return
    picture = faces.pictures[index]
    alpha = _outline(box, rng, picture.shape[0], False)
    kind = rng.integers(6)
    if kind == 0 and faces.covers[index].any():
        picture, alpha = faces.covered[index], faces.covers[index].astype(np.float32)
    elif kind == 1:
        picture = backdrops.shuffle_tiles(picture, rng)
    elif kind == 2:
        picture = backdrops.draw_skin(picture, box, rng)
    elif kind == 3:
        alpha, linear = backdrops.piece_of(box, rng, picture.shape[0]), linear * rng.uniform(1, 2.5)
    elif kind == 4:
        picture = _faceless(faces, index)
    else:
        picture = backdrops.draw_backdrop(faces.pictures, faces.boxes, rng, picture.shape[0])
    place(scene.image, picture, alpha, _centred(linear, box, centre))


def _faceless(faces: LabelledFaces, index: int) -> U8:
    """A face without features, under its cover where that leaves the eyes free."""
    cover, eyes = faces.covers[index], faces.landmarks[index, :2].round().astype(int)
    high, wide = cover.shape
    if any(cover[np.clip(y, 0, high - 1), np.clip(x, 0, wide - 1)] for x, y in eyes):
        return backdrops.erase_features(faces.pictures[index], np.zeros_like(cover), faces.boxes[index])
    return backdrops.erase_features(faces.covered[index], cover, faces.boxes[index])


def place(image: U8, picture: U8, alpha: F32, matrix: F64) -> None:
    """Blend `picture` into `image`, in place. alpha: (S, S) in [0, 1]. matrix: (2, 3), picture pixel -> image pixel."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    matrix = matrix.copy()
    while scale < 0.6 and picture.shape[0] >= 32:  # bilinear sampling alone would alias
        half = (picture.shape[0] // 2,) * 2
        picture, alpha = (cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in (picture, alpha))
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5]  # pixel centres: small p lies at 2 p + 0.5
        matrix[:, :2] *= 2
        scale *= 2
    size = picture.shape[0] - 1
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ matrix.T
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, (image.shape[1], image.shape[0]))
    if x1 <= x0 or y1 <= y0:
        return
    matrix[:, 2] -= (x0, y0)
    span = (int(x1 - x0), int(y1 - y0))
    piece = cv2.warpAffine(picture, matrix, span, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(alpha, matrix, span, flags=cv2.INTER_LINEAR)
    image[y0:y1, x0:x1] = cv2.blendLinear(piece, image[y0:y1, x0:x1], weight, 1 - weight)


def _between(rng: Generator, low: float, high: float) -> float:
    """A number between the two, every octave as likely as the next."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def label(scene: LabelledScene, box: NDArray[Any], landmarks: F32, matrix: F64, counts: int) -> None:
    """Write down a face that was placed with `matrix`; in a mirrored one left and right change names."""
    moved = (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    scene.boxes.append(box.astype(np.float32))
    scene.landmarks.append(moved[MIRRORED] if np.linalg.det(matrix[:, :2]) < 0 else moved)
    scene.counts.append(counts)


def _pose(box: F32, rng: Generator, side: float, roll: float | None = None) -> tuple[F64, F64]:
    """A random mirroring and slight squeeze (2, 2) that gives the face that side, and half of its box's width and
    height.

    roll: degrees; None draws one. The box of a rolled face is that of the ellipse that fills its upright box: a rolled
    rectangle's would be too large.
    """
    spans = (box[2:] - box[:2]).astype(np.float64)
    rolls = [rng.normal(0, 10), rng.uniform(-45, 45), rng.uniform(-100, 100)]
    roll = np.deg2rad(rng.choice(rolls, p=[0.7, 0.26, 0.04]) if roll is None else roll)
    squeeze = np.exp(rng.uniform(-0.12, 0.12) if rng.random() < 0.8 else rng.uniform(-0.25, 0))
    stretch = side / np.sqrt(spans.prod()) * np.array([squeeze * rng.choice([-1, 1]), 1 / squeeze])
    linear = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]) * stretch
    return linear, np.hypot(*(linear * spans / 2).T)


def _centred(linear: F64, box: F32, centre: Points) -> F64:
    """(2, 3), the transform that puts the middle of a box at a place."""
    return np.column_stack([linear, centre - linear @ ((box[:2] + box[2:]) / 2)])


def _outline(box: F32, rng: Generator, size: int, loose: bool) -> F32:
    """What of the picture is pasted, (size, size) in [0, 1]: all, the head or the bare face; hard or feathered."""
    alpha = np.zeros((size, size), np.float32)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    kind = rng.choice(3, p=[0.85, 0.1, 0.05] if loose else [0.5, 0.35, 0.15])
    feather = 0 if rng.random() < 0.4 else int(rng.integers(2, 20))
    if kind == 0:
        inset = feather + int(rng.integers(0, 16))
        alpha[inset : size - inset, inset : size - inset] = 1
    else:
        axes = half * (rng.uniform(1.2, 1.45) if kind == 1 else rng.uniform(0.97, 1.1))
        cv2.ellipse(alpha, (centre.tolist(), (2 * axes).tolist(), 0.0), 1.0, -1)
    return np.asarray(cv2.blur(alpha, (feather, feather)), np.float32) if feather > 1 else alpha


def share_inside(box: F32, frame: F32) -> float:
    """The share of a box's area that lies in another."""
    span = np.minimum(box[2:], frame[2:]) - np.maximum(box[:2], frame[:2])
    return float(np.maximum(span, 0).prod() / (box[2:] - box[:2]).prod())
