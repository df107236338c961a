"""Near-duplicates are found without comparing all, and a face that was copied and changed is told from another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facefill.datasets.duplicates import ALIKE, NEAR_BITS, group_pairs, hash_face, likeness, near_pairs, thumb_of
from facefill.datasets.looking import Rules, measure_blur
from facefill.files.photo import encode_picture, read_photo
from tests.faces import draw_face

RULES = Rules(min_side_px=60)


def test_near_pairs_are_those_that_comparing_all_finds() -> None:
    rng = np.random.default_rng(0)
    base = rng.random((2, 256)) < 0.5
    bits = base ^ (rng.random((150, 2, 256)) < 0.25)
    for place in range(0, 120, 3):
        flips = rng.choice(256, int(rng.integers(0, 40)), replace=False)
        bits[place + 1], bits[place + 2] = bits[place], bits[place, ::-1]
        bits[place + 1 : place + 3, :, flips] ^= True
    hashes = np.packbits(bits, axis=2)
    for limit in (0, 15, NEAR_BITS):
        naive = set()
        for mirrored in (0, 1):
            differ = np.unpackbits(hashes[:, None, 0] ^ hashes[None, :, mirrored], axis=2).sum(2)
            naive |= {(i, j, mirrored) for i, j in zip(*np.nonzero(differ <= limit), strict=True) if i < j}
        assert {tuple(row) for row in near_pairs(hashes, limit).tolist()} == naive
        left, right = hashes[:60], hashes[60:]
        across = {(i, j - 60, mirrored) for i, j, mirrored in naive if i < 60 <= j}
        assert {tuple(row) for row in near_pairs(left, limit, right).tolist()} == across
    assert {mirrored for _, _, mirrored in naive} == {0, 1}
    assert near_pairs(hashes[:0]).shape == (0, 3)


def test_a_face_coded_shrunk_toned_moved_or_mirrored_is_near_and_alike_and_another_is_not() -> None:
    faces = [draw_face(256, seed)[0] for seed in range(4)]
    face = faces[0]
    turn = cv2.getRotationMatrix2D((127.5, 127.5), 2, 1.02)
    turn[:, 2] += (3, -3)
    variants = {
        "coded": read_photo(encode_picture(face, "JPEG", 30)).pixels,
        "shrunk": cv2.resize(cv2.resize(face, (90, 90), interpolation=cv2.INTER_AREA), (256, 256)),
        "toned": np.clip(face.astype(float) ** 1.1 * 0.7, 0, 255).astype(np.uint8),
        "moved": cv2.warpAffine(face, turn, (256, 256), borderMode=cv2.BORDER_REFLECT),
        "mirrored": np.ascontiguousarray(face[:, ::-1]),
    }
    for name, picture in variants.items():
        picture = np.asarray(picture, np.uint8)
        assert len(near_pairs(np.stack([hash_face(face), hash_face(picture)]))) == 1, name
        straight = picture[:, ::-1] if name == "mirrored" else picture
        assert likeness(thumb_of(face), thumb_of(np.ascontiguousarray(straight))) > ALIKE, name
    for other in faces[1:]:
        assert likeness(thumb_of(face), thumb_of(other)) < ALIKE
    flat = np.full((64, 64), 128, np.uint8)
    assert likeness(flat, thumb_of(face)) == 0
    mirrored = hash_face(np.ascontiguousarray(face[:, ::-1]))
    assert (mirrored == hash_face(face)[::-1]).all()


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_groups_are_connected_components(count: int, pairs: list[tuple[int, int]]) -> None:
    inside = np.array([pair for pair in pairs if max(pair) < count], np.int64).reshape(-1, 2)
    groups = group_pairs(count, inside)
    graph = coo_matrix((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), (count, count))
    labels = connected_components(graph, directed=False)[1]
    first = [int(np.flatnonzero(labels == label)[0]) for label in labels]
    assert groups.tolist() == first


def test_blur_grows_with_the_blur_and_not_with_the_contrast() -> None:
    face = draw_face(256, 3)[0]
    blurs = [measure_blur(np.asarray(cv2.GaussianBlur(face, (0, 0), sigma), np.uint8)) for sigma in (1, 2, 4, 8)]
    assert blurs == sorted(blurs)
    assert measure_blur(face) < blurs[0] < Rules().max_blur < blurs[2]
    assert measure_blur((face // 2 + 60).astype(np.uint8)) == pytest.approx(measure_blur(face), abs=0.03)


# --- wear
