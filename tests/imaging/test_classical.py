"""What was known before GANs: nothing hidden is looked at, nothing known is changed, total variation is least."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from facefill.errors import InputError
from facefill.imaging.classical import CLASSICAL, fill_softly, fill_telea, least_variation
from facefill.imaging.masks import MASKS
from tests.faces import draw_face

NEEDS = {"patchmatch": "patchmatch"}


def some_hole(name: str = "freeform20", size: int = 64) -> np.ndarray:
    return MASKS[name](size, np.random.default_rng(3))


@pytest.fixture(params=[*CLASSICAL, "softly"])
def fill(request: pytest.FixtureRequest):
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    return {**CLASSICAL, "softly": fill_softly}[request.param]


def test_known_pixels_stay_and_hidden_ones_are_never_looked_at(fill) -> None:
    face, _ = draw_face(64, seed=1)
    mask = some_hole()
    other = face.copy()
    other[mask] = 255 - other[mask]
    filled = fill(face, mask)
    assert filled.dtype == np.uint8
    assert filled.shape == face.shape
    assert np.array_equal(filled[~mask], face[~mask])
    assert np.array_equal(fill(other, mask), filled)


def test_a_flat_picture_is_filled_flat(fill) -> None:
    picture = np.full((48, 60, 3), (200, 120, 40), np.uint8)
    mask = np.zeros((48, 60), bool)
    mask[10:30, 20:45] = True
    # OpenCV rounds each of Telea's means down, and they add up inwards.
    assert np.abs(fill(picture, mask).astype(int) - picture).max() <= 3


def test_a_hole_at_the_edge_of_the_picture_is_filled(fill) -> None:
    face, _ = draw_face(64, seed=2)
    filled = fill(face, some_hole("lower"))
    assert filled[40:].std() > 0
    assert abs(float(filled[33:36].mean()) - float(face[28:31].mean())) < 40


def test_the_window_makes_no_difference_to_the_whole_picture() -> None:
    face, _ = draw_face(96, seed=4)
    mask = some_hole("centre", 96)
    shown = np.where(mask[..., None], np.uint8(0), face)
    whole = cv2.inpaint(shown, mask.astype(np.uint8), 3.0, cv2.INPAINT_TELEA)
    assert np.array_equal(fill_telea(face, mask)[mask], whole[mask])


def test_a_soft_filling_is_telea_at_the_holes_border_and_smoother_inside() -> None:
    face, _ = draw_face(96, seed=5)
    mask = some_hole("centre", 96)
    soft, sharp = (fill(face, mask).astype(float) for fill in (fill_softly, fill_telea))
    depth = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5)
    assert np.abs(soft - sharp)[mask & (depth < 1.5)].max() < 12
    inner = depth > 12
    assert (
        np.abs(np.diff(soft, axis=1))[inner[:, 1:]].mean() < 0.7 * np.abs(np.diff(sharp, axis=1))[inner[:, 1:]].mean()
    )


def variation(values: np.ndarray) -> float:
    across, down = np.zeros_like(values), np.zeros_like(values)
    across[:, :, :-1] = np.diff(values, axis=2)
    down[:, :-1] = np.diff(values, axis=1)
    return float(np.sqrt((across**2 + down**2).sum(axis=0)).sum())


def slow_least_variation(values: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Lagged diffusivity (Vogel & Oman 1996) with exact solves: weights 1 / |gradient|, softened less and less."""
    height, width = free.shape
    count = height * width
    index = np.arange(count).reshape(height, width)
    start = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    stop = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    edges = np.arange(len(start))
    ones = np.ones(len(start))
    gradient = sparse.coo_matrix(
        (np.r_[-ones, ones], (np.r_[edges, edges], np.r_[start, stop])), (len(start), count)
    ).tocsr()
    unknown = index[free]
    solved = values.reshape(len(values), -1).astype(float)
    solved[:, unknown] = solved[:, ~free.ravel()].mean()
    for softness in np.geomspace(30, 0.01, 120):
        steps = (gradient @ solved.T) ** 2
        squared = np.bincount(start, steps.sum(axis=1), count)
        weight = 1 / np.sqrt(squared + softness**2)
        laplacian = (gradient.T @ sparse.diags(weight[start]) @ gradient).tocsr()
        fixed = solved.copy()
        fixed[:, unknown] = 0
        right_hand = -(laplacian @ fixed.T)[unknown]
        solved[:, unknown] = spsolve(laplacian[unknown][:, unknown].tocsc(), right_hand).T
    return solved.reshape(values.shape)


@pytest.mark.parametrize("name", ["centre", "freeform30", "lower", "random60"])
def test_total_variation_is_as_small_as_a_slow_solver_gets_it(name: str) -> None:
    face, _ = draw_face(40, seed=5)
    values = cv2.GaussianBlur(face, (0, 0), 1).transpose(2, 0, 1).astype(np.float32)
    free = MASKS[name](40, np.random.default_rng(2))
    fast = least_variation(values, free, 1000)
    slow = slow_least_variation(values, free)
    assert np.array_equal(fast[:, ~free], values[:, ~free])
    assert variation(fast) <= 1.01 * variation(slow)


def test_total_variation_keeps_an_edge_that_smoothing_would_lose() -> None:
    step = np.zeros((3, 40, 40), np.float32)
    step[:, :, 20:] = 200
    free = np.zeros((40, 40), bool)
    free[14:26, 8:32] = True
    solved = least_variation(np.where(free, np.float32(0), step), free, 1000)
    assert np.abs(solved - step).mean() < 2


@pytest.mark.parametrize(("name", "module"), NEEDS.items())
def test_what_is_not_installed_says_what_to_install(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for loaded in [key for key in sys.modules if key.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    face, _ = draw_face(32)
    with pytest.raises(InputError, match=r"facefill\[classic\]"):
        CLASSICAL[name](face, some_hole(size=32))
