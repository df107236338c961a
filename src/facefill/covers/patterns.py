"""What is printed on, woven into or knitted as cloth: sheets (rows, columns, 3) in 8 bit RGB."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.covers import fabric
from facefill.covers.fabric import Colour, Image, Odds, Rng, any_tint, between, ink, tint
from facefill.covers.weaves import SHARES, grid, step, wave

Spot = tuple[int, int]
Motif = Callable[[U8, Spot, float, Rng], Any]


def plain(rng: Rng, rows: int, columns: int) -> U8:
    return fabric.sheet_of(any_tint(rng), rows, columns)


def tartan(rng: Rng, rows: int, columns: int) -> U8:
    along, across = grid(rows, columns, float(rng.choice([0.0, np.pi / 4, rng.normal(0, 0.1)])))
    count, fine = np.float32(rng.uniform(3, 9)), rng.uniform(0.75, 0.92)
    broad = step(wave(along * count), 0.5, 8) + step(wave(across * count), 0.5, 8)
    out = between(any_tint(rng), any_tint(rng), broad / 2)
    thin = np.maximum(step(wave(along * count + 0.5), fine, 12), step(wave(across * count + 0.5), fine, 12))
    return between(out, any_tint(rng), 0.7 * thin)


def camouflage(rng: Rng, rows: int, columns: int) -> U8:
    """Patches of three or four colours, of one family or of any."""
    base = any_tint(rng)
    out = fabric.sheet_of(base, rows, columns)
    family = rng.integers(3)
    for _ in range(int(rng.integers(2, 4))):
        colour = any_tint(rng)
        if family == 0:
            colour = tint(rng, "khaki", "forest", "umber", "tan", "charcoal")
        elif family == 1:
            colour = np.asarray(np.clip(base * rng.uniform(0.6, 1.5), 0, 1), np.float32)
        cells = rng.uniform(4, 11)
        patch = fabric.noise(rng, rows, columns, cells, cells * 1.7)
        out = between(out, colour, step(patch, rng.uniform(0.0, 0.5), rng.uniform(3, 25)))
    return out


def splash(rng: Rng, rows: int, columns: int) -> U8:
    """A large print: overlapping strokes and patches, nothing in particular."""
    out = plain(rng, rows, columns)
    inks = [ink(any_tint(rng)) for _ in range(int(rng.integers(1, 4)))]
    for _ in range(int(rng.integers(3, 12))):
        colour = inks[int(rng.integers(len(inks)))]
        centre = int(rng.normal(0.5, 0.2) * columns), int(rng.normal(0.5, 0.22) * rows)
        size = int(rows * rng.uniform(0.03, 0.25)) + 1, int(rows * rng.uniform(0.02, 0.15)) + 1
        thick = -1 if rng.random() < 0.6 else max(1, int(rows * rng.uniform(0.01, 0.04)))
        start, turn = rng.uniform(0, 180), rng.uniform(0, 180)
        cv2.ellipse(out, centre, size, turn, start, start + rng.uniform(120, 360), colour, thick, cv2.LINE_AA)
    return out


def grin(rng: Rng, rows: int, columns: int) -> U8:
    """A printed mouth or jaw: lips or none, a row or two of teeth."""
    out = plain(rng, rows, columns)
    teeth, gum = ink(tint(rng, "white", "ivory", "mustard")), ink(tint(rng, "black", "wine", "red", "charcoal"))
    middle = columns // 2, int(rows * rng.uniform(0.45, 0.65))
    wide, high = int(columns * rng.uniform(0.15, 0.32)), int(rows * rng.uniform(0.08, 0.24))
    cv2.ellipse(out, middle, (wide, high), 0, 0, 360, gum, -1, cv2.LINE_AA)
    count = int(rng.integers(4, 12))
    for k in range(count):
        x = middle[0] + int((k - (count - 1) / 2) * 1.7 * wide / count)
        tall = int(high * 0.8 * np.sqrt(max(0.1, 1 - ((x - middle[0]) / (wide + 1)) ** 2)))
        half = max(1, int(0.72 * wide / count))
        cv2.rectangle(out, (x - half, middle[1] - tall), (x + half, middle[1] - 1), teeth, -1)
        cv2.rectangle(out, (x - half, middle[1] + 1), (x + half, middle[1] + tall), teeth, -1)
    return out


def slogan(rng: Rng, rows: int, columns: int) -> U8:
    out = plain(rng, rows, columns) if rng.random() < 0.7 else pattern(rng, rows, columns, "fade")
    colour, spot = any_tint(rng), (rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.7))
    return fabric.print_text(out, rng, colour, spot, rng.uniform(0.08, 0.25))


def quilt(rng: Rng, rows: int, columns: int) -> U8:
    along, _ = grid(rows, columns, float(rng.choice([0.0, np.pi / 2])))
    names = ("plain", "plain", "stripes", "mesh", "heather", "dots", "knit")
    first, second = (pattern(rng, rows, columns, names[int(rng.integers(len(names)))]) for _ in range(2))
    middle = float(along.max()) * rng.uniform(0.35, 0.65)
    value = np.abs(along - np.float32(along.max() / 2)) if rng.random() < 0.4 else along
    return between(first, second, step(value, middle, 90))


def stamped(rng: Rng, rows: int, columns: int, draw: Motif) -> U8:
    """A plain sheet with motifs in jittered rows; one tile is drawn and repeated."""
    cell = max(7, round(rows * rng.uniform(0.08, 0.26)))
    repeats = 1 if cell > rows * 0.16 else 2
    count = max(2, 2 * (rows // (2 * cell * repeats) + 1)), max(2, columns // (cell * repeats) + 2)
    tile = plain(rng, count[0] * cell, count[1] * cell)
    jitter = rng.uniform(0, 0.35)
    for row in range(count[0]):
        for column in range(count[1]):
            spot = np.array([column + 0.5 * (row % 2) + 0.3, row + 0.5]) + rng.normal(0, jitter / 2, 2)
            x, y = np.rint(spot * cell).astype(int)
            draw(tile, (int(x), int(y)), cell * 0.5, rng)
    times = -(-rows // tile.shape[0]), -(-columns // tile.shape[1]), 1
    return np.ascontiguousarray(np.tile(tile, times)[:rows, :columns])


def oval(tile: U8, spot: Spot, half: tuple[float, float], colour: list[int], turn: float, thick: int = -1) -> None:
    """An ellipse of those half axes, at least a pixel long, `turn` degrees from upright."""
    size = max(1, round(half[0])), max(1, round(half[1]))
    cv2.ellipse(tile, spot, size, turn, 0, 360, colour, thick, cv2.LINE_AA)


def beside(spot: Spot, far: float, turn: float) -> Spot:
    """The pixel that far from another in a direction, radians."""
    return round(spot[0] + far * np.cos(turn)), round(spot[1] + far * np.sin(turn))


def dots(rng: Rng) -> Motif:
    colour, share = ink(any_tint(rng)), rng.uniform(0.35, 0.8)
    return lambda tile, spot, reach, _: cv2.circle(
        tile, (spot[0] * 8, spot[1] * 8), max(8, round(reach * share * 8)), colour, -1, cv2.LINE_AA, 3
    )


def rings(rng: Rng) -> Motif:
    outer, inner = ink(any_tint(rng)), ink(any_tint(rng))

    def draw(tile: U8, spot: Spot, reach: float, _: Rng) -> None:
        for share, colour in ((0.85, outer), (0.4, inner)):
            cv2.circle(tile, spot, max(1, round(reach * share)), colour, max(1, round(reach * 0.16)), cv2.LINE_AA)

    return draw


def confetti(rng: Rng) -> Motif:
    colours = [ink(any_tint(rng)) for _ in range(4)]
    return lambda tile, spot, reach, rng: oval(
        tile, spot, (reach * 0.5, reach * 0.18), colours[int(rng.integers(4))], rng.random() * 180
    )


def polygons(rng: Rng, shape: Image) -> Motif:
    """A motif of one (n, 2) outline with radius 1."""
    colour, wild = ink(any_tint(rng)), rng.random() < 0.5

    def draw(tile: U8, spot: Spot, reach: float, rng: Rng) -> None:
        way = fabric.turning(rng.normal(0, 1.5 if wild else 0.1))
        points = np.rint((shape @ way * reach * 0.8 + spot) * 8).astype(np.int32)
        cv2.fillPoly(tile, [points], colour, cv2.LINE_AA, 3)

    return draw


def stars(rng: Rng) -> Motif:
    count = int(rng.integers(4, 7))
    angle = np.arange(2 * count) * np.pi / count - np.pi / 2
    radius = np.where(np.arange(2 * count) % 2, rng.uniform(0.3, 0.55), 1.0)
    return polygons(rng, np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1))


def hearts(rng: Rng) -> Motif:
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return polygons(rng, np.stack([16 * np.sin(t) ** 3, -y], -1) / 17)


def flowers(rng: Rng) -> Motif:
    petals, heart = ink(any_tint(rng)), ink(tint(rng, "mustard", "white", "wine"))
    leaf = ink(tint(rng, "forest", "green", "khaki"))
    count, leaves = int(rng.integers(4, 8)), rng.random() < 0.6

    def draw(tile: U8, spot: Spot, reach: float, rng: Rng) -> None:
        turn, petal = float(rng.random() * 360), (reach * 0.42, reach * 0.26)
        if leaves:
            oval(tile, beside(spot, reach * 0.9, np.radians(turn)), petal, leaf, turn)
        for angle in turn + np.arange(count) * 360 / count:
            oval(tile, beside(spot, reach * 0.45, np.radians(angle)), petal, petals, float(angle))
        cv2.circle(tile, spot, max(1, round(reach * 0.22)), heart, -1, cv2.LINE_AA)

    return draw


def leaves(rng: Rng) -> Motif:
    blade, rib = ink(any_tint(rng)), ink(any_tint(rng))

    def draw(tile: U8, spot: Spot, reach: float, rng: Rng) -> None:
        turn = float(rng.random() * 360)
        oval(tile, spot, (reach, reach * 0.38), blade, turn)
        way = reach * 0.9 * np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
        ends = np.rint(np.stack([spot - way, spot + way]) * 8).astype(int).tolist()
        cv2.line(tile, ends[0], ends[1], rib, 1, cv2.LINE_AA, 3)

    return draw


def paisley(rng: Rng) -> Motif:
    """Bandana print: rings, drops and dots in one colour on another."""
    line = ink(tint(rng, "white", "white", "ivory", "black", "mustard"))

    def draw(tile: U8, spot: Spot, reach: float, rng: Rng) -> None:
        size = max(2, round(reach * rng.uniform(0.5, 0.95))), max(1, round(reach * rng.uniform(0.3, 0.6)))
        turn, thick = float(rng.random() * 360), max(1, round(reach * 0.09))
        inner, filled = (size[0] // 2, size[1] // 2), -1 if rng.random() < 0.4 else thick
        oval(tile, spot, size, line, turn, thick)
        cv2.ellipse(tile, spot, inner, turn, 0, 300, line, filled, cv2.LINE_AA)
        for angle in rng.random() * 6 + np.arange(5) * 1.26:
            cv2.circle(tile, beside(spot, reach * 1.05, angle), thick, line, -1, cv2.LINE_AA)

    return draw


PAINTED: dict[str, Callable[[Rng, int, int], U8]] = {
    draw.__name__: draw for draw in (plain, tartan, camouflage, splash, grin, slogan, quilt)
}
STAMPED: dict[str, Callable[[Rng], Motif]] = {
    draw.__name__: draw for draw in (dots, rings, confetti, stars, hearts, flowers, leaves, paisley)
}
WEIGHTS: Odds = dict.fromkeys((*SHARES, *PAINTED, *STAMPED), 1.0) | {
    "plain": 27.0, "flowers": 4.0, "dots": 3.0, "gingham": 2.0, "tartan": 2.0, "camouflage": 3.0, "stripes": 2.0,
    "heather": 3.0, "paisley": 2.0, "splash": 3.0, "slogan": 2.0, "quilt": 2.0, "lace": 0.5,
}  # fmt: skip


def pattern(rng: Rng, rows: int, columns: int, name: str | None = None) -> U8:
    """(rows, columns, 3) of a cloth, RGB; name: a key of WEIGHTS, drawn by weight when None."""
    name = fabric.choose(rng, WEIGHTS) if name is None else name
    if name in PAINTED:
        return PAINTED[name](rng, rows, columns)
    if name in STAMPED:
        return stamped(rng, rows, columns, STAMPED[name](rng))
    first, second = two_tints(rng)
    return between(first, second, np.ascontiguousarray(SHARES[name](rng, rows, columns)))


def two_tints(rng: Rng) -> tuple[Colour, Colour]:
    """Any two colours, or a lighter and a darker one of the same kind."""
    first = any_tint(rng)
    if rng.random() < 0.65:
        return first, any_tint(rng)
    gain = rng.uniform(0.55, 0.85) if first.mean() > 0.3 else rng.uniform(1.4, 2.5)
    return first, np.asarray(np.clip(first * gain + (0.0 if gain < 1 else 0.06), 0.02, 0.98), np.float32)
