"""Draws what has a face and is nobody: dolls, toys and statues, with landmarks where a finder would place them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from facefill.arrays import F64, U8, Points
from facefill.covers.fabric import choose, white_noise
from facefill.training.backdrops import draw_body, draw_skin, photograph

MATERIALS = {"plastic": 0.35, "cloth": 0.25, "paint": 0.15, "stone": 0.15, "metal": 0.1}
"""What drawn heads are made of, and how often."""
EYES = {
    "plastic": {"glass": 0.8, "dot": 0.1, "shut": 0.1},
    "cloth": {"button": 0.5, "dot": 0.3, "glass": 0.1, "shut": 0.1},
    "paint": {"dot": 0.4, "glass": 0.4, "shut": 0.2},
    "stone": {"blank": 0.8, "shut": 0.2},
    "metal": {"blank": 0.7, "shut": 0.15, "button": 0.15},
}
"""Which eyes belong to which material."""


@dataclass(frozen=True)
class _Oval:
    """An upright or tilted head; shares are of its half axes, from its middle, x to the right and y down."""

    middle: F64
    """(2,) pixels."""
    half: F64
    """(2,) half width and half height in pixels."""
    tilt: float
    """Degrees, clockwise on the picture."""

    def at(self, x: float, y: float) -> F64:
        """(2,) pixels of a place in shares."""
        turn = np.deg2rad(self.tilt)
        across, down = x * self.half[0], y * self.half[1]
        off = np.array([across * np.cos(turn) - down * np.sin(turn), across * np.sin(turn) + down * np.cos(turn)])
        return np.asarray(self.middle + off, np.float64)

    def spot(self, image: U8, place: tuple[float, float], radii: tuple[float, float], colour: Any) -> None:
        """A filled ellipse in place. radii: shares of the half width."""
        span = np.array(radii) * self.half[0]
        cv2.ellipse(image, (self.at(*place), 2 * span + 1, self.tilt), _ink(colour), -1, cv2.LINE_AA)

    def arc(self, image: U8, place: tuple[float, float], radii: tuple[float, float], colour: Any, upper: bool) -> None:
        """The upper or lower half of an ellipse's outline in place. radii: shares of the half width."""
        x, y = (round(float(value)) for value in self.at(*place))
        wide, high = (max(1, round(share * self.half[0])) for share in radii)
        start, thick = (180 if upper else 0), max(1, round(0.04 * self.half[0]))
        cv2.ellipse(image, (x, y), (wide, high), self.tilt, start, start + 180, _ink(colour), thick, cv2.LINE_AA)


def draw_doll(backdrop: U8, face: U8, rng: Generator) -> tuple[U8, Points]:
    """A picture of a doll's, a toy's or a statue's head, and five landmarks where a finder would place them.

    backdrop: (S, S, 3) RGB of whatever is behind; face: (H, H, 3) aligned, whose skin some of them have. Returns
    (S, S, 3) uint8 and (5, 2) pixels.
    """
    image, size = backdrop.copy(), len(backdrop)
    material = choose(rng, MATERIALS)
    wide = float(rng.uniform(0.16, 0.27)) * size
    half = np.array([wide, wide * (rng.uniform(0.8, 1.15) if material == "cloth" else rng.uniform(1.0, 1.4))])
    head = _Oval(rng.normal(0.47, 0.03, 2) * size, half, float(rng.normal(0, 8)))
    if rng.random() < 0.6:
        draw_body(image, np.concatenate([head.middle - half, head.middle + half]).astype(np.float32), [], rng)
    base = _substance(material, size, face, rng)
    ground = base.reshape(-1, 3).mean(0)
    hair = ground * rng.uniform(0.6, 1.0) if material in ("stone", "metal") else rng.integers(0, 256, 3)
    way = rng.random()
    if way < 0.35:
        _ears(image, head, ground, rng)
    elif way < 0.85:
        head.spot(image, (0, float(rng.uniform(-0.35, 0))), (float(rng.uniform(1.05, 1.35)),) * 2, hair)
    inside = np.zeros((size, size), np.uint8)
    cv2.ellipse(inside, (head.middle, 2 * half, head.tilt), 255, -1, cv2.LINE_AA)
    _features(base, head, material, ground, points := _places(head, rng), rng)
    if 0.35 <= way < 0.85:  # a fringe
        head.spot(base, (float(rng.normal(0, 0.3)), -1.05), (1.0, float(rng.uniform(0.25, 0.55))), hair)
    shaded = _shade(base, head, material, rng)
    alpha = inside[..., None].astype(np.float32) / 255
    image = np.asarray(np.rint(image + (shaded - image.astype(np.float32)) * alpha), np.uint8)
    return photograph(image, rng), points


def _substance(material: str, size: int, face: U8, rng: Generator) -> U8:
    """(size, size, 3) of what a head is made of."""
    if material == "plastic" and rng.random() < 0.7:
        skin = draw_skin(face, np.array([0.25, 0.3, 0.75, 0.9], np.float32) * len(face), rng)
        return np.asarray(cv2.GaussianBlur(cv2.resize(skin, (size, size)), (0, 0), size / 12), np.uint8)
    if material == "stone":
        colour = rng.uniform(90, 235) * rng.uniform(0.92, 1, 3)
    elif material == "metal":
        colour = rng.uniform(50, 190) * np.array([1, rng.uniform(0.65, 1), rng.uniform(0.35, 1)])
    else:
        colour = rng.uniform(25, 250, 3)
    rough = {"cloth": 14.0, "stone": 8.0}.get(material, 1.5) * rng.uniform(0.3, 1.3)
    grain = cv2.GaussianBlur(white_noise(rng, size, size), (0, 0), float(rng.uniform(0.5, 2.5)))
    grain *= rough / max(float(grain.std()), 1e-6)
    return np.asarray(np.clip(colour + grain[..., None], 0, 255), np.uint8)


def _places(head: _Oval, rng: Generator) -> Points:
    """(5, 2): the eyes, nose and corners of the mouth, somewhat aside on a head that is turned."""
    aside, level = float(rng.normal(0, 0.1)), float(rng.uniform(-0.25, 0.1))
    apart, smile = float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.12, 0.38))
    mouth = float(rng.uniform(0.42, 0.62))
    nose = level + (mouth - level) * float(rng.uniform(0.4, 0.68))
    sides = ((-apart, level), (apart, level), (0.3 * aside, nose), (-smile, mouth), (smile, mouth))
    return np.stack([head.at(aside + x, y) for x, y in sides])


def _features(image: U8, head: _Oval, material: str, ground: F64, points: Points, rng: Generator) -> None:
    """Eyes, brows, nose and mouth in place at five landmarks."""
    turn = np.deg2rad(-head.tilt)
    back = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    left, right, nose, *mouth = ((points - head.middle) @ back.T / head.half).tolist()
    solid = material in ("stone", "metal")
    dark = ground * rng.uniform(0.45, 0.75) if solid else ground * rng.uniform(0, 0.5)
    kind, radius = choose(rng, EYES[material]), float(rng.uniform(0.1, 0.22)) * (0.75 if solid else 1)
    colours = rng.integers(0, 256, 3), ground, dark
    look = rng.normal(0, 0.25, 2) * radius
    brows, arch = rng.random() < 0.6, float(rng.uniform(1.5, 2.2)) * radius
    for x, y in (left, right):
        _eye(image, head, kind, (x, y), radius, colours, look)
        if brows:
            head.arc(image, (x, y - 0.3 * arch), (1.3 * radius, arch), dark, upper=True)
    if rng.random() < 0.3 and not solid:  # rouge
        blush = np.clip(ground * (1.1, 0.75, 0.75), 0, 255)
        for x in (left[0], right[0]):
            head.spot(image, (1.25 * x, nose[1] + 0.1), (0.14, 0.12), blush)
    (x0, y0), (x1, y1) = mouth
    middle, wide = ((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0) / 2
    if material == "cloth" and rng.random() < 0.5:  # a muzzle
        head.spot(image, (nose[0], (nose[1] + middle[1]) / 2), (0.45, 0.4), np.clip(ground * 1.25 + 12, 0, 255))
    if material in ("plastic", "stone", "metal"):  # the side of a nose that lies in the shade
        top, aside = ((left[0] + right[0]) / 2, left[1]), float(rng.choice([-0.07, 0.07]))
        ends = np.rint([head.at(top[0] + aside, top[1]), head.at(nose[0] + aside, nose[1])]).astype(np.int32)
        cv2.polylines(
            image, [ends], False, _ink(0.6 * ground + 0.4 * dark), max(1, round(0.05 * head.half[0])), cv2.LINE_AA
        )
    tip = float(rng.uniform(0.04, 0.13))
    head.spot(image, (nose[0], nose[1]), (tip * rng.uniform(0.8, 1.6), tip), 0.5 * (ground + dark) if solid else dark)
    red = dark if solid else np.clip(ground * (1.0, 0.4, 0.4), 0, 255) if rng.random() < 0.6 else dark
    if rng.random() < 0.5:
        head.arc(image, (middle[0], middle[1] - 0.04), (wide, wide * float(rng.uniform(0.1, 0.7))), red, upper=False)
    else:
        head.spot(image, middle, (wide, wide * float(rng.uniform(0.2, 0.6))), red)


def _eye(
    image: U8,
    head: _Oval,
    kind: str,
    place: tuple[float, float],
    radius: float,
    colours: tuple[Any, Any, Any],
    look: F64,
) -> None:
    """One eye in place. colours: of an iris, of the head, of lines. look: where it looks, shares of the half width."""
    iris, ground, dark = colours
    if kind == "shut":
        head.arc(image, place, (radius, 0.6 * radius), dark, upper=False)
        return
    if kind == "blank":  # a ball between lids, as it is cut in stone
        head.spot(image, place, (1.25 * radius, 0.95 * radius), 0.6 * dark + 0.4 * ground)
        head.spot(image, (place[0], place[1] + 0.1 * radius), (1.1 * radius, 0.75 * radius), ground)
        head.arc(image, place, (1.3 * radius, radius), dark, upper=True)
        return
    if kind == "dot":
        head.spot(image, place, (0.6 * radius, 0.75 * radius), dark * 0.5)
        return
    if kind == "button":
        head.spot(image, place, (radius, radius), dark * 0.6)
        head.arc(image, place, (0.8 * radius, 0.8 * radius), dark * 0.6 + 60, upper=True)
    else:
        head.spot(image, place, (1.2 * radius, 1.2 * radius), (245, 245, 240))
        head.arc(image, place, (1.25 * radius, 1.25 * radius), dark * 0.4, upper=True)
        seen = place[0] + float(look[0]), place[1] + float(look[1])
        head.spot(image, seen, (0.75 * radius, 0.75 * radius), iris)
        head.spot(image, seen, (0.4 * radius, 0.4 * radius), (15, 12, 12))
    head.spot(image, (place[0] - 0.3 * radius, place[1] - 0.3 * radius), (0.2 * radius, 0.2 * radius), (250,) * 3)


def _ears(image: U8, head: _Oval, ground: F64, rng: Generator) -> None:
    """A bear's or a rabbit's, in place."""
    aside, wide = float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.2, 0.45))
    high = wide * float(rng.choice([1.0, 1.0, 2.8]))
    for x in (-aside, aside):
        head.spot(image, (x, -0.95), (wide, high), ground * 0.9)
        head.spot(image, (x, -0.95), (0.55 * wide, 0.6 * high), ground * 0.65)


def _shade(base: U8, head: _Oval, material: str, rng: Generator) -> U8:
    """A flat head as a ball under one light, with what gleams on plastic and metal."""
    size = len(base)
    grid = np.moveaxis(np.indices((size, size), np.float32)[::-1], 0, 2)
    turn = np.deg2rad(-head.tilt)
    back = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
    place = (grid - head.middle.astype(np.float32)) @ back.T / head.half.astype(np.float32)
    rest = np.sqrt(np.clip(1 - (place**2).sum(2), 0, 1))
    light = np.append(rng.normal(0, 0.5, 2), 1.0)
    light /= np.linalg.norm(light)
    toward = place[..., 0] * light[0] + place[..., 1] * light[1] + rest * light[2]
    depth = float(rng.uniform(0, 0.25) if material == "paint" else rng.uniform(0.25, 0.8))
    lit = base * (1 - depth + depth * np.clip(toward, 0, 1) * 1.2)[..., None]
    if material in ("plastic", "metal"):
        lit += (np.clip(toward, 0, 1) ** float(rng.uniform(15, 60)) * rng.uniform(0, 110))[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _ink(colour: Any) -> list[float]:
    return [float(value) for value in np.clip(np.asarray(colour, np.float64), 0, 255)]
