"""From photo to photo with stand-in helpers: who completes which pixel, what is refused, what stays untouched."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.imaging.crop import Crop
from facefill.runtime.cover import KINDS, FoundCover
from facefill.runtime.finder import Face
from facefill.runtime.inpainter import Inpainter, Result
from facefill.runtime.model import load
from tests.faces import draw_photo
from tests.networks import write_inpainting


class StandIn:
    """FindsAt the faces that it was told of, and covers a band of every crop."""

    def __init__(self, landmarks: list[np.ndarray], band: slice = slice(120, 220)) -> None:
        self.landmarks, self.band = landmarks, band

    def inpainter(self, model: object) -> Inpainter:
        return Inpainter(model, lambda: FindsAt(self.landmarks), lambda: Covers(self.band))


class FindsAt:
    def __init__(self, landmarks: list[np.ndarray]) -> None:
        self.landmarks = landmarks

    def find(self, photo: np.ndarray) -> list[Face]:
        faces = []
        for points in self.landmarks:
            reach = 1.2 * np.ptp(points, 0).max()
            x, y = points.mean(0)
            faces.append(Face((x - reach, y - reach, x + reach, y + reach), points, 0.9))
        return faces


class Covers:
    def __init__(self, band: slice) -> None:
        self.band = band

    def find(self, photo: np.ndarray, faces: list[Face], kinds: Collection[str] = ()) -> list[FoundCover]:
        self.asked = kinds
        stay = tuple(kind for kind in KINDS if kinds and kind not in kinds)
        return [replace(covered(photo, face, self.band), left_on=stay) for face in faces]

    def find_quickly(self, frame: np.ndarray, face: Face) -> FoundCover:
        return self.find(frame, [face])[0]


def covered(photo: np.ndarray, face: Face, band: slice) -> FoundCover:
    """A cover over some rows of a face's aligned crop of 256 px."""
    mask = np.zeros((256, 256), bool)
    mask[band, 60:200] = True
    placed = Crop.around_face(face.landmarks, 256).put_mask(mask, photo.shape)
    return FoundCover((slice(0, photo.shape[0]), slice(0, photo.shape[1])), placed)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> object:
    return load(write_inpainting(tmp_path_factory.mktemp("net") / "tiny.onnx"), threads=1, exact=True)


def run(inpainter: Inpainter, photo: np.ndarray, mask: np.ndarray | None = None, **options: bool) -> Result:
    source = read_photo(photo)
    plan = (
        inpainter.plan_unmask(source, **options) if mask is None else inpainter.plan_complete(source, mask, **options)
    )
    return inpainter.complete(plan)


def test_unmask_changes_the_mask_and_nothing_else(model: object) -> None:
    photo, landmarks = draw_photo(500, 360, faces=2, seed=1)
    before = photo.copy()
    result = run(StandIn(landmarks).inpainter(model), photo)
    assert (photo == before).all()
    changed = (result.photo != photo).any(-1)
    assert changed.any()
    assert not (changed & ~result.mask).any()
    assert len(result.faces) == 2
    together = np.logical_or.reduce([face.mask for face in result.faces])
    assert (together == result.mask).all()
    assert result.mask.any()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), width=st.integers(90, 400), height=st.integers(90, 400))
def test_a_drawn_mask_is_completed_to_the_pixel_wherever_it_lies(
    model: object, seed: int, width: int, height: int
) -> None:
    photo, landmarks = draw_photo(width, height, faces=1, seed=seed)
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(3):
        y, x = int(rng.integers(0, height - 9)), int(rng.integers(0, width - 9))
        mask[y : y + int(rng.integers(1, 40)), x : x + int(rng.integers(1, 40))] = True
    result = run(StandIn(landmarks).inpainter(model), photo, mask, large_hole=True)
    assert (result.mask == mask).all()
    assert (result.photo[~mask] == photo[~mask]).all()


def test_a_face_shares_nothing_with_a_hole_far_away(model: object) -> None:
    photo, landmarks = draw_photo(600, 300, faces=1, seed=4)
    mask = np.zeros(photo.shape[:2], bool)
    far = 560 if landmarks[0][:, 0].mean() < 300 else 5
    mask[100:130, far : far + 30] = True
    inpainter = StandIn(landmarks).inpainter(model)
    plan = inpainter.plan_complete(read_photo(photo), mask)
    assert [(task.face, task.stage) for task in plan.tasks] == [(None, 2)]
    assert (inpainter.complete(plan).mask == mask).all()


def test_a_pixel_between_two_faces_belongs_to_the_nearer(model: object) -> None:
    photo = np.full((300, 500, 3), 120, np.uint8)
    points = np.array([[0, 0], [40, 0], [20, 22], [5, 42], [35, 42]], float)
    landmarks = [points + np.array([180, 120]), points + np.array([280, 120])]
    mask = np.zeros((300, 500), bool)
    mask[150:160, 150:350] = True
    plan = StandIn(landmarks).inpainter(model).plan_complete(read_photo(photo), mask)
    assert [task.face for task in plan.tasks] == [0, 1]
    eyes = plan.tasks[0].crop.to_photo(plan.tasks[0].landmarks[:2].astype(float))
    assert eyes == pytest.approx(landmarks[0][:2], abs=1e-3)
    columns = [task.window[1] for task in plan.tasks]
    assert columns[0].stop == columns[1].start == 250
    assert (plan.mask == mask).all()


def test_several_photos_give_the_same_as_each_alone(model: object) -> None:
    sources = [draw_photo(300, 260, faces=1, seed=seed) for seed in (5, 6)]
    inpainters = [StandIn(landmarks).inpainter(model) for _, landmarks in sources]
    plans = [one.plan_unmask(read_photo(photo)) for one, (photo, _) in zip(inpainters, sources, strict=True)]
    together = inpainters[0].run(plans)
    for plan, drawn in zip(plans, together, strict=True):
        assert (inpainters[0].run([plan])[0].photos[0] == drawn.photos[0]).all()


def test_what_cannot_be_completed_is_said_and_left(model: object) -> None:
    photo, landmarks = draw_photo(500, 360, faces=1, seed=1)
    tiny = np.array([[3, 3], [11, 3], [7, 7], [4, 11], [10, 11]], float)
    result = run(StandIn([*landmarks, tiny]).inpainter(model), photo)
    assert any("below 32" in warning for warning in result.warnings)
    assert not result.faces[1].mask.any()
    with pytest.raises(InputError, match="a photo with a face, got none"):
        run(StandIn([]).inpainter(model), photo)
    with pytest.raises(InputError, match="below 32"):
        run(StandIn([tiny]).inpainter(model), photo)
    with pytest.raises(InputError, match="nothing covers"):
        run(StandIn(landmarks, slice(0)).inpainter(model), photo)


def test_a_hole_on_a_face_too_small_to_align_is_completed_from_its_surroundings_and_that_is_said(model: object) -> None:
    photo, _ = draw_photo(300, 260, faces=1, seed=3)
    tiny = np.array([[40, 40], [48, 40], [44, 44], [41, 48], [47, 48]], float)
    inpainter = StandIn([tiny]).inpainter(model)
    mask = np.zeros(photo.shape[:2], bool)
    mask[42:50, 40:50] = True
    result = run(inpainter, photo, mask)
    assert (result.mask == mask).all()
    assert ["below 32: its hole is completed" in warning for warning in result.warnings] == [True]
    assert run(inpainter, photo, np.roll(mask, 100, 1)).warnings == ()


def test_a_hole_over_60_percent_needs_the_users_word(model: object) -> None:
    photo = np.full((256, 256, 3), 90, np.uint8)
    points = np.array([[96, 122], [160, 122], [128, 160], [101, 190], [155, 190]], float)
    mask = np.zeros((256, 256), bool)
    mask[:200] = True
    inpainter = StandIn([points]).inpainter(model)
    with pytest.raises(InputError, match=r"more than 60%.*draw a smaller mask, or add --large-hole"):
        run(inpainter, photo, mask)
    assert (run(inpainter, photo, mask, large_hole=True).mask == mask).all()
    assert (run(inpainter, photo, mask, aligned=True).mask == mask).all()


def test_aligned_pictures_of_any_square_size(model: object) -> None:
    inpainter = StandIn([]).inpainter(model)
    for side in (64, 100, 256, 300):
        photo = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        mask = np.zeros((side, side), bool)
        mask[side // 4 : side // 2, side // 4 : side // 2] = True
        result = run(inpainter, photo, mask, aligned=True)
        assert (result.photo[~mask] == photo[~mask]).all()
        assert (result.photo[mask] != photo[mask]).any()
    with pytest.raises(InputError, match="square"):
        run(inpainter, photo[:200], mask[:200], aligned=True)


def test_the_result_is_saved_with_its_provenance(model: object, tmp_path: Path) -> None:
    photo, landmarks = draw_photo(300, 260, faces=1, seed=2)
    result = run(StandIn(landmarks).inpainter(model), photo)
    result.save(tmp_path / "out.png")
    again = read_photo(tmp_path / "out.png")
    assert (again.pixels == result.photo).all()
    data = (tmp_path / "out.png").read_bytes()
    assert b"compositeWithTrainedAlgorithmicMedia" in data
    with pytest.raises(InputError, match="exists"):
        result.save(tmp_path / "out.png")
