"""What surrounds and hides the faces of a training scene: backgrounds, bodies, things a little like a face."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from facefill.arrays import F32, F64, U8, Bool
from facefill.covers.fabric import white_noise
from facefill.covers.wear import through_jpeg
from facefill.training.augmentation import tint


def draw_backdrop(pictures: U8, boxes: F32, rng: Generator, size: int) -> U8:
    """A background without a face, (size, size, 3). pictures: aligned faces whose margins serve as texture."""
    ways: list[Callable[[], U8]] = [
        lambda: draw_clouds(rng, size),
        lambda: _resize(rng.integers(0 if rng.random() < 0.7 else 225, 256, (2, 2, 3)).astype(np.uint8), size, size),
        lambda: _resize(_patch_beside(pictures, boxes, rng), size, size),
        lambda: _quilt(pictures, boxes, rng, size),
        lambda: close_up(pictures[int(rng.integers(len(pictures)))], rng, size),
    ]
    image = ways[rng.integers(len(ways))]()
    if rng.random() < 0.45:
        _scatter(image, rng)
    if rng.random() < 0.25:
        width = int(rng.integers(3, 12))
        image = cv2.blur(image, (width, width))
    return image


def draw_clouds(rng: Generator, size: int) -> U8:
    total = rng.uniform(20, 230, (1, 1, 3)).astype(np.float32)
    for cells in (2, 5, 11, 24, 60, 160):
        colour = rng.normal(0, 1, (cells, cells, 3)) * rng.uniform(0, 1)
        noise = (colour + rng.normal(0, 1, (cells, cells, 1))) * rng.uniform(4, 32)
        total = cv2.resize(total, (cells, cells)) + noise.astype(np.float32)
    return _resize(np.clip(total, 0, 255).astype(np.uint8), size, size)


def draw_body(image: U8, box: F32, others: list[F32], rng: Generator) -> None:
    """Shoulders under a face's box, in place, in one colour; nothing where they would hide another face."""
    x0, y0, x1, y1 = (float(v) for v in box)
    wide, middle = x1 - x0, (x0 + x1) / 2
    spread, neck = rng.uniform(1.0, 1.6) * wide, rng.uniform(0.3, 0.5) * wide
    top, drop = y1 - 0.15 * (y1 - y0), rng.uniform(0.3, 0.7) * wide
    if any(b[2] > middle - spread * 1.15 and b[0] < middle + spread * 1.15 and b[3] > top for b in others):
        return
    outline = [
        (middle - neck, top), (middle - spread, top + drop), (middle - spread * 1.15, top + 4 * wide),
        (middle + spread * 1.15, top + 4 * wide), (middle + spread, top + drop), (middle + neck, top),
    ]  # fmt: skip
    cv2.fillPoly(image, [np.array(outline).round().astype(np.int32)], rng.integers(0, 256, 3).tolist(), cv2.LINE_AA)


def hide_part(picture: U8, box: F32, rng: Generator) -> U8:
    """A copy with a bar, a disc or a cap in front of part of the face: things that `wear` does not draw."""
    picture = picture.copy()
    (x0, y0, x1, y1), wide = (float(v) for v in box), float(box[2] - box[0])
    colour = rng.integers(0, 256, 3).tolist() if rng.random() < 0.6 else skin_colour(picture, box, rng).tolist()
    kind = rng.integers(3)
    if kind == 0:
        start = (rng.uniform(x0 - wide, x1 + wide), rng.uniform(y0, y1 + wide))
        end = (rng.uniform(x0, x1), rng.uniform(y0 + 0.3 * wide, y1))
        cv2.line(picture, _whole(start), _whole(end), colour, int(rng.uniform(0.08, 0.35) * wide), cv2.LINE_AA)
    elif kind == 1:
        centre, axes = (rng.uniform(x0, x1), rng.uniform(y0 + 0.4 * wide, y1)), rng.uniform(0.15, 0.4, 2) * wide
        cv2.ellipse(picture, _whole(centre), _whole(tuple(axes)), rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    else:
        brim = y0 + rng.uniform(0.05, 0.3) * (y1 - y0)
        middle, cap = ((x0 + x1) / 2, brim - 0.4 * wide), (rng.uniform(0.6, 0.9) * wide, 0.45 * wide)
        cv2.ellipse(picture, _whole(middle), _whole(cap), rng.uniform(-8, 8), 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def erase_features(picture: U8, cover: Bool, box: F32) -> U8:
    """A copy whose face has neither eyes nor mouth: skin, hair and cloth in the places of a face, as on a body.

    cover: (S, S), what hides part of the face; it stays.
    """
    size = picture.shape[0]
    smooth = cv2.resize(cv2.resize(picture, (7, 7), interpolation=cv2.INTER_AREA), (size, size))
    skin = np.zeros((size, size), np.float32)
    middle, axes = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * 0.95
    cv2.ellipse(skin, (middle.tolist(), axes.tolist(), 0.0), 1.0, -1)
    skin[cover] = 0
    skin = cv2.blur(skin, (size // 20, size // 20))
    return np.asarray(cv2.blendLinear(smooth, picture, skin, 1 - skin), np.uint8)


def shuffle_tiles(picture: U8, rng: Generator) -> U8:
    """The parts of a face without the face: its tiles in another order, each perhaps turned over."""
    count = int(rng.choice([4, 5, 7]))
    edge = picture.shape[0] // count
    tiles = [picture[y * edge : (y + 1) * edge, x * edge : (x + 1) * edge] for y in range(count) for x in range(count)]
    order = rng.permutation(len(tiles))
    turned = [tiles[i][:: rng.choice([-1, 1]), :: rng.choice([-1, 1])] for i in order]
    rows = [np.concatenate(turned[y * count : (y + 1) * count], 1) for y in range(count)]
    return _resize(np.concatenate(rows), picture.shape[1], picture.shape[0])


def draw_skin(picture: U8, box: F32, rng: Generator) -> U8:
    """Bare skin in the colours of a face, lit from one side: a hand, a knee, the back of a head."""
    size = 96
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = ramp[:, None] * rng.uniform(-0.3, 0.3) + ramp[None, :] * rng.uniform(-0.3, 0.3)
    grain = cv2.resize(rng.normal(0, 0.06, (16, 16)).astype(np.float32), (size, size))
    skin = skin_colour(picture, box, rng).astype(np.float32) * (1 + light + grain)[..., None]
    for _ in range(rng.integers(0, 5)):  # fingers and folds
        start, end = rng.uniform(0, size, 2), rng.uniform(0, size, 2)
        shade = (skin_colour(picture, box, rng) * rng.uniform(0.4, 0.9)).tolist()
        cv2.line(skin, _whole(start), _whole(end), shade, int(rng.integers(1, 5)), cv2.LINE_AA)
    return _resize(np.clip(skin, 0, 255).astype(np.uint8), picture.shape[1], picture.shape[0])


def skin_colour(picture: U8, box: F32, rng: Generator) -> U8:
    """The colour of a place in the middle of the face, (3,)."""
    share = rng.uniform(0.3, 0.7, 2)
    x, y = np.clip(box[:2] + share * (box[2:] - box[:2]), 0, picture.shape[0] - 1).astype(int)
    return np.asarray(picture[y, x])


def piece_of(box: F32, rng: Generator, size: int) -> F32:
    """An alpha, (size, size), that shows less than a third of a face: one eye, a mouth, an ear, a tuft of hair."""
    alpha = np.zeros((size, size), np.float32)
    wide, high = box[2:] - box[:2]
    centre = (rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3]))
    spans = (rng.uniform(0.2, 0.5) * wide, rng.uniform(0.2, 0.5) * high)
    cv2.ellipse(alpha, (centre, spans, float(rng.uniform(0, 180))), 1.0, -1)
    return alpha


def close_up(picture: U8, rng: Generator, size: int) -> U8:
    """A small part of a picture, an eye, an ear, a collar, that fills the whole view."""
    edge = int(rng.uniform(0.08, 0.3) * picture.shape[0])
    x, y = rng.integers(0, picture.shape[0] - edge, 2)
    return _resize(picture[y : y + edge, x : x + edge], size, size)


def draw_toy(image: U8, rng: Generator) -> None:
    """An oval with a few spots and strokes, in place: buttons, valves, bags and whatever else seems to have eyes."""
    size = image.shape[0]
    middle, axes = rng.normal(0.5, 0.06, 2) * size, rng.uniform(0.2, 0.5, 2) * size
    body, turn = rng.integers(0, 256, 3), rng.uniform(0, 180)
    if rng.random() < 0.7:
        cv2.ellipse(image, _whole(middle), _whole(axes), turn, 0, 360, body.tolist(), -1, cv2.LINE_AA)
    mark = np.clip(body * rng.uniform(0, 0.7) if rng.random() < 0.6 else rng.integers(0, 256, 3), 0, 255).tolist()
    for _ in range(rng.integers(1, 6)):
        at, span = middle + rng.uniform(-0.7, 0.7, 2) * axes, rng.uniform(0.04, 0.25, 2) * size
        if rng.random() < 0.7:
            cv2.ellipse(image, _whole(at), _whole(span), rng.uniform(0, 180), 0, 360, mark, -1, cv2.LINE_AA)
        else:
            cv2.line(image, _whole(at), _whole(at + rng.uniform(-0.4, 0.4, 2) * size), mark, int(rng.integers(1, 8)))


def photograph(image: U8, rng: Generator) -> U8:
    """What a camera and a file do: light, blur, noise, JPEG, now and then no colour."""
    image = cv2.LUT(image, tint(0.8, rng))
    if rng.random() < 0.08:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.6))
    if rng.random() < 0.3:
        grain = white_noise(rng, len(image), image.shape[1] * 3).reshape(image.shape)
        image = np.clip(image + grain * rng.uniform(2, 12), 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        image = through_jpeg(image, int(rng.integers(30, 95)))
    return image


def _patch_beside(pictures: U8, boxes: F32, rng: Generator) -> U8:
    """A piece of a picture, at most a fifth of it wide, beside or above the face's box."""
    index = int(rng.integers(len(pictures)))
    picture = pictures[index]
    size = picture.shape[0]
    edge = size * 3 // 16
    x0, y0, x1, _ = (int(value) for value in np.clip(boxes[index], 8, size - 8))
    side = rng.integers(3)
    x = {0: 0, 1: max(x1, size - edge), 2: int(rng.integers(0, size - edge))}[int(side)]
    y = 0 if side == 2 else int(rng.integers(0, size - edge))
    wide = min(edge, x0) if side == 0 else min(edge, size - x)
    high = min(edge, y0) if side == 2 else edge
    margin: U8 = picture[y : y + high, x : x + wide]
    return margin


def _quilt(pictures: U8, boxes: F32, rng: Generator, size: int) -> U8:
    """Margins of many pictures side by side: sharp texture at its own scale."""
    image = np.empty((size, size, 3), np.uint8)
    edge = int(rng.integers(24, 96))
    for y in range(0, size, edge):
        for x in range(0, size, edge):
            patch = _patch_beside(pictures, boxes, rng)
            view = image[y : y + edge, x : x + edge]
            view[:] = cv2.resize(patch, view.shape[1::-1])
    return image


def _scatter(image: U8, rng: Generator) -> None:
    size = image.shape[0]
    for _ in range(rng.integers(1, 14)):
        colour = rng.integers(0, 256, 3).tolist()
        at, span, turn = _whole(rng.uniform(0, size, 2)), _whole(rng.uniform(3, 0.25 * size, 2)), rng.uniform(0, 180)
        thick = -1 if rng.random() < 0.5 else int(rng.integers(1, 6))
        kind = rng.integers(4)
        if kind == 0:
            cv2.ellipse(image, at, span, turn, 0, 360, colour, thick, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(image, at, (at[0] + span[0], at[1] + span[1]), colour, thick)
        elif kind == 2:
            cv2.line(image, at, _whole(rng.uniform(0, size, 2)), colour, abs(thick) + 1, cv2.LINE_AA)
        else:
            word = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVXYZ0123456789"), rng.integers(2, 9)))
            cv2.putText(image, word, at, 0, rng.uniform(0.4, 2.0), colour, int(rng.integers(1, 4)), cv2.LINE_AA)


def _resize(picture: U8, wide: int, high: int) -> U8:
    return np.asarray(cv2.resize(picture, (wide, high)), np.uint8)


def _whole(point: tuple[float, ...] | F64) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
