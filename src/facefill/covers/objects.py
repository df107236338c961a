"""Covers that are no cloth: hands, and things held before the face."""

from dataclasses import dataclass

import cv2
import numpy as np

from facefill.arrays import U8, Box
from facefill.covers import fabric
from facefill.covers.fabric import Image, Rng
from facefill.covers.head import Floats, Head
from facefill.covers.patterns import pattern
from facefill.covers.sheet import INVERSE, Layer, Scene, fill, lit, window


@dataclass(frozen=True)
class Limb:
    """A rounded stretch of a hand in the face's plane (eye distances): from, to, radius at both ends."""

    start: Floats
    end: Floats
    radius: float
    last: float


def hand(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """The back of a hand, or a fist, before the mouth: fingers, knuckles, nails, from below on either side."""
    return paint_hand(scene, rng, *hold_hand(scene, rng))


def hold_hand(scene: Scene, rng: Rng) -> tuple[list[list[Limb]], list[Limb], Limb]:
    """Fingers, palm with thumb and forearm, and the forearm alone, of a hand before the mouth."""
    head = scene.head
    turn = np.radians(rng.uniform(5, 80)) * float(rng.choice([-1, 1]))
    up = np.array([-np.sin(turn), -np.cos(turn)])
    out = np.array([up[1], -up[0]]) * float(rng.choice([-1, 1]))
    mouth = np.array([np.sin(head.yaw) * 0.25, 1.0]) + rng.normal(0, 0.05, 2)
    grow = float(rng.uniform(0.9, 1.2))
    fist = rng.random() < 0.25
    knuckles = mouth - up * float(rng.uniform(-0.1, 0.15) if fist else rng.uniform(0.25, 0.6))
    fingers = draw_fingers(rng, knuckles, up, out, grow, fist)
    palm = []
    for k in (-1.0, -0.35, 0.35, 1.0):
        root = knuckles + out * (k * 0.42 * grow)
        palm.append(Limb(root, knuckles - up * (1.25 * grow) + out * (k * 0.27), 0.17 * grow, 0.24 * grow))
    wrist = knuckles - up * (1.0 * grow)
    forearm = Limb(wrist, wrist - up * 2.2 - out * float(rng.normal(0, 0.3)), 0.4 * grow, 0.46 * grow)
    palm.append(forearm)
    if rng.random() < 0.6:
        base = knuckles - up * (0.85 * grow) - out * (0.35 * grow)
        tip = base + (up * float(rng.uniform(0.5, 1.0)) - out * float(rng.uniform(0.2, 0.6))) * (0.75 * grow)
        palm.append(Limb(base, tip, 0.19 * grow, 0.13 * grow))
    return fingers, palm, forearm


def paint_hand(scene: Scene, rng: Rng, fingers: list[list[Limb]], palm: list[Limb], forearm: Limb) -> list[Layer]:
    """A hand of those limbs; none where it misses the picture."""
    head = scene.head
    limbs = [limb for finger in fingers for limb in finger] + palm
    ends = np.concatenate([[limb.start, limb.end] for limb in limbs])
    box = window(head.place(ends * [1, head.stretch]), head.size, head.scale * 0.5)
    if box is None:
        return []
    height = capsules(head, palm, fingers, box)
    alpha = np.asarray(np.clip(height * head.scale * 0.6 - 0.2, 0, 1), np.float32)
    return [skin_layer(scene, rng, height, alpha, box, fingers)]


def sleeved_hand(scene: Scene, rng: Rng) -> tuple[list[Layer], list[Layer]]:
    """A hand as `hand` draws it, and apart from it the sleeve over its forearm, with or without a cuff."""
    fingers, palm, forearm = hold_hand(scene, rng)
    way = forearm.end - forearm.start
    way = way / np.hypot(*way)
    aside = np.array([-way[1], way[0]])
    begin = forearm.start + way * float(rng.uniform(0.05, 0.9))
    loose = float(rng.uniform(1.05, 1.5))
    narrow, broad = forearm.radius * loose, forearm.last * loose * float(rng.uniform(1.0, 1.5))
    end = begin + way * 5.0
    sleeve = _tube(scene, rng, begin, end, aside * narrow, aside * broad)
    if rng.random() < 0.6:
        long, wider = float(rng.uniform(0.15, 0.6)), float(rng.uniform(1.0, 1.08))
        sleeve += _tube(scene, rng, begin, begin + way * long, aside * narrow * wider, aside * narrow * wider)
    return paint_hand(scene, rng, fingers, palm, forearm), sleeve


def _patch(edge: Floats, head: Head, rng: Rng) -> tuple[Box, Image, U8] | None:
    """Of an outline in pixels its window, the share of each pixel within it, 0 to 1, and cloth; None outside."""
    box = window(edge, head.size, 2)
    if box is None:
        return None
    alpha = fill(edge, box)
    return box, alpha, pattern(rng, *alpha.shape)


def _tube(scene: Scene, rng: Rng, start: Floats, end: Floats, first: Floats, last: Floats) -> list[Layer]:
    """A round stretch of cloth in the face's plane (eye distances), half as wide as `first` and `last` at its ends."""
    head = scene.head
    bow = (start - end) / np.hypot(*(start - end)) * float(rng.uniform(-0.06, 0.08))
    ends = np.stack([start - first, start - 0.5 * first + bow, start + 0.5 * first + bow, start + first])
    edge = head.place(np.concatenate([ends, [end + last, end - last]]) * [1, head.stretch])
    patch = _patch(edge, head, rng)
    if patch is None:
        return []
    box, alpha, colour = patch
    rows, columns = alpha.shape
    round_px = max(0.6, head.scale * float(np.hypot(*first)) * 0.5)
    # Beyond the picture it goes on, so that it is round at its sides alone.
    depth = cv2.GaussianBlur(alpha, (0, 0), round_px, borderType=cv2.BORDER_REPLICATE)
    tone = fabric.relief(depth, scene.light.toward, float(rng.uniform(0.5, 1.2)) * 128 / rows * round_px)
    tone = tone * (np.float32(0.65) + np.float32(0.35) * np.clip(depth * 1.6 - 0.5, 0, 1))
    folds = fabric.creases(rng, rows, columns, int(rng.integers(3, 12)), float(rng.uniform(0.03, 0.12)))
    tone = tone * fabric.relief(folds, scene.light.toward, float(rng.uniform(2, 7)))
    return [Layer(box[0], box[1], lit(scene.light, head, colour, np.asarray(tone, np.float32), box), alpha, 0.8)]


def draw_fingers(rng: Rng, knuckles: Floats, up: Floats, out: Floats, grow: float, fist: bool) -> list[list[Limb]]:
    """Four fingers of three bones each; a fist shows the first bone and a bit of the second."""
    spread, gap = float(rng.normal(0.06, 0.07)), float(rng.uniform(0.255, 0.29))
    fingers = []
    for k, long in enumerate((0.95, 1.1, 1.03, 0.8)):
        at = knuckles + out * ((k - 1.5) * gap * grow) - up * (0.05 * (k - 1.3) ** 2)
        way = up + out * ((k - 1.5) * spread)
        bones = []
        for share, slim in ((0.42, 0.145), (0.3, 0.135), (0.26, 0.115)):
            size = long * share * grow * (0.45 if fist and share < 0.4 else 1.0)
            end = at + way * size
            bones.append(Limb(at, end, slim * grow, (slim - 0.008) * grow))
            at, way = end, way + out * float(rng.normal(0, 0.06))
        fingers.append(bones[:2] if fist else bones)
    return fingers


def capsules(head: Head, palm: list[Limb], fingers: list[list[Limb]], box: Box) -> Image:
    """Height above the face (eye distances) of a hand over a box: a flat palm, round fingers, grooves between them."""
    width, height = box[2] - box[0], box[3] - box[1]
    step = max(1.0, head.size / 160)
    columns, rows = int(width / step) + 2, int(height / step) + 2
    x = np.arange(columns, dtype=np.float32)[None] * np.float32(step) + np.float32(box[0] - head.origin[0])
    y = np.arange(rows, dtype=np.float32)[:, None] * np.float32(step) + np.float32(box[1] - head.origin[1])
    unit = 1 / head.scale
    ax, ay = (head.across * unit).astype(np.float32)
    dx, dy = (head.down * unit / head.stretch).astype(np.float32)
    px, py = x * ax + y * ay, x * dx + y * dy

    def rounded(limbs: list[Limb]) -> Image:
        tallest = np.zeros_like(px)
        for limb in limbs:
            way = limb.end - limb.start
            fx, fy = px - np.float32(limb.start[0]), py - np.float32(limb.start[1])
            wx, wy = (way / (way @ way)).astype(np.float32)
            along = np.clip(fx * wx + fy * wy, 0, 1)
            fx -= along * np.float32(way[0])
            fy -= along * np.float32(way[1])
            radius = np.float32(limb.radius) + along * np.float32(limb.last - limb.radius)
            tallest = np.maximum(tallest, radius * radius - fx * fx - fy * fy)
        return np.asarray(np.sqrt(tallest))

    best, second = np.zeros_like(px), np.zeros_like(px)
    for finger in fingers:
        mine = rounded(finger)
        second = np.maximum(second, np.minimum(best, mine))
        best = np.maximum(best, mine)
    best -= np.where(best - second < 0.03, 0.35 * second, 0)
    flat = cv2.GaussianBlur(np.minimum(rounded(palm), 0.15), (0, 0), max(0.8, 0.07 * head.scale / step))
    matrix = np.array([[1 / step, 0, 0], [0, 1 / step, 0]])
    total = np.maximum(best, flat - np.float32(0.01))
    return np.asarray(cv2.warpAffine(total, matrix, (width, height), flags=INVERSE, borderMode=cv2.BORDER_REPLICATE))


def skin_layer(scene: Scene, rng: Rng, height: Image, alpha: Image, box: Box, fingers: list[list[Limb]]) -> Layer:
    """A hand of that height map in a skin colour near the face's own, or in a glove."""
    head, light = scene.head, scene.light
    smooth = cv2.GaussianBlur(height, (0, 0), max(0.5, head.scale * 0.03))
    shading = fabric.relief(smooth, light.toward, 128 / len(smooth) * head.scale * 0.42)
    hollow = np.clip(cv2.blur(smooth, (int(head.scale * 0.15) | 1,) * 2) - smooth, 0, 0.2)
    tone = np.clip(shading * (1 - np.float32(3.0) * hollow), 0.25, 1.3)
    glove = rng.random() < 0.1
    albedo = np.asarray(light.skin / light.cast / max(light.level, 0.2) * rng.uniform(0.85, 1.12), np.float32)
    if glove:
        albedo = fabric.tint(rng, "blue", "white", "black", "sky", "lilac")
    mottled = fabric.noise(rng, height.shape[0], height.shape[1], 7, 7)
    redder = np.asarray(albedo * np.array([1.04, 0.9, 0.88]), np.float32)
    colour = fabric.between(albedo, redder, np.clip(0.3 + 0.4 * mottled, 0, 1))
    tone *= 1 + 0.03 * cv2.blur(fabric.white_noise(rng, *height.shape), (3, 3))
    if not glove:
        nails, lines = hand_details(head, box, fingers, height.shape)
        pale = np.asarray(np.minimum(albedo * np.array([1.1, 1.05, 1.06]), 1), np.float32)
        colour = fabric.between(colour, pale, nails)
        tone *= 1 - 0.22 * lines
        tone += 0.1 * nails
    return Layer(box[0], box[1], lit(light, head, colour, np.asarray(tone, np.float32), box), alpha, 0.8)


def hand_details(head: Head, box: Box, fingers: list[list[Limb]], shape: tuple[int, ...]) -> tuple[Image, Image]:
    """(nails, wrinkles over the joints), each 0-1, over a box."""
    nails, lines = np.zeros(shape[:2], np.uint8), np.zeros(shape[:2], np.uint8)
    unit = np.array([1, head.stretch])
    for finger in fingers:
        for bone in finger:
            start, end = head.place(np.stack([bone.start, bone.end]) * unit) - box[:2]
            way = (end - start) / (np.hypot(*(end - start)) + 1e-6)
            aside = np.array([-way[1], way[0]]) * bone.last * head.scale * 0.62
            if bone is not finger[-1]:
                for back in (-0.05, 0.0, 0.05):
                    at = end + way * back * head.scale
                    ends = np.rint(np.stack([at - aside, at + aside]) * 8).astype(int)
                    cv2.line(lines, ends[0].tolist(), ends[1].tolist(), 130, 1, cv2.LINE_AA, 3)
            elif len(finger) == 3:
                at = np.rint((end + way * 0.01 * head.scale) * 8).astype(int).tolist()
                axes = (round(bone.last * head.scale * 7.2), round(bone.last * head.scale * 5))
                angle = float(np.degrees(np.arctan2(way[1], way[0])))
                cv2.ellipse(nails, at, axes, angle, 0, 360, 255, -1, cv2.LINE_AA, 3)
                cv2.ellipse(lines, at, axes, angle, 0, 360, 160, 1, cv2.LINE_AA, 3)
    return nails * np.float32(1 / 255), cv2.blur(lines, (3, 3)) * np.float32(1 / 255)


def superellipse(wide: float, high: float, power: float, slant: float, drop: float) -> Floats:
    """(48, 2) outline of a lens; slant moves its outer top, drop its lower half inwards."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
    y = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
    return np.stack([wide * x * (1 - drop * np.clip(y, 0, 1)), high * y - slant * x * np.clip(-y, 0, 1)], -1)


def thing(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Something rounded or angular in any colour before any part of the face: cup, phone, paper, ball, flower."""
    head, light = scene.head, scene.light
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    size = rng.uniform(0.35, 0.95, 2)
    if rng.random() < 0.35:
        radius = 1 + sum(rng.normal(0, 0.22 / k) * np.cos(k * t + rng.random() * 7) for k in range(1, 6))
        shape = np.stack([np.cos(t), np.sin(t)], -1) * np.clip(radius, 0.3, 2)[:, None]
    else:
        shape = superellipse(1, 1, float(rng.choice([2, 3, 8, 14])), 0, float(rng.uniform(-0.1, 0.3)))
    shape = shape * size @ fabric.turning(rng.normal(0, 0.5))
    edge = head.place(shape + np.clip(rng.normal([0.1, 0.9], [0.45, 0.45]), [-0.9, -0.2], [0.9, 1.5]))
    patch = _patch(edge, head, rng)
    if patch is None:
        return []
    box, alpha, colour = patch
    rows, columns = alpha.shape
    if rng.random() < 0.3:
        spot = (rng.uniform(0, 0.4), rng.uniform(0.2, 0.7))
        colour = fabric.print_text(colour, rng, fabric.any_tint(rng), spot, rng.uniform(0.05, 0.2))
    round_px = max(0.6, head.scale * float(rng.uniform(0.03, 0.3)))
    depth = cv2.GaussianBlur(alpha, (0, 0), round_px, borderType=cv2.BORDER_REPLICATE)
    tone = fabric.relief(depth, light.toward, float(rng.uniform(0, 2)) * 128 / rows * round_px)
    tone = tone * (1 + 0.06 * fabric.noise(rng, rows, columns, 3, 3))
    tone = tone * (1 + np.float32(rng.uniform(0, 0.04)) * fabric.white_noise(rng, rows, columns))
    return [Layer(box[0], box[1], lit(light, head, colour, np.asarray(tone, np.float32), box), alpha, 0.9)]
