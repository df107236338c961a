"""Biharmonic filling: the same surface as scikit-image's slow one, in pieces as at once, from what counts only."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefill.imaging import biharmonic as module
from facefill.imaging.biharmonic import biharmonic
from facefill.imaging.masks import MASKS
from tests.faces import draw_face


@pytest.mark.parametrize("name", ["random20", "random80", "freeform20", "scratches", "centre", "lower"])
def test_the_surface_is_that_of_scikit_image(name: str) -> None:
    restoration = pytest.importorskip("skimage.restoration")
    face, _ = draw_face(48, seed=3)
    mask = MASKS[name](48, np.random.default_rng(4))
    expected = np.rint(restoration.inpaint_biharmonic(face / 255.0, mask, channel_axis=-1) * 255)
    difference = np.abs(biharmonic(face, mask) - expected)
    assert difference[mask].mean() < 0.25, "theirs is cut at the whole picture's levels, ours at those around"
    assert np.array_equal(biharmonic(face, mask)[~mask], face[~mask])


def test_a_slope_goes_on_through_the_hole_and_over_the_edge() -> None:
    y, x = np.mgrid[:60, :80]
    slope = np.stack([x + y, 2 * x, 150 - y], -1).astype(np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = mask[10:14] = True
    assert np.abs(biharmonic(slope, mask).astype(int) - slope)[mask].max() <= 1


def test_pieces_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    face, _ = draw_face(160, seed=1)
    mask = MASKS["random60"](160, np.random.default_rng(0))
    whole = biharmonic(face, mask)
    monkeypatch.setattr(module, "MOST_FREE", 300)
    assert len(list(module._pieces(mask))) > 40
    difference = np.abs(biharmonic(face, mask).astype(int) - whole)[mask]
    assert np.quantile(difference, 0.99) <= 1, "what is cut, is cut at other levels"


def test_a_wide_hole_comes_from_a_coarser_grid_and_is_as_near(monkeypatch: pytest.MonkeyPatch) -> None:
    face = cv2.GaussianBlur(draw_face(128, seed=2)[0], (0, 0), 3)
    mask = np.zeros((128, 128), bool)
    mask[30:90, 40:101] = True
    whole = biharmonic(face, mask)
    monkeypatch.setattr(module, "MOST_DEEP", 500)
    coarse = biharmonic(face, mask)
    error, other = (np.abs(one.astype(int) - face)[mask].mean() for one in (whole, coarse))
    assert other < 1.2 * error + 2


def test_what_is_absent_is_neither_filled_nor_looked_at() -> None:
    face, _ = draw_face(64, seed=5)
    mask, absent = np.zeros((2, 64, 64), bool)
    mask[20:24, 10:60] = absent[10:50, 30:40] = True
    mask &= ~absent
    other = face.copy()
    other[absent] = 255 - other[absent]
    filled = biharmonic(face, mask, absent)
    assert np.array_equal(biharmonic(other, mask, absent)[~absent], filled[~absent])
    assert np.array_equal(filled[~mask], face[~mask])
    assert np.abs(filled.astype(int) - face)[mask].mean() < 30


def test_nothing_missing_and_everything_missing_come_back() -> None:
    face, _ = draw_face(32)
    for value in (False, True):
        assert np.array_equal(biharmonic(face, np.full((32, 32), value)), face)
