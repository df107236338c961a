"""The second look leaves out what is no face and moves landmarks, once."""

from __future__ import annotations

import numpy as np

from facefill.runtime.engine import Arrays
from facefill.runtime.finder import Face
from facefill.runtime.second_look import SIDE_PX, SecondLook

POINTS = np.array([[97.0, 121], [159, 121], [128, 160], [103, 190], [153, 190]]) + 100


class SameAnswers:
    """A network that answers the same for the pictures of each face: a score, and landmarks where they are in the usual
    face, a tenth of the side further right."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.asked = list(scores), 0

    def run(self, inputs: Arrays) -> Arrays:
        assert inputs["image"].shape == (2, 3, SIDE_PX, SIDE_PX)
        assert (inputs["image"][1] == inputs["image"][0, :, :, ::-1]).all()
        said = np.zeros((2, 11), np.float32)
        said[:, 0] = self.scores[self.asked]
        said[0, 1::2], said[1, 1::2] = 0.1, -0.1
        self.asked += 1
        return {"filled": said}


def test_what_is_no_face_goes_and_the_others_get_its_landmarks() -> None:
    photo = np.zeros((500, 500, 3), np.uint8)
    faces = [Face((1.0, 2, 3, 4), POINTS, 0.9), Face((5.0, 6, 7, 8), POINTS + 50, 0.8)]
    (kept,) = SecondLook(SameAnswers(-1, 2)).look(photo, faces)
    assert kept.box == faces[1].box
    assert kept.score == 0.8
    assert np.ptp(kept.landmarks, 0).max() < 1e-6
    middle = POINTS[:2].mean(0) + 50
    assert 5 < kept.landmarks[0, 0] - middle[0] < 60


def test_landmarks_that_fall_together_belong_to_no_face() -> None:
    photo = np.zeros((50, 50, 3), np.uint8)
    assert SecondLook(SameAnswers()).look(photo, [Face((1.0, 2, 3, 4), np.full((5, 2), 9.0), 0.9)]) == []
