"""Frozen holes stay what they are."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.evaluation.protocols import PAPERS, PROTOCOLS, Case, draw_case, hole_rng, mask_hash, read_protocols
from facefill.runtime.cover import FoundCover
from facefill.runtime.finder import Face
from tests.faces import draw_face

HASHES = {
    "centre@128": "862a1b32edd1ddc9",
    "centre@256": "692d9aef329428f5",
    "eyes@256": "3ea50ee2a4ee8f52",
    "freeform10@256": "aeb9c8e86e65f18a",
    "freeform40@256": "ec1155967d3f2ee0",
    "freeform60@256": "faaecf97ee6fa6cd",
    "half-left@256": "0670c0ab597e3ad3",
    "lower@256": "7ca2709de490d62e",
    "random20@64": "ed2e33e3f96ca0f4",
    "random80@64": "61dd226a1c42ab39",
    "worn@256": "2a3762f300c4a8fb",
}
"""The holes of face000.png; a protocol that gives another is another protocol, and needs another name."""


def draw(name: str, file: str = "face000.png", seed: int = 0) -> Case:
    protocol = PROTOCOLS[name]
    face, landmarks = draw_face(protocol.size_px, seed)
    return draw_case(protocol, face, landmarks, file, None)


def test_all_protocols_of_the_design_are_there() -> None:
    freeform = {f"freeform{percent}@256" for percent in range(10, 70, 10)}
    pixels = {f"random{percent}@64" for percent in (20, 40, 60, 80)}
    names = ("centre", "half-left", "half-right", "lower", "upper", "eyes", "worn", "worn-auto")
    others = {"centre@128", *(f"{name}@256" for name in names)}
    assert set(PROTOCOLS) == freeform | pixels | others


def test_the_seed_is_the_documented_one() -> None:
    digest = hashlib.sha256(b"random20@64/a.png").digest()
    expected = np.random.default_rng(int.from_bytes(digest[:8], "big")).random(4)
    assert (hole_rng("random20@64", "a.png").random(4) == expected).all()


def test_the_hash_of_a_mask_worked_by_hand() -> None:
    mask = np.array([[True, False], [False, True]])
    assert mask_hash(mask) == hashlib.sha256(b"2x2\n" + bytes([0b10010000])).hexdigest()


@pytest.mark.parametrize("name", sorted(HASHES))
def test_frozen_holes_have_not_changed(name: str) -> None:
    assert mask_hash(draw(name).mask)[:16] == HASHES[name]


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"worn-auto@256"}))
def test_a_hole_is_neither_empty_nor_everything_and_shows_what_it_does_not_hide(name: str) -> None:
    case = draw(name)
    assert 0 < case.mask.mean() < 1
    assert case.truth.shape == (*case.mask.shape, 3) == (PROTOCOLS[name].size_px,) * 2 + (3,)
    if not PROTOCOLS[name].covers:
        assert (case.shown == case.truth).all()


def test_holes_of_other_files_are_others() -> None:
    assert mask_hash(draw("random40@64").mask) != mask_hash(draw("random40@64", "face001.png").mask)


def test_free_form_holes_hide_what_their_names_say() -> None:
    for percent in (10, 40, 60):
        share = draw(f"freeform{percent}@256").mask.mean()
        assert max(percent - 10, 1) / 100 <= share <= percent / 100


def test_what_finds_the_cover_sees_the_same_worn_face() -> None:
    class CoversLowerHalf:
        def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
            self.seen, self.landmarks = photo, faces[0].landmarks
            return [FoundCover((slice(128, 256), slice(0, 256)), np.ones((128, 256), bool))]

    cover = CoversLowerHalf()
    face, landmarks = draw_face(256, 0)
    auto = draw_case(PROTOCOLS["worn-auto@256"], face, landmarks, "face000.png", cover)
    worn = draw("worn@256")
    assert (cover.seen == worn.shown).all()
    assert (cover.landmarks == landmarks).all()
    assert (auto.hole == worn.mask).all()
    assert auto.mask[128:].all()
    assert not auto.mask[:128].any()


def test_a_wrong_name_is_guessed() -> None:
    with pytest.raises(InputError, match=r"did you mean 'centre@256'"):
        read_protocols(["center@256"])


def test_papers_name_protocols_that_there_are() -> None:
    for paper in PAPERS.values():
        assert set(paper.holes) <= set(PROTOCOLS)
        for one in paper.printed:
            assert one.hole in PROTOCOLS or one.hole.startswith("irregular")
            assert one.comparable
