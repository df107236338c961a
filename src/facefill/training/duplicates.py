"""Near-duplicates among aligned faces: a perceptual hash, and groups of hashes that differ in few bits.

The hash is the signs of the 255 lowest frequencies, after the mean, of the discrete cosine transform of the face in
32 x 32 greys (after Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2,
with 16 x 16 instead of 8 x 8 coefficients: aligned faces are so alike that 63 bits cannot tell them apart).
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR_BITS = 28
"""Hashes that differ in so many of their 255 bits or fewer belong to near-duplicates. Other people on plain backgrounds
begin to meet at 30; a picture coded again, at another size or in other tones, differs in 0 to 20."""
BITS = 256
CHUNK_BITS = 16

Hashes = NDArray[np.uint8]

_SIDE = 16
_ODD = (np.arange(BITS) % _SIDE % 2 == 1)
# In a mirrored picture the coefficients of odd horizontal frequency change their sign, and no other.
_MIRROR = np.packbits(_ODD)
# Chunks are diagonals: what neighbouring frequencies have in common would make some values of a chunk too frequent.
_SPREAD = np.argsort((np.arange(BITS) // _SIDE + np.arange(BITS)) % _SIDE, kind="stable")


def hash_face(face: NDArray[np.uint8]) -> Hashes:
    """(32,) uint8: the 256 bits, the first always 0, of an aligned face (S, S, 3) uint8 RGB."""
    grey = cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(grey.astype(np.float32))[:_SIDE, :_SIDE]
    bits = np.asarray(waves).ravel() > 0
    bits[0] = False
    return np.packbits(bits)


def mirror_hash(hashes: Hashes) -> Hashes:
    """The hashes (..., 32) of the mirrored faces."""
    return hashes ^ _MIRROR


def count_bits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """How many bits of each 64-bit word are set (Warren, "Hacker's delight", section 5-1)."""
    words = words - ((words >> np.uint64(1)) & np.uint64(0x5555555555555555))
    words = (words & np.uint64(0x3333333333333333)) + ((words >> np.uint64(2)) & np.uint64(0x3333333333333333))
    words = (words + (words >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (words * np.uint64(0x0101010101010101)) >> np.uint64(56)


def near_pairs(hashes: Hashes, near_bits: int = NEAR_BITS) -> NDArray[np.int64]:
    """(P, 2) places i < j of hashes (N, 32) that differ, as they are or mirrored, in `near_bits` bits or fewer.

    Multi-index hashing (Norouzi, Punjani & Fleet 2012, section 3): of 16 chunks of 16 bits one at least differs in no
    more than near_bits // 16 bits, so only pairs that meet in such a chunk are compared. near_bits: below 32.
    """
    if not 0 <= near_bits < 2 * CHUNK_BITS:
        raise ValueError(f"near_bits {near_bits} outside 0 to {2 * CHUNK_BITS - 1}")
    words = np.ascontiguousarray(hashes).view(np.uint64)
    found = []
    for other in (hashes, mirror_hash(hashes)):
        theirs = np.ascontiguousarray(other).view(np.uint64)
        for first, second in _candidates(_chunks(hashes), _chunks(other), near_bits >= CHUNK_BITS):
            differ = np.zeros(len(first), np.uint64)
            for word in range(words.shape[1]):
                differ += count_bits(words[first, word] ^ theirs[second, word])
            near = differ <= near_bits
            found.append(np.stack([first[near], second[near]], 1))
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *found])
    return np.unique(np.sort(pairs, 1), axis=0)


def _chunks(hashes: Hashes) -> NDArray[np.uint16]:
    """(16, N): chunk by chunk."""
    bits = np.unpackbits(hashes, axis=1)[:, _SPREAD]
    return np.ascontiguousarray(np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint16).T)


def _candidates(
    ours: NDArray[np.uint16], theirs: NDArray[np.uint16], one_off: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places (first, second), first < second, whose chunk is equal or, with `one_off`, differs in one bit."""
    flips = [0, *(1 << bit for bit in range(CHUNK_BITS) if one_off)]
    for mine, other in zip(ours, theirs, strict=True):
        order = np.argsort(other, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(other, minlength=1 << CHUNK_BITS))])
        for flip in flips:
            wanted = mine ^ np.uint16(flip)
            counts = ends[wanted.astype(np.int64) + 1] - ends[wanted]
            for part in _parts(counts):
                first = np.repeat(np.arange(part.start, part.stop), counts[part])
                step = np.arange(len(first)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
                second = order[np.repeat(ends[wanted[part]], counts[part]) + step]
                later = first < second
                yield first[later], second[later]


def _parts(counts: NDArray[np.int64], most: int = 1 << 21) -> Iterator[slice]:
    """Stretches of about `most` candidates each, so that memory stays bounded."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(total[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + most, "right")))
        yield slice(start, stop)
        start = stop


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
