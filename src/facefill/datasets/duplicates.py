"""Near-duplicates among aligned faces: a perceptual hash finds who may be one, a comparison of both pictures decides.

The hash is ImageHash's `phash` (the signs of low frequencies of the discrete cosine transform, after Zauner 2010,
"Implementation and benchmarking of perceptual image hash functions") of 16 x 16 instead of 8 x 8 coefficients: aligned
faces are so alike that 64 bits cannot tell them apart. It alone does not decide: a face that was found a second time,
in a copy of its photo, lies 2 % aside, and its hash is then as far away as that of another person on as plain a
background.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefill.arrays import F32, U8

NEAR_BITS = 60
"""Hashes that differ in so many of their 256 bits or fewer are compared: of 1,500 faces all copies that were coded
again, scaled, toned or mirrored, 60 % of those moved by 4 %, and one in 11,000 of all other pairs."""
ALIKE = 0.94
"""Pictures that correlate so much are near-duplicates: copies of a photo reach 0.97 nearly always; of the 72 million
pairs of a set of 12,000 faces no two people reached more than 0.935."""
THUMB_PX = 64
HASH = "ImageHash phash 16"
"""What is kept in logs beside hashes: others cannot be compared with them."""
_BITS, _BLOCK = 256, 256


def hash_face(face: U8) -> U8:
    """(2, 32) uint8: the 256 bits of an aligned face (S, S, 3) uint8 RGB, and those of its mirrored picture. Needs the
    extra `prepare`."""
    import imagehash

    grey = thumb_of(face)
    pictures = (Image.fromarray(one) for one in (grey, np.ascontiguousarray(grey[:, ::-1])))
    return np.stack([np.packbits(imagehash.phash(one, hash_size=16).hash) for one in pictures])


def near_pairs(hashes: U8, near_bits: int = NEAR_BITS, others: U8 | None = None) -> NDArray[np.int64]:
    """(P, 3) rows i, j, mirrored: places i < j of hashes (N, 2, 32) that differ in `near_bits` bits or fewer, those of
    j mirrored where the last is 1. others: j are places of these (M, 2, 32), and any i and j count.

    All are compared with all, as products of matrices of signs: 256 - 2 x the distance. Indices of chunks (Norouzi,
    Punjani & Fleet 2012) are quicker below 32 bits only.
    """
    tables = hashes, hashes if others is None else others
    signs, right = (np.unpackbits(table, axis=2).astype(np.float32) * 2 - 1 for table in tables)
    found = [np.zeros((0, 3), np.int64)]
    for mirrored in (0, 1):
        for start in range(0, len(signs), _BLOCK):
            begin = start if others is None else 0
            alike = signs[start : start + _BLOCK, 0] @ right[begin:, mirrored].T
            first, second = np.nonzero(alike >= _BITS - 2 * near_bits)
            rows = np.stack([first + start, second + begin, np.full(len(first), mirrored)], 1)
            found.append(rows if others is not None else rows[first < second])
    return np.concatenate(found)


def thumb_of(face: U8) -> U8:
    """(64, 64) greys of an aligned face (S, S, 3) uint8 RGB."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA), np.uint8)


def likeness(thumb: U8, other: U8) -> float:
    """How alike two faces (64, 64) are, -1 to 1: the correlation of what is finer than 4 pixels in both, after the
    second is laid over the first; 0 where it cannot be.

    Laid over by the affine transform of the largest correlation (Evangelidis & Psarakis 2008, "Parametric image
    alignment using enhanced correlation coefficient maximization"): other tones, and a crop a few percent aside, do
    not count.
    """
    first, second = thumb.astype(np.float32), other.astype(np.float32)
    matrix: F32 = np.eye(2, 3, dtype=np.float32)
    enough = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        cv2.findTransformECC(first, second, matrix, cv2.MOTION_AFFINE, enough, None, 3)
    except cv2.error:  # no correlation to climb: flat, or nothing in common
        return 0.0
    size = (THUMB_PX, THUMB_PX)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(second, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    inner = np.s_[6:-6, 6:-6]
    fine = [np.asarray(view - cv2.GaussianBlur(view, (0, 0), 4))[inner].ravel() for view in (first, laid)]
    if min(float(view.std()) for view in fine) == 0:
        return 0.0
    return float(np.corrcoef(fine[0], fine[1])[0, 1])


def group_pairs(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(count,) the group of each place, named by its least member: what pairs join, directly or through others."""
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, second in pairs.tolist():
        one, other = sorted((root(first), root(second)))
        parent[other] = one
    return np.array([root(place) for place in range(count)], np.int64)
