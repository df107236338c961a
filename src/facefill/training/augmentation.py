"""How pictures differ each time that they are shown: moved, of another tone, cut off by the edge of a photo."""

import cv2
import numpy as np

from facefill.arrays import F32, U8, Bool


def moved(face: U8, landmarks: F32, rng: np.random.Generator) -> tuple[U8, F32]:
    """The face turned, scaled and shifted, mirrored at the border."""
    side = face.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-10, 10), 2 ** rng.uniform(-0.17, 0.17))
    matrix[:, 2] += rng.uniform(-0.06, 0.06, 2) * side
    moved = cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return moved, (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def draw_edges(side_px: int, rng: np.random.Generator) -> Bool:
    """(S, S), True beyond the edges of a photo that ends within the crop: on each side with its own chance, mostly
    little, up to half of what lies between the middle and the side; the photo is turned by up to 12 degrees."""
    place = (np.arange(side_px) + 0.5) / side_px * 2 - 1
    turn = np.radians(rng.uniform(-12, 12))
    across = np.cos(turn) * place + np.sin(turn) * place[:, None]
    down = np.cos(turn) * place[:, None] - np.sin(turn) * place
    outside = np.zeros((side_px, side_px), bool)
    for towards, chance in ((across, 0.35), (-across, 0.35), (down, 0.55), (-down, 0.45)):
        if rng.random() < chance:
            outside |= towards > 1 - 0.5 * rng.random() ** 1.6
    return outside


def tint(strength: float, rng: np.random.Generator) -> U8:
    """A (1, 256, 3) table of levels: contrast, brightness and a gain for each channel."""
    levels = np.arange(256, dtype=np.float64)[:, None] / 255
    gamma = 2 ** (strength * rng.uniform(-0.6, 0.6))
    gains = 2 ** (strength * (rng.uniform(-0.35, 0.35) + rng.uniform(-0.12, 0.12, 3)))
    return np.clip(np.rint(levels**gamma * gains * 255), 0, 255).astype(np.uint8)[None]
