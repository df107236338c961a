"""Covers of cloth: sewn and moulded fashion masks, bandanas, gaiters and scarves."""

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.covers import fabric, masks
from facefill.covers.fabric import Image, Rng
from facefill.covers.head import Floats
from facefill.covers.masks import Cut, bump, cover, fit, texture, tucked, weave
from facefill.covers.patterns import pattern
from facefill.covers.sheet import Cloth, Layer, Scene, drape

Span = tuple[float, float]


def cloth(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Sewn or moulded fashion mask in any colour and pattern, with or without a seam down its middle."""
    fitted = rng.random() < 0.6
    cut = Cut(0.28, 0.5, 0.62, 1.92, 1.74, 1.22, float(rng.uniform(1.05, 1.4)), 0.9)
    if not fitted:
        cut = Cut(0.33, 0.45, 0.52, 1.9, 1.78, 1.42, float(rng.uniform(1.0, 1.25)), 0.95)
    cut = fit(rng, cut, coverage)
    rows, columns, u, v = texture(scene)
    colour = pattern(rng, rows, columns)
    height = masks.crumple(scene, rng, u, v, float(rng.uniform(0.3, 1.5)))
    factor = np.ones((rows, columns), np.float32)
    if fitted and rng.random() < 0.7:
        factor -= rng.uniform(0.05, 0.35) * bump(u, 0.025)
        height -= 0.05 * bump(u, 0.06)
    colour, factor = border(rng, u, v, colour, factor)
    if rng.random() < 0.15:
        spot = (rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.75))
        colour = fabric.print_text(colour, rng, fabric.any_tint(rng), spot, rng.uniform(0.05, 0.12))
    factor *= fabric.relief(height, scene.light.toward, float(rng.uniform(2, 9)))
    if rng.random() < 0.1:
        colour, factor = masks.valve(rng, colour, factor)
    peak = rng.uniform(0.03, 0.16) if fitted else 0.0
    sheet = cover(cut, rng, lambda u, v: peak * np.sin(np.pi * np.clip(v, 0, 1)) * (1 - np.abs(u)) ** 1.2)
    cord: Floats = np.asarray(cv2.mean(colour)[:3]) / 255
    if rng.random() < 0.5:
        cord = fabric.tint(rng, "white", "black", "black")
    wide = float(rng.uniform(0.02, 0.075) if rng.random() < 0.9 else rng.uniform(0.1, 0.2))
    layers = masks.ear_loops(scene, sheet, rng, cord, wide, flat=float(rng.random()))
    shine = float(rng.choice([0.0, 0.08, 0.2, 0.35]))
    weft, thick = float(rng.uniform(0.0, 0.07)), float(rng.uniform(0.0, 0.06))
    return layers + drape(scene, sheet, Cloth(colour, weave(rng, factor, weft), shine, tucked(rng), thick))


def border(rng: Rng, u: Image, v: Image, colour: U8, factor: Image) -> tuple[U8, Image]:
    """Colour and factor with a trim of another colour, sewn hems, or neither."""
    draw = rng.random()
    if draw < 0.3:
        wide = rng.uniform(0.03, 0.07)
        depth = np.maximum(np.maximum((wide - v) * 60, (v - 1 + wide) * 60), (np.abs(u) - 1 + wide * 1.2) * 40)
        share = np.clip(depth, 0, 1)
        factor = factor - 0.18 * bump(depth + 0.6, 0.7)
        return fabric.between(colour, fabric.any_tint(rng), share), np.asarray(factor, np.float32)
    if draw < 0.75:
        hems = bump(v - 0.05, 0.014) + bump(v - 0.95, 0.014) + bump(np.abs(u) - 0.94, 0.014)
        factor = factor - np.float32(rng.uniform(0.05, 0.2)) * hems
    return colour, np.asarray(factor, np.float32)


def bandana(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A square cloth, folded to a triangle and tied behind the head: its tip hangs over the neck."""
    top = float(rng.uniform(0.28, 0.46))
    tip, hem = float(rng.uniform(2.2, 2.8)), float(rng.uniform(1.1, 1.4))
    cut = fit(rng, Cut(top, top + 0.08, top + 0.1, tip, 1.9, hem, 1.6, 0.9, 1.03), coverage)
    name = "paisley" if rng.random() < 0.5 else None
    return wrapped(scene, rng, cut, name=name, folds=(4, 16), flare=(0.15, 0.7), thick=0.0)


def gaiter(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A stretched tube around head and neck, close to the face, with few fine folds."""
    top = float(rng.uniform(0.26, 0.46))
    cut = Cut(top, top + 0.08, top + float(rng.uniform(-0.05, 0.3)), 2.7, 2.7, 2.6, 1.65, 0.9, 1.02)
    return wrapped(scene, rng, fit(rng, cut, coverage), name=None, folds=(2, 9), flare=(0.1, 0.35), thick=0.01)


def scarf(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A thick winter scarf in one or two turns, often knitted or fleecy."""
    top, thick = float(rng.uniform(0.28, 0.48)), float(rng.uniform(0.05, 0.16))
    cut = Cut(top, top + 0.1, top + float(rng.uniform(0.1, 0.4)), 2.8, 2.8, 2.75, 1.65, 0.75, 1.08)
    knitted = ("knit", "ribs", "heather", "tweed", "tartan", "plain")
    name = knitted[int(rng.integers(len(knitted)))] if rng.random() < 0.75 else None
    high = wrapped(scene, rng, fit(rng, cut, coverage), name=name, folds=(5, 14), flare=(0.4, 1.1), thick=thick)
    if rng.random() < 0.5:
        return high
    low = Cut(1.35, 1.4, 1.2, 2.8, 2.8, 2.75, 1.7, 0.5, 1.3)
    below = wrapped(scene, rng, fit(rng, low, "full"), name=name, folds=(5, 14), flare=(0.4, 0.9), thick=thick)
    return [*below, *high]


def wrapped(
    scene: Scene, rng: Rng, cut: Cut, *, name: str | None, folds: tuple[int, int], flare: Span, thick: float
) -> list[Layer]:
    """A cloth around the whole head. name: its pattern's, None for any. folds: fewest and most creases. flare: how far
    its lower half stands off."""
    rows, columns, _, v = texture(scene, 0.6)
    colour = pattern(rng, rows, columns, name)
    swing = fabric.noise(rng, rows, columns, float(rng.uniform(4, 10)), float(rng.uniform(1, 3)))
    height = np.abs(swing) * np.float32(rng.uniform(0.04, 0.15) + 1.5 * thick)
    factor = np.clip(0.85 + 2 * height, 0.7, 1.1) * (1 - np.float32(0.15) * bump(v - 0.03, 0.012))
    height += fabric.creases(rng, rows, columns, int(rng.integers(*folds)), float(rng.uniform(0.05, 0.16)))
    height += fabric.noise(rng, rows, columns, 8, 10) * np.float32(rng.uniform(0, 0.02))
    factor = factor * np.clip(np.float32(1.25) - np.float32(0.5) * v, 0.7, 1)
    factor = factor * fabric.relief(height, scene.light.toward, float(rng.uniform(3, 9)))
    swell, out = rng.uniform(0.0, 0.12) + thick, rng.uniform(*flare)
    sheet = cover(cut, rng, lambda u, v: swell + out * np.clip(v - 0.45, 0, 1) + 0 * u, 0.03)
    shine = float(rng.choice([0.0, 0.1, 0.25])) if thick < 0.05 else 0.0
    weft = float(rng.uniform(0.0, 0.07) + 0.4 * thick)
    finished = Cloth(colour, weave(rng, np.asarray(factor, np.float32), weft), shine, tucked(rng), thick)
    return drape(scene, sheet, finished)
