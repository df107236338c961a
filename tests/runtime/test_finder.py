"""From a photo to faces: sizes, coordinates, one face for many findings, and no torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from facefill.imaging.crop import Crop
from facefill.runtime.finder import (
    CANVAS_PX,
    COARSE_SIDE_PX,
    LONG_SIDE_PX,
    LOOK_PX,
    STEPS_PX,
    STRIDES,
    Face,
    Finder,
    decode,
    merge,
)

LANDMARKS = np.array([[-1, -1], [1, -1], [0, 0], [-0.8, 1], [0.8, 1]])


def planted(
    height: int, width: int, faces: list[tuple[float, float, float, float]], logit: float = 4.6
) -> NDArray[np.float32]:
    """What a network says that sees faces (centre x, centre y, width, height), by the nearest point of stride 16; their
    landmarks are a quarter of the width around the centre."""
    counts = [(height // s) * (width // s) for s in STRIDES]
    said = np.zeros((1, 15, sum(counts)), np.float32)
    said[:, 0] = -9
    for x, y, wide, high in faces:
        column, row = int(x // 16), int(y // 16)
        point = np.array([column * 16 + 7.5, row * 16 + 7.5])
        values = [
            logit,
            *(np.array([x, y]) - point) / 16,
            *np.log(np.array([wide, high]) / 64),
            *((np.array([x, y]) + LANDMARKS * wide / 4 - point) / 16).ravel(),
        ]
        said[0, :, counts[0] + row * (width // 16) + column] = values
    return said


class Planted:
    """An engine that sees the same faces, given as shares of the photo, at every size, and `again` (in pixels of the
    aligned crop) in every second look."""

    def __init__(
        self,
        photo_shape: tuple[int, int],
        faces: list[tuple[float, float, float, float]],
        logit: float = 4.6,
        again: tuple[float, float, float, float] | None = None,
    ) -> None:
        self.shape, self.faces, self.logit, self.again = photo_shape, faces, logit, again
        self.seen: list[NDArray[np.float32]] = []
        self.looks = 0
        """Crops that were looked at, each as it is and then mirrored."""

    def run(self, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        image = inputs["image"]
        height, width = image.shape[-2:]
        if (height, width) == (LOOK_PX, LOOK_PX):
            x, y, wide, high = self.again or (0, 0, 1, 1)
            x = LOOK_PX - 1 - x if self.looks % 2 else x
            self.looks += 1
            return {"any name": planted(LOOK_PX, LOOK_PX, [(x, y, wide, high)] if self.again else [], self.logit)}
        self.seen.append(image)
        size = np.array(self.shape[::-1])
        for limit in (LONG_SIDE_PX, COARSE_SIDE_PX)[: len(self.seen)]:
            size = np.maximum(np.round(size * min(1.0, limit / max(size))), 1)
        there = [((x * size[0] - 0.5), (y * size[1] - 0.5), w * size[0], h * size[1]) for x, y, w, h in self.faces]
        return {"any name": planted(height, width, there, self.logit)}


def find(height: int, width: int, *faces: tuple[float, float, float, float]) -> tuple[list[Face], Planted]:
    engine = Planted((height, width), list(faces))
    return Finder(engine).find(np.zeros((height, width, 3), np.uint8)), engine


SIZES = [(480, 640), (600, 1280), (1707, 900), (200, 300), (333, 517), (64, 3000)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_coordinates_come_back_in_pixels_of_the_photo(height: int, width: int) -> None:
    (face,), _ = find(height, width, (0.4, 0.6, 0.2, 0.3))
    expected = np.array([0.3 * width, 0.45 * height, 0.5 * width, 0.75 * height]) - 0.5
    np.testing.assert_allclose(face.box, expected, atol=0.01)
    middle = np.array([0.4 * width, 0.6 * height]) - 0.5
    np.testing.assert_allclose(face.landmarks[2], middle, atol=0.5 / STEPS_PX + 0.01)
    assert face.landmarks[0, 0] < face.landmarks[1, 0]
    assert face.score == pytest.approx(0.99, abs=0.001)


def test_landmarks_stand_on_eighths_of_a_pixel() -> None:
    (face,), _ = find(600, 1277, (0.43, 0.61, 0.2, 0.3))
    assert (face.landmarks * STEPS_PX % 1 == 0).all()
    assert (np.asarray(face.box) * STEPS_PX % 1 != 0).any()


def test_a_large_photo_is_looked_at_twice_in_sizes_that_repeat() -> None:
    _, engine = find(1000, 1500)
    assert [image.shape for image in engine.seen] == [(1, 3, 480, 640), (1, 3, 320, 320)]
    assert all(side in CANVAS_PX for image in engine.seen for side in image.shape[-2:])


def test_a_small_photo_is_looked_at_once_and_never_enlarged() -> None:
    _, engine = find(100, 150)
    assert [image.shape for image in engine.seen] == [(1, 3, 160, 160)]
    assert (engine.seen[0][..., :100, :150] == -1).all()
    assert abs(float(engine.seen[0][..., 100:, :].mean())) < 0.01


def test_a_photo_of_a_size_that_repeats_gets_no_grey() -> None:
    _, engine = find(512, 512)
    assert [image.shape for image in engine.seen] == [(1, 3, 512, 512), (1, 3, 320, 320)]


def test_the_largest_face_comes_first() -> None:
    faces, _ = find(480, 640, (0.2, 0.3, 0.1, 0.1), (0.7, 0.5, 0.4, 0.5), (0.25, 0.8, 0.2, 0.2))
    areas = [(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]) for face in faces]
    assert len(faces) == 3
    assert areas == sorted(areas, reverse=True)


def test_boxes_are_cut_to_the_photo_and_landmarks_are_not() -> None:
    (face,), _ = find(480, 640, (0.05, 0.5, 0.4, 0.5))
    assert face.box[0] == -0.5
    assert face.landmarks[0, 0] < -0.5


def test_what_lies_in_the_grey_around_the_photo_is_no_face() -> None:
    faces, _ = find(100, 300, (0.5, 1.4, 0.1, 0.3))
    assert faces == []


def test_a_photo_without_faces_has_none_and_is_not_changed() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (300, 700, 3), np.uint8)
    before = photo.copy()
    assert Finder(Planted((300, 700), [])).find(photo) == []
    np.testing.assert_array_equal(photo, before)


def test_a_photo_one_pixel_high_is_no_trouble() -> None:
    assert find(1, 5000)[0] == []


def test_what_is_given_to_check_findings_has_the_last_word() -> None:
    photo = np.zeros((480, 640, 3), np.uint8)
    seen: list[int] = []

    def check(picture: np.ndarray, faces: list[Face]) -> list[Face]:
        assert picture is photo
        seen.append(len(faces))
        return faces[1:]

    faces = [(0.3, 0.5, 0.2, 0.3), (0.7, 0.5, 0.1, 0.15)]
    assert len(Finder(Planted((480, 640), faces), check).find(photo)) == 1
    assert seen == [2]


def test_an_uncertain_finding_counts_only_if_the_second_look_sees_it() -> None:
    faces = [(0.5, 0.5, 0.2, 0.3)]
    photo = np.zeros((480, 640, 3), np.uint8)
    assert Finder(Planted((480, 640), faces, logit=1.5)).find(photo) == []
    engine = Planted((480, 640), faces, logit=1.5, again=(63.5, 70.5, 68, 92))
    assert len(Finder(engine).find(photo)) == 1
    assert engine.looks == 2
    engine = Planted((480, 640), faces, logit=1.5, again=(20, 20, 30, 30))
    assert Finder(engine).find(photo) == []
    assert engine.looks == 1


def test_the_second_look_places_the_face() -> None:
    engine = Planted((480, 640), [(0.5, 0.5, 0.2, 0.3)], again=(60.5, 72.5, 68, 92))
    (face,) = Finder(engine).find(np.zeros((480, 640, 3), np.uint8))
    first = np.array([319.5, 239.5]) + LANDMARKS * 32
    crop = Crop.around_face(first, LOOK_PX)
    np.testing.assert_allclose(
        face.landmarks, crop.to_photo(np.array([60.5, 72.5]) + LANDMARKS * 17), atol=0.5 / STEPS_PX + 0.02
    )
    x0, y0 = crop.to_photo(np.array([26.5, 26.5]))
    x1, y1 = crop.to_photo(np.array([94.5, 118.5]))
    np.testing.assert_allclose(face.box, [x0, y0, x1, y1], atol=0.02)


def test_decode_reads_a_hand_made_answer() -> None:
    rows = decode(planted(64, 96, [(40.0, 20.0, 30.0, 36.0)])[0], 64, 96, 0.5)
    assert rows.shape == (1, 15)
    np.testing.assert_allclose(rows[0, 1:5], [25, 2, 55, 38], atol=1e-4)
    np.testing.assert_allclose(rows[0, 5:].reshape(5, 2), [40, 20] + LANDMARKS * 7.5, atol=1e-4)


def row(score: float, *box: float) -> NDArray[np.float32]:
    return np.array([score, *box, *np.tile(box[:2], 5)], np.float32)


def test_findings_of_one_face_become_one_that_is_their_mean() -> None:
    rows = np.stack([row(0.6, 2, 0, 12, 10), row(0.9, 0, 0, 10, 10), row(0.8, 50, 50, 60, 60)])
    faces = merge(rows)
    assert [round(float(face[0]), 2) for face in faces] == [0.9, 0.8]
    np.testing.assert_allclose(faces[0][1:5], [0.8, 0, 10.8, 10], atol=1e-5)  # 0.4 of the weaker, 0.6 of the stronger


def test_half_agreeing_findings_are_dropped_but_not_averaged() -> None:
    faces = merge(np.stack([row(0.9, 0, 0, 10, 10), row(0.6, 4, 0, 14, 10)]))  # IoU 6 / 14
    assert len(faces) == 1
    np.testing.assert_allclose(faces[0][1:5], [0, 0, 10, 10], atol=1e-5)


def test_two_faces_beside_each_other_stay_two() -> None:
    assert len(merge(np.stack([row(0.9, 0, 0, 10, 10), row(0.6, 6, 0, 16, 10)]))) == 2


def test_it_needs_no_torch() -> None:
    code = "import sys, facefill.runtime.finder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_face_found_at_two_scales_is_one_face() -> None:
    """The boxes overlap by an IoU of 0.33 only, but the smaller lies in the larger."""
    faces = [(0.5, 0.5, 0.2, 0.3), (0.5, 0.53, 0.115, 0.175)]
    assert len(Finder(Planted((480, 640), faces)).find(np.zeros((480, 640, 3), np.uint8))) == 1
