"""What is likely to look wrong is said of the face, and of no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facefill.files.photo import read_photo
from facefill.runtime.cover import FoundCover
from facefill.runtime.face_warnings import reasons_for_doubt
from facefill.runtime.finder import Face
from facefill.runtime.inpainter import Inpainter
from tests.faces import draw_photo
from tests.runtime.test_inpainter import Covers, FindsAt
from tests.runtime.test_plan import Grey

PHOTO, (LANDMARKS,) = draw_photo(400, 360, faces=1, seed=3)
FACE = replace(FindsAt([LANDMARKS]).find(PHOTO)[0], score=0.95)
HOLE = np.zeros(PHOTO.shape[:2], bool)


def test_a_clear_face_is_not_doubted() -> None:
    assert reasons_for_doubt(FACE, PHOTO, HOLE) == []


def test_each_reason_is_named() -> None:
    turned = LANDMARKS.copy()
    turned[2] += 0.4 * (turned[1] - turned[0])
    assert reasons_for_doubt(replace(FACE, landmarks=turned), PHOTO, HOLE) == ["turned far to the side"]
    assert reasons_for_doubt(replace(FACE, score=0.8), PHOTO, HOLE) == ["hard to make out (score 0.80)"]
    assert reasons_for_doubt(replace(FACE, moved=0.1), PHOTO, HOLE) == ["hard to make out (score 0.95)"]
    assert reasons_for_doubt(FACE, PHOTO // 6, HOLE) == ["very dark"]
    half = PHOTO[:, : int(LANDMARKS[2, 0])]
    (said,) = reasons_for_doubt(FACE, half, HOLE[:, : half.shape[1]])
    assert said.startswith("cut off by the photo's edge (")


def test_a_dark_cover_makes_no_dark_face() -> None:
    hole = Covers(slice(130, 240)).find(PHOTO, [FACE])[0].mask(PHOTO.shape)
    covered = np.where(hole[..., None], np.uint8(0), PHOTO)
    assert reasons_for_doubt(FACE, covered, hole) == []


class CutCovers(Covers):
    def find(self, photo: np.ndarray, faces: list[Face], *kinds: object) -> list[FoundCover]:
        return [replace(cover, cut=True) for cover in super().find(photo, faces)]


@pytest.mark.parametrize("score", [0.95, 0.8])
def test_doubt_and_what_is_cut_stand_with_the_face_and_the_photo_which_is_completed_all_the_same(score: float) -> None:
    class Scored(FindsAt):
        def find(self, photo: np.ndarray) -> list[Face]:
            return [replace(face, score=score) for face in super().find(photo)]

    inpainter = Inpainter(Grey(), lambda: Scored([LANDMARKS]), lambda: CutCovers(slice(120, 220)))
    result = inpainter.complete(inpainter.plan_unmask(read_photo(PHOTO)))
    (said,) = result.faces[0].warnings
    assert result.warnings == (said,)
    assert said.endswith("what covers it, or clothes that look so, goes on where the completed part ends")
    assert ("may look wrong: it is hard to make out (score 0.80);" in said) == (score < 0.87)
    assert result.faces[0].missing.any()
