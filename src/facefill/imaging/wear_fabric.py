"""Textures of covers: what colour a cloth has, and how its surface goes up and down.

A texture is a flat sheet of `rows` x `columns` texels that `wear_sheet` lays over a head. Colours are RGB, 0-1.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]
Bytes = NDArray[np.uint8]
Colour = NDArray[np.floating]
Rng = np.random.Generator

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


def times(image: Image, factor: Image) -> Image:
    """Every channel times a (rows, columns) factor; ten times faster than broadcasting over the channels."""
    return np.asarray(image * cv2.merge([factor] * 3), np.float32)


def sheet_of(colour: Colour, rows: int, columns: int) -> Image:
    """(rows, columns, 3) of one colour."""
    return np.asarray(cv2.merge([np.full((rows, columns), value, np.float32) for value in colour]))


def between(a: Colour | Image, b: Colour | Image, share: Image) -> Image:
    """a where share (rows, columns) is 0, b where it is 1; each is a colour or a sheet."""
    share = np.asarray(share, np.float32)
    if a.ndim == 1 and b.ndim == 1:
        return np.asarray(cv2.merge([first + (second - first) * share for first, second in zip(a, b, strict=True)]))
    first, second = (sheet_of(value, *share.shape) if value.ndim == 1 else value for value in (a, b))
    return np.asarray(first + (second - first) * cv2.merge([share] * 3), np.float32)


def noise(rng: Rng, rows: int, columns: int, cells_y: float, cells_x: float) -> Image:
    """Smooth noise of unit variance at its knots, cells_y by cells_x bumps over the sheet."""
    knots = rng.standard_normal((max(2, round(cells_y)) + 3, max(2, round(cells_x)) + 3), dtype=np.float32)
    step = max(1, round(min(rows / cells_y, columns / cells_x) / 6))  # bicubic once, coarsely; it is slow
    coarse = cv2.resize(knots, (columns // step + 1, rows // step + 1), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR))


def plain(rng: Rng, rows: int, columns: int) -> Image:
    return sheet_of(any_tint(rng), rows, columns)


def grid(rows: int, columns: int, angle: float) -> tuple[Image, Image]:
    """Coordinates turned by an angle, both with the sheet's height as the unit."""
    y = np.arange(rows, dtype=np.float32)[:, None] / rows
    x = np.arange(columns, dtype=np.float32)[None] / rows
    return x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)), y * np.float32(
        np.cos(angle)
    ) - x * np.float32(np.sin(angle))


def stripes(rng: Rng, rows: int, columns: int) -> Image:
    along, _ = grid(rows, columns, float(rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])))
    phase = along * rng.uniform(4, 16) % 1
    first, second, third = any_tint(rng), any_tint(rng), any_tint(rng)
    edge = rng.uniform(0.3, 0.7)
    share = np.clip((np.abs(phase - 0.5) - edge / 2) * 12 + 0.5, 0, 1)
    out = between(first, second, share)
    if rng.random() < 0.4:
        out = between(out, third, np.clip(1.5 - np.abs(phase - 0.5) * 30, 0, 1))
    return np.asarray(out, np.float32)


def checks(rng: Rng, rows: int, columns: int) -> Image:
    """Gingham, tartan or a chess board."""
    along, over = grid(rows, columns, float(rng.choice([0.0, np.pi / 4, rng.normal(0, 0.1)])))
    count = rng.uniform(4, 14)
    style = rng.integers(3)
    a, b = (np.clip((np.abs(v * count % 1 - 0.5) - 0.25) * 14 + 0.5, 0, 1) for v in (along, over))
    if style == 0:
        return between(any_tint(rng), any_tint(rng), (a + b) / 2)
    if style == 1:
        return between(any_tint(rng), any_tint(rng), a * (1 - b) + b * (1 - a))
    out = between(any_tint(rng), any_tint(rng), (a + b) / 2)
    thin = [np.clip(1.4 - np.abs((v * count + 0.5) % 1 - 0.5) * rng.uniform(10, 30), 0, 1) for v in (along, over)]
    return between(out, any_tint(rng), 0.7 * np.maximum(*thin))


def stamped(rng: Rng, rows: int, columns: int, draw: Callable[[Bytes, tuple[int, int], float, Rng], None]) -> Image:
    """A plain sheet with motifs in jittered rows; one tile is drawn and repeated."""
    sheet = plain(rng, 1, 1)[0, 0]
    cell = max(7, round(rows * rng.uniform(0.08, 0.26)))
    repeats = 1 if cell > rows * 0.16 else 2
    count = max(2, 2 * (rows // (2 * cell * repeats) + 1)), max(2, columns // (cell * repeats) + 2)
    tile = np.full(
        (count[0] * cell, count[1] * cell, 3), np.rint(sheet * 255), np.uint8
    )  # 8 bit: OpenCV smooths no others
    jitter = rng.uniform(0, 0.35)
    for row in range(count[0]):
        for column in range(count[1]):
            spot = np.array([column + 0.5 * (row % 2) + 0.3, row + 0.5]) + rng.normal(0, jitter / 2, 2)
            x, y = np.rint(spot * cell).astype(int)
            draw(tile, (int(x), int(y)), cell * 0.5, rng)
    out = np.tile(tile, (repeats + 1, repeats + 1, 1)) if repeats > 1 else tile
    out = np.tile(out, (-(-rows // out.shape[0]), -(-columns // out.shape[1]), 1))
    return np.asarray(out[:rows, :columns] * np.float32(1 / 255), np.float32)


def ink(colour: Colour) -> list[float]:
    """A colour for drawing on 8 bit sheets."""
    return [float(value) for value in np.rint(colour * 255)]


def dots(rng: Rng, rows: int, columns: int) -> Image:
    colour, share = ink(any_tint(rng)), rng.uniform(0.35, 0.8)

    def draw(tile: Bytes, spot: tuple[int, int], reach: float, _: Rng) -> None:
        centre = (spot[0] * 8, spot[1] * 8)
        cv2.circle(tile, centre, max(8, round(reach * share * 8)), colour, -1, cv2.LINE_AA, 3)

    return stamped(rng, rows, columns, draw)


def flowers(rng: Rng, rows: int, columns: int) -> Image:
    petals, heart, leaf = (
        any_tint(rng).tolist(),
        tint(rng, "mustard", "white", "wine").tolist(),
        tint(rng, "forest", "green", "khaki").tolist(),
    )
    count, leaves = int(rng.integers(4, 8)), rng.random() < 0.6

    def draw(tile: Bytes, spot: tuple[int, int], reach: float, rng: Rng) -> None:
        turn = rng.random() * 360
        petal = max(1, round(reach * 0.42)), max(1, round(reach * 0.26))
        if leaves:
            aside = np.rint(np.array(spot) + reach * 0.9 * np.array([np.cos(turn), np.sin(turn)])).astype(int)
            cv2.ellipse(tile, tuple(map(int, aside)), petal, np.degrees(turn), 0, 360, leaf, -1, cv2.LINE_AA)
        for angle in turn + np.arange(count) * 360 / count:
            way = np.radians(angle)
            centre = round(spot[0] + reach * 0.45 * np.cos(way)), round(spot[1] + reach * 0.45 * np.sin(way))
            cv2.ellipse(tile, centre, petal, float(angle), 0, 360, petals, -1, cv2.LINE_AA)
        cv2.circle(tile, spot, max(1, round(reach * 0.22)), heart, -1, cv2.LINE_AA)

    return stamped(rng, rows, columns, draw)


def camouflage(rng: Rng, rows: int, columns: int) -> Image:
    """Patches of three or four colours, of one family or of any."""
    out = plain(rng, rows, columns)
    family = rng.integers(3)
    for _ in range(int(rng.integers(2, 4))):
        colour = any_tint(rng)
        if family == 0:
            colour = tint(rng, "khaki", "forest", "umber", "tan", "charcoal")
        elif family == 1:
            colour = np.asarray(np.clip(out[0, 0] * rng.uniform(0.6, 1.5), 0, 1), np.float32)
        cells = rng.uniform(4, 11)
        patch = noise(rng, rows, columns, cells, cells * 1.7)
        share = np.clip((patch - rng.uniform(0.0, 0.5)) * rng.uniform(3, 25), 0, 1)
        out = between(out, colour, share)
    return out


def heather(rng: Rng, rows: int, columns: int) -> Image:
    """Melange, denim, lace-like and knitted yarns: fine, slightly directed mottling."""
    colour, other = any_tint(rng), any_tint(rng)
    fine = cv2.blur(white_noise(rng, rows, columns), (int(rng.integers(1, 7)), int(rng.integers(1, 4))))
    share = np.clip(0.35 + fine * rng.uniform(0.2, 0.8), 0, 1)
    return between(colour, colour + (other - colour) * np.float32(rng.uniform(0.2, 1)), share)


def paisley(rng: Rng, rows: int, columns: int) -> Image:
    """Bandana print: rings, drops and dots in one colour on another."""
    line = ink(tint(rng, "white", "white", "ivory", "black", "mustard"))

    def draw(tile: Bytes, spot: tuple[int, int], reach: float, rng: Rng) -> None:
        size = max(2, round(reach * rng.uniform(0.5, 0.95))), max(1, round(reach * rng.uniform(0.3, 0.6)))
        turn, thick = float(rng.random() * 360), max(1, round(reach * 0.09))
        cv2.ellipse(tile, spot, size, turn, 0, 360, line, thick, cv2.LINE_AA)
        cv2.ellipse(
            tile,
            spot,
            (size[0] // 2, size[1] // 2),
            turn,
            0,
            300,
            line,
            -1 if rng.random() < 0.4 else thick,
            cv2.LINE_AA,
        )
        for angle in rng.random() * 6 + np.arange(5) * 1.26:
            centre = (
                round(spot[0] + reach * 1.05 * np.cos(angle)),
                round(spot[1] + reach * 1.05 * np.sin(angle)),
            )
            cv2.circle(tile, centre, thick, line, -1, cv2.LINE_AA)

    return stamped(rng, rows, columns, draw)


def splash(rng: Rng, rows: int, columns: int) -> Image:
    """A large print: overlapping strokes, teeth, faces, letters; nothing in particular."""
    out = np.rint(plain(rng, rows, columns) * 255).astype(np.uint8)
    inks = [ink(any_tint(rng)) for _ in range(int(rng.integers(1, 4)))]
    for _ in range(int(rng.integers(3, 12))):
        colour = inks[int(rng.integers(len(inks)))]
        centre = int(rng.normal(0.5, 0.2) * columns), int(rng.normal(0.5, 0.22) * rows)
        size = int(rows * rng.uniform(0.03, 0.25)) + 1, int(rows * rng.uniform(0.02, 0.15)) + 1
        thick = -1 if rng.random() < 0.6 else max(1, int(rows * rng.uniform(0.01, 0.04)))
        start = rng.uniform(0, 180)
        cv2.ellipse(
            out,
            centre,
            size,
            float(rng.random() * 180),
            start,
            start + rng.uniform(120, 360),
            colour,
            thick,
            cv2.LINE_AA,
        )
    return np.asarray(out * np.float32(1 / 255), np.float32)


def fade(rng: Rng, rows: int, columns: int) -> Image:
    """Tie-dye and gradients."""
    cells = rng.uniform(1, 3)
    share = np.clip(0.5 + 0.5 * noise(rng, rows, columns, cells, cells), 0, 1)
    return between(any_tint(rng), any_tint(rng), share)


PATTERNS: dict[str, tuple[float, Callable[[Rng, int, int], Image]]] = {
    "plain": (0.40, plain), "stripes": (0.07, stripes), "checks": (0.09, checks), "dots": (0.07, dots),
    "flowers": (0.09, flowers), "camouflage": (0.08, camouflage), "heather": (0.07, heather),
    "paisley": (0.05, paisley), "splash": (0.05, splash), "fade": (0.03, fade),
}  # fmt: skip


def choose(rng: Rng, weights: dict[str, float]) -> str:
    """A key, drawn by its weight."""
    edges = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def pattern(rng: Rng, rows: int, columns: int) -> Image:
    """(rows, columns, 3) of a cloth, RGB 0-1."""
    name = choose(rng, {key: weight for key, (weight, _) in PATTERNS.items()})
    return PATTERNS[name][1](rng, rows, columns)


def print_text(sheet: Bytes, rng: Rng, colour: Colour, spot: tuple[float, float], height: float) -> None:
    """Write a few letters into an 8 bit sheet (changed in place) as on labels; spot and height are shares of it."""
    rows, columns = sheet.shape[:2]
    letters = list(string.ascii_uppercase + string.digits + "  -")
    for line in range(int(rng.integers(1, 4))):
        text = "".join(rng.choice(letters, int(rng.integers(2, 9))))
        scale = height * rows / 22 * (1.0 if line == 0 else 0.6)
        at = int(spot[0] * columns), int((spot[1] + 1.3 * height * line) * rows)
        thick = max(1, round(scale * 2))
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, ink(colour), thick, cv2.LINE_AA)


CREASE = np.linspace(0, 1, 7)[None, :, None]


def creases(rng: Rng, rows: int, columns: int, count: int, depth: float) -> Image:
    """Height of tension folds that run from the corners of the sheet, where it is pulled, towards its middle."""
    canvas = np.full((rows, columns), 128, np.uint8)
    start, end = np.empty((count, 1, 2)), np.empty((count, 1, 2))
    start[:, 0, 0] = np.where(rng.random(count) < 0.5, 0.02, 0.98)
    start[:, 0, 1] = rng.random(count) ** rng.choice([0.6, 1.0])
    end[:, 0] = rng.uniform([0.25, 0.1], [0.75, 1.0], (count, 2))
    middle = (start + end) / 2 + rng.normal(0, 0.06, (count, 1, 2))
    along = CREASE
    paths = (1 - along) ** 2 * start + 2 * along * (1 - along) * middle + along**2 * end
    points = (paths * (columns * 8, rows * 8)).astype(np.int32)
    tones = (128 + 110 * rng.uniform(0.3, 1, count) * np.where(rng.random(count) < 0.5, -1, 1)).tolist()
    widths = np.maximum(1, rows * rng.uniform(0.01, 0.05, count)).astype(int).tolist()
    for path, tone, width in zip(points, tones, widths, strict=True):
        cv2.polylines(canvas, [path], False, tone, width, cv2.LINE_AA, 3)
    side = 2 * max(1, round(rows * 0.03)) + 1
    soft = cv2.GaussianBlur(canvas, (side, side), rows * 0.018)
    return np.asarray((soft - np.float32(128)) * np.float32(depth / 110))


def relief(height: Image, toward: NDArray[np.floating], strength: float) -> Image:
    """Brightness factor of a height map lit from a direction: 1 where it is flat."""
    rows = height.shape[0]
    slope = cv2.filter2D(
        height, -1, np.array([[0, -toward[1], 0], [-toward[0], 0, toward[0]], [0, toward[1], 0]], np.float32)
    )
    return np.asarray(np.clip(1 - slope * (strength * rows / 128), 0.35, 1.6), np.float32)
