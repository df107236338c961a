"""Faces of any detector: in which forms they may come, and that they are checked and aligned."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import facefill
from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.runtime.detector import CheckedDetector, read_face
from facefill.runtime.finder import Face
from facefill.runtime.helpers import open_finder
from facefill.runtime.inpainter import open_inpainter

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "astronaut-surgical.jpg"
BOX, POINTS = (178.0, 60, 271, 175), ((204.0, 103), (247, 105), (224, 128), (205, 143), (243, 145))


class Says:
    """A detector that says the same of every photo."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def find(self, photo: np.ndarray) -> Iterable[Any]:
        return self.said


@pytest.mark.parametrize(
    "said",
    [
        [(BOX, POINTS)],
        ((BOX, POINTS, 0.8),),
        [[list(BOX), np.array(POINTS), np.float32(0.8)]],
        ((np.float32(box), np.float32(points)) for box, points in [(BOX, POINTS)]),
        [Face(BOX, np.array(POINTS), 0.8)],
    ],
)
def test_a_face_may_come_as_a_record_or_as_box_and_points(said: Any) -> None:
    (face,) = CheckedDetector(Says(said), lambda photo, faces: faces).find(np.zeros((200, 300, 3), np.uint8))
    assert (face.box, face.landmarks.tolist()) == (BOX, [list(point) for point in POINTS])
    assert face.score in (1.0, pytest.approx(0.8))


def test_faces_come_the_largest_first_and_their_boxes_cut_to_the_photo() -> None:
    found = CheckedDetector(Says([((0, 0, 9, 9), POINTS), ((-30, 5, 400, 90), POINTS)]), lambda photo, faces: faces)
    large, small = found.find(np.zeros((80, 300, 3), np.uint8))
    assert large.box == (-0.5, 5, 299.5, 79.5)
    assert small.box == (0, 0, 9, 9)


@pytest.mark.parametrize(
    ("said", "expected", "got"),
    [
        (None, "a list of faces", "None"),
        (7, "a list of faces", "a int"),
        ([BOX], "box and five points", "a tuple of 4"),
        ([np.zeros(15)], "box and five points", "a ndarray of 15"),
        ([5], "box and five points", "a int"),
        ([(BOX[:3], POINTS)], "box as 4 finite numbers", "3"),
        ([(BOX, POINTS[:4])], "points as 5 x 2 finite numbers", "4 x 2"),
        ([(BOX, np.ravel(POINTS))], "points as 5 x 2 finite numbers", "10"),
        ([(BOX, "eyes")], "points as 5 x 2 finite numbers", "a str"),
        ([(BOX, np.full((5, 2), np.nan))], "points as 5 x 2 finite numbers", "not finite"),
        ([(BOX, POINTS, [0.9])], "score as one finite number", "1"),
        ([(BOX, POINTS, 93)], "a score from 0 to 1", "93"),
        ([((178, 60, 93, 115), POINTS)], "a box x0, y0, x1, y1 in a photo of 512x512", "178, 60, 93, 115"),
        ([((600, 0, 700, 9), POINTS)], "a box x0, y0, x1, y1 in a photo of 512x512", "600, 0, 700, 9"),
        ([Face(BOX, np.zeros((68, 2)), 1.0)], "points as 5 x 2 finite numbers", "68 x 2"),
    ],
)
def test_what_is_no_face_is_refused_in_one_line(said: Any, expected: str, got: str) -> None:
    with pytest.raises(InputError) as refused:
        CheckedDetector(Says(said), lambda photo, faces: faces).find(np.zeros((512, 512, 3), np.uint8))
    assert expected in refused.value.expected
    assert got in refused.value.got
    assert refused.value.fix
    assert "\n" not in str(refused.value)


def test_a_finder_without_find_is_refused() -> None:
    for finder in (object(), 3, [BOX]):
        with pytest.raises(InputError, match="a finder with a method find"):
            open_inpainter("telea", finder=finder)


def test_a_finder_s_faces_are_checked_and_aligned_once() -> None:
    photo = read_photo(EXAMPLE).pixels
    (face,) = open_finder(threads=1).find(photo)
    moved = np.array([[3, -2], [-2, 2], [2, 3], [-3, 2], [3, 1]])
    aside, nowhere = face.landmarks + moved, ((380.0, 300, 470, 410), np.array(POINTS) + np.array([200, 240]))
    finder = open_finder(Says([(face.box, aside, 0.7), nowhere]), threads=1)
    (checked,) = finder.find(photo)
    far = np.hypot(*(checked.landmarks - face.landmarks).T).mean()
    assert far < 0.6 * np.hypot(*moved.T).mean()
    assert (checked.box, checked.score) == (face.box, 0.7)
    assert checked.moved > 0.03
    assert open_finder(finder) is finder


def test_a_photo_is_completed_by_tuples_as_by_the_shipped_finder() -> None:
    inpainter = open_inpainter("telea", finder=Says([(BOX, POINTS)]), threads=1)
    ours, theirs = open_inpainter("telea", threads=1).finder(), inpainter.finder()
    photo = read_photo(EXAMPLE)
    told = facefill.unmask(EXAMPLE, method="telea", finder=Says([(BOX, POINTS)]))
    shipped = facefill.unmask(EXAMPLE, method="telea")
    assert len(ours.find(photo.pixels)) == len(theirs.find(photo.pixels)) == 1
    assert (told.mask & shipped.mask).sum() > 0.95 * (told.mask | shipped.mask).sum()
    completed = facefill.complete(EXAMPLE, told.mask, method="telea", finder=Says([(BOX, POINTS)]))
    assert completed.faces[0].box == BOX
    with pytest.raises(InputError, match="box and five points"):
        facefill.complete(EXAMPLE, told.mask, method="telea", finder=Says([BOX]))


def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Network:
        """Answers as `facenet_pytorch.MTCNN.detect` does: arrays, or None where there is no face."""

        def __init__(self, keep_all: bool) -> None:
            assert keep_all

        def detect(self, pixels: np.ndarray, landmarks: bool) -> Any:
            assert landmarks
            return np.float32([BOX]), np.float32([0.99]), np.float32([POINTS])

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.setitem(sys.modules, "facenet_pytorch", SimpleNamespace(MTCNN=Network))
    shutil.copy(EXAMPLE, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert (tmp_path / "photo-unmasked.jpg").exists()


def test_a_score_that_is_left_out_is_certain() -> None:
    assert read_face((BOX, POINTS), (512, 512, 3)).score == 1
