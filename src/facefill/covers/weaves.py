"""Patterns of two colours: the share (rows, columns), 0-1, of one in the other.

Coordinates have the sheet's height as their unit.
"""

from collections.abc import Callable

import cv2
import numpy as np

from facefill.covers import fabric
from facefill.covers.fabric import Image, Rng

Share = Callable[[Rng, int, int], Image]


def grid(rows: int, columns: int, angle: float) -> tuple[Image, Image]:
    """Coordinates (along, across) turned by an angle."""
    y = np.arange(rows, dtype=np.float32)[:, None] / rows
    x = np.arange(columns, dtype=np.float32)[None] / rows
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def turned(rng: Rng) -> float:
    """Along the cloth, across it, on the bias, or anyhow."""
    return float(rng.choice([0.0, np.pi / 2, np.pi / 4, rng.uniform(0, np.pi)]))


def wave(phase: Image) -> Image:
    """Triangle of period 1 between 0 (at whole numbers) and 1."""
    return np.asarray(np.abs((phase % 1) * 2 - 1) * -1 + 1, np.float32)


def step(value: Image, edge: float, sharp: float) -> Image:
    """0 below the edge, 1 above it."""
    return np.asarray(np.clip((value - np.float32(edge)) * np.float32(sharp) + np.float32(0.5), 0, 1), np.float32)


def stripes(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, turned(rng))
    return step(wave(along * np.float32(rng.uniform(4, 16))), rng.uniform(0.3, 0.7), 8)


def pinstripes(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, turned(rng))
    return step(wave(along * np.float32(rng.uniform(6, 18))), 0.86, 12)


def waves(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, turned(rng))
    bent = np.sin(along * np.float32(rng.uniform(12, 40))) * np.float32(rng.uniform(0.1, 0.5))
    return step(wave(across * np.float32(rng.uniform(5, 12)) + bent), 0.5, 7)


def chevrons(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, float(rng.choice([0.0, np.pi / 2])))
    zigzag = wave(along * np.float32(rng.uniform(4, 9)))
    return step(wave(across * np.float32(rng.uniform(5, 10)) + zigzag * np.float32(0.7)), 0.5, 8)


def herringbone(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, 0.0)
    count = np.float32(rng.uniform(5, 10))
    side = np.where((along * count) % 1 < 0.5, np.float32(1), np.float32(-1))
    return step(wave((along * side + across) * (3 * count)), 0.5, 4)


def chess(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, turned(rng))
    count = np.float32(rng.uniform(4, 14))
    return step((wave(along * count) - 0.5) * (wave(across * count) - 0.5) * 4, 0.0, 6)


def gingham(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, float(rng.choice([0.0, np.pi / 4, rng.normal(0, 0.1)])))
    count = np.float32(rng.uniform(5, 16))
    return (step(wave(along * count), 0.5, 8) + step(wave(across * count), 0.5, 8)) * np.float32(0.5)


def houndstooth(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, 0.0)
    count = np.float32(rng.uniform(6, 14))
    a, b = (along * count) % 1, (across * count) % 1
    square = (a < 0.5) & (b < 0.5)
    teeth = ((a + b) % 0.5 < 0.25) & ((a < 0.5) ^ (b < 0.5))
    return np.asarray(cv2.blur((square | teeth).astype(np.float32), (2, 2)), np.float32)


def argyle(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, 0.0)
    count = np.float32(rng.uniform(2.5, 5))
    a, b = wave(along * count * np.float32(1.4)), wave(across * count)
    lines = step(np.abs(wave(along * count * 1.4 + 0.5) - b), 0.06, -30)
    return np.asarray(np.maximum(0.75 * step(a + b, 1.0, 12), lines), np.float32)


def triangles(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, turned(rng))
    count = np.float32(rng.uniform(3, 9))
    cells = np.floor(along * count) * 7 + np.floor(across * count) * 13 + ((along + across) * count % 1 > 0.5) * 5
    return np.asarray((np.sin(cells * np.float32(12.9)) * np.float32(43.7) % 1).astype(np.float32), np.float32)


def honeycomb(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, 0.0)
    count = np.float32(2 * np.pi * rng.uniform(5, 11))
    a, b = along * count, across * count
    total = np.cos(a) + np.cos(a * -0.5 + b * 0.866) + np.cos(a * -0.5 - b * 0.866)
    return step(total, rng.uniform(-1.2, 0.5), 2.5)


def bricks(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, 0.0)
    count = np.float32(rng.uniform(6, 12))
    shift = (np.floor(across * count) % 2) * np.float32(0.5)
    return np.minimum(step(wave(across * count), 0.2, 14), step(wave(along * count * 0.5 + shift), 0.1, 20))


def scales(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, 0.0)
    count = np.float32(rng.uniform(5, 11))
    row = np.floor(across * count)
    a = (along * count + row % 2 * 0.5) % 1 - 0.5
    depth = np.sqrt(a * a + (across * count - row) ** 2)
    return np.asarray(np.clip(depth * 1.1, 0, 1) * step(depth, 1.05, -9), np.float32)


def ribs(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, float(rng.choice([0.0, np.pi / 2])))
    return np.asarray(wave(along * np.float32(rng.uniform(14, 34))) ** 2 * np.float32(0.8), np.float32)


def knit(rng: Rng, rows: int, columns: int) -> Image:
    """Columns of V-shaped stitches."""
    along, across = grid(rows, columns, 0.0)
    count = np.float32(rng.uniform(8, 22))
    stitches = wave(across * count * 1.2 + wave(along * count) * 0.6)
    return np.asarray(step(stitches, 0.45, 2.5) * (0.4 + 0.6 * wave(along * count)), np.float32)


def mesh(rng: Rng, rows: int, columns: int) -> Image:
    """Rows of air holes."""
    along, across = grid(rows, columns, float(rng.choice([0.0, np.pi / 4])))
    count = np.float32(rng.uniform(14, 30))
    return step(wave(along * count) * wave(across * count), 0.5, 5)


def leopard(rng: Rng, rows: int, columns: int) -> Image:
    cells = rng.uniform(8, 15)
    blobs = np.abs(fabric.noise(rng, rows, columns, cells, cells * 1.5) - 0.35)
    gaps = fabric.noise(rng, rows, columns, cells * 1.6, cells * 2.4)
    return step(blobs, 0.3, -9) * step(gaps, -0.6, 6)


def zebra(rng: Rng, rows: int, columns: int) -> Image:
    along, across = grid(rows, columns, turned(rng))
    bent = fabric.noise(rng, rows, columns, 3, 4) * np.float32(rng.uniform(0.3, 0.8))
    return step(wave(along * np.float32(rng.uniform(5, 10)) + bent + 0.2 * across), 0.5, 9)


def cow(rng: Rng, rows: int, columns: int) -> Image:
    return step(fabric.noise(rng, rows, columns, rng.uniform(3, 6), rng.uniform(4, 8)), rng.uniform(-0.2, 0.7), 14)


def marble(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, turned(rng))
    veins = wave(along * np.float32(rng.uniform(1, 4)) + fabric.noise(rng, rows, columns, 4, 6) * 0.5)
    return np.asarray(veins ** np.float32(rng.uniform(1, 4)), np.float32)


def fade(rng: Rng, rows: int, columns: int) -> Image:
    cells = rng.uniform(1, 3)
    return np.asarray(np.clip(0.5 + 0.5 * fabric.noise(rng, rows, columns, cells, cells), 0, 1), np.float32)


def ombre(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, turned(rng))
    return np.asarray(np.clip((along - along.min()) / np.ptp(along), 0, 1), np.float32)


def tie_dye(rng: Rng, rows: int, columns: int) -> Image:
    """Rings or a spiral around one spot."""
    along, across = grid(rows, columns, 0.0)
    x, y = along - np.float32(rng.uniform(0.4, 1.1)), across - np.float32(rng.uniform(0.3, 0.7))
    radius = np.sqrt(x * x + y * y)
    spiral = np.arctan2(y, x) * np.float32(rng.integers(0, 4) / 2 / np.pi)
    rough = fabric.noise(rng, rows, columns, 9, 12) * np.float32(0.15)
    return step(wave(radius * np.float32(rng.uniform(2, 6)) + spiral + rough), 0.5, 2)


def heather(rng: Rng, rows: int, columns: int) -> Image:
    """Melange and denim: fine, slightly directed mottling."""
    noise = fabric.white_noise(rng, rows, columns)
    fine = cv2.blur(noise, (int(rng.integers(1, 7)), int(rng.integers(1, 4))))
    return np.asarray(np.clip(np.float32(0.35) + fine * np.float32(rng.uniform(0.2, 0.8)), 0, 1), np.float32)


def tweed(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, np.pi / 4)
    twill = wave(along * np.float32(rng.uniform(24, 40))) * np.float32(0.5)
    return np.clip(twill + fabric.white_noise(rng, rows, columns) * np.float32(0.25), 0, 1)


def glitter(rng: Rng, rows: int, columns: int) -> Image:
    return step(np.abs(fabric.white_noise(rng, rows, columns)), rng.uniform(1.2, 2.2), 2)


def lace(rng: Rng, rows: int, columns: int) -> Image:
    """Curls and leaves of thread on a net."""
    cells = rng.uniform(7, 12)
    curls = np.abs(fabric.noise(rng, rows, columns, cells, cells * 1.5))
    along, across = grid(rows, columns, np.pi / 4)
    net = np.maximum(step(wave(along * 40), 0.8, 5), step(wave(across * 40), 0.8, 5)) * np.float32(0.5)
    return np.maximum(step(curls, 0.16, -14), net)


def pixels(rng: Rng, rows: int, columns: int) -> Image:
    """Camouflage of squares."""
    cells = int(rng.integers(14, 34))
    coarse = fabric.noise(rng, cells, cells * 3 // 2, cells / 3, cells / 2)
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


SHARES: dict[str, Share] = {
    "stripes": stripes, "pinstripes": pinstripes, "waves": waves, "chevrons": chevrons, "herringbone": herringbone,
    "chess": chess, "gingham": gingham, "houndstooth": houndstooth, "argyle": argyle, "triangles": triangles,
    "honeycomb": honeycomb, "bricks": bricks, "scales": scales, "ribs": ribs, "knit": knit, "mesh": mesh,
    "leopard": leopard, "zebra": zebra, "cow": cow, "marble": marble, "fade": fade, "ombre": ombre,
    "tie-dye": tie_dye, "heather": heather, "tweed": tweed, "glitter": glitter, "lace": lace, "pixels": pixels,
    "sketch": sketch,
}  # fmt: skip
