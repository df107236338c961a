"""Training scenes: labels lie where the faces are, and a place is always the same scene."""

from __future__ import annotations

import numpy as np
import pytest

from facefill.covers.wear import wear
from facefill.training.scenes import LabelledFaces, LabelledScene, compose_scene, paste_face, place
from tests.faces import draw_face


@pytest.fixture(scope="module")
def faces() -> LabelledFaces:
    drawn = [draw_face(96, seed) for seed in range(4)]
    pictures = np.stack([picture for picture, _ in drawn])
    landmarks = np.stack([points for _, points in drawn]).astype(np.float32)
    rng = np.random.default_rng(0)
    worn = [wear(picture, points.astype(np.float64), rng) for picture, points in zip(pictures, landmarks, strict=True)]
    covered, covers = np.stack([one.face for one in worn]), np.stack([one.mask for one in worn])
    boxes = np.tile(np.array([22, 18, 74, 88], np.float32), (4, 1))
    return LabelledFaces(pictures, covered, covers, boxes, landmarks)


def test_covers_are_drawn_where_their_mask_says(faces: LabelledFaces) -> None:
    assert faces.covers.any((1, 2)).all()
    changed = (faces.covered != faces.pictures).any(-1)
    assert (changed & faces.covers).any((1, 2)).all()


def test_many_scenes_have_labels_that_fit(faces: LabelledFaces) -> None:
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(40):
        scene = compose_scene(faces, rng, 128)
        assert scene.image.shape == (128, 128, 3)
        assert scene.image.dtype == np.uint8
        assert len(scene.boxes) == len(scene.landmarks) == len(scene.counts)
        for box, points in zip(scene.boxes, scene.landmarks, strict=True):
            assert (box[2:] > box[:2]).all()
            assert (points > box[:2] - 0.2 * (box[2:] - box[:2])).all()
            assert (points < box[2:] + 0.2 * (box[2:] - box[:2])).all()
            seen += 1
    assert seen > 40


def test_left_and_right_keep_their_names_when_a_face_is_mirrored(faces: LabelledFaces) -> None:
    """On its own axes an upright face has the viewer's left eye left of the mouth's middle, however it is turned."""
    rng = np.random.default_rng(2)
    for _ in range(30):
        scene = LabelledScene(np.zeros((200, 200, 3), np.uint8))
        paste_face(scene, faces, rng, 60)
        for points in scene.landmarks:
            down = points[3:].mean(0) - points[:2].mean(0)
            across = points[1] - points[0]
            assert down[0] * across[1] - down[1] * across[0] < 0  # turning from across to down is clockwise on screen


@pytest.mark.parametrize("scale", [0.2, 0.45, 1.0, 2.5])
def test_what_is_placed_lies_where_the_matrix_says(scale: float) -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[60:68, 76:84] = 255
    image = np.zeros((320, 320, 3), np.uint8)
    matrix = np.array([[scale, 0, 40.0], [0, scale, 25.0]])
    place(image, picture, np.ones((128, 128), np.float32), matrix)
    weights = image[..., 0].astype(float)
    ys, xs = np.mgrid[:320, :320]
    centre = np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()
    np.testing.assert_allclose(centre, [79.5 * scale + 40, 63.5 * scale + 25], atol=0.15)
