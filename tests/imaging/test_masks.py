"""Holes by name keep their promises; masks that somebody drew are read by one rule, or refused in one line."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facefill.imaging.masks import MASKS, bounding_box, dilate, nearest


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", MASKS)
def test_every_hole_has_the_right_shape_and_repeats_with_its_seed(name: str) -> None:
    for size in (7, 64, 256):
        mask = MASKS[name](size, rng(3))
        assert mask.shape == (size, size)
        assert mask.dtype == bool
        assert np.array_equal(mask, MASKS[name](size, rng(3)))
    assert mask.any()
    assert not mask.all()


def test_the_centre_hole_is_a_centred_square_of_half_the_side() -> None:
    mask = MASKS["centre"](256, rng())
    assert mask.sum() == 128 * 128
    assert bounding_box(mask) == (64, 64, 192, 192)


def test_halves_are_halves_and_lie_where_their_names_say() -> None:
    boxes = {
        "half-left": (0, 0, 32, 64),
        "half-right": (32, 0, 64, 64),
        "lower": (0, 32, 64, 64),
        "upper": (0, 0, 64, 32),
    }
    for name, box in boxes.items():
        mask = MASKS[name](64, rng())
        assert bounding_box(mask) == box
        assert mask.sum() == 64 * 32


@pytest.mark.parametrize("percent", [20, 40, 60, 80])
def test_random_pixels_drop_their_share(percent: int) -> None:
    assert MASKS[f"random{percent}"](256, rng()).mean() == pytest.approx(percent / 100, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(range(10, 70, 10)), st.integers(0, 2**32), st.sampled_from([32, 64, 256]))
def test_free_form_holes_lie_in_their_decile(percent: int, seed: int, size: int) -> None:
    share = MASKS[f"freeform{percent}"](size, rng(seed)).mean()
    assert max(percent - 10, 1) / 100 <= share <= percent / 100


def test_a_few_holes_never_change() -> None:
    """Protocols are frozen: whoever changes a hole gives it a new name."""
    names = ("centre", "box", "freeform", "freeform30", "random40", "eyes")
    together = b"".join(np.packbits(MASKS[name](128, rng(7))).tobytes() for name in names)
    assert hashlib.sha256(together).hexdigest()[:16] == "4e89b1e5a3ef386c"


def test_the_bounding_box_grows_by_its_margin_but_stays_inside() -> None:
    mask = np.zeros((20, 30), bool)
    assert bounding_box(mask) == (0, 0, 0, 0)
    mask[5:8, 28] = True
    assert bounding_box(mask) == (28, 5, 29, 8)
    assert bounding_box(mask, 4) == (24, 1, 30, 12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 600))
def test_dilation_is_a_disc_around_every_missing_pixel(seed: int, percent: int) -> None:
    px = percent / 100
    mask = rng(seed).random((17, 23)) < 0.03
    y, x = np.nonzero(mask)
    rows, columns = np.mgrid[:17, :23]
    squared = (rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2
    assert np.array_equal(dilate(mask, px), (squared <= px * px + 1e-6).any(axis=-1))


def test_the_nearest_known_pixel_is_found_for_each_pixel_that_is_wanted() -> None:
    known = np.zeros((9, 12), bool)
    known[1, 2] = known[7, 10] = True
    picture = np.arange(9 * 12 * 2).reshape(9, 12, 2)
    where = np.zeros_like(known)
    where[0, 0] = where[8, 11] = where[1, 2] = where[6, 9] = True
    wanted = [picture[1, 2], picture[1, 2], picture[7, 10], picture[7, 10]]
    assert np.array_equal(nearest(picture, known, where), wanted)
    everywhere = nearest(picture, known, np.ones_like(known)).reshape(picture.shape)
    assert (everywhere[:3, :4] == picture[1, 2]).all()
    assert (everywhere[6:, 9:] == picture[7, 10]).all()
