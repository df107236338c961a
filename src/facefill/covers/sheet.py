"""From a surface in space to pixels: sheets of cloth laid over a head, and straps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import U8, Bool, Box
from facefill.covers.fabric import Colour, Image, relief, sheet_of, times
from facefill.covers.head import GREY, Floats, Head, Light, find_hair

MARGIN = 0.1  # share of a sheet by which its texture reaches beyond every border
ROWS, COLUMNS = 21, 33  # knots of a sheet between its borders
INVERSE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class Layer:
    """Something painted over the face, at pixel (left, top): RGB in 8 bit, alpha 0-1, and how dark its shadow is.

    late: it came onto the picture after the camera, which neither blurs nor grains it. recorded: blur (Gaussian sigma
    in pixels) and noise (grey levels) that it has already, as it comes out of another photo; None for what is drawn.
    """

    left: int
    top: int
    colour: U8
    alpha: Image
    shadow: float = 0.0
    late: bool = False
    recorded: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scene:
    """What a cover is drawn on; hairy: hair may hide straps and the side of a mask."""

    face: U8
    head: Head
    light: Light
    hairy: bool

    @cached_property
    def _hair(self) -> Image:
        return find_hair(self.face, self.head, self.light)

    def hair(self, box: Box) -> Image:
        """1 where hair would hide what lies there, over a box."""
        shape = (box[2] - box[0], box[3] - box[1])
        if not self.hairy:
            return np.zeros(shape[::-1], np.float32)
        half = len(self._hair) / self.head.size
        matrix = np.array([[half, 0, (box[0] + 0.5) * half - 0.5], [0, half, (box[1] + 0.5) * half - 0.5]])
        return np.asarray(cv2.warpAffine(self._hair, matrix, shape, flags=INVERSE, borderMode=cv2.BORDER_REPLICATE))


@dataclass(frozen=True)
class Cloth:
    """A texture: colour (rows, columns, 3) in 8 bit, the factor (rows, columns) of light that folds and seams leave,
    how much it shines, how far hair may lie over its sides, 0-1, and how thick it is in eye distances."""

    colour: U8
    factor: Image
    shine: float = 0.0
    tucked: float = 0.0
    thick: float = 0.0


@lru_cache(1)
def knots() -> tuple[Floats, Floats]:
    """u (1, columns) in -1..1 and v (rows, 1) in 0..1, both with two more knots on every side, within MARGIN."""
    u, v = np.linspace(-1, 1, COLUMNS), np.linspace(0, 1, ROWS)
    ends = np.array([0.5, 1.0]) * MARGIN
    u = np.concatenate([-1 - 2 * ends[::-1], u, 1 + 2 * ends])
    v = np.concatenate([-ends[::-1], v, 1 + ends])
    return u[None], v[:, None]


def outline(turned: Floats) -> Floats:
    """Closed polygon (n, 2) around the visible part of a sheet, from its turned knots without margins.

    A row of a nearly convex sheet shows from its leftmost to its rightmost knot; what lies beyond is behind.
    """
    x = turned[..., 0]
    first, last = x.argmin(1), x.argmax(1)
    rows = np.arange(len(x))
    top = turned[0, first[0] : last[0] + 1, :2]
    bottom = turned[-1, first[-1] : last[-1] + 1, :2][::-1]
    return np.concatenate([top, turned[rows, last, :2], bottom, turned[rows[::-1], first[::-1], :2]])


def window(points: Floats, size: int, margin: float) -> Box | None:
    """Pixels (left, top, right, bottom) around points and within the picture; None when they miss it."""
    x, y = points[:, 0], points[:, 1]
    left, top = max(int(x.min() - margin), 0), max(int(y.min() - margin), 0)
    right, bottom = min(int(x.max() + margin) + 2, size), min(int(y.max() + margin) + 2, size)
    return None if right - left < 2 or bottom - top < 2 else (left, top, right, bottom)


def fill(polygon: Floats, box: Box) -> Image:
    """Anti-aliased alpha of a polygon in pixels inside a box."""
    width, height = box[2] - box[0], box[3] - box[1]
    canvas = np.zeros((2 * height, 2 * width), np.uint8)
    cv2.fillPoly(canvas, [doubled(polygon, box)], 255, cv2.LINE_AA, 4)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small * np.float32(1 / 255), np.float32)


def doubled(points: Floats, box: Box) -> NDArray[np.int32]:
    """Pixels -> a canvas of twice the box, in sixteenths, for OpenCV's drawing with shift 4."""
    return np.rint(((points - box[:2] + 0.5) * 2 - 0.5) * 16).astype(np.int32)


def shade(turned: Floats, light: Light) -> Floats:
    """Light (rows, columns) that a surface of turned knots receives: about 1 where it faces the viewer."""
    padded = np.pad(turned.transpose(2, 0, 1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    ax, ay, az = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    bx, by, bz = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    lx, ly, lz = light.toward
    direct = (x * lx + y * ly + z * lz) / (np.sqrt(x * x + y * y + z * z) + 1e-9)
    direct = np.clip(direct / max(lz, 0.3), 0, 1.5)
    return np.asarray(light.ambient + (1 - light.ambient) * direct)


def spread(places: Floats, values: Floats, visible: Bool, box: Box) -> Image:
    """Values (n, c) at scattered pixels (n, 2) -> (height, width, c): splats on a coarse grid, gaps closed."""
    width, height = box[2] - box[0], box[3] - box[1]
    cell = max(1.5, width / 32)
    columns, rows = int(np.ceil(width / cell)) + 3, int(np.ceil(height / cell)) + 3
    at = (places - box[:2] + 0.5) / cell + 0.5
    keep = visible & (at > 0).all(-1) & (at[:, 0] < columns - 1) & (at[:, 1] < rows - 1)
    at, values = at[keep], values[keep]
    whole = at.astype(int)
    right, below = (at - whole).T
    index = whole[:, 1] * columns + whole[:, 0]
    indices = np.concatenate([index, index + 1, index + columns, index + columns + 1])
    weights = [(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below]
    planes = [np.bincount(indices, np.concatenate(weights), rows * columns)]
    for plane in values.T:
        weighted = np.concatenate([weight * plane for weight in weights])
        planes += [np.bincount(indices, weighted, rows * columns)]
    fine = np.stack(planes, -1).reshape(rows, columns, -1).astype(np.float32)
    total = fine + 0.05 * cv2.GaussianBlur(fine, (5, 5), 1.0) + 1e-4 * cv2.blur(fine, (11, 11))
    total += np.array([1e-9, 0, 0, 1e-9], np.float32)
    grid = total[..., 1:] / (total[..., :1] + 1e-12)
    scale = np.array([[1 / cell, 0, 0.5 / cell + 0.5], [0, 1 / cell, 0.5 / cell + 0.5]])
    return np.asarray(cv2.warpAffine(grid, scale, (width, height), flags=INVERSE, borderMode=cv2.BORDER_REPLICATE))


def drape(scene: Scene, surface: Callable[[Floats, Floats], Floats], cloth: Cloth, shadow: float = 0.4) -> list[Layer]:
    """A cloth over a surface (u, v) -> (rows, columns, 3) points of the head: one layer, none outside the picture."""
    head, light = scene.head, scene.light
    u, v = knots()
    turned = head.turn(surface(u, v))
    places = head.place(turned)
    edge = head.place(outline(turned[2:-2, 2:-2]))
    box = window(edge, head.size, 2)
    if box is None:
        return []
    alpha = fill(edge, box)
    right, below = np.zeros_like(places), np.zeros_like(places)
    right[:, :-1] = places[:, 1:] - places[:, :-1]
    below[:-1] = places[1:] - places[:-1]
    right[:, -1], below[-1] = right[:, -2], below[-2]
    visible = (right[..., 0] * below[..., 1] - right[..., 1] * below[..., 0]) > 0
    values = np.stack([*np.broadcast_arrays(u, v), shade(turned, light)], -1).reshape(-1, 3)
    across, down, tone = cv2.split(spread(places.reshape(-1, 2), values, visible.ravel(), box))
    rows, columns = cloth.factor.shape
    at_x = (across + np.float32(1 + 2 * MARGIN)) * np.float32((columns - 1) / (2 + 4 * MARGIN))
    at_y = (down + np.float32(MARGIN)) * np.float32((rows - 1) / (1 + 2 * MARGIN))
    texture = times(cloth.colour, cloth.factor)
    if cloth.shine > 0:  # dark cloth shows its folds by what they reflect
        gleam = np.clip(cloth.factor - np.float32(0.92), 0, 0.5) * np.float32(255 * cloth.shine)
        texture = cv2.add(texture, cv2.merge([cv2.convertScaleAbs(gleam)] * 3))
    painted = cv2.remap(texture, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if cloth.thick * head.scale > 1:
        thick_px = cloth.thick * head.scale  # the rim is brighter where it faces the light, darker where it turns away
        depth = cv2.GaussianBlur(alpha, (0, 0), 0.5 * thick_px, borderType=cv2.BORDER_REPLICATE)
        tone = tone * relief(depth, light.toward, 0.3 * thick_px * 128 / len(depth))
    if cloth.tucked > 0 and scene.hairy:
        side = np.clip(np.abs(across) * 5 - 3.2, 0, 1) * np.clip(3.2 - 4 * down, 0, 1)
        alpha = alpha * (1 - np.float32(cloth.tucked) * side * scene.hair(box))
    if cloth.shine > 0:
        gloss = np.clip((tone - np.float32(0.9)) * 2, 0, 1.2) ** 2 * np.float32(127 * cloth.shine)
        painted = cv2.add(painted, cv2.merge([cv2.convertScaleAbs(gloss)] * 3))
    return [Layer(box[0], box[1], lit(light, head, painted, tone, box), alpha, min(0.9, shadow + 2 * cloth.thick))]


def lit(light: Light, head: Head, colour: U8, tone: Image, box: Box) -> U8:
    """Albedo under the photo's light: exposure, cast, direction (tone) and the face's own unevenness."""
    unit = 32 / head.size
    matrix = np.array([[unit, 0, (box[0] + 0.5) * unit - 0.5], [0, unit, (box[1] + 0.5) * unit - 0.5]])
    shape = (box[2] - box[0], box[3] - box[1])
    around = cv2.warpAffine(light.field, matrix, shape, flags=INVERSE, borderMode=cv2.BORDER_REPLICATE)
    around *= np.float32(0.55 * light.level)
    around += np.float32(0.45 * light.level)
    around *= tone
    mix = light.cast[:, None] * (np.eye(3) * light.colour + (1 - light.colour) * GREY)
    return times(cv2.transform(colour, mix.astype(np.float32)), around)


def straps(
    scene: Scene, paths: list[Floats], width: float, colour: Colour, *, flat: float = 0.0, shadow: float = 0.4
) -> list[Layer]:
    """Cords or bands along (n, 3) points of the head, `width` eye distances wide, where the viewer can see them.

    A path ends where it turns to the far side of the head, and fades under hair. flat: 0 a round cord, 1 a band.
    One layer, or none when nothing shows.
    """
    head = scene.head
    thick = width * head.scale
    lines = [line for line in seen(head, np.stack(paths)) if len(line) > 1]
    box = window(np.concatenate(lines), head.size, thick + 2) if lines else None
    if box is None:
        return []
    size = (box[2] - box[0], box[3] - box[1])
    canvas = np.zeros((2 * size[1], 2 * size[0]), np.uint8)
    stroke = max(1, round(2 * thick))
    corners = [doubled(line, box) for line in lines]
    cv2.polylines(canvas, corners, False, 255, stroke, cv2.LINE_AA, 4)
    alpha = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA) * np.float32(min(1.0, 2 * thick) / 255)
    inner = cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.3 * thick))
    tone = np.asarray(0.55 + 0.45 * (flat + (1 - flat) * inner), np.float32)
    if scene.hairy:
        alpha *= 1 - scene.hair(box)
    sheet = sheet_of(colour, *tone.shape)
    return [Layer(box[0], box[1], lit(scene.light, head, sheet, tone, box), alpha, shadow)]


def seen(head: Head, paths: Floats) -> list[Floats]:
    """Pixels of each path (count, n, 3) -> (k, 2), from its beginning to where it turns to the head's far side."""
    out_x, out_z = paths[..., 0], paths[..., 2] + 0.55
    facing = out_z * np.cos(head.yaw) - out_x * np.sin(head.yaw)
    hidden = facing < -0.45 * np.sqrt(out_x * out_x + out_z * out_z)
    counts = np.where(hidden.any(1), hidden.argmax(1), paths.shape[1])
    return [line[:count] for line, count in zip(head.project(paths), counts, strict=True)]
