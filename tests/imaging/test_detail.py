"""Enlarged completions: contrast is restored inside the hole only, and grain fits its surroundings without freckles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefill.imaging.detail import SKIN_LEVELS, match_grain, restore_contrast


def grain(picture: np.ndarray, where: np.ndarray, sigma_px: float) -> float:
    luma = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return float((luma - cv2.GaussianBlur(luma, (0, 0), sigma_px))[where].std())


def grainy(sigma: float, correlation_px: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = 0.8 * rng.normal(0, 1, (300, 300, 1)) + 0.6 * rng.normal(0, 1, (300, 300, 3))
    if correlation_px:
        noise = cv2.GaussianBlur(noise, (0, 0), correlation_px)
    y, x = np.mgrid[:300, :300]
    ground = 140 + 30 * np.sin(x / 70) + 15 * np.cos(y / 50)
    return np.clip(np.rint(ground[..., None] + noise / noise.std() * sigma), 0, 255).astype(np.uint8)


INNER = np.pad(np.ones((100, 100), bool), 100)
OUTER = ~np.pad(np.ones((140, 140), bool), 80)
HOLE = np.pad(np.ones((120, 120), bool), 90)


@pytest.mark.parametrize("correlation_px", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("detail_px", [2.0, 4.0, 7.0])
def test_a_smooth_hole_gets_the_grain_of_its_surroundings(correlation_px: float, detail_px: float) -> None:
    image = grainy(5, correlation_px)
    smooth = cv2.GaussianBlur(image, (0, 0), 0.7 * detail_px)
    completed = match_grain(image, smooth, HOLE, np.random.default_rng(1), detail_px=detail_px)
    for sigma_px in (2.0, detail_px):
        assert 0.8 < grain(completed, INNER, sigma_px) / grain(image, OUTER, sigma_px) < 1.15


def test_a_hole_that_has_its_grain_gets_no_more() -> None:
    image, other = grainy(5, 0.8), grainy(5, 0.8, seed=9)
    completed = match_grain(image, other, HOLE, np.random.default_rng(1), detail_px=3)
    assert 0.95 < grain(completed, INNER, 2) / grain(image, OUTER, 2) < 1.1


def test_texture_around_the_hole_is_no_grain() -> None:
    image = grainy(1, 0)
    lines = np.random.default_rng(3).uniform(-40, 40, (300, 300, 1))
    lines = 5 * cv2.GaussianBlur(lines, (0, 0), 1.5)[..., None]
    calm = np.s_[:88, 60:200]
    textured = image + lines
    textured[calm] = image[calm]
    textured = np.clip(np.rint(textured), 0, 255).astype(np.uint8)
    smooth = cv2.GaussianBlur(image, (0, 0), 2)
    completed = match_grain(textured, smooth, HOLE, np.random.default_rng(1), detail_px=3)
    assert grain(completed, INNER, 2) < 2 * grain(image, OUTER, 2)


def test_a_clean_picture_stays_clean() -> None:
    image = np.full((300, 300, 3), 128, np.uint8)
    assert np.array_equal(match_grain(image, image, HOLE, np.random.default_rng(1)), image)


def test_grain_of_a_grey_photo_has_no_colour() -> None:
    image = grainy(25, 1)
    image[:] = image[..., 1:2]
    smooth = np.where(HOLE[..., None], np.uint8(140), image)
    completed = match_grain(image, smooth, HOLE, np.random.default_rng(1), detail_px=2)
    assert grain(completed, INNER, 2) > 2
    assert np.ptp(completed[HOLE].astype(int), axis=1).max() <= 1


def test_grain_repeats_with_its_seed() -> None:
    image = grainy(5, 1)
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    first, again, other = (match_grain(image, smooth, HOLE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def bearded(sigma: float, level: int, seed: int = 0) -> np.ndarray:
    """A hole with curly texture of skin's mean level, 150, around it, on a calm ground of `level`; grain on all."""
    ground = np.full((300, 300), level, np.float32)
    ground[60:240, 60:240] = 150
    hairs = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (300, 300)).astype(np.float32), (0, 0), 1.5)
    beard = np.pad(np.ones((180, 180), bool), 60) & ~HOLE
    ground[beard] += (25 * hairs / hairs.std())[beard]
    noise = np.random.default_rng(seed + 1).normal(0, sigma, (300, 300, 3))
    return np.clip(np.rint(ground[..., None] + noise), 0, 255).astype(np.uint8)


CALM = np.s_[100:200, 5:50]
ALL = np.ones((100, 45), bool)


@pytest.mark.parametrize("sigma", [1.0, 6.0])
def test_a_beard_around_the_hole_is_no_grain_where_there_is_skin_further_away(sigma: float) -> None:
    image = bearded(sigma, level=150)
    smooth = cv2.GaussianBlur(np.full_like(image, 150), (0, 0), 2)
    completed = match_grain(image, smooth, HOLE, np.random.default_rng(1), detail_px=2)
    assert 0.85 < grain(completed, INNER, 2) / grain(image[CALM], ALL, 2) < 1.15


@pytest.mark.parametrize("sigma", [1.0, 6.0])
def test_of_a_beard_alone_grain_is_no_more_than_skin_s_or_the_camera_s_noise_elsewhere(sigma: float) -> None:
    image = bearded(sigma, level=90)
    smooth = cv2.GaussianBlur(np.full_like(image, 150), (0, 0), 2)
    completed = match_grain(image, smooth, HOLE, np.random.default_rng(1), detail_px=2)
    assert grain(completed, INNER, 2) < 1.15 * max(SKIN_LEVELS, grain(image[CALM], ALL, 2))
    assert grain(completed, INNER, 2) > 0.85 * grain(image[CALM], ALL, 2)
    assert grain(image, OUTER, 2) > 7


def test_what_has_texture_of_its_own_in_the_hole_gets_no_grain() -> None:
    image = grainy(4, 0.8)
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    lashes = np.s_[140:160, 120:180]
    smooth[lashes] = np.where(np.arange(60) // 2 % 2, 60, 200)[None, :, None]
    completed = match_grain(image, smooth, HOLE, np.random.default_rng(1), detail_px=2)
    inside = np.s_[145:155, 130:170]
    assert np.array_equal(completed[inside], smooth[inside])
    assert 0.8 < grain(completed[:, :110], INNER[:, :110], 2) / grain(image, OUTER, 2) < 1.15


def scene(seed: int = 0) -> np.ndarray:
    texture = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (256, 256, 3)).astype(np.float32), (0, 0), 3)
    return np.clip(np.rint(130 + 20 * texture / texture.std()), 0, 255).astype(np.uint8)


CENTRE = np.pad(np.ones((128, 128), bool), 64)


def test_contrast_is_restored_only_where_the_patch_is_enlarged_and_only_in_the_hole() -> None:
    patch = scene()
    assert np.array_equal(restore_contrast(patch, CENTRE, 1.0), patch)
    assert np.array_equal(restore_contrast(patch, CENTRE, 0.4), patch)
    assert np.array_equal(restore_contrast(patch, np.zeros_like(CENTRE), 2.0), patch)
    restored = restore_contrast(patch, CENTRE, 2.0)
    assert np.array_equal(restored[~CENTRE], patch[~CENTRE])
    inner = np.s_[80:176, 80:176]
    assert 1.2 < restored[inner].std() / patch[inner].std() < 1.47
    halfway = restore_contrast(patch, CENTRE, 1.125)[inner].std()
    assert patch[inner].std() < halfway < restored[inner].std()


def test_contrast_leaves_no_ring_at_the_border_of_the_hole_and_moves_no_mean() -> None:
    patch = np.full((256, 256, 3), 90, np.uint8)
    patch[CENTRE] = 110
    change = np.abs(restore_contrast(patch, CENTRE, 2.0).astype(int) - patch)
    assert change.max() <= 3
    assert change[64].max() <= 1
    smooth = scene()
    assert abs(restore_contrast(smooth, CENTRE, 2.0)[CENTRE].mean() - smooth[CENTRE].mean()) < 0.5
