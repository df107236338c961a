"""Draws what `cover` and the second look learn from: aligned faces in a wider square, with drawn covers and with covers
that other people really wear, as small, badly aligned or compressed photos show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from facefill.arrays import U8, mirror_points
from facefill.covers.fabric import Odds, choose
from facefill.covers.glasses import glasses
from facefill.covers.head import Head, estimate_light
from facefill.covers.objects import sleeved_hand
from facefill.covers.sheet import INVERSE, Scene
from facefill.covers.wear import BESIDE, COVERS, FACE_MASKS, compose, through_jpeg, wear
from facefill.datasets.progress import track
from facefill.errors import InputError
from facefill.files.whole import whole
from facefill.nets.cover import IGNORED
from facefill.runtime.cover import FACE_PX, INSET_PX, OUTSIDE, SIDE_PX
from facefill.training.data import Faces, Places
from facefill.training.real_covers import GLASSES, HAND, MASK, NOTHING, OFFSET, OTHER, SQUARE, Covered, put_on

MIXES = {"drawn": 0.37, "glasses": 0.11, "pasted mask": 0.31, "pasted glasses": 0.08, "plain": 0.07, "real": 0.06}
"""How often each kind of picture is drawn. real: faces with their whole photos around them, further covers drawn on."""

KINDS: Odds = {**COVERS, "helmet strap": 0.03}
"""Kinds of drawn covers: those of `covers.wear`, whose own table stays as evaluation's holes were drawn from it, and
what holes have no use for."""
WRAPPED = ("bandana", "gaiter", "scarf")
"""What is now and then drawn up to the eyes."""
HIGH, SLEEVED = 0.25, 0.5
"""Share of wrapped cloths that begin just below the lids, and of hands that come out of a sleeve."""


class Painter:
    """Draws pictures with labels; a picture depends on nothing but its generator."""

    def __init__(
        self, faces: Faces, chosen: Places, real: list[Covered], bodies: list[U8], cloths: list[U8], mixes: Odds
    ) -> None:
        """chosen: places of the faces to draw on. real: faces in real covers. bodies, cloths: see `read_bodies` and
        `put_on`. mixes: as `MIXES`."""
        self._faces, self._chosen, self._bodies, self._cloths = faces, chosen, bodies, cloths
        self._masks = [face for face in real if (face.kinds == MASK).any()]
        self._glasses = [face for face in real if face.kind == "sunglasses"]
        self._plain = [face for face in real if face.kind == "none"]
        self._mixes = {name: share for name, share in mixes.items() if real or name in ("drawn", "glasses", "plain")}

    def draw(self, rng: Generator) -> Covered:
        mix = choose(rng, self._mixes)
        if mix == "real":
            base = _pick(self._glasses if rng.random() < 0.6 else self._plain, rng)
            base = base.mirrored() if rng.random() < 0.5 else base
        else:
            base = self._base(rng)
            while base.kinds.min() == IGNORED:
                base = self._base(rng)
        try:
            face = self._cover(base, mix, rng)
        except InputError:  # landmarks that no cover fits
            return self.draw(rng)
        return degrade(move(face, rng), rng)

    def _cover(self, face: Covered, mix: str, rng: Generator) -> Covered:
        if mix not in ("glasses", "pasted glasses", "real") and rng.random() < (0.35 if mix == "plain" else 0.1):
            face = draw_clear_glasses(face, rng)
        if mix == "plain":
            return face
        if mix == "glasses":
            face = draw(face, rng, "sunglasses")
            return face if rng.random() < 0.6 else self._mask(face, rng)
        if mix == "pasted glasses":
            face = put_on(face, self._glasses, rng)
            return face if rng.random() < 0.55 else self._mask(face, rng)
        if mix == "pasted mask" or (mix == "real" and rng.random() < 0.3):
            face = put_on(face, self._masks, rng, self._cloths)
            return draw(face, rng, "sunglasses") if rng.random() < 0.2 and mix != "real" else face
        kind = choose(rng, KINDS)
        worn = draw(face, rng, kind)
        if kind in FACE_MASKS and mix != "real" and rng.random() < 0.1:
            worn = draw(worn, rng, choose(rng, BESIDE))
        return worn

    def _mask(self, face: Covered, rng: Generator) -> Covered:
        if self._masks and rng.random() < 0.4:
            return put_on(face, self._masks, rng, self._cloths)
        return draw(face, rng, choose(rng, {kind: COVERS[kind] for kind in FACE_MASKS}))

    def _base(self, rng: Generator) -> Covered:
        """An aligned face in the wider square, most often with something around it."""
        if self._plain and rng.random() < 0.15:
            plain = _pick(self._plain, rng)
            picture, points = plain.picture[SQUARE], plain.landmarks - OFFSET
            label = plain.kinds[SQUARE]
        else:
            index = int(self._chosen[int(rng.integers(len(self._chosen)))])
            picture, points = self._faces.pixels[index], self._faces.landmarks[index].astype(np.float64)
            label = np.zeros((FACE_PX, FACE_PX), np.uint8)
        if rng.random() < 0.5:
            picture, label = picture[:, ::-1], label[:, ::-1]
            points = mirror_points(points, FACE_PX)
        picture = np.ascontiguousarray(picture)
        canvas = np.full((SIDE_PX, SIDE_PX, 3), OUTSIDE, np.uint8)
        kinds = np.full((SIDE_PX, SIDE_PX), IGNORED, np.uint8)
        below = SIDE_PX - FACE_PX
        way = rng.random()
        if way < 0.75:
            wide = cv2.copyMakeBorder(picture, 0, below, INSET_PX, INSET_PX, cv2.BORDER_REFLECT_101)
            soft = cv2.GaussianBlur(wide, (0, 0), float(rng.uniform(2, 10)))
            canvas = np.where((np.arange(SIDE_PX) < FACE_PX)[:, None, None] & (way < 0.3), wide, soft)
            kinds[:] = NOTHING
        canvas[SQUARE], kinds[SQUARE] = picture, label
        if way < 0.6 and self._bodies:
            self._paste_body(canvas, rng)
        return Covered(canvas, kinds, points + OFFSET)

    def _paste_body(self, canvas: U8, rng: Generator) -> None:
        body = _pick(self._bodies, rng)
        scale = float(np.exp(rng.normal(np.log(2.56 * 550 / body.shape[1]), 0.15)))
        top = FACE_PX - int(rng.integers(0, 14))
        rows, columns = SIDE_PX - top, SIDE_PX
        left = body.shape[1] / 2 + rng.normal(0, 8) - columns / 2 / scale
        matrix = np.array([[1 / scale, 0, left], [0, 1 / scale, rng.uniform(0, 3)]])
        piece = cv2.warpAffine(body, matrix, (columns, rows), flags=INVERSE, borderMode=cv2.BORDER_REPLICATE)
        fade = np.clip(np.arange(rows, dtype=np.float32) / float(rng.uniform(1, 12)), 0, 1)[:, None, None]
        canvas[top:] = np.rint(canvas[top:] + (piece.astype(np.float32) - canvas[top:]) * fade).astype(np.uint8)


def _pick(values: list[Any], rng: Generator) -> Any:
    return values[int(rng.integers(len(values)))]


def draw(face: Covered, rng: Generator, kind: str) -> Covered:
    """The face in a drawn cover of a kind of `KINDS`."""
    if kind == "hand" and rng.random() < SLEEVED:
        return draw_sleeved_hand(face, rng)
    coverage = "high" if kind in WRAPPED and rng.random() < HIGH else None
    worn = wear(face.picture, face.landmarks, rng, kind, coverage=coverage)
    label = MASK if kind in FACE_MASKS else {"sunglasses": GLASSES, "hand": HAND}.get(kind, OTHER)
    return _relabel(face, worn.face, worn.mask, label)


def draw_sleeved_hand(face: Covered, rng: Generator) -> Covered:
    """The face behind a hand whose forearm is in a sleeve; the sleeve is no cover and stays."""
    head = Head.from_landmarks(face.landmarks, SIDE_PX)
    light = estimate_light(face.picture, head, rng)
    hand, sleeve = sleeved_hand(Scene(face.picture, head, light, hairy=False), rng)
    if hand:
        face = _relabel(face, *compose(face.picture, head, light, hand, rng), HAND)
    if hand and sleeve:
        picture, mask = compose(face.picture, head, light, sleeve, rng)
        face = _relabel(face, picture, mask & (face.kinds != IGNORED), NOTHING)
    return face


def draw_clear_glasses(face: Covered, rng: Generator) -> Covered:
    head = Head.from_landmarks(face.landmarks, SIDE_PX)
    light = estimate_light(face.picture, head, rng)
    layers = glasses(Scene(face.picture, head, light, hairy=bool(rng.random() < 0.7)), rng, clear=True)
    if not layers:
        return face
    picture, _ = compose(face.picture, head, light, layers, rng)
    return _relabel(face, picture, np.zeros(picture.shape[:2], bool), NOTHING)


def _relabel(face: Covered, picture: U8, mask: NDArray[np.bool_], label: int) -> Covered:
    """What lies outside the photo stays outside."""
    picture = np.where(face.outside[..., None], np.uint8(OUTSIDE), picture)
    kinds = np.where(mask & ~face.outside, np.uint8(label), face.kinds)
    return replace(face, picture=picture, kinds=kinds)


def move(face: Covered, rng: Generator) -> Covered:
    """Turned, scaled and shifted as landmarks that are a little off would; now and then at the photo's edge."""
    picture, kinds, points = face.picture, face.kinds, face.landmarks
    if rng.random() < 0.75:
        middle, size = (SIDE_PX / 2, FACE_PX / 2), (SIDE_PX, SIDE_PX)
        matrix = cv2.getRotationMatrix2D(middle, float(rng.normal(0, 5)), 2 ** float(rng.normal(0, 0.09)))
        matrix[:, 2] += rng.normal(0, 0.025, 2) * SIDE_PX
        picture = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(OUTSIDE,) * 3)
        kinds = cv2.warpAffine(kinds, matrix, size, flags=cv2.INTER_NEAREST, borderValue=IGNORED)
        points = points @ matrix[:, :2].T + matrix[:, 2]
    if rng.random() < 0.25:
        picture, kinds = picture.copy(), kinds.copy()
        for side in rng.choice(4, int(rng.integers(1, 3)), replace=False):
            cut = int(rng.uniform(0, 0.22) * SIDE_PX)
            part = (np.s_[:cut], np.s_[SIDE_PX - cut :], np.s_[:, :cut], np.s_[:, SIDE_PX - cut :])[side]
            picture[part], kinds[part] = OUTSIDE, IGNORED
    return replace(face, picture=picture, kinds=kinds, landmarks=points)


def degrade(face: Covered, rng: Generator) -> Covered:
    """As a small, noisy or strongly compressed photo would show it."""
    picture = face.picture
    if rng.random() < 0.5:
        small = int(np.exp(rng.uniform(np.log(75), np.log(SIDE_PX))))
        how = cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=how)
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(1, 9), picture.shape)
        picture = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        picture = through_jpeg(picture, int(rng.integers(35, 95)))
    return replace(face, picture=np.where(face.outside[..., None], np.uint8(OUTSIDE), picture))


def draw_pool(painter: Painter, count: int, seed: int, path: Path) -> tuple[U8, NDArray[np.float32]]:
    """(count, S, S, 4) pictures and labels, and (count, 5, 2) landmarks, drawn once and kept in files."""
    shape = (count, SIDE_PX, SIDE_PX, 4)
    if not path.is_file():
        marks = np.zeros((count, 5, 2), np.float32)
        with whole(path) as part, part.open("wb") as file:
            for at in track(range(count), "drawing covers", count):
                face = painter.draw(np.random.default_rng([seed, at]))
                file.write(np.dstack([face.picture, face.kinds]).tobytes())
                marks[at] = face.landmarks
            np.save(path.with_suffix(".npy"), marks)
    return np.memmap(path, np.uint8, "r", shape=shape), np.load(path.with_suffix(".npy"))
