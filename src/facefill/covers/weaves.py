"""Patterns of two colours: the share (rows, columns), 0-1, of one in the other.

Coordinates have the sheet's height as their unit.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from facefill.covers.fabric import Image, Rng, noise, white_noise

Share = Callable[[Rng, int, int], Image]
Angle = float | Callable[[Rng], float]
Repeat = Callable[[Image, Image, float, Rng], Any]
"""From coordinates along and across, and how often the pattern repeats in a unit."""


def grid(rows: int, columns: int, angle: float) -> tuple[Image, Image]:
    y = np.arange(rows, dtype=np.float32)[:, None] / rows
    x = np.arange(columns, dtype=np.float32)[None] / rows
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def turned(rng: Rng) -> float:
    """Along the cloth, across it, on the bias, or anyhow."""
    return float(rng.choice([0.0, np.pi / 2, np.pi / 4, rng.uniform(0, np.pi)]))


def checked(rng: Rng) -> float:
    """As checks lie: upright, on the bias, or nearly upright."""
    return float(rng.choice([0.0, np.pi / 4, rng.normal(0, 0.1)]))


def one_of(*angles: float) -> Angle:
    return lambda rng: float(rng.choice(angles))


def wave(phase: Image) -> Image:
    """Triangle of period 1 between 0 (at whole numbers) and 1."""
    return np.asarray(np.abs((phase % 1) * 2 - 1) * -1 + 1, np.float32)


def step(value: Image, edge: float, sharp: float) -> Image:
    return np.asarray(np.clip((value - np.float32(edge)) * np.float32(sharp) + np.float32(0.5), 0, 1), np.float32)


def regular(angle: Angle, least: float, most: float, share: Repeat) -> Share:
    """A pattern that repeats between `least` and `most` times in a unit."""

    def draw(rng: Rng, rows: int, columns: int) -> Image:
        along, across = grid(rows, columns, angle(rng) if callable(angle) else angle)
        return np.asarray(share(along, across, rng.uniform(least, most), rng), np.float32)

    return draw


def bumps(rng: Rng, like: Image, cells_y: float, cells_x: float) -> Image:
    return noise(rng, like.shape[0], like.shape[1], cells_y, cells_x)


def houndstooth(x: Image, y: Image, n: float, rng: Rng) -> Any:
    a, b = (x * n) % 1, (y * n) % 1
    teeth = ((a + b) % 0.5 < 0.25) & ((a < 0.5) ^ (b < 0.5))
    return cv2.blur((((a < 0.5) & (b < 0.5)) | teeth).astype(np.float32), (2, 2))


def argyle(x: Image, y: Image, n: float, rng: Rng) -> Any:
    a, b = wave(x * n * np.float32(1.4)), wave(y * n)
    return np.maximum(0.75 * step(a + b, 1.0, 12), step(np.abs(wave(x * n * 1.4 + 0.5) - b), 0.06, -30))


def triangles(x: Image, y: Image, n: float, rng: Rng) -> Any:
    cells = np.floor(x * n) * 7 + np.floor(y * n) * 13 + ((x + y) * n % 1 > 0.5) * 5
    return np.sin(cells * np.float32(12.9)) * np.float32(43.7) % 1


def honeycomb(x: Image, y: Image, n: float, rng: Rng) -> Any:
    a, b = x * n, y * n
    total = np.cos(a) + np.cos(a * -0.5 + b * 0.866) + np.cos(a * -0.5 - b * 0.866)
    return step(total, rng.uniform(-1.2, 0.5), 2.5)


def bricks(x: Image, y: Image, n: float, rng: Rng) -> Any:
    shift = (np.floor(y * n) % 2) * 0.5
    return np.minimum(step(wave(y * n), 0.2, 14), step(wave(x * n * 0.5 + shift), 0.1, 20))


def scales(x: Image, y: Image, n: float, rng: Rng) -> Any:
    row = np.floor(y * n)
    a = (x * n + row % 2 * 0.5) % 1 - 0.5
    depth = np.sqrt(a * a + (y * n - row) ** 2)
    return np.clip(depth * 1.1, 0, 1) * step(depth, 1.05, -9)


def leopard(x: Image, y: Image, n: float, rng: Rng) -> Any:
    blobs = np.abs(bumps(rng, x, n, n * 1.5) - 0.35)
    return step(blobs, 0.3, -9) * step(bumps(rng, x, n * 1.6, n * 2.4), -0.6, 6)


def lace(x: Image, y: Image, n: float, rng: Rng) -> Any:
    """Curls and leaves of thread on a net."""
    curls = np.abs(bumps(rng, x, n, n * 1.5))
    net = np.maximum(step(wave(x * 40), 0.8, 5), step(wave(y * 40), 0.8, 5)) * 0.5
    return np.maximum(step(curls, 0.16, -14), net)


def zebra(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, turned(rng))
    bent = noise(rng, rows, columns, 3, 4) * rng.uniform(0.3, 0.8)
    return step(wave(along * rng.uniform(5, 10) + bent + 0.2 * across), 0.5, 9)


def ombre(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, turned(rng))
    return np.asarray((along - along.min()) / np.ptp(along))


def tie_dye(rng: Rng, rows: int, columns: int) -> Image:
    """Rings or a spiral around one spot."""
    along, across = grid(rows, columns, 0.0)
    x, y = along - rng.uniform(0.4, 1.1), across - rng.uniform(0.3, 0.7)
    spiral = np.arctan2(y, x) * np.float32(rng.integers(0, 4) / 2 / np.pi)
    rough = noise(rng, rows, columns, 9, 12) * 0.15
    return step(wave(np.sqrt(x * x + y * y) * rng.uniform(2, 6) + spiral + rough), 0.5, 2)


def heather(rng: Rng, rows: int, columns: int) -> Image:
    """Melange and denim: fine, slightly directed mottling."""
    grain = white_noise(rng, rows, columns)
    fine = cv2.blur(grain, (int(rng.integers(1, 7)), int(rng.integers(1, 4))))
    return np.asarray(np.clip(0.35 + fine * rng.uniform(0.2, 0.8), 0, 1))


def pixels(rng: Rng, rows: int, columns: int) -> Image:
    """Camouflage of squares."""
    cells = int(rng.integers(14, 34))
    coarse = noise(rng, cells, cells * 3 // 2, cells / 3, cells / 2)
    coarse += rng.normal(0, 0.25, coarse.shape).astype(np.float32)
    share = np.asarray(np.digitize(coarse, [-0.5, 0.1, 0.6]) / 3, np.float32)
    return np.asarray(cv2.resize(share, (columns, rows), interpolation=cv2.INTER_NEAREST))


def sketch(rng: Rng, rows: int, columns: int) -> Image:
    """Overlapping open curves, as of a pen."""
    canvas = np.zeros((rows, columns), np.uint8)
    thick = max(1, round(rows * 0.012))
    for _ in range(int(rng.integers(12, 30))):
        centre = int(rng.uniform(0, columns)), int(rng.uniform(0, rows))
        size = int(rows * rng.uniform(0.03, 0.3)) + 1, int(rows * rng.uniform(0.03, 0.2)) + 1
        start = rng.uniform(0, 360)
        cv2.ellipse(canvas, centre, size, rng.uniform(0, 180), start, start + 200, 255, thick, cv2.LINE_AA)
    return canvas * np.float32(1 / 255)


UPRIGHT, BIAS = 0.0, np.pi / 4
SHARES: dict[str, Share] = {
    "stripes": regular(turned, 4, 16, lambda x, y, n, rng: step(wave(x * n), rng.uniform(0.3, 0.7), 8)),
    "pinstripes": regular(turned, 6, 18, lambda x, y, n, rng: step(wave(x * n), 0.86, 12)),
    "waves": regular(
        turned, 12, 40,
        lambda x, y, n, rng: step(wave(np.sin(x * n) * rng.uniform(0.1, 0.5) + y * rng.uniform(5, 12)), 0.5, 7),
    ),
    "chevrons": regular(
        one_of(0, np.pi / 2), 4, 9,
        lambda x, y, n, rng: step(wave(y * rng.uniform(5, 10) + wave(x * n) * 0.7), 0.5, 8),
    ),
    "herringbone": regular(
        UPRIGHT, 5, 10,
        lambda x, y, n, rng: step(wave((np.where((x * n) % 1 < 0.5, x, -x) + y) * (3 * np.float32(n))), 0.5, 4),
    ),
    "chess": regular(turned, 4, 14, lambda x, y, n, rng: step((wave(x * n) - 0.5) * (wave(y * n) - 0.5) * 4, 0, 6)),
    "gingham": regular(
        checked, 5, 16, lambda x, y, n, rng: (step(wave(x * n), 0.5, 8) + step(wave(y * n), 0.5, 8)) * 0.5
    ),
    "houndstooth": regular(UPRIGHT, 6, 14, houndstooth),
    "argyle": regular(UPRIGHT, 2.5, 5, argyle),
    "triangles": regular(turned, 3, 9, triangles),
    "honeycomb": regular(UPRIGHT, 10 * np.pi, 22 * np.pi, honeycomb),
    "bricks": regular(UPRIGHT, 6, 12, bricks),
    "scales": regular(UPRIGHT, 5, 11, scales),
    "ribs": regular(one_of(0, np.pi / 2), 14, 34, lambda x, y, n, rng: wave(x * n) ** 2 * 0.8),
    "knit": regular(  # columns of V-shaped stitches
        UPRIGHT, 8, 22,
        lambda x, y, n, rng: step(wave(y * n * 1.2 + wave(x * n) * 0.6), 0.45, 2.5) * (0.4 + 0.6 * wave(x * n)),
    ),
    "mesh": regular(one_of(0, BIAS), 14, 30, lambda x, y, n, rng: step(wave(x * n) * wave(y * n), 0.5, 5)),
    "leopard": regular(UPRIGHT, 8, 15, leopard),
    "zebra": zebra,
    "cow": regular(
        UPRIGHT, 3, 6, lambda x, y, n, rng: step(bumps(rng, x, n, rng.uniform(4, 8)), rng.uniform(-0.2, 0.7), 14)
    ),
    "marble": regular(
        turned, 1, 4, lambda x, y, n, rng: wave(x * n + bumps(rng, x, 4, 6) * 0.5) ** rng.uniform(1, 4)
    ),
    "fade": regular(UPRIGHT, 1, 3, lambda x, y, n, rng: np.clip(0.5 + 0.5 * bumps(rng, x, n, n), 0, 1)),
    "ombre": ombre,
    "tie-dye": tie_dye,
    "heather": heather,
    "tweed": regular(
        BIAS, 24, 40, lambda x, y, n, rng: np.clip(wave(x * n) * 0.5 + white_noise(rng, *x.shape) * 0.25, 0, 1)
    ),
    "glitter": lambda rng, rows, columns: step(np.abs(white_noise(rng, rows, columns)), rng.uniform(1.2, 2.2), 2),
    "lace": regular(BIAS, 7, 12, lace),
    "pixels": pixels,
    "sketch": sketch,
}  # fmt: skip
