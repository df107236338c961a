"""Covers of rubber, plastic and metal: half masks with filters, face shields, microphones."""

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.covers import fabric
from facefill.covers.fabric import Image, Rng
from facefill.covers.head import Floats, surface
from facefill.covers.masks import Cut, cover, fit, headbands, texture
from facefill.covers.patterns import pattern
from facefill.covers.sheet import Cloth, Layer, Scene, drape, fill, lit, straps, window

CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 40)), np.sin(np.linspace(0, 2 * np.pi, 40))], -1)


def half_mask(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Rubber half mask: a face piece, one filter in front or two at the sides, a valve, two bands."""
    cut = fit(rng, Cut(0.22, 0.55, 0.95, 1.8, 1.68, 1.4, float(rng.uniform(0.75, 1.0)), 0.7), coverage)
    rows, columns, u, v = texture(scene)
    base = fabric.tint(rng, "black", "charcoal", "charcoal", "grey", "silver", "navy", "blue", "white")
    factor = 1 - 0.3 * np.clip(np.abs(u) * 12 - 10, 0, 1) + 0 * v
    factor = factor * (1 - 0.25 * np.exp(-(((np.abs(u) - 0.55) * 14) ** 2)) * np.clip(v * 2, 0, 1))
    dents = fabric.noise(rng, rows, columns, 3, 4) * np.float32(0.04)
    factor = factor * fabric.relief(dents, scene.light.toward, 6)
    peak = float(rng.uniform(0.25, 0.45))
    cloth = Cloth(fabric.sheet_of(base, rows, columns), np.asarray(factor, np.float32), float(rng.uniform(0.1, 0.4)))
    sheet = cover(cut, rng, lambda u, v: peak * np.sin(np.pi * np.clip(v, 0, 1)) * (1 - u * u) ** 0.8, 0.006)
    layers = headbands(scene, cut, rng) + drape(scene, sheet, cloth, 0.7)
    case = fabric.tint(rng, "magenta", "charcoal", "grey", "mustard", "white", "black", "silver", "khaki")
    front = 0.5 + peak
    slide = 0.5 * (cut.nose - 0.22)
    if rng.random() < 0.75:
        reach = float(rng.uniform(0.26, 0.42))
        for side in (-1.0, 1.0):
            centre = np.array([side * float(rng.uniform(0.6, 0.75)), 1.2 + slide, 0.55])
            layers += disc(scene, rng, centre, side * float(rng.uniform(0.5, 0.9)), reach, case)
    else:
        layers += disc(scene, rng, np.array([0.0, 1.15 + slide, front]), 0.0, float(rng.uniform(0.3, 0.42)), case)
    if rng.random() < 0.7:
        layers += disc(scene, rng, np.array([0.0, 1.2 + slide, front]), 0.0, float(rng.uniform(0.14, 0.24)), base)
    return layers


def disc(
    scene: Scene, rng: Rng, centre: Floats, turn: float, reach: float, colour: fabric.Colour, thick: float = 0.16
) -> list[Layer]:
    """A flat box with a round or square lid, at a point of the head; turn: its azimuth, 0 faces forward."""
    shape = CIRCLE if rng.random() < 0.75 else CIRCLE / np.abs(CIRCLE).max(1, keepdims=True) ** 0.8
    ring = np.zeros((len(shape), 3))
    ring[:, 0], ring[:, 2] = shape[:, 0] * reach * np.cos(turn), -shape[:, 0] * reach * np.sin(turn)
    ring[:, 1] = shape[:, 1] * reach
    out = np.array([np.sin(turn), 0.0, np.cos(turn)]) * thick
    lid = scene.head.project(centre + ring + out)
    hull = cv2.convexHull(np.concatenate([lid, scene.head.project(centre + ring)]).astype(np.float32))[:, 0]
    box = window(hull, scene.head.size, 2)
    if box is None:
        return []
    alpha, face = fill(hull, box), fill(lid, box)
    rows, columns = alpha.shape
    middle = lid.mean(0) - box[:2]
    x = np.arange(columns, dtype=np.float32)[None] - np.float32(middle[0])
    y = np.arange(rows, dtype=np.float32)[:, None] - np.float32(middle[1])
    radius = np.sqrt(x * x + y * y) * np.float32(1 / (reach * scene.head.scale))
    ridges = np.float32(1) + np.float32(rng.uniform(0, 0.25)) * np.sin(radius * np.float32(rng.uniform(8, 40)))
    tone = (np.float32(0.55) + np.float32(0.45) * face) * ridges
    soft = cv2.GaussianBlur(face, (0, 0), max(0.7, 0.04 * scene.head.scale), borderType=cv2.BORDER_REPLICATE)
    tone *= fabric.relief(soft, scene.light.toward, 2.0 * 128 / rows)
    sheet = fabric.sheet_of(colour, rows, columns)
    if rng.random() < 0.4:
        inner = np.clip((np.float32(rng.uniform(0.45, 0.75)) - radius) * 30, 0, 1)
        sheet = fabric.between(sheet, fabric.any_tint(rng), inner)
    return [Layer(box[0], box[1], lit(scene.light, scene.head, sheet, tone, box), alpha, 0.6)]


def helmet_strap(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A helmet's chin strap, from both temples to below or around the chin: a thin cord to a broad band, forked below
    the ears or not, with or without a buckle or a cup on the chin."""
    cupped = rng.random() < 0.3
    low = float(rng.uniform(1.42, 1.6) if cupped or rng.random() < 0.25 else rng.uniform(1.62, 2.0))
    top, temple = float(rng.uniform(-0.75, -0.15)), float(rng.uniform(1.0, 1.4))
    slack, tilt = float(rng.uniform(0.9, 1.35)), float(rng.normal(0, 0.03))
    share = np.linspace(0, 1, 32)[:, None]
    paths = []
    for side in (-1.0, 1.0):
        bend = np.array([[0, low], [0.75 * temple, low + 0.02], [temple, slack], [temple * 0.98, top]])
        bend = bend + np.array([[0, 0], *rng.normal(0, 0.03, (3, 2))])
        weights = (1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3
        line = sum(weight * point for weight, point in zip(weights, bend, strict=True))
        paths.append(surface(line[:, 0] * side, line[:, 1] + tilt * side * line[:, 0], 0.3, 1.03))
    if rng.random() < 0.4:  # behind the ear a second one
        for side in (-1.0, 1.0):
            angle, y = np.linspace(temple * 0.95, 1.9, 32), np.linspace(slack, float(rng.uniform(0.1, 0.5)), 32)
            paths.append(surface(angle * side, y, 0.3, 1.03))
    colour = fabric.tint(rng, *["black"] * 5, "charcoal", "charcoal", "grey", "navy", "white", "tan", "red", "khaki")
    width = float(np.exp(rng.uniform(np.log(0.05), np.log(0.3))))
    layers = straps(scene, paths, width, colour, flat=float(rng.uniform(0.4, 1)), shadow=0.5)
    if cupped:
        half = float(rng.uniform(0.35, 0.75))
        cut = Cut(low - 0.2, low - 0.18, low - 0.12, low + 0.3, low + 0.26, low + 0.12, half, 0.6, 1.04)
        cut = fit(rng, cut, "full")
        rows, columns, u, v = texture(scene, 0.3)
        dents = fabric.noise(rng, rows, columns, 3, 4) * np.float32(0.03)
        factor = (1 - 0.25 * np.clip(np.abs(u) * 10 - 8, 0, 1) + 0 * v) * fabric.relief(dents, scene.light.toward, 5)
        sheet = fabric.sheet_of(colour if rng.random() < 0.7 else fabric.any_tint(rng), rows, columns)
        cloth = Cloth(sheet, np.asarray(factor, np.float32), float(rng.uniform(0, 0.3)), thick=0.03)
        layers += drape(scene, cover(cut, rng, lambda u, v: 0.05 + 0 * u + 0 * v, 0.005), cloth, 0.6)
    if layers and rng.random() < 0.5:
        place = paths[int(rng.integers(2))][int(rng.integers(0 if cupped else 2, 14))]
        turn = float(np.arctan2(place[0], place[2] + 0.55))
        case = fabric.tint(rng, "black", "black", "charcoal", "grey", "silver", "red")
        layers += disc(scene, rng, place, turn, max(0.07, 0.6 * width), case, 0.05)
    return layers


def shield(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A transparent face shield: what hides the face are its band, its rim and what it reflects."""
    head = scene.head
    top, bottom = float(rng.uniform(-0.75, -0.45)), float(rng.uniform(1.9, 2.5))
    reach, stand = float(rng.uniform(1.0, 1.35)), float(rng.uniform(0.25, 0.5))

    def pane(angle: Floats, y: Floats) -> Floats:
        out = surface(angle, np.full_like(angle, 0.3), 0.0, 1.12)
        out[..., 1] = y
        out[..., 2] += stand
        return out

    angle = np.linspace(-reach, reach, 24)
    upper, lower = pane(angle, np.full(24, top)), pane(angle[::-1], np.full(24, bottom))
    edge = head.project(np.concatenate([upper, lower]))
    box = window(edge, head.size, 2)
    if box is None:
        return []
    whole = fill(edge, box)
    rows, columns = whole.shape
    inner = cv2.erode(whole, np.ones((3, 3), np.uint8), iterations=max(1, round(0.015 * head.scale)))
    rim = (whole - inner) * np.float32(rng.uniform(0.3, 0.9))
    gleam = reflections(rng, head.project(pane(np.zeros(1), np.array([0.6])))[0] - box[:2], rows, columns, head.scale)
    alpha = np.maximum(rim, gleam * inner)
    sky = fabric.sheet_of(fabric.tint(rng, "white", "white", "white", "sky", "ivory"), rows, columns)
    layers = [Layer(box[0], box[1], lit(scene.light, head, sky, np.full_like(alpha, 1.1), box), alpha, 0.1)]
    edges = np.full(24, top - 0.05), np.full(24, top + rng.uniform(0.12, 0.4))
    strip = head.project(pane(np.concatenate([angle, angle[::-1]]), np.concatenate(edges)))
    place = window(strip, head.size, 2)
    if place is not None and rng.random() < 0.85:
        solid = fill(strip, place) * np.float32(rng.uniform(0.75, 1.0))
        foam = fabric.sheet_of(fabric.tint(rng, "white", "blue", "sky", "grey", "black", "green"), *solid.shape)
        tone = 1 + np.float32(0.05) * fabric.white_noise(rng, *solid.shape)
        layers.append(Layer(place[0], place[1], lit(scene.light, head, foam, tone, place), solid, 0.4))
    return layers


def reflections(rng: Rng, middle: Floats, rows: int, columns: int, scale: float) -> Image:
    """Alpha (rows, columns) of one to four bright, soft-edged streaks and windows."""
    canvas = np.zeros((rows, columns), np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        centre = middle + rng.normal(0, [0.7, 0.8]) * scale
        size = np.array([rng.uniform(0.03, 0.2), rng.uniform(0.2, 1.1)]) * scale
        way = fabric.turning(rng.normal(0, 0.35))
        bend = np.array([[-1, -1], [-0.6, 0], [-1, 1], [1, 1], [1.4, 0], [1, -1]]) * size
        points = np.rint((bend @ way + centre) * 8).astype(np.int32)
        cv2.fillPoly(canvas, [points], int(rng.integers(40, 220)), cv2.LINE_AA, 3)
    soft = float(rng.uniform(0.01, 0.06)) * scale
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.6, soft)) * np.float32(1 / 255), np.float32)


def microphone(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A hand-held microphone before chin or mouth: a wire or foam head on a tapered handle."""
    head = scene.head
    turn = np.radians(rng.uniform(-60, 60))
    down = np.array([np.sin(turn), np.cos(turn)])
    aside = np.array([down[1], -down[0]])
    reach = float(rng.uniform(0.24, 0.5))
    middle = np.array([np.sin(head.yaw) * 0.25, 1.05]) + rng.normal([0, 0.15], [0.2, 0.15]) + down * reach * 0.6
    foam = rng.random() < 0.5
    ball = middle + CIRCLE * reach * np.array([1.0, 1.0 if foam else 1.12])
    wide, slim, long = reach * float(rng.uniform(0.5, 0.85)), reach * float(rng.uniform(0.35, 0.5)), 3.0
    neck, tail = middle + down * reach * 0.7, middle + down * long
    handle = np.stack([neck - aside * wide, neck + aside * wide, tail + aside * slim, tail - aside * slim])
    body_tint = fabric.tint(rng, "black", "black", "charcoal", "silver", "grey")
    body = pattern(rng, 8, 8, "plain") if rng.random() < 0.1 else fabric.sheet_of(body_tint, 8, 8)
    layers = solid(scene, rng, handle, body, 0.4 * slim)
    if foam:
        tints = ("black", "black", "charcoal", "red", "blue", "royal", "mustard", "green", "white", "orange")
        sheet = fabric.sheet_of(fabric.tint(rng, *tints), 48, 48)
    else:
        sheet = pattern(rng, 48, 48, "mesh")
        sheet = fabric.between(sheet, fabric.tint(rng, "silver", "grey", "charcoal"), np.full((48, 48), 0.8))
    layers += solid(scene, rng, ball, sheet, 0.8 * reach)
    if rng.random() < 0.4:
        base, far = middle + down * reach * 0.9, middle + down * reach * rng.uniform(1.6, 2.2)
        out = aside * wide * 1.5
        cube = np.stack([base - out, base + out, far + out, far - out])
        flag = fabric.sheet_of(fabric.any_tint(rng), 40, 60)
        flag = fabric.print_text(flag, rng, fabric.any_tint(rng), (0.08, 0.6), 0.35)
        layers += solid(scene, rng, cube, flag, 0.05)
    return layers


def solid(scene: Scene, rng: Rng, outline: Floats, sheet: U8, round_by: float) -> list[Layer]:
    """An opaque body with an outline in the face's plane (eye distances), rounded by that much at its edge."""
    head = scene.head
    edge = head.place(outline)
    box = window(edge, head.size, 2)
    if box is None:
        return []
    alpha = fill(edge, box)
    rows, columns = alpha.shape
    round_px = max(0.7, 0.5 * round_by * head.scale)
    depth = cv2.GaussianBlur(alpha, (0, 0), round_px, borderType=cv2.BORDER_REPLICATE)
    tone = fabric.relief(depth, scene.light.toward, 0.7 * 128 / rows * round_px)
    tone *= np.float32(0.6) + np.float32(0.4) * np.clip(depth * 1.5 - 0.5, 0, 1)
    tone *= 1 + np.float32(0.05) * fabric.white_noise(rng, rows, columns)
    colour = cv2.resize(sheet, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return [Layer(box[0], box[1], lit(scene.light, head, colour, tone, box), alpha, 0.8)]
