"""Drawn faces for the tests: no photograph of anybody, the same bytes for the same seed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import U8, Points

# Where FFHQ alignment puts eyes, nose tip and mouth corners, as shares of the side.
ALIGNED = np.array([[0.375, 0.476], [0.625, 0.476], [0.5, 0.610], [0.398, 0.735], [0.602, 0.735]])
SKINS = ((232, 190, 165), (205, 155, 122), (160, 110, 80), (112, 74, 54), (243, 208, 186))
HAIRS = ((42, 30, 24), (92, 58, 34), (170, 130, 80), (24, 22, 24), (120, 120, 122))


def draw_face(size: int = 256, seed: int = 0) -> tuple[U8, Points]:
    """Return a face-like picture (size, size, 3) uint8 RGB in FFHQ alignment and its landmarks (5, 2), pixels."""
    colour, alpha, landmarks = _draw_head(size, seed)
    rng = np.random.default_rng([seed, 1])
    back = _scene(size, size, rng)
    face = back * (1 - alpha[..., None]) + colour * alpha[..., None]
    return _with_noise(face, rng), landmarks


def draw_photo(width: int, height: int, faces: int = 1, seed: int = 0) -> tuple[U8, list[Points]]:
    """Return a scene (height, width, 3) uint8 RGB with that many faces side by side, and each face's landmarks.

    The faces stand from left to right in a row, with different sizes and rolls, and do not overlap.
    """
    rng = np.random.default_rng([seed, 2])
    photo = _scene(height, width, rng)
    found = []
    slot = width / max(faces, 1)
    for index in range(faces):
        side = min(slot, height) * rng.uniform(0.75, 1.0)
        source = int(np.clip(2 ** np.ceil(np.log2(side)), 64, 512))
        colour, alpha, landmarks = _draw_head(source, seed * 100 + index)
        middle = (source - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-20, 20), side / source)
        matrix[:, 2] += np.array([slot * (index + 0.5), height - side * 0.5]) - middle
        left, right = max(int(slot * (index + 0.5) - 0.8 * side), 0), int(slot * (index + 0.5) + 0.8 * side)
        top = max(int(height - 1.3 * side), 0)
        view = photo[top:, left:right]
        local = matrix - [[0, 0, left], [0, 0, top]]
        head = np.dstack([colour * alpha[..., None], alpha])
        head = cv2.warpAffine(head, local, view.shape[1::-1], flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        view[...] = view * (1 - head[..., 3:]) + head[..., :3]
        found.append(landmarks @ matrix[:, :2].T + matrix[:, 2])
    return _with_noise(photo, rng), found


def _draw_head(size: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32], Points]:
    """Return colour (size, size, 3) in 0..255, opacity (size, size) in 0..1 and landmarks in pixels."""
    rng = np.random.default_rng([seed, 0])
    points = ALIGNED + rng.normal(0, 0.006, (5, 2))
    y, x = (np.mgrid[:size, :size] + 0.5).astype(np.float32) / size
    skin = np.array(SKINS[rng.integers(len(SKINS))], np.float32)
    hair = np.array(HAIRS[rng.integers(len(HAIRS))], np.float32)
    cloth = rng.uniform(30, 220, 3).astype(np.float32)
    soft = max(1.5 / size, 0.006)

    def ellipse(centre: Points, half_x: float, half_y: float, blur: float = soft) -> NDArray[np.float32]:
        radius = np.hypot((x - centre[0]) / half_x, (y - centre[1]) / half_y)
        edge = (1 - radius) * min(half_x, half_y) / blur
        return np.clip(edge + 0.5, 0, 1).astype(np.float32)

    canvas = np.zeros((size, size, 3), np.float32)
    alpha = np.zeros((size, size), np.float32)

    def paint(share: NDArray[np.float32], colour: NDArray[np.float32]) -> None:
        canvas[...] = canvas * (1 - share[..., None]) + colour * share[..., None]
        alpha[...] = np.maximum(alpha, share)

    centre = np.array([0.5, 0.53])
    paint(ellipse(np.array([0.5, 1.12]), 0.46, 0.24), cloth)
    paint(ellipse(np.array([0.5, 0.46]), 0.36, 0.40, 0.02), hair * (0.85 + 0.3 * np.sin(90 * x)[..., None] ** 2))
    paint(ellipse(np.array([0.5, 0.88]), 0.12, 0.18), skin * 0.75)
    light = 1.04 - 0.35 * ((x - 0.46) ** 2 + 0.7 * (y - 0.48) ** 2) / 0.09
    paint(ellipse(centre, 0.26, 0.36), skin * np.clip(light, 0.5, 1.1)[..., None])
    paint(ellipse(np.array([0.5, 0.19]), 0.26, 0.10, 0.03), hair)
    for eye in points[:2]:
        paint(ellipse(eye - (0, 0.065), 0.055, 0.011, 0.012), hair * 0.8)
        paint(0.5 * ellipse(eye, 0.062, 0.040, 0.03), skin * 0.7)
        paint(ellipse(eye, 0.046, 0.020), np.array([238, 234, 230], np.float32))
        paint(ellipse(eye, 0.020, 0.020), rng.uniform(30, 110, 3).astype(np.float32))
        paint(ellipse(eye, 0.009, 0.009), np.array([12, 10, 10], np.float32))
        paint(ellipse(eye - 0.005, 0.004, 0.004), np.full(3, 250, np.float32))
    nose = points[2]
    paint(0.35 * ellipse(nose - (0.03, 0.06), 0.02, 0.10, 0.03), skin * 0.72)
    paint(0.5 * ellipse(np.add(nose, (0, 0.012)), 0.05, 0.022, 0.03), skin * 0.7)
    for side in (-0.025, 0.025):
        paint(0.8 * ellipse(np.add(nose, (side, 0.018)), 0.011, 0.007, 0.01), skin * 0.35)
    mouth = points[3:].mean(axis=0)
    half = float(np.ptp(points[3:, 0])) / 2
    paint(ellipse(mouth, half, 0.032, 0.012), np.array([180, 84, 84], np.float32) * (skin.mean() / 190))
    paint(ellipse(mouth, half * 0.9, 0.007, 0.008), np.array([80, 30, 34], np.float32))
    return canvas, alpha, points * size - 0.5


def _scene(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth background with a few blurred boxes, (height, width, 3) in 0..255."""
    small = rng.uniform(60, 200, (4, 5, 3)).astype(np.float32)
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(4):
        x0, y0 = int(rng.integers(width)), int(rng.integers(height))
        x1, y1 = x0 + int(rng.integers(1, width + 1)) // 4, y0 + int(rng.integers(1, height + 1)) // 3
        back[y0:y1, x0:x1] = 0.6 * back[y0:y1, x0:x1] + 0.4 * rng.uniform(40, 220, 3).astype(np.float32)
    return back


def _with_noise(picture: NDArray[np.float32], rng: np.random.Generator) -> U8:
    noise = rng.standard_normal(picture.shape[:2], dtype=np.float32)[..., None] * 2
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
