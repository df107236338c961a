"""Masks made for the purpose: surgical masks, folded respirators and moulded cups.

Heights are in eye distances below the eyes: 0.3 the bridge of the nose, 0.6 its tip, 1.03 the mouth, 1.85 the chin.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.covers import fabric
from facefill.covers.fabric import Colour, Image, Rng
from facefill.covers.head import Floats, surface
from facefill.covers.patterns import pattern
from facefill.covers.sheet import MARGIN, Cloth, Layer, Scene, drape, straps

Surface = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Cut:
    """The outline of a mask on the face, the same on both sides but for `tilt`.

    nose, cheek, side: height of the upper edge at its middle, half way and at the side; chin, jaw, hem the same below.
    reach: azimuth of the side edge. lift, width: see `surface`. tilt: how much lower the right side hangs. bow: how
    much the side edge curves inwards. calm: share of the waves that its edges are spared.
    """

    nose: float
    cheek: float
    side: float
    chin: float
    jaw: float
    hem: float
    reach: float
    lift: float = 1.0
    width: float = 1.0
    tilt: float = 0.0
    bow: float = 0.08
    calm: float = 0.0


# How far a mask slides down, and how much lower its lower edge then hangs.
SLIDE = {"full": (0.0, 0.0), "nose-out": (0.43, 0.12), "chin": (1.05, 0.2), "high": (0.0, 0.0)}
LIDS = (0.12, 0.25)
"""Eye distances below the pupils where a cloth begins that is drawn up to the eyes, just below the lids."""
PUPIL = 0.28  # how far aside, of a wrapped cloth's half width, the pupils are


def fit(rng: Rng, cut: Cut, coverage: str) -> Cut:
    """Another person's size and way of wearing: coverage is a key of SLIDE."""
    slide, low = SLIDE[coverage]
    slide += float(rng.normal(0, 0.05))
    grow = float(rng.normal(0, 0.05))
    nose, cheek, side = (float(y + slide + rng.normal(0, 0.02)) for y in (cut.nose, cut.cheek, cut.side))
    chin, jaw, hem = (float(y + slide * 0.3 + low + grow + rng.normal(0, 0.02)) for y in (cut.chin, cut.jaw, cut.hem))
    reach = cut.reach * (1 + 0.5 * grow) + float(rng.normal(0, 0.03))
    lift = cut.lift if coverage in ("full", "high") else 0.45 * cut.lift
    width = cut.width * float(rng.uniform(0.96, 1.07))
    tilt, bow = float(rng.normal(0, 0.035)), float(rng.uniform(0.0, 0.14))
    if coverage == "high":
        rise = float(rng.uniform(*LIDS) - edge(np.array(PUPIL), nose, cheek, side))
        nose, cheek, side = nose + rise, cheek + rise, side + rise
        return Cut(nose, cheek, side, chin, jaw, hem, reach, lift, width, 0.3 * tilt, bow, 0.7)
    return Cut(nose, cheek, side, chin, jaw, hem, reach, lift, width, tilt, bow)


def edge(u: Floats, middle: float, half: float, side: float) -> Floats:
    """Smooth even curve over u in -1..1 through three heights at 0, 0.5 and 1."""
    square = u * u
    bend = (half - middle - 0.25 * (side - middle)) / 0.1875
    return np.asarray(middle + (side - middle) * square + bend * square * (1 - square))


def cover(cut: Cut, rng: Rng, bulge: Surface | None = None, wave: float = 0.014) -> Surface:
    """The surface (u, v) -> (..., 3) of a mask of that cut; bulge: (u, v) -> how far it stands off."""
    ripples = rng.normal(0, wave * (1 - cut.calm), (2, 4)) / np.array([1.0, 1.0, 1.6, 2.2])
    lean = rng.normal(0, 0.05, 2)

    def points(u: Floats, v: Floats) -> Floats:
        waves = np.stack([np.sin(np.pi * u), np.sin(2 * np.pi * u), np.sin(3 * np.pi * u), np.cos(3.5 * np.pi * u)])
        upper = edge(u, cut.nose, cut.cheek, cut.side) + np.tensordot(ripples[0], waves, 1) + cut.tilt * u
        lower = edge(u, cut.chin, cut.jaw, cut.hem) + np.tensordot(ripples[1], waves, 1) + cut.tilt * u
        y = upper + (lower - upper) * v
        shrink = 1 - cut.bow * np.sin(np.pi * np.clip(v, 0, 1)) + (v - 0.5) * np.where(u < 0, *lean)
        angle = cut.reach * u * shrink
        out = surface(angle, y, cut.lift, cut.width)
        if bulge is not None:
            stand = bulge(np.clip(u, -1, 1), v)
            out[..., 0] += 0.6 * stand * np.sin(angle)
            out[..., 2] += stand * np.cos(angle)
        return out

    return points


def texture(scene: Scene, share: float = 0.5) -> tuple[int, int, Image, Image]:
    """Rows and columns of a texture about as fine as the picture, and u (1, columns) and v (rows, 1) of its texels."""
    rows = int(np.clip(scene.head.scale * 3.6 * share, 48, 320))
    columns = int(rows * 1.5)
    u = np.linspace(-1 - 2 * MARGIN, 1 + 2 * MARGIN, columns, dtype=np.float32)[None]
    v = np.linspace(-MARGIN, 1 + MARGIN, rows, dtype=np.float32)[:, None]
    return rows, columns, u, v


def bump(x: Image, width: float) -> Image:
    """1 at 0, falling smoothly to 0 at the width."""
    return np.asarray(np.clip(1 - np.abs(x) * np.float32(1 / width), 0, 1) ** 2, np.float32)


def crumple(scene: Scene, rng: Rng, u: Image, v: Image, strength: float) -> Image:
    """Height of a worn cloth: soft dents, folds from the pulled corners, gathers at its sides."""
    rows, columns = v.shape[0], u.shape[1]
    height = fabric.noise(rng, rows, columns, 3, 4) * np.float32(0.07 * strength * rng.uniform(0.3, 1.3))
    height += fabric.noise(rng, rows, columns, 8, 10) * np.float32(0.014 * strength * rng.uniform(0.2, 1.4))
    height += fabric.creases(rng, rows, columns, int(rng.integers(2, 13)), strength * rng.uniform(0.03, 0.13))
    gathers = fabric.noise(rng, rows, columns, float(rng.uniform(6, 14)), 3)
    height += gathers * np.clip(np.abs(u) * 2 - 1.1, 0, 1) * np.float32(0.03 * strength * rng.uniform(0, 1.4))
    return height


def weave(rng: Rng, factor: Image, strength: float) -> Image:
    """The factor with the fine unevenness of a fabric."""
    grain = fabric.white_noise(rng, *factor.shape)
    if rng.random() < 0.5:
        grain = cv2.blur(grain, (3, 3)) * np.float32(2)
    return np.asarray(factor * (1 + np.float32(strength) * grain), np.float32)


def ear_loops(scene: Scene, sheet: Surface, rng: Rng, colour: Colour, width: float, flat: float = 0.0) -> list[Layer]:
    """Cords from the corners of a mask to behind both ears."""
    share = np.linspace(0, 1, 10)[:, None]
    sag = rng.normal(0.02, 0.03)
    starts = sheet(np.array([-0.96, -0.96, 0.96, 0.96]), np.array([0.05, 0.95, 0.05, 0.95]))
    paths = []
    for k, start in enumerate(starts):
        side, low = (-1.0 if k < 2 else 1.0), k % 2
        height = (0.45, 0.75) if low else (-0.12, 0.16)
        end = np.array([side * rng.uniform(1.13, 1.2), rng.uniform(*height), -0.85])
        path = start + (end - start) * share
        path[:, 1:2] += sag * np.sin(np.pi * share)
        path[:, 0:1] += 0.05 * side * np.sin(np.pi * share)
        paths.append(path)
    return straps(scene, paths, width, colour, flat=flat)


def tucked(rng: Rng) -> float:
    """How much of the mask's side lies under the hair."""
    return float(rng.choice([0.0, 0.0, 0.95, 1.0]))


SURGICAL = (
    "sky", "sky", "sky", "blue", "blue", "white", "white", "white", "black", "black", "teal", "green", "mint",
    "pink", "lilac", "grey", "navy", "skin", "charcoal",
)  # fmt: skip


def surgical(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Three-ply mask: pleats, nose wire, sewn borders, ear loops."""
    reach = float(rng.uniform(0.95, 1.25))
    cut = fit(rng, Cut(0.3, 0.43, 0.52, 1.88, 1.76, 1.4, reach, 0.95), coverage)
    rows, columns, u, v = texture(scene)
    base = fabric.tint(rng, *SURGICAL)
    colour = pattern(rng, rows, columns) if rng.random() < 0.07 else fabric.sheet_of(base, rows, columns)
    height, factor = pleats(rng, u, v)
    height += crumple(scene, rng, u, v, float(rng.uniform(0.5, 1.9)))
    if rng.random() < 0.7:
        deep = rng.uniform(0.05, 0.11)
        band = np.clip((deep - v) * 60, 0, 1)
        if rng.random() < 0.3:
            colour = fabric.between(colour, fabric.tint(rng, "white"), band * np.full_like(u, 0.85))
        factor += 0.1 * band - 0.14 * bump(v - deep, 0.018)
    height += rng.uniform(0.02, 0.07) * bump(u, float(rng.uniform(0.3, 0.6))) * bump(v - 0.05, 0.04)
    dashes = (np.sin(v * 150) > 0).astype(np.float32)
    for line in (0.9, 0.97):
        factor -= rng.uniform(0.05, 0.2) * bump(np.abs(u) - line, 0.02) * dashes
    if rng.random() < 0.5:
        factor -= 0.12 * bump(v - rng.choice([0.04, 0.95]), 0.014) * (np.sin(u * 110) > 0)
    factor *= fabric.relief(height, scene.light.toward, float(rng.uniform(4, 11)))
    shine = float(rng.uniform(0.02, 0.22))
    cloth = Cloth(colour, weave(rng, factor, float(rng.uniform(0.008, 0.035))), shine, tucked(rng))
    sheet = cover(cut, rng)
    cord = fabric.tint(rng, "white") if base.mean() > 0.2 and rng.random() < 0.85 else base
    return ear_loops(scene, sheet, rng, cord, float(rng.uniform(0.02, 0.055))) + drape(scene, sheet, cloth)


def pleats(rng: Rng, u: Image, v: Image) -> tuple[Image, Image]:
    """(height, factor) of horizontal folds that open towards the middle, each a step with a dark line below it."""
    columns = u.shape[1]
    u = np.ascontiguousarray(u[:, ::3])  # they change little along a fold
    opened = np.sqrt(np.clip(1 - u * u, 0, 1))
    visible = np.float32(0.35) + np.float32(0.65) * opened
    count = int(rng.integers(2, 5))
    deep = float(rng.uniform(0.25, 1.0))
    fan = rng.uniform(0.0, 0.09)
    height = np.zeros((v.shape[0], u.shape[1]), np.float32)
    factor = np.ones_like(height)
    for k in range(count):
        middle = k - (count - 1) / 2
        line = 0.5 + middle * 0.55 / count + fan * opened * middle + 0.025 * rng.normal() * u + 0.04 * rng.normal()
        below = v - line.astype(np.float32)
        fall = np.clip(1 - below * np.float32(5), 0, 1)
        fall *= fall
        fall *= below > 0
        height += fall * np.float32(0.045 * deep)
        factor -= bump(below - np.float32(0.008), 0.024) * (visible * np.float32(deep * rng.uniform(0.1, 0.32)))
        factor += fall * (opened * np.float32(deep * rng.normal(-0.02, 0.06)))
    height, factor = (cv2.resize(a, (columns, len(v)), interpolation=cv2.INTER_LINEAR) for a in (height, factor))
    return height, factor


def respirator(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """KN95 and its kin: folded along the middle, standing off like a beak."""
    cut = Cut(0.26, 0.55, 0.72, 1.9, 1.7, 1.2, float(rng.uniform(1.0, 1.25)), 0.8)
    cut = fit(rng, cut, coverage)
    rows, columns, u, v = texture(scene)
    whites = ("white", "white", "white", "white", "silver", "sky", "ivory")
    base = fabric.tint(rng, *whites, "black", "black", "grey", "pink", "navy", "skin")
    colour = fabric.sheet_of(base, rows, columns)
    if rng.random() < 0.5:
        ink = np.asarray(base * 0.45 if base.mean() > 0.4 else base + 0.4, np.float32)
        colour = fabric.print_text(colour, rng, ink, (rng.choice([0.2, 0.58]), rng.uniform(0.4, 0.75)), 0.05)
    factor = np.ones((rows, columns), np.float32)
    factor -= rng.uniform(0.05, 0.25) * bump(u, 0.03)
    for line in (rng.uniform(0.05, 0.2), rng.uniform(0.82, 0.95)):
        factor -= rng.uniform(0.05, 0.2) * bump(v - line - 0.06 * u * u, 0.016)
    dashes = (np.sin(v * 130) > 0).astype(np.float32)
    factor -= 0.18 * bump(np.abs(u) - rng.uniform(0.84, 0.95), 0.022) * dashes
    if rng.random() < 0.3:
        clip = np.clip((0.3 - np.abs(u)) * 30, 0, 1) * np.clip((0.025 - np.abs(v - 0.09)) * 120, 0, 1)
        colour = fabric.between(colour, fabric.tint(rng, "silver", "grey", "white"), clip)
    height = crumple(scene, rng, u, v, float(rng.uniform(0.2, 0.9)))
    factor *= fabric.relief(height, scene.light.toward, float(rng.uniform(3, 7)))
    if rng.random() < 0.3:
        colour, factor = valve(rng, colour, factor)
    peak, sharp = rng.uniform(0.1, 0.3), rng.uniform(1.0, 1.8)
    sheet = cover(
        cut, rng, lambda u, v: peak * np.sin(np.pi * np.clip(v, 0, 1) ** 0.9) * (1 - np.abs(u)) ** sharp, 0.01
    )
    cord = fabric.tint(rng, "white") if base.mean() > 0.3 else base
    if rng.random() < 0.3:
        cord = fabric.tint(rng, "white", "black", "mustard", "grey")
    layers = ear_loops(scene, sheet, rng, cord, float(rng.uniform(0.03, 0.075)), flat=0.5)
    weft = float(rng.uniform(0.005, 0.03))
    cloth = Cloth(colour, weave(rng, factor, weft), float(rng.uniform(0, 0.15)), tucked(rng))
    return layers + drape(scene, sheet, cloth, 0.6)


def valve(rng: Rng, colour: U8, factor: Image) -> tuple[U8, Image]:
    """Colour and factor with a breathing valve on them."""
    rows, columns = factor.shape
    x, y = int(columns * rng.choice([0.5, 0.34, 0.66])), int(rows * rng.uniform(0.48, 0.66))
    reach = rows * rng.uniform(0.07, 0.13)
    drawn = np.zeros((rows, columns), np.uint8)
    if rng.random() < 0.65:
        cv2.circle(drawn, (x, y), round(reach), 255, -1, cv2.LINE_AA)
    else:
        wide, high = round(reach * 1.1), round(reach * 0.8)
        cv2.rectangle(drawn, (x - wide, y - high), (x + wide, y + high), 255, -1)
    share = drawn * np.float32(1 / 255)
    colour = fabric.between(colour, fabric.any_tint(rng), share)
    lines = np.zeros((rows, columns), np.uint8)
    for k in range(-2, 3):
        at = round(y + k * reach * 0.3)
        cv2.line(lines, (round(x - reach * 0.6), at), (round(x + reach * 0.6), at), 255, 1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(share, (0, 0), rows * 0.012)
    return colour, factor * (1 - np.float32(0.6) * np.abs(soft - share) - lines * np.float32(0.3 / 255))


def cup(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """N95 cup: a moulded dome with two headbands, a nose clip and sometimes a valve."""
    cut = Cut(0.3, 0.46, 0.86, 1.86, 1.7, 1.2, float(rng.uniform(0.82, 1.0)), 0.6)
    cut = fit(rng, cut, coverage)
    rows, columns, u, v = texture(scene)
    base = fabric.tint(rng, "white", "white", "white", "ivory", "sky", "silver", "grey", "black")
    colour = fabric.sheet_of(base, rows, columns)
    if rng.random() < 0.6:
        colour = fabric.print_text(colour, rng, base * 0.4, (rng.uniform(0.36, 0.44), rng.uniform(0.6, 0.75)), 0.045)
    radius = np.sqrt(u * u + (2 * v - 1) ** 2)
    ring = rng.uniform(0.72, 0.88)
    factor = 1 - rng.uniform(0.1, 0.3) * bump(radius - ring, 0.05) + 0.08 * bump(radius - ring - 0.06, 0.05)
    if rng.random() < 0.5:
        flat = np.clip(3 * (0.6 - np.abs(u)), 0, 1)
        for k in range(int(rng.integers(2, 5))):
            factor = factor - 0.14 * bump(v - 0.4 - 0.1 * k + 0.06 * u * u, 0.02) * flat
    clip = np.clip((0.3 - np.abs(u)) * 30, 0, 1) * np.clip((0.024 - np.abs(v - 0.09)) * 120, 0, 1)
    colour = fabric.between(colour, fabric.tint(rng, "silver", "grey", "black", "white"), clip)
    dents = 0.035 * fabric.noise(rng, rows, columns, 4, 6) + 0.008 * fabric.noise(rng, rows, columns, 20, 30)
    factor = np.asarray(factor, np.float32) * fabric.relief(dents, scene.light.toward, 5)
    if rng.random() < 0.4:
        colour, factor = valve(rng, colour, factor)
    peak = rng.uniform(0.2, 0.38)
    sheet = cover(
        cut, rng, lambda u, v: peak * ((1 - np.abs(u) ** 2.6) * np.clip(1 - np.abs(2 * v - 1) ** 3, 0, 1)) ** 0.7, 0.008
    )
    cloth = Cloth(colour, weave(rng, factor, float(rng.uniform(0.01, 0.035))), float(rng.uniform(0, 0.1)))
    return headbands(scene, cut, rng) + drape(scene, sheet, cloth, 0.7)


def headbands(scene: Scene, cut: Cut, rng: Rng) -> list[Layer]:
    """Two rubber bands on either side: one above the ear, one below."""
    colour = fabric.tint(rng, "mustard", "white", "white", "ivory", "grey", "black", "orange", "blue")
    paths = []
    share = np.linspace(0, 1, 14)
    high, low = rng.uniform(-0.3, 0.1), rng.uniform(0.7, 1.2)
    for side in (-1.0, 1.0):
        for start, end in ((cut.side - 0.05, high), (cut.hem - 0.02, low)):
            angle = cut.reach * 0.95 + (1.9 - cut.reach * 0.95) * share
            paths.append(surface(angle * side, start + (end - start) * share, 0.2, 1.03))
    return straps(scene, paths, float(rng.uniform(0.03, 0.065)), colour, flat=0.6)
