"""Textures of covers: what colour a cloth has, and how its surface goes up and down.

A texture is a flat sheet of `rows` x `columns` texels that `sheet` lays over a head: RGB in 8 bit. Single
colours are RGB, 0-1.
"""

import string
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import U8

Image = NDArray[np.floating]
Colour = NDArray[np.floating]
Rng = np.random.Generator
Odds = dict[str, float]
"""How often each of some names is drawn."""

NAMED = {
    "sky": (0.60, 0.80, 0.91), "blue": (0.42, 0.66, 0.86), "teal": (0.42, 0.76, 0.70),
    "green": (0.55, 0.80, 0.66), "white": (0.93, 0.94, 0.95), "ivory": (0.94, 0.92, 0.87),
    "pink": (0.94, 0.72, 0.78), "lilac": (0.75, 0.70, 0.88), "grey": (0.55, 0.56, 0.58),
    "silver": (0.75, 0.76, 0.78), "charcoal": (0.2, 0.2, 0.22), "black": (0.075, 0.075, 0.085),
    "navy": (0.10, 0.13, 0.27), "red": (0.76, 0.13, 0.17), "wine": (0.42, 0.08, 0.16),
    "mustard": (0.85, 0.64, 0.16), "denim": (0.27, 0.36, 0.50), "khaki": (0.56, 0.52, 0.38),
    "magenta": (0.82, 0.13, 0.40), "forest": (0.12, 0.30, 0.22), "skin": (0.85, 0.66, 0.55),
    "tan": (0.68, 0.48, 0.37), "umber": (0.36, 0.23, 0.17), "lime": (0.75, 0.90, 0.15),
    "orange": (0.93, 0.47, 0.13), "royal": (0.12, 0.30, 0.72), "mint": (0.70, 0.90, 0.82),
    "violet": (0.42, 0.22, 0.58),
}  # fmt: skip


def tint(rng: Rng, *names: str) -> Colour:
    """One of the named colours, varied."""
    colour = np.array(NAMED[names[int(rng.integers(len(names)))]])
    return np.clip(colour * rng.uniform(0.88, 1.1) + rng.normal(0, 0.02, 3), 0.02, 0.98).astype(np.float32)


def any_tint(rng: Rng) -> Colour:
    """Cloth in any colour; black, white, grey and navy as common as they are."""
    draw = rng.random()
    if draw < 0.34:
        return tint(rng, "black", "black", "charcoal", "white", "grey", "navy")
    if draw < 0.72:
        return tint(rng, *NAMED)
    hue, saturation, value = rng.random() * 360, rng.uniform(0.1, 0.95), rng.uniform(0.12, 0.97)
    pixel = np.array([[[hue, saturation, value]]], np.float32)
    return np.asarray(np.clip(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0], 0.02, 0.98))


@lru_cache(1)
def noise_bank() -> Image:
    """(1024, 1024) independent normal values, drawn once: taking a window of them is 20 times cheaper than drawing."""
    bank = np.random.default_rng(1).standard_normal((1024, 1024), dtype=np.float32)
    bank.flags.writeable = False
    return bank


def white_noise(rng: Rng, rows: int, columns: int) -> Image:
    """(rows, columns) independent normal values, from a place of the bank that rng tells."""
    bank = noise_bank()
    top, left = (int(value) for value in rng.integers(0, 1024, 2))
    if top + rows <= 1024 and left + columns <= 1024:
        return bank[top : top + rows, left : left + columns]
    lines = np.arange(top, top + rows) % 1024
    return np.ascontiguousarray(bank[lines][:, np.arange(left, left + columns) % 1024])


def times(sheet: U8, factor: Image) -> U8:
    """Every channel of an 8 bit sheet times a (rows, columns) float32 factor."""
    return np.asarray(cv2.multiply(sheet, cv2.merge([factor] * 3), dtype=cv2.CV_8U))


def ink(colour: Colour) -> list[int]:
    return [int(value) for value in np.clip(np.rint(np.asarray(colour) * 255), 0, 255)]


def sheet_of(colour: Colour, rows: int, columns: int) -> U8:
    return np.frombuffer(bytearray(bytes(ink(colour)) * (rows * columns)), np.uint8).reshape(rows, columns, 3)


def between(a: Colour | U8, b: Colour | U8, share: Image) -> U8:
    """a where share (rows, columns) is 0, b where it is 1; each is a colour or a sheet."""
    if a.ndim == 1 and b.ndim == 1:
        table = np.linspace(a, b, 256) * 255
        levels = cv2.convertScaleAbs(share, alpha=255)
        return np.asarray(cv2.LUT(cv2.merge([levels] * 3), np.clip(np.rint(table), 0, 255).astype(np.uint8)[None]))
    first, second = (sheet_of(np.asarray(value), *share.shape) if value.ndim == 1 else value for value in (a, b))
    share = np.asarray(share, np.float32)
    return np.asarray(cv2.blendLinear(first, second, 1 - share, share))


def turning(angle: float) -> Image:
    """(2, 2): points (n, 2) times this are turned by an angle, radians, from the viewer's right to the left."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def noise(rng: Rng, rows: int, columns: int, cells_y: float, cells_x: float) -> Image:
    """Smooth noise of unit variance at its knots, cells_y by cells_x bumps over the sheet."""
    knots = rng.standard_normal((max(2, round(cells_y)) + 3, max(2, round(cells_x)) + 3), dtype=np.float32)
    step = max(1, round(min(rows / cells_y, columns / cells_x) / 6))  # bicubic once, coarsely; it is slow
    coarse = cv2.resize(knots, (columns // step + 1, rows // step + 1), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR))


def choose(rng: Rng, weights: Odds) -> str:
    edges = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def print_text(sheet: U8, rng: Rng, colour: Colour, spot: tuple[float, float], height: float) -> U8:
    """An 8 bit sheet with a few letters as on labels; spot and height are shares of it."""
    sheet = sheet.copy()
    rows, columns = sheet.shape[:2]
    letters = list(string.ascii_uppercase + string.digits + "  -")
    for line in range(int(rng.integers(1, 4))):
        text = "".join(rng.choice(letters, int(rng.integers(2, 9))))
        scale = height * rows / 22 * (1.0 if line == 0 else 0.6)
        at = int(spot[0] * columns), int((spot[1] + 1.3 * height * line) * rows)
        thick = max(1, round(scale * 2))
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, ink(colour), thick, cv2.LINE_AA)
    return sheet


ALONG = np.linspace(0, 1, 7)[None, :, None]
CREASE = (1 - ALONG) ** 2, 2 * ALONG * (1 - ALONG), ALONG**2  # Bernstein polynomials of a quadratic curve


def creases(rng: Rng, rows: int, columns: int, count: int, depth: float) -> Image:
    """Height of tension folds that run from the corners of the sheet, where it is pulled, towards its middle."""
    high, wide = rows // 2, columns // 2  # folds are soft: half the resolution shows no difference
    canvas = np.full((high, wide), 128, np.uint8)
    start, end = np.empty((count, 1, 2)), np.empty((count, 1, 2))
    start[:, 0, 0] = np.where(rng.random(count) < 0.5, 0.02, 0.98)
    start[:, 0, 1] = rng.random(count) ** rng.choice([0.6, 1.0])
    end[:, 0] = rng.uniform([0.25, 0.1], [0.75, 1.0], (count, 2))
    middle = (start + end) / 2 + rng.normal(0, 0.06, (count, 1, 2))
    paths = CREASE[0] * start + CREASE[1] * middle + CREASE[2] * end
    points = (paths * (wide * 8, high * 8)).astype(np.int32)
    tones = (128 + 110 * rng.uniform(0.3, 1, count) * np.where(rng.random(count) < 0.5, -1, 1)).tolist()
    widths = np.maximum(1, high * rng.uniform(0.01, 0.05, count)).astype(int).tolist()
    for path, tone, width in zip(points, tones, widths, strict=True):
        cv2.polylines(canvas, [path], False, tone, width, cv2.LINE_AA, 3)
    side = 2 * max(1, round(high * 0.03)) + 1
    soft = cv2.GaussianBlur(canvas, (side, side), high * 0.018) - np.float32(128)
    return np.asarray(cv2.resize(soft * np.float32(depth / 110), (columns, rows), interpolation=cv2.INTER_LINEAR))


def relief(height: Image, toward: NDArray[np.floating], strength: float) -> Image:
    """Brightness factor of a height map lit from a direction: 1 where it is flat."""
    rows = height.shape[0]
    x, y = toward[:2]
    slope = cv2.filter2D(height, -1, np.array([[0, -y, 0], [-x, 0, x], [0, y, 0]], np.float32))
    return np.asarray(np.clip(1 - slope * (strength * rows / 128), 0.35, 1.6), np.float32)
