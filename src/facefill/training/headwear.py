"""Draws what leaves a real face without its hair: tight caps, knitted caps, hoods, baldness, perhaps elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from facefill.arrays import F32, F64, U8, Points
from facefill.covers.fabric import choose, white_noise
from facefill.training.backdrops import draw_body, draw_skin, photograph

WEARS = {"swim cap": 0.4, "knitted cap": 0.17, "hood": 0.18, "bald": 0.25}
"""What is drawn, and how often."""
CUT_OUT = {"swim cap": 0.6, "knitted cap": 0.3, "hood": 0.5, "bald": 0.7}
"""How often the head is cut out and put before the backdrop, so that nothing of its hair is left."""

ROUND = 2.4
"""Exponent of a head's outline; 2 is an ellipse, more is squarer."""


def dress(picture: U8, landmarks: Points, backdrop: U8, cloth: U8, rng: Generator) -> U8:
    """A picture of a face with its hair under a cap or a hood, or gone.

    picture: (S, S, 3) RGB of an upright face that fills about a third of it; landmarks: (5, 2) pixels. backdrop:
    (S, S, 3), what may be behind; cloth: (S, S, 3), what some of the caps are made of.
    """
    size, kind = len(picture), choose(rng, WEARS)
    across, down, unit = _place(landmarks, size)
    rim = float(rng.uniform(1.05, 1.35)), float(rng.uniform(1.75, 2.05))
    middle = float(rng.uniform(0.1, 0.3))
    head = _within(across, down - middle, *rim, 0.06)
    image = picture
    if rng.random() < CUT_OUT[kind]:
        image = _before(image, head, landmarks, unit, backdrop, rng)
    brim = float(rng.uniform(0.95, 1.35) if kind == "bald" else rng.uniform(0.4, 1.0))
    bow, lean = float(rng.normal(0.12, 0.12)), float(rng.normal(0, 0.08))
    above = _soft(-down - brim + bow * across**2 + lean * across, 0.25 if kind == "bald" else 0.04)
    room = float(rng.uniform(1.0, 1.08) if kind in ("swim cap", "bald") else rng.uniform(1.08, 1.3))
    cap = _within(across, down - middle, rim[0] * room, rim[1] * room, 0.04)
    if kind == "hood":
        face = _within(across, down - middle, rim[0] * float(rng.uniform(0.85, 1)), float(rng.uniform(1.2, 1.7)), 0.05)
        cap = _within(across, down - 0.4, rim[0] * room * 1.15, rim[1] * room * 1.1, 0.05)
        alpha = cap * (1 - face)
    else:
        alpha = cap * above
    stuff = _skin(picture, across, down, brim) if kind == "bald" else _stuff(kind, cloth, size, rng)
    lit = _lit(stuff, across / (rim[0] * room), (down - middle) / (rim[1] * room), kind, rng)
    if kind != "bald":  # the shadow of its edge
        edge = cv2.GaussianBlur(alpha, (0, 0), max(0.06 * unit, 0.5)) * (1 - alpha)
        image = np.asarray(np.clip(image * (1 - float(rng.uniform(0, 0.7)) * edge[..., None]), 0, 255), np.uint8)
    mixed = image + (lit - image.astype(np.float32)) * alpha[..., None]
    return photograph(np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8), rng)


def _place(landmarks: Points, size: int) -> tuple[F32, F32, float]:
    """Each pixel's place in eye distances, to the right of and below the point between the eyes, and that distance in
    pixels; of a face that is turned away its height tells it."""
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    right = landmarks[1] - landmarks[0]
    right = right / max(float(np.hypot(*right)), 1e-6)
    lower = np.array([-right[1], right[0]])
    apart = float(np.hypot(*(landmarks[1] - landmarks[0])))
    unit = max(apart, 0.9 * abs(float((mouth - eyes) @ lower)), 4.0)
    grid = np.moveaxis(np.indices((size, size), np.float32)[::-1], 0, 2) - eyes.astype(np.float32)
    return (grid @ (right / unit).astype(np.float32)), (grid @ (lower / unit).astype(np.float32)), unit


def _soft(inside: F32, width: float) -> F32:
    return np.asarray(np.clip(inside / width + 0.5, 0, 1), np.float32)


def _within(x: F32, y: F32, wide: float, high: float, width: float) -> F32:
    """1 in an oval, 0 outside it. width: of its edge, eye distances."""
    away = (np.abs(x / wide) ** ROUND + np.abs(y / high) ** ROUND) ** (1 / ROUND)
    return _soft(np.asarray((1 - away) * min(wide, high), np.float32), width)


def _before(picture: U8, head: F32, landmarks: Points, unit: float, backdrop: U8, rng: Generator) -> U8:
    """The head alone, perhaps on drawn shoulders, before a backdrop."""
    behind = _blocks(len(picture), rng) if rng.random() < 0.4 else backdrop.copy()
    if rng.random() < 0.7:
        x, y = landmarks[:2].mean(0)
        box = np.array([x - unit, y - 1.5 * unit, x + unit, y + 1.9 * unit], np.float32)
        before = behind.copy()
        draw_body(behind, box, [], rng)
        if rng.random() < 0.5:  # bare shoulders
            cheeks = np.array([x - 0.5 * unit, y + 0.3 * unit, x + 0.5 * unit, y + 0.9 * unit], np.float32)
            bare = cv2.GaussianBlur(draw_skin(picture, cheeks, rng), (0, 0), 3)
            behind = np.where((behind != before).any(2, keepdims=True), bare, behind)
    mixed = behind + (picture.astype(np.float32) - behind) * head[..., None]
    return np.asarray(np.rint(mixed), np.uint8)


def _blocks(size: int, rng: Generator) -> U8:
    """A bright wall, a pool, a lane's rope: a few flat rectangles, soft or sharp."""
    image = np.full((size, size, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(rng.integers(0, 4)):
        (left, top), (wide, high) = rng.integers(-size // 4, size, 2), rng.integers(size // 8, size, 2)
        place, end = (int(left), int(top)), (int(left + wide), int(top + high))
        cv2.rectangle(image, place, end, rng.integers(0, 256, 3).tolist(), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 12))), np.uint8)


def _stuff(kind: str, cloth: U8, size: int, rng: Generator) -> F32:
    """(size, size, 3) of what a cap is made of."""
    if kind != "swim cap" and rng.random() < 0.5:
        return cloth.astype(np.float32)
    colour = rng.integers(0, 256, 3).astype(np.float32)
    if kind == "swim cap" and rng.random() < 0.3:
        colour[:] = rng.uniform(0, 40) if rng.random() < 0.4 else rng.uniform(190, 255)
    grain = cv2.GaussianBlur(white_noise(rng, size, size), (0, 0), float(rng.uniform(0.5, 2.5)))
    grain *= float(rng.uniform(1, 5) if kind == "swim cap" else rng.uniform(4, 25)) / max(float(grain.std()), 1e-6)
    stuff = np.asarray(colour + grain[..., None], np.float32)
    if rng.random() < 0.3:  # a print
        sheet = np.ascontiguousarray(stuff)
        at = (rng.uniform(0.3, 0.6) * size, rng.uniform(0.1, 0.35) * size)
        word = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVXYZ"), rng.integers(2, 6)))
        ink, place = rng.integers(0, 256, 3).tolist(), (round(at[0]), round(at[1]))
        cv2.putText(sheet, word, place, 0, size / 300, ink, max(1, size // 100), cv2.LINE_AA)
        return sheet
    return stuff


def _skin(picture: U8, across: F32, down: F32, brim: float) -> F32:
    """The forehead's skin, carried on."""
    band = (np.abs(across) < 0.45) & (np.abs(down + 0.55) < 0.2)
    colour = np.median(picture[band], 0) if band.any() else np.full(3, 150.0)
    smooth = cv2.GaussianBlur(picture, (0, 0), len(picture) / 40).astype(np.float32)
    share = np.clip((down + brim + 0.3) / 0.5, 0, 1)[..., None]
    return np.asarray(colour + (smooth - colour) * share * 0.5, np.float32)


def _lit(stuff: F32, x: F32, y: F32, kind: str, rng: Generator) -> F64:
    """The stuff as it lies on a ball under one light."""
    rest = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    light = np.append(rng.normal(0, 0.4, 2), 1.0)
    light /= np.linalg.norm(light)
    toward = np.clip(x * light[0] + y * light[1] + rest * light[2], 0, 1)
    depth = float(rng.uniform(0.1, 0.6))
    lit = stuff * (1 - depth + depth * toward * 1.2)[..., None]
    if kind in ("swim cap", "bald"):
        lit += (toward ** float(rng.uniform(10, 60)) * rng.uniform(0, 90 if kind == "swim cap" else 45))[..., None]
    return np.asarray(lit, np.float64)
