"""The plan alone chooses the grid: wide parts at the network's size, fine parts at the photo's, and never too many."""

from __future__ import annotations

import numpy as np
import pytest

from facefill.catalog import METHODS
from facefill.files.photo import read_photo
from facefill.imaging.biharmonic import biharmonic
from facefill.imaging.crop import Crop
from facefill.imaging.masks import MASKS
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import ClassicalModel, Model
from facefill.runtime.plan import MOST_CONTEXTS, Plan
from tests.faces import draw_face, draw_photo
from tests.runtime.test_inpainter import StandIn

Sides = list[tuple[int, ...]]


class Grey(Model):
    """Draws grey, remembers the sizes that it was given, and takes more samples than one."""

    def __init__(self, name: str = "swift", **changes: object) -> None:
        super().__init__(METHODS[name].model_copy(update={"blend": "paste", **changes}), None)
        self.seen: Sides = []

    def fill(self, faces: np.ndarray, masks: np.ndarray, seeds: object, samples: range, inputs: object) -> np.ndarray:
        self.seen.append(faces.shape[:3])
        drawn = np.where(masks[..., None], np.uint8(128), faces)
        return np.repeat(drawn[:, None], len(samples), 1)


def dropped(height: int, width: int, share: float) -> np.ndarray:
    return np.random.default_rng(1).random((height, width)) < share


def plan_of(
    model: Model, photo: np.ndarray, mask: np.ndarray, faces: int = 0, **options: bool
) -> tuple[Inpainter, Plan]:
    landmarks = draw_photo(photo.shape[1], photo.shape[0], faces=1, seed=1)[1] if faces else []
    inpainter = StandIn(landmarks).inpainter(model)
    return inpainter, inpainter.plan_complete(read_photo(photo), mask, **options)


def test_dropped_pixels_of_a_face_of_any_size_take_no_network_and_no_other_grid() -> None:
    for side in (64, 100, 256):
        face, _ = draw_face(side, 3)
        for share in (0.2, 0.8):
            model, mask = Grey(), MASKS["random20" if share < 0.5 else "random80"](side, np.random.default_rng(2))
            inpainter, plan = plan_of(model, face, mask, aligned=True)
            assert not plan.tasks
            assert (inpainter.complete(plan).photo == biharmonic(face, mask)).all()
            assert not model.seen


def test_wide_holes_go_to_the_network_at_its_own_size_corners_too() -> None:
    for side in (64, 128, 256, 600):
        face, _ = draw_face(256, 3)
        photo, model = np.resize(face, (side, side, 3)), Grey()
        mask = MASKS["centre"](side, np.random.default_rng(0))
        inpainter, plan = plan_of(model, photo, mask, aligned=True)
        assert not plan.fine.any()
        assert (plan.tasks[0].missing).all()
        inpainter.complete(plan)
        assert model.seen == [(1, 256, 256)]


def test_a_hole_is_split_by_its_depth_and_the_network_sees_the_fine_part_filled() -> None:
    photo, _ = draw_photo(400, 300, faces=1, seed=1)
    mask = np.zeros((300, 400), bool)
    mask[120:170, 150:200] = True
    mask[143:146, 200:380] = True
    model = Grey()
    inpainter, plan = plan_of(model, photo, mask)
    assert plan.fine[143:146, 260:380].all()
    assert not plan.fine[120:170, 150:200].any()
    (task,) = plan.tasks
    assert (task.missing.sum() + plan.fine.sum()) == mask.sum()
    result = inpainter.complete(plan)
    assert (result.mask == mask).all()
    assert (result.photo[125:165, 155:195] == 128).all()
    assert (result.photo[143:146, 260:380] != 128).any()
    assert (result.photo[~mask] == photo[~mask]).all()


def test_a_classical_method_works_at_the_photos_size_only() -> None:
    photo, _ = draw_photo(400, 300, faces=1, seed=1)
    mask = np.zeros((300, 400), bool)
    mask[100:180, 150:230] = True
    inpainter, plan = plan_of(ClassicalModel(METHODS["telea"]), photo, mask, faces=1)
    assert not plan.tasks
    assert plan.faces[0].missing.any()
    expected = ClassicalModel(METHODS["telea"]).rule(photo, mask)
    assert (inpainter.complete(plan).photo == expected).all()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [("contextual_attention", {(16, 128, 128), (6, 128, 128)}), ("latent_search", {(16, 64, 64), (9, 64, 64)})],
)
def test_a_network_that_fills_fine_parts_itself_does_so_in_windows_of_its_side(name: str, shapes: Sides) -> None:
    size = (600, 900) if name == "contextual_attention" else (200, 280)
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    mask, model = dropped(*size, 0.01), Grey(name)
    inpainter, plan = plan_of(model, photo, mask)
    assert not plan.fine.any()
    together = np.zeros(size, int)
    for task in plan.tasks:
        together[task.window] += task.missing
    assert (together == mask).all()
    result = inpainter.complete(plan)
    assert (result.photo[mask] == 128).all()
    assert set(model.seen) <= {(count, *shape[1:]) for shape in shapes for count in range(17)}


def test_an_aligned_face_of_the_networks_own_side_is_one_crop() -> None:
    face, _ = draw_face(64, 1)
    model = Grey("latent_search")
    inpainter, plan = plan_of(model, face, dropped(64, 64, 0.4), aligned=True)
    inpainter.complete(plan)
    assert model.seen == [(1, 64, 64)]


def test_however_many_holes_the_crops_are_few() -> None:
    photo, mask = np.full((800, 1200, 3), 90, np.uint8), np.zeros((800, 1200), bool)
    for y in range(10, 780, 40):
        for x in range(10, 1180, 40):
            mask[y : y + 24, x : x + 24] = True
    model = Grey()
    inpainter, plan = plan_of(model, photo, mask)
    assert 1 < len(plan.tasks) <= MOST_CONTEXTS
    assert (inpainter.complete(plan).mask == mask).all()
    assert max(count for count, *_ in model.seen) <= 16


def test_what_lies_outside_the_photo_is_missing_to_the_network_and_never_written() -> None:
    photo, landmarks = draw_photo(300, 260, faces=1, seed=2)
    corner = photo[:, : int(landmarks[0][2, 0])]
    inpainter = StandIn(landmarks).inpainter(Grey("masked_gan"))
    mask = np.zeros(corner.shape[:2], bool)
    mask[120:200, -70:-20] = True
    plan = inpainter.plan_complete(read_photo(corner), mask)
    task = next(task for task in plan.tasks if task.face == 0)
    outside = task.crop.outside(mask.shape)
    assert 0.2 < outside.mean() < 0.7
    _, hidden = plan.view(task, corner, plan.hidden)
    assert hidden[outside].all()
    assert (plan.worn(task, hidden)[outside] == 128).all()
    covered = inpainter.plan_complete(read_photo(corner), mask, covered=True)
    assert (covered.worn(task, hidden)[outside] == 128).all()
    assert inpainter.complete(plan).photo.shape == corner.shape


def test_a_hole_beyond_a_faces_crop_carries_the_face_on_and_one_elsewhere_is_drawn() -> None:
    photo, landmarks = draw_photo(500, 360, faces=1, seed=1)
    photo = np.concatenate([photo, photo[::-1]])
    x, y = landmarks[0][3:].mean(0).astype(int)
    below, elsewhere = np.s_[y + 20 : y + 200, x - 30 : x + 30], np.s_[-60:-20, -60:-20]
    mask = np.zeros(photo.shape[:2], bool)
    mask[below] = mask[elsewhere] = True

    class Magenta(Grey):
        def fill(self, faces: np.ndarray, masks: np.ndarray, *others: object) -> np.ndarray:
            crops.extend(masks)
            return np.where(masks[..., None], np.uint8([255, 0, 255]), faces)[:, None]

    crops: list[np.ndarray] = []
    inpainter = StandIn(landmarks).inpainter(Magenta())
    plan = inpainter.plan_complete(read_photo(photo), mask)
    assert [(task.face, task.stage, task.softly is not None) for task in plan.tasks] == [
        (0, 1, False),
        (None, 2, True),
        (None, 2, False),
    ]
    drawn = inpainter.complete(plan).photo.astype(int)
    assert len(crops) == 2
    assert np.abs(drawn[elsewhere] - [255, 0, 255]).mean() < 5, "with grain"
    strip = np.abs(drawn[plan.tasks[1].window] - [255, 0, 255]).mean((1, 2))
    assert strip[:3].mean() < 60 < strip[-10:].mean()


@pytest.mark.parametrize("beyond", [2, 40])
def test_a_completion_fades_where_its_crop_ends_and_its_hole_goes_on(beyond: int) -> None:
    photo, landmarks = draw_photo(260, 200, faces=1, seed=1)
    photo = np.concatenate([photo, np.full_like(photo, 40)])
    bottom = Crop.around_face(landmarks[0], 256).bounds(photo.shape)[3]
    x, y = landmarks[0][3:].mean(0).astype(int)
    mask = np.zeros(photo.shape[:2], bool)
    mask[y + 10 : bottom + beyond, x - 20 : x + 20] = True

    class White(Grey):
        def fill(self, faces: np.ndarray, masks: np.ndarray, *others: object) -> np.ndarray:
            return np.where(masks[..., None], np.uint8(255), faces)[:, None]

    inpainter = StandIn(landmarks).inpainter(White())
    plan = inpainter.plan_complete(read_photo(photo), mask)
    drawn = inpainter.complete(plan).photo.astype(int)
    middle = drawn[y + 10 : bottom + beyond, x].mean(1)
    assert middle[10] > 240, "deep inside it is what was drawn"
    assert np.abs(np.diff(middle[5:-2])).max() < 60
