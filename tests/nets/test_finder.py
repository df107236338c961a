"""The finder's network: what its points mean, whose face each learns, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facefill.nets.finder import STRIDES, FinderConfig, FinderNet, assign, decode, overlap, points_of
from facefill.runtime.finder import decode as decode_without_torch

SMALL = FinderConfig(widths=(8, 8, 8, 8), neck=8)


def silent(height: int, width: int, pictures: int = 1) -> torch.Tensor:
    """What a network says that sees nothing."""
    count = sum((height // s) * (width // s) for s in STRIDES)
    said = torch.zeros(pictures, 15, count)
    said[:, 0] = -10
    return said


def test_every_level_speaks_once_for_each_of_its_squares() -> None:
    said = FinderNet(SMALL)(image=torch.zeros(2, 3, 64, 96))
    assert said.shape == (2, 15, 8 * 12 + 4 * 6 + 2 * 3)


def test_points_are_the_middles_of_squares_row_by_row() -> None:
    top, bottom = [[3.5, 3.5], [11.5, 3.5], [19.5, 3.5]], [[3.5, 11.5], [11.5, 11.5], [19.5, 11.5]]
    assert points_of(2, 3, 8).tolist() == top + bottom


def test_zeros_mean_a_box_of_four_strides_around_the_point() -> None:
    found = decode(silent(32, 64), 32, 64)
    assert found.points[-1].tolist() == [47.5, 15.5]
    assert found.strides[-1] == 32
    assert found.boxes[0, -1].tolist() == [47.5 - 64, 15.5 - 64, 47.5 + 64, 15.5 + 64]
    assert found.landmarks[0, -1].tolist() == [[47.5, 15.5]] * 5


def test_runtime_reads_the_points_as_training_does() -> None:
    said = torch.randn(1, 15, silent(64, 96).shape[-1], generator=torch.Generator().manual_seed(0))
    found = decode(said, 64, 96)
    rows = decode_without_torch(said[0].numpy(), 64, 96, 0.5)
    certain = found.logits[0] >= 0
    assert len(rows) == int(certain.sum()) > 0
    np.testing.assert_allclose(rows[:, 0], found.logits[0, certain].sigmoid(), rtol=1e-5)
    np.testing.assert_allclose(rows[:, 1:5], found.boxes[0, certain], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(rows[:, 5:], found.landmarks[0, certain].flatten(1), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("side", "strides"), [(20, {8}), (50, {8, 16}), (100, {16}), (120, {16, 32}), (300, {32})])
def test_a_face_is_learned_by_the_levels_of_its_size(side: int, strides: set[int]) -> None:
    found = decode(silent(320, 320), 320, 320)
    middle = 150.0
    box = torch.tensor([[[middle - side / 2, middle - side / 2, middle + side / 2, middle + side / 2]]])
    owners = assign(found, box, torch.ones(1, 1))
    assert {int(s) for s in found.strides[owners.positive[0]]} == strides


def test_a_tiny_face_between_points_still_has_one() -> None:
    found = decode(silent(64, 64), 64, 64)
    owners = assign(found, torch.tensor([[[3.6, 3.6, 15.4, 15.4]]]), torch.ones(1, 1))
    assert 1 <= int(owners.positive.sum()) <= 4


def test_of_two_faces_the_nearer_owns_the_point_and_filling_owns_none() -> None:
    found = decode(silent(64, 64), 64, 64)
    boxes = torch.tensor([[[0.0, 0.0, 23.0, 23.0], [16.0, 0.0, 39.0, 23.0], [0.0, 0.0, 60.0, 60.0]]])
    owners = assign(found, boxes, torch.tensor([[1, 1, -1]]))
    row = (found.points[:, 1] == 11.5) & owners.positive[0]
    near = {tuple(p.tolist()): int(face) for p, face in zip(found.points[row], owners.face[0, row], strict=True)}
    assert near == {(11.5, 11.5): 0, (27.5, 11.5): 1}


def test_the_middle_of_a_face_that_counts_neither_way_is_not_judged() -> None:
    found = decode(silent(64, 64), 64, 64)
    owners = assign(found, torch.tensor([[[16.0, 16.0, 48.0, 48.0]]]), torch.zeros(1, 1))
    spared = found.points[~owners.judged[0]]
    assert not owners.positive.any()
    assert len(spared)
    assert ((spared - 32).abs() <= 0.4 * 32).all()


def test_overlap_of_boxes_worked_by_hand() -> None:
    a, b = torch.tensor([0.0, 0.0, 4.0, 4.0]), torch.tensor([2.0, 0.0, 6.0, 4.0])
    iou, diou = overlap(a, b)
    assert float(iou) == pytest.approx(8 / 24)
    assert float(diou) == pytest.approx(8 / 24 - 4 / (36 + 16))
    assert float(overlap(a, a)[1]) == pytest.approx(1)


def test_a_perfect_answer_costs_almost_nothing() -> None:
    model = FinderNet(SMALL)
    said = silent(64, 64)
    index = 8 * 3 + 3  # the point (27.5, 27.5) of stride 8
    box = torch.tensor([[[12.0, 16.0, 44.0, 40.0]]])
    landmarks = torch.tensor([[[[20.0, 24.0], [34, 24], [27, 30], [22, 34], [33, 34]]]])
    found = decode(said, 64, 64)
    for place in assign(found, box, torch.ones(1, 1)).positive[0].nonzero()[:, 0]:
        point, stride = found.points[place], float(found.strides[place])
        said[0, 0, place] = 10
        said[0, 1:3, place] = (torch.tensor([28.0, 28.0]) - point) / stride
        said[0, 3:5, place] = (torch.tensor([32.0, 24.0]) / (4 * stride)).log()
        said[0, 5:, place] = ((landmarks[0, 0] - point) / stride).flatten()
    model.forward = lambda **_: said  # type: ignore[method-assign]
    batch = {"image": torch.zeros(1, 3, 64, 64), "boxes": box, "landmarks": landmarks, "counts": torch.ones(1, 1)}
    terms = model.losses("generator", batch)
    assert said[0, 0, index] == 10
    assert all(float(term) < 1e-3 for term in terms.values())


def test_the_score_is_the_mean_overlap_with_what_was_found() -> None:
    said = silent(64, 64, pictures=2)
    place = 8 * 8 + 4 * 1 + 1  # stride 16, second row, second column: the point (23.5, 23.5), a box of 64
    said[0, 0, place] = 5
    model = FinderNet(SMALL)
    model.forward = lambda **_: said  # type: ignore[method-assign]
    boxes = torch.tensor([[[-8.5, -8.5, 55.5, 55.5], [200.0, 200, 220, 220]]]).repeat(2, 1, 1)
    counts = torch.tensor([[1, 1], [0, -1]])
    scores = model.score({"image": torch.zeros(2, 3, 64, 64), "boxes": boxes, "counts": counts})
    assert scores.tolist() == pytest.approx([0.5, 1.0])


def test_a_batch_without_faces_has_finite_losses() -> None:
    batch = {
        "image": torch.zeros(2, 3, 64, 64),
        "boxes": torch.zeros(2, 1, 4),
        "landmarks": torch.zeros(2, 1, 5, 2),
        "counts": torch.full((2, 1), -1),
    }
    terms = FinderNet(SMALL).losses("generator", batch)
    assert all(torch.isfinite(term) for term in terms.values())
    assert float(terms["box"].detach()) == 0


def test_it_learns_two_pictures_by_heart() -> None:
    torch.manual_seed(0)
    model = FinderNet(FinderConfig(widths=(16, 16, 16, 16), neck=16))
    image = torch.full((2, 3, 64, 64), -0.5)
    boxes = torch.tensor([[[8.0, 8.0, 36.0, 40.0]], [[24.0, 20.0, 56.0, 60.0]]])
    shares = torch.tensor([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    landmarks = boxes[..., None, :2] + shares * (boxes[..., None, 2:] - boxes[..., None, :2])
    for picture, box in zip(image, boxes[:, 0].int().tolist(), strict=True):
        picture[:, box[1] : box[3], box[0] : box[2]] = 0.5
    batch = {"image": image, "boxes": boxes, "landmarks": landmarks, "counts": torch.ones(2, 1)}
    history = []
    for _ in range(40):
        terms = model.losses("generator", batch)
        loss = torch.stack(list(terms.values())).sum()
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.players["generator"].parameters():  # an optimizer would import half of torch
                parameter -= 2e-3 * parameter.grad.sign()  # type: ignore[misc]
        history.append(float(loss.detach()))
    assert history[-1] < 0.5 * history[0]
    found = decode(model(image=image).detach(), 64, 64)
    best = found.logits.argmax(1)
    assert float(overlap(found.boxes[torch.arange(2), best], boxes[:, 0])[0].min()) > 0.4
