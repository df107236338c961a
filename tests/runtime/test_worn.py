"""A method that looks at covers sees the covered face where there is a cover, and grey where a hole hides something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from facefill.catalog import METHODS
from facefill.evaluation.benchmark import EvaluationSettings as Evaluation
from facefill.evaluation.benchmark import complete_case, prepare
from facefill.files.photo import read_photo
from facefill.runtime.model import Model, draw_noise, grey_holes, load
from tests.faces import draw_photo
from tests.networks import write_unmasking
from tests.runtime.test_inpainter import StandIn
from tests.toy_datasets import write_dataset


@pytest.fixture(scope="module", autouse=True)
def pasted() -> Iterator[None]:
    """Nothing is blended: a correction at the border would mix what is seen there into what was drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "masked_gan", METHODS["masked_gan"].model_copy(update={"blend": "paste"}))
        yield


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_unmasking(tmp_path_factory.mktemp("net") / "half.onnx")


@pytest.fixture(scope="module")
def model(network: Path) -> Model:
    return load(network, threads=1, exact=True)


def faces(count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    pictures = np.full((count, 64, 64, 3), 200, np.uint8)
    masks = np.zeros((count, 64, 64), bool)
    masks[:, 20:50, 10:50] = True
    pictures[masks] = (10, 40, 90)
    return pictures, masks


def test_what_is_given_as_worn_is_seen_and_else_nothing_is(model: Model) -> None:
    pictures, masks = faces(1)
    seen = model.complete(pictures, masks, worn=pictures)[0, 0][masks[0]].mean()
    unseen = model.complete(pictures, masks)[0, 0][masks[0]].mean()
    other = np.where(masks[..., None], np.uint8(255), pictures)
    assert seen < unseen - 20
    assert (model.complete(other, masks)[0, 0] == model.complete(pictures, masks)[0, 0])[masks[0]].all()


def test_each_sample_but_the_first_has_noise_of_its_own_that_the_seed_makes_again(model: Model) -> None:
    pictures, masks = faces()
    first, again, other = (
        model.complete(pictures, masks, seeds=seeds, samples=3) for seeds in ([4, 5], [4, 5], [6, 7])
    )
    assert (first == again).all()
    assert first.shape == (2, 3, 64, 64, 3)
    assert (first[:, 0] == other[:, 0]).all()
    for sample in range(3):
        assert sample == 0 or (first[0, sample] != other[0, sample]).any()
        assert (first[0, sample] != first[0, (sample + 1) % 3]).any()
        assert (first[:, sample][~masks] == pictures[~masks]).all()
    alone = model.complete(pictures[1:], masks[1:], seeds=[5], samples=2)
    assert (alone[0] == first[1, :2]).all()
    assert (draw_noise([4, None], 8, 8) == draw_noise([4, None], 8, 8)).all()
    assert not draw_noise([4, None], 8, 8)[1].any()


def test_grey_holes_hide_and_change_nothing_else() -> None:
    pictures, masks = faces()
    before = pictures.copy()
    grey = grey_holes(pictures, masks)
    assert (grey[masks] == 128).all()
    assert (grey[~masks] == pictures[~masks]).all()
    assert (pictures == before).all()


def test_unmask_shows_the_cover_and_a_drawn_mask_does_not(model: Model) -> None:
    photo, landmarks = draw_photo(400, 360, faces=1, seed=1)
    inpainter = StandIn(landmarks).inpainter(model)
    plan = inpainter.plan_unmask(read_photo(photo))
    (task,), ((_, hole),) = plan.tasks, plan.crops
    inside = ~task.crop.outside(photo.shape)
    assert (plan.worn(task, hole) == task.crop.take(photo))[inside].all()
    assert (plan.worn(task, hole)[~inside] == 128).all()
    other = photo.copy()
    other[plan.mask] = 255 - other[plan.mask]
    dark = inpainter.plan_unmask(read_photo(other))
    first, second = (inpainter.complete(one).photo for one in (plan, dark))
    assert (first != second)[plan.mask].mean() > 0.5
    drawn = [inpainter.plan_complete(read_photo(one), plan.mask) for one in (photo, other)]
    (task,), ((_, hole),) = drawn[0].tasks, drawn[0].crops
    assert (drawn[0].worn(task, hole)[hole] == 128).all()
    first, second = (inpainter.complete(one).photo for one in drawn)
    # Pixels of the crop beside the hole mix with the hole's.
    inside = cv2.erode(plan.mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert np.abs(first[inside].astype(int) - second[inside]).mean() < 1


def test_an_evaluation_shows_the_cover_and_never_the_truth(network: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "faces", 2, split="test", side=256)
    bench = prepare(
        Evaluation(
            folder,
            tmp_path / "report",
            methods=(str(network),),
            timings=False,
            threads=1,
            holes=("worn@256", "centre@256"),
        )
    )
    cases = {
        protocol.name: complete_case(bench, bench.datasets[0], protocol, network.stem, "face000.png")
        for protocol in bench.protocols
    }
    case, completed = cases["worn@256"]
    assert np.corrcoef(completed[case.mask].ravel(), case.shown[case.mask].ravel())[0, 1] > 0.5
    case, completed = cases["centre@256"]
    assert np.ptp(completed[case.mask]) == 0  # nothing but what the network makes of grey
