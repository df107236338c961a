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
    """Three to twelve letters."""
    return "".join(LETTERS[k] for k in rng.integers(0, len(LETTERS), int(rng.integers(3, 13)))).strip() or "A"


def scratches(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """What an old print has: long thin scratches, hairs and dust, a fold, a torn corner; pale or dark."""
    size = scene.head.size
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(2, 14))):
        start, turn = rng.uniform(0, size, 2), rng.normal(np.pi / 2, 0.5) if rng.random() < 0.6 else rng.uniform(0, 7)
        count = int(rng.integers(4, 24))
        turns = turn + np.cumsum(rng.normal(0, 0.12, count))
        steps = np.stack([np.cos(turns), np.sin(turns)], -1) * (size * 0.04)
        path = np.rint((start + np.cumsum(steps, 0)) * 8).astype(np.int32)
        thick = max(1, round(size / 256 * rng.uniform(0.7, 3.2)))
        cv2.polylines(canvas, [path], False, int(rng.integers(140, 256)), thick, cv2.LINE_AA, 3)
    spots = np.rint(rng.uniform(0, size, (int(rng.integers(0, 30)), 2)) * 8).astype(int).tolist()
    for spot in spots:
        reach = (round(8 * size / 256 * rng.uniform(0.6, 3)), round(8 * size / 256 * rng.uniform(0.6, 1.5)))
        cv2.ellipse(canvas, spot, reach, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA, 3)
    if rng.random() < 0.3:
        tear(canvas, rng)
    tints = ("white", "white", "ivory", "silver") if rng.random() < 0.7 else ("black", "umber")
    return painted(canvas, fabric.sheet_of(fabric.tint(rng, *tints), size, size), float(rng.uniform(0.7, 1.0)))


def tear(canvas: U8, rng: Rng) -> None:
    """A ragged fold from border to border, or a missing corner, drawn into the canvas."""
    size = len(canvas)
    along = np.linspace(-0.05, 1.05, 40)
    rough = np.cumsum(rng.normal(0, 0.012, 40)) + rng.uniform(0.2, 0.8)
    line = np.stack([along, rough] if rng.random() < 0.5 else [rough, along], -1) * size
    if rng.random() < 0.6:
        thick = max(1, round(size / 256 * rng.uniform(1.5, 5)))
        cv2.polylines(canvas, [np.rint(line * 8).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 3)
        return
    reach = size * rng.uniform(0.2, 0.5)
    angle = np.linspace(0, np.pi / 2, 24)
    radius = reach * (1 + np.cumsum(rng.normal(0, 0.03, 24)))
    corner = np.concatenate([np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), np.zeros((1, 2))])
    if rng.random() < 0.5:
        corner[:, 0] = size - corner[:, 0]
    if rng.random() < 0.5:
        corner[:, 1] = size - corner[:, 1]
    cv2.fillPoly(canvas, [np.rint(corner * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)


def blocks(scene: Scene, rng: Rng, coverage: str) -> list[Layer]:
    """Blocks of a file that were lost: grey, black, one colour each, or shifted from elsewhere."""
    face = scene.face
    size = len(face)
    side = max(2, round(size / 256 * float(rng.choice([8, 16, 16, 32]))))
    count = -(-size // side)
    lost = rng.random((count, count)) < rng.uniform(0.02, 0.2)
    if rng.random() < 0.5:  # a lost packet takes a run of blocks with it
        row, first = int(rng.integers(count // 4, count)), int(rng.integers(0, count))
        lost.ravel()[row * count + first : row * count + first + int(rng.integers(3, 2 * count))] = True
    if not lost.any():
        lost[count // 2, count // 2] = True
    alpha = blown(lost.astype(np.uint8) * 255, side, size)
    style = rng.integers(4)
    if style == 0:
        colour = fabric.sheet_of(np.full(3, rng.choice([0.0, 0.5, 1.0])), size, size)
    elif style == 1:
        coarse = cv2.resize(face, (count, count), interpolation=cv2.INTER_AREA)
        colour = blown(coarse, side, size)
    elif style == 2:
        colour = blown(rng.integers(0, 256, (count, count, 3), dtype=np.uint8), side, size)
    else:
        colour = np.roll(face, (side * int(rng.integers(-5, 6)), side * int(rng.integers(1, 6))), (0, 1))
    return painted(alpha, colour, 1.0)


def blown(small: U8, side: int, size: int) -> U8:
    """Each value as a square of that side, cut to the picture."""
    whole = (small.shape[1] * side, small.shape[0] * side)
    big = cv2.resize(small, whole, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(big[:size, :size])
