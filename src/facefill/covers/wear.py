"""Puts a synthetic face mask or another cover on an aligned face; the true mask comes with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facefill.arrays import U8, Bool, Box
from facefill.choices import pick
from facefill.covers import cloth, damage, gear, glasses, masks, objects
from facefill.covers.fabric import Image, Odds, Rng, choose, white_noise
from facefill.covers.head import Floats, Head, Light, estimate_light
from facefill.covers.sheet import INVERSE, Layer, Scene
from facefill.errors import InputError

KINDS: Odds = {
    "surgical": 0.27, "respirator": 0.11, "cup": 0.07, "half-mask": 0.02, "cloth": 0.22, "bandana": 0.03,
    "gaiter": 0.03, "scarf": 0.03, "shield": 0.015, "hand": 0.05, "sunglasses": 0.045, "microphone": 0.02,
    "thing": 0.04, "hair": 0.01, "text": 0.015, "scratches": 0.015, "blocks": 0.01,
}  # fmt: skip

FACE_MASKS = ("surgical", "respirator", "cup", "half-mask", "cloth", "bandana", "gaiter", "scarf")
"""Kinds that are worn over nose and mouth."""
DAMAGE = ("hair", "text", "scratches", "blocks")
"""Kinds that are no thing before the face."""
COVERS: Odds = {kind: weight for kind, weight in KINDS.items() if kind not in DAMAGE}
"""Kinds that are."""

BESIDE: Odds = {"sunglasses": 0.5, "hand": 0.35, "microphone": 0.15}
"""What is seen together with a face mask now and then."""

COVERAGES: Odds = {"full": 0.84, "nose-out": 0.11, "chin": 0.05}

DRAW: dict[str, Callable[[Scene, Rng, str], list[Layer]]] = {
    "surgical": masks.surgical, "respirator": masks.respirator, "cup": masks.cup, "half-mask": gear.half_mask,
    "cloth": cloth.cloth, "bandana": cloth.bandana, "gaiter": cloth.gaiter, "scarf": cloth.scarf,
    "shield": gear.shield, "hand": objects.hand,
    "sunglasses": lambda scene, rng, _: glasses.glasses(scene, rng, clear=False),
    "microphone": gear.microphone, "thing": objects.thing, "hair": damage.hair, "text": damage.text,
    "scratches": damage.scratches, "blocks": damage.blocks, "helmet strap": gear.helmet_strap,
}  # fmt: skip

MASK_ALPHA = 0.04  # a cover hides more than this of each masked pixel, and nothing of the others
SHADOW_LEVELS = 36.0  # the shadow on the skin takes no more than this from a grey level
TRIES = 16  # a cover that misses the picture (a lock of hair beside a face that fills it) is drawn again
SHADOW_REACH = 0.3  # eye distances from the cover within which its shadow ends


@dataclass(frozen=True)
class Worn:
    """face: the covered (S, S, 3) uint8 RGB picture. mask: (S, S) bool, True under a cover. kind: a key of KINDS."""

    face: U8
    mask: Bool
    kind: str


def wear(
    face: U8, landmarks: Floats, rng: Rng, kind: str | None = None, *, coverage: str | None = None, kinds: Odds = KINDS
) -> Worn:
    """Draw a cover over an aligned face, lit, blurred and grained like the picture.

    face: (S, S, 3) uint8 RGB, S at least 48. landmarks: (5, 2) pixels: eye, eye, nose tip, mouth corner, mouth
    corner, the viewer's left first. kind: a key of KINDS, or "helmet strap", which only training draws; None draws one
    by the weights of `kinds`, now and then with one more beside a face mask. coverage: "full", "nose-out" or "chin" for
    what is worn on mouth and nose, drawn by weight when None, or "high" for a cloth drawn up to the lids. Outside the
    mask only a soft shadow beside the cover changes the face, by at most 40 grey levels. The same rng gives the same
    bytes.

    Raises InputError for a face that is no such array, landmarks that no upright face has, an unknown kind.
    """
    shape: tuple[int, ...] = getattr(face, "shape", ())
    dtype = getattr(face, "dtype", type(face).__name__)
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or dtype != np.uint8 or shape[0] < 48:
        raise InputError("a square RGB uint8 face of 48 px or more", f"{shape} {dtype}", "align and crop it first")
    head = Head.from_landmarks(landmarks, shape[0])
    if kind is not None:
        pick(DRAW, kind, "kind of cover")
    if coverage is not None:
        pick(masks.SLIDE, coverage, "coverage")
    for _ in range(TRIES):
        drawn = choose(rng, kinds) if kind is None else kind
        how = choose(rng, COVERAGES) if coverage is None else coverage
        light = estimate_light(face, head, rng)
        scene = Scene(face, head, light, hairy=bool(rng.random() < 0.7))
        layers = DRAW[drawn](scene, rng, how)
        if kind is None and drawn in FACE_MASKS and rng.random() < 0.05:
            layers += DRAW[choose(rng, BESIDE)](scene, rng, how)
        if layers:
            break
    else:
        raise InputError("a face inside the picture", "one that its cover misses", "align the face to it first")
    worn, mask = compose(face, head, light, layers, rng)
    return Worn(worn, mask, drawn)


def compose(face: U8, head: Head, light: Light, layers: list[Layer], rng: Rng) -> tuple[U8, Bool]:
    """Blend the layers in order over their shadow, and record them as the picture was recorded."""
    left, top, right, bottom = box = around(layers, head.size, round(SHADOW_REACH * head.scale))
    recorded = [record(layer, head, light, rng) for layer in layers]
    alpha, dark = flatten(recorded, box)
    under = face[top:bottom, left:right]
    kept = np.rint(255 - 255 * cast_shadow(dark, head, light, rng)).astype(np.uint8)
    shaded = cv2.multiply(under, cv2.merge([kept] * 3), scale=1 / 255)
    patch = cv2.max(shaded, cv2.subtract(under, (SHADOW_LEVELS,) * 4))
    for layer in recorded:
        part = patch[place(layer, box)]
        part[...] = cv2.blendLinear(np.ascontiguousarray(part), layer.colour, 1 - layer.alpha, layer.alpha)
    mask = alpha > 0
    worn = face.copy()
    worn[top:bottom, left:right] = recompress(patch, mask, box, light, rng)
    whole = np.zeros(face.shape[:2], bool)
    whole[top:bottom, left:right] = mask
    return worn, whole


ROLL_OFF = np.arange(256.0)
"""How a camera bends highlights above 215."""
ROLL_OFF -= np.clip(ROLL_OFF - 215, 0, None) ** 2 / np.maximum(ROLL_OFF - 177, 38)
LEVELS = np.rint(ROLL_OFF).astype(np.uint8)


def record(layer: Layer, head: Head, light: Light, rng: Rng) -> Layer:
    """The layer as the picture would have recorded it: blurred and grained, its highlights bent as a camera's are."""
    if layer.late:
        return replace(layer, alpha=layer.alpha * (layer.alpha >= MASK_ALPHA), shadow=0.0)
    blur = float(np.hypot(light.blur_px, 0.32 * head.size / 256))
    kernel = (2 * max(1, round(2 * blur)) + 1,) * 2
    alpha = cv2.GaussianBlur(layer.alpha, kernel, blur, borderType=cv2.BORDER_REPLICATE)
    alpha[alpha < MASK_ALPHA] = 0
    if layer.recorded is not None:
        return replace(layer, colour=_record_again(layer.colour, layer.recorded, light, rng), alpha=alpha)
    colour = cv2.LUT(layer.colour, LEVELS)
    if light.blur_px > 0.3:
        colour = cv2.GaussianBlur(colour, kernel, blur, borderType=cv2.BORDER_REPLICATE)
    noise = white_noise(rng, *alpha.shape)  # the sensor's, as strong and as coarse as the picture's
    if light.blur_px > 0.3:
        noise = cv2.GaussianBlur(noise, (5, 5), 0.7 * light.blur_px) * np.float32(1 + 1.2 * light.blur_px)
    colour = cv2.add(colour, cv2.merge([noise * np.float32(light.noise + 0.5)] * 3), dtype=cv2.CV_8U)
    return replace(layer, colour=colour, alpha=alpha)


def _record_again(colour: U8, recorded: tuple[float, float], light: Light, rng: Rng) -> U8:
    """Of the picture's blur and noise what a photo that recorded it before has not given it yet."""
    blur = max(light.blur_px**2 - recorded[0] ** 2, 0.0) ** 0.5
    grain = max(light.noise**2 - recorded[1] ** 2, 0.0) ** 0.5
    if blur > 0.3:
        colour = np.asarray(cv2.GaussianBlur(colour, (0, 0), blur, borderType=cv2.BORDER_REPLICATE), np.uint8)
    if grain < 0.3:
        return colour
    noise = white_noise(rng, *colour.shape[:2])
    if light.blur_px > 0.3:
        noise = cv2.GaussianBlur(noise, (5, 5), 0.7 * light.blur_px) * np.float32(1 + 1.2 * light.blur_px)
    return np.asarray(cv2.add(colour, cv2.merge([noise * np.float32(grain)] * 3), dtype=cv2.CV_8U), np.uint8)


def around(layers: list[Layer], size: int, margin: int) -> Box:
    """Pixels (left, top, right, bottom) around all layers, with room for their shadow."""
    left = min(layer.left for layer in layers) - margin
    top = min(layer.top for layer in layers) - margin
    right = max(layer.left + layer.alpha.shape[1] for layer in layers) + margin
    bottom = max(layer.top + layer.alpha.shape[0] for layer in layers) + margin
    return max(left, 0), max(top, 0), min(right, size), min(bottom, size)


def place(layer: Layer, box: Box) -> tuple[slice, slice]:
    rows, columns = layer.alpha.shape
    top, left = layer.top - box[1], layer.left - box[0]
    return slice(top, top + rows), slice(left, left + columns)


def flatten(layers: list[Layer], box: Box) -> tuple[Image, Image]:
    """Alpha of all layers together over a box, and how dark a shadow each pixel casts."""
    shape = (box[3] - box[1], box[2] - box[0])
    alpha, dark = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for layer in layers:
        where = place(layer, box)
        alpha[where] = 1 - (1 - alpha[where]) * (1 - layer.alpha)
        dark[where] = np.maximum(dark[where], layer.alpha * np.float32(layer.shadow))
    return alpha, dark


def cast_shadow(dark: Image, head: Head, light: Light, rng: Rng) -> Image:
    """Share of light that the skin loses: close contact on all sides, and a wider shadow away from the light."""
    step = 3  # shadows are soft: a third of the resolution shows no difference
    shape = (max(2, dark.shape[1] // step), max(2, dark.shape[0] // step))
    small = cv2.resize(dark, shape, interpolation=cv2.INTER_AREA)
    reach = head.scale / step
    offset = -light.toward[:2] * reach * rng.uniform(0.02, 0.09)
    matrix = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]]])
    moved = cv2.warpAffine(small, matrix, shape, flags=INVERSE, borderMode=cv2.BORDER_REPLICATE)
    wide, near = (2 * max(1, round(reach * r)) + 1 for r in (0.09, 0.04))
    moved = cv2.GaussianBlur(moved, (wide, wide), 0) * np.float32(rng.uniform(0.15, 0.5))
    moved += cv2.GaussianBlur(small, (near, near), 0) * np.float32(rng.uniform(0.1, 0.35))
    return np.asarray(cv2.resize(moved, dark.shape[::-1], interpolation=cv2.INTER_LINEAR))


def recompress(patch: U8, mask: Bool, box: Box, light: Light, rng: Rng) -> U8:
    """JPEG's traces inside the mask, on the picture's own grid and of its quality; where it has none, in one picture of
    eight, as files have that were edited and stored again. Outside nothing changes."""
    again = (*rng.integers(0, 8, 2).tolist(), int(rng.integers(50, 92))) if rng.random() < 0.125 else None
    grid = light.grid or again
    if grid is None:
        return patch
    x, y, quality = grid
    left, top = (box[0] - x) % 8, (box[1] - y) % 8
    padded = cv2.copyMakeBorder(patch, top, 0, left, 0, cv2.BORDER_REPLICATE)
    coded = through_jpeg(padded, quality)
    return np.asarray(cv2.copyTo(coded[top:, left:], mask.astype(np.uint8), patch.copy()))


def through_jpeg(picture: U8, quality: int) -> U8:
    """What is left of a picture (H, W, 3) after JPEG of that quality, 1 to 100."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
