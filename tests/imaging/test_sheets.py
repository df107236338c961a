"""Pictures that explain completions, against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facefill.imaging.blend import membrane
from facefill.imaging.sheets import (
    blending_steps,
    divergence,
    draw_offsets,
    gradients,
    mean_distance,
    merge_gradients,
    side_by_side,
    spread_map,
)


def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image, filled = rng.integers(60, 190, (2, 24, 20, 3), np.uint8)
    mask = np.zeros((24, 20), bool)
    mask[6:15, 8:20] = True
    return image, filled, mask


def test_divergence_of_gradients_is_the_laplacian() -> None:
    values = np.zeros((5, 5, 1), np.float32)
    values[2, 2] = 1
    expected = np.zeros((5, 5))
    expected[2, 2], expected[[1, 3, 2, 2], [2, 2, 1, 3]] = -4, 1
    assert (divergence(gradients(values))[..., 0] == expected).all()


def test_merged_gradients_are_the_filled_picture_s_wherever_a_missing_pixel_takes_part() -> None:
    known, filled = np.zeros((2, 1, 5, 1), np.float32), np.ones((2, 1, 5, 1), np.float32)
    merged = merge_gradients(known, filled, np.array([[False, False, True, False, False]]))
    assert merged[0, 0, :, 0].tolist() == [0, 1, 1, 0, 0]
    assert merged[1, 0, :, 0].tolist() == [0, 0, 1, 0, 0]


def test_what_compositing_blends_solves_the_poisson_equation_of_the_merged_field() -> None:
    image, filled, mask = pictures()
    wanted = divergence(merge_gradients(gradients(image), gradients(filled), mask))
    added = np.moveaxis(membrane(image, filled, mask, limit=None), 0, -1)
    blended = np.where(mask[..., None], filled + added, image)
    assert np.abs(divergence(gradients(blended)) - wanted)[mask].max() < 2


def test_steps_begin_with_the_masked_picture_and_end_with_the_blended_one() -> None:
    image, filled, mask = pictures()
    steps = blending_steps(image, filled, mask)
    assert steps.shape == (8, 24, 20, 3)
    assert (steps[0][mask] == 128).all()
    assert (steps[6][mask] == filled[mask]).all()
    for step in (0, 6, 7):
        assert (steps[step][~mask] == image[~mask]).all()
    assert (steps[7][mask] != filled[mask]).any()


def test_samples_side_by_side_their_spread_and_their_distance() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    samples = np.full((3, 4, 4, 3), 100, np.uint8)
    samples[1, mask] = 110
    samples[2, mask] = 130
    assert side_by_side(samples).shape == (4, 12, 3)
    assert mean_distance(samples, mask) == pytest.approx((10 + 30 + 20) / 3 / 255)
    assert mean_distance(samples[:1], mask) == 0
    spread = spread_map(samples)
    assert (spread[~mask] == 0).all()
    assert (spread[mask] == round(4 * float(np.std([100, 110, 130])))).all()


def test_offsets_are_coloured_by_direction_and_only_in_the_hole() -> None:
    face = np.full((16, 16, 3), 50, np.uint8)
    mask = np.zeros((16, 16), bool)
    mask[:8, :8] = True
    offsets = np.zeros((2, 2, 2), np.float32)
    offsets[1, 0, 0] = 1
    drawn = draw_offsets(face, offsets, mask)
    assert (drawn[~mask] == 50).all()
    assert (drawn[mask] == [255, 0, 0]).all()
    offsets[:] = 0
    assert (draw_offsets(face, offsets, mask)[mask] == 255).all()
