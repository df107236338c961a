"""What lies over a picture rather than over a face: hair strands, text and watermarks, scratches, lost blocks.

Hair is photographed with the face; the others came onto the picture later and are neither blurred nor grained.
"""

import string

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.covers import fabric
from facefill.covers.fabric import Colour, Rng
from facefill.covers.head import Floats
from facefill.covers.sheet import Layer, Scene, doubled, lit, window
from facefill.imaging.masks import MASKS

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)  # fmt: skip
LETTERS = string.ascii_letters + string.digits + "   .-@"


def hair(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """One to four locks of thin strands that fall from above over forehead, eye or cheek."""
    head, size = scene.head, scene.head.size
    tints = hair_tint(scene, rng)
    locks = [lock(rng) for _ in range(int(rng.integers(1, 5)))]
    paths = head.place(np.concatenate(locks) * [1, head.stretch])
    box = window(paths.reshape(-1, 2), size, 0.1 * head.scale + 2)
    if box is None:
        return []
    canvas = np.zeros((2 * (box[3] - box[1]), 2 * (box[2] - box[0])), np.uint8)
    shades = np.full_like(canvas, 128)
    tones = rng.integers(70, 200, len(paths)).tolist()
    thick = max(1, round(2 * head.scale * rng.uniform(0.004, 0.016)))
    for path, tone in zip(paths, tones, strict=True):
        points = [doubled(path, box)]
        cv2.polylines(canvas, points, False, 255, thick, cv2.LINE_AA, 4)
        cv2.polylines(shades, points, False, tone, thick, cv2.LINE_AA, 4)
    shape = (box[2] - box[0], box[3] - box[1])
    alpha = cv2.resize(canvas, shape, interpolation=cv2.INTER_AREA) * np.float32(rng.uniform(0.7, 1.0) / 255)
    tone = cv2.resize(shades, shape, interpolation=cv2.INTER_AREA) * np.float32(1 / 128)
    colour = fabric.sheet_of(tints, *alpha.shape)
    return [Layer(box[0], box[1], lit(scene.light, head, colour, tone, box), alpha, 0.3)]


def hair_tint(scene: Scene, rng: Rng) -> Colour:
    """The colour above the forehead, undone of the light; a hair colour where the picture ends or is bright there."""
    head, light = scene.head, scene.light
    x, y = np.rint(head.place(np.array([rng.uniform(-0.4, 0.4), -1.35]))).astype(int)
    reach = max(2, round(0.1 * head.scale))
    patch = scene.face[max(y - reach, 0) : max(y + reach, 0), max(x - reach, 0) : max(x + reach, 0)]
    own = np.median(patch.reshape(-1, 3), 0) / 255 if patch.size else np.ones(3)
    if own.mean() > 0.5 * float(light.skin.mean()) or rng.random() < 0.2:
        return fabric.tint(rng, "black", "black", "umber", "umber", "charcoal", "tan", "silver")
    return np.asarray(np.clip(own / light.cast / light.level * rng.uniform(0.9, 1.3), 0.02, 0.98), np.float32)


def lock(rng: Rng) -> Floats:
    """Strands (count, 16, 2) of one lock, in eye distances: they begin near each other and run alike."""
    count = int(rng.integers(4, 36))
    begin = np.array([rng.uniform(-0.85, 0.85), rng.uniform(-1.4, -0.9)])
    side = np.sign(begin[0]) if rng.random() < 0.6 else rng.choice([-1, 1])
    end = begin + np.array([side * rng.uniform(-0.2, 0.9), rng.uniform(0.8, 2.6)])
    swing = np.array([rng.normal(0, 0.35), rng.normal(0, 0.1)])
    spread = rng.uniform(0.02, 0.12)
    starts, ends = (point + rng.normal(0, spread, (count, 1, 2)) for point in (begin, end))
    bends = (starts + ends) / 2 + swing + rng.normal(0, spread, (count, 1, 2))
    share = np.linspace(0, 1, 16)[None, :, None]
    return np.asarray((1 - share) ** 2 * starts + 2 * share * (1 - share) * bends + share**2 * ends)


def painted(alpha: U8, colour: U8, strength: float) -> list[Layer]:
    """A late layer from 8 bit alpha and colour of the same place."""
    x, y, width, height = cv2.boundingRect(alpha)
    if not width:
        return []
    rows, columns = slice(y, y + height), slice(x, x + width)
    cut = np.ascontiguousarray(alpha[rows, columns]) * np.float32(strength / 255)
    return [Layer(x, y, np.ascontiguousarray(colour[rows, columns]), cut, 0.0, late=True)]


def text(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """A caption, a date, or a watermark that is repeated, turned and translucent."""
    size = scene.head.size
    canvas = np.zeros((size, size), np.uint8)
    mark = rng.random() < 0.5
    font, words = FONTS[int(rng.integers(len(FONTS)))], write(rng)
    scale = size / 256 * float(rng.uniform(0.6, 1.6) if mark else rng.uniform(0.4, 1.3))
    thick = max(1, round(scale * rng.uniform(1.0, 3.0)))
    (wide, high), _ = cv2.getTextSize(words, font, scale, thick)
    outline = None
    if mark:
        step = np.array([wide * rng.uniform(1.1, 1.6) + 1, high * rng.uniform(2.0, 5.0) + 4])
        for row in range(-1, int(size / step[1]) + 2):
            for column in range(-1, int(size / step[0]) + 2):
                at = ((column + 0.5 * (row % 2) - 0.3) * step[0], row * step[1])
                cv2.putText(canvas, words, (int(at[0]), int(at[1])), font, scale, 255, thick, cv2.LINE_AA)
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.choice([0, 30, 45, rng.uniform(-50, 50)])), 1)
        canvas = cv2.warpAffine(canvas, matrix, (size, size))
    else:
        middle = scene.head.place(np.array([rng.normal(0, 0.4), rng.uniform(-0.8, 2.0)]))
        at = int(middle[0] - wide / 2), int(middle[1])
        cv2.putText(canvas, words, at, font, scale, 255, thick, cv2.LINE_AA)
        if rng.random() < 0.4:
            outline = cv2.dilate(canvas, np.ones((3, 3), np.uint8))
    colour = fabric.tint(rng, "white", "white", "white", "black", "mustard", "red", "grey")
    layers = []
    if outline is not None:
        layers = painted(outline, fabric.sheet_of(np.asarray(1 - colour.mean()).repeat(3), size, size), 1.0)
    strength = float(rng.uniform(0.25, 0.8) if mark else rng.uniform(0.8, 1.0))
    return layers + painted(canvas, fabric.sheet_of(colour, size, size), strength)


def write(rng: Rng) -> str:
    return "".join(LETTERS[k] for k in rng.integers(0, len(LETTERS), int(rng.integers(3, 13)))).strip() or "A"


def scratches(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Long thin scratches as an old print has, pale or dark."""
    size = scene.head.size
    alpha = MASKS["scratches"](size, rng).astype(np.uint8) * 255
    tints = ("white", "white", "ivory", "silver") if rng.random() < 0.7 else ("black", "umber")
    return painted(alpha, fabric.sheet_of(fabric.tint(rng, *tints), size, size), float(rng.uniform(0.7, 1.0)))


def blocks(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Blocks of a file that were lost: grey, black, one colour each, or shifted from elsewhere."""
    face, size = scene.face, scene.head.size
    alpha = MASKS["blocks"](size, rng).astype(np.uint8) * 255
    style = rng.integers(4)
    if style == 0:
        colour = fabric.sheet_of(np.full(3, rng.choice([0.0, 0.5, 1.0])), size, size)
    elif style == 3:
        colour = np.roll(face, rng.integers(-5, 6, 2) * (size // 16) + (0, 1), (0, 1))
    else:
        means = cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA)
        coarse = means if style == 1 else rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        colour = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_NEAREST)
    return painted(alpha, colour, 1.0)
