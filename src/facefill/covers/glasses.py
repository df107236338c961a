"""Glasses with dark, mirrored, graded or clear lenses, in thin and thick frames or none."""

from collections.abc import Iterator

import cv2
import numpy as np

from facefill.covers import fabric
from facefill.covers.fabric import Colour, Image, Rng
from facefill.covers.head import Floats, Head
from facefill.covers.objects import superellipse
from facefill.covers.sheet import Layer, Scene, fill, lit, straps, window

RIMS = ("black", "black", "black", "charcoal", "umber", "mustard", "silver", "white", "red", "wine", "navy")
GLASS = ("black", "black", "black", "charcoal", "charcoal", "umber", "navy", "forest", "wine")
BRIGHT = ("mustard", "sky", "royal", "silver", "orange", "magenta", "green", "lilac", "blue")


def glasses(scene: Scene, rng: Rng, *, clear: bool) -> list[Layer]:
    """Two lenses, their frame, a bridge and temples. clear: one looks through the lenses at the eyes."""
    wide, high = rng.uniform(0.36, 0.52), rng.uniform(0.24, 0.46)
    lens = superellipse(wide, high, rng.uniform(1.8, 5), rng.uniform(-0.04, 0.12), rng.uniform(-0.05, 0.3))
    rim = fabric.tint(rng, *RIMS) if rng.random() < 0.8 else fabric.any_tint(rng)
    thick = float(rng.choice([rng.uniform(0.0, 0.02), rng.uniform(0.015, 0.04), rng.uniform(0.04, 0.12)]))
    apart, y0, z0 = rng.uniform(0.49, 0.56), rng.uniform(-0.06, 0.14), rng.uniform(0.16, 0.32)
    share = np.linspace(0, 1, 10)[:, None]
    temples = []
    for side in (-1.0, 1.0):
        start = np.array([side * (apart + wide - 0.02), y0 - rng.uniform(0.05, 0.2), 0.02])
        temples.append(start + (np.array([side * 1.18, rng.uniform(-0.15, 0.05), -0.85]) - start) * share)
    y1 = y0 - rng.uniform(0.0, 0.2)
    bridge = np.stack([np.linspace(-0.16, 0.16, 10), np.full(10, y1), np.full(10, z0 + 0.06)], -1)
    layers = straps(scene, [*temples, bridge], max(thick, 0.025), rim, flat=0.5)
    look = _clear(rng) if clear else _dark(rng)
    for inner, outer in frames(scene.head, lens, (apart, y0, z0), (thick / wide, thick / high)):
        layers += _lens(scene, inner, outer, rim, look, rng)
    return layers


def frames(
    head: Head, lens: Floats, place: tuple[float, float, float], thick: tuple[float, float]
) -> Iterator[tuple[Floats, Floats]]:
    """Pixels of the lens (n, 2) on either side, and of its frame. place: x, y, z of its middle, eye distances; the
    glasses bend around the head. thick: of the frame across and down, shares of the lens."""
    apart, y0, z0 = place
    for side in (-1.0, 1.0):
        x, y = (lens[:, 0] + apart) * side, lens[:, 1] + y0
        wide, high = (lens[:, 0] * (1 + thick[0]) + apart) * side, lens[:, 1] * (1 + thick[1]) + y0
        z = z0 - 0.22 * x**2
        yield head.project(np.stack([x, y, z], -1)), head.project(np.stack([wide, high, z], -1))


LensLook = tuple[Colour, Colour, float, float, float]
"""Colour of the lens above and below, how solid it is above and below, and how strong its reflections are."""


def _clear(rng: Rng) -> LensLook:
    solid = float(rng.choice([rng.uniform(0, 0.05), rng.uniform(0.03, 0.16)]))
    tint = fabric.tint(rng, "white", "white", "silver", "sky", "charcoal", "umber")
    return tint, tint, solid, solid * rng.uniform(0.3, 1), float(rng.choice([0.0, rng.uniform(0, 0.25)]))


def _dark(rng: Rng) -> LensLook:
    style = rng.random()
    if style < 0.25:  # mirrored
        above, below = fabric.tint(rng, *BRIGHT), fabric.tint(rng, *BRIGHT, *GLASS)
        return above, below, float(rng.uniform(0.85, 1)), 1.0, float(rng.uniform(0.1, 0.7))
    dark = fabric.tint(rng, *GLASS)
    if style < 0.55:  # graded
        below = fabric.tint(rng, *GLASS, *BRIGHT)
        return dark, below, float(rng.uniform(0.85, 1)), float(rng.uniform(0.5, 0.9)), float(rng.uniform(0, 0.4))
    solid = float(rng.uniform(0.72, 1))
    return dark, dark, solid, solid, float(rng.choice([0.0, rng.uniform(0, 0.5)]))


def _lens(scene: Scene, inner: Floats, outer: Floats, rim: Colour, look: LensLook, rng: Rng) -> list[Layer]:
    head = scene.head
    box = window(outer, head.size, 2)
    if box is None:
        return []
    frame, pane = fill(outer, box), fill(inner, box)
    rows, columns = frame.shape
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None] + np.zeros((1, columns), np.float32)
    above, below, solid, last, gleam = look
    above, below = (np.asarray(colour * 0.8, np.float32) for colour in (above, below))
    glass = fabric.between(fabric.sheet_of(above, rows, columns), below, down)
    sky = _reflected(rng, rows, columns) * np.float32(gleam)
    glass = fabric.between(glass, fabric.tint(rng, "white", "sky", "ivory"), sky)
    colour = fabric.between(fabric.sheet_of(rim, rows, columns), glass, pane)
    bevel = fabric.relief(cv2.GaussianBlur(frame - pane, (0, 0), 1.0), scene.light.toward, 0.25 * 128 / rows)
    through = np.maximum(np.float32(solid) + np.float32(last - solid) * down, sky)
    alpha = np.asarray(frame * (1 - pane * (1 - through)), np.float32)
    return [Layer(box[0], box[1], lit(scene.light, head, colour, np.asarray(bevel * 0.9, np.float32), box), alpha, 0.4)]


def _reflected(rng: Rng, rows: int, columns: int) -> Image:
    """0-1: a horizon, windows or a streak, softened."""
    canvas = np.zeros((rows, columns), np.float32)
    if rng.random() < 0.5:
        edge = int(rng.uniform(0.2, 0.8) * rows)
        canvas[:edge] = rng.uniform(0.3, 1)
    for _ in range(int(rng.integers(0, 4))):
        centre = (int(rng.uniform(0, columns)), int(rng.uniform(0, rows)))
        axes = (max(1, int(columns * rng.uniform(0.03, 0.3))), max(1, int(rows * rng.uniform(0.05, 0.5))))
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(-40, 40)), 0, 360, float(rng.uniform(0.2, 1)), -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.6, rows * float(rng.uniform(0.01, 0.08)))), np.float32)
