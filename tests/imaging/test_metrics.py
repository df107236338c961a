"""Metrics have the values that one gets by hand, and those of scikit-image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from facefill.imaging import metrics
from facefill.imaging.masks import MASKS
from tests.faces import draw_face


def pair(size: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    truth, _ = draw_face(size, seed)
    noise = np.random.default_rng(seed).normal(0, 12, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


CENTRE = MASKS["centre"](64, np.random.default_rng(0))


def ms_ssim(completed: np.ndarray, truth: np.ndarray) -> float:
    return metrics.measure(completed, truth, np.ones(truth.shape[:2], bool))["ms_ssim"]


def test_psnr_and_l1_worked_by_hand() -> None:
    """One channel of 1 of 4 pixels is off by 12: the mean square is 144 / 12 = 12, the mean difference 12 / 12 = 1."""
    truth = np.full((2, 2, 3), 100, np.uint8)
    completed = truth.copy()
    completed[0, 0, 0] = 112
    mask = np.array([[True, False], [False, False]])
    assert metrics.psnr(completed, truth) == pytest.approx(10 * math.log10(65025 / 12))
    assert metrics.hole_psnr(completed, truth, mask) == pytest.approx(10 * math.log10(65025 / 48))
    assert metrics.l1(completed, truth) == pytest.approx(1 / 255)
    assert metrics.hole_l1(completed, truth, mask) == pytest.approx(4 / 255)


def test_identical_pictures() -> None:
    _, truth = pair()
    values = metrics.measure(truth, truth, CENTRE)
    assert values["psnr"] == values["hole_psnr"] == math.inf
    assert values["ssim"] == values["hole_ssim"] == pytest.approx(1)
    assert values["l1"] == values["hole_l1"] == 0
    assert values["sharpness"] == values["seam"] == pytest.approx(1)


@settings(max_examples=10, deadline=None)
@given(st.integers(11, 80), st.integers(0, 99))
def test_psnr_and_ssim_agree_with_scikit_image(size: int, seed: int) -> None:
    completed, truth = pair(size, seed)
    expected = structural_similarity(
        completed, truth, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1, data_range=255
    )
    assert metrics.ssim(completed, truth) == pytest.approx(expected, abs=1e-6)
    assert metrics.psnr(completed, truth) == pytest.approx(peak_signal_noise_ratio(truth, completed))


def test_the_ssim_of_a_hole_is_the_mean_of_its_windows() -> None:
    completed, truth = pair()
    _, full = structural_similarity(
        completed,
        truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=255,
        full=True,
    )
    assert metrics.measure(completed, truth, CENTRE)["hole_ssim"] == pytest.approx(full[CENTRE].mean(), abs=1e-9)


def test_ssim_of_two_flat_pictures_worked_by_hand() -> None:
    """Without variance only the luminance term is left: (2 a b + C1) / (a^2 + b^2 + C1)."""
    first, second = (np.full((12, 12, 3), level, np.uint8) for level in (100, 150))
    expected = (2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025)
    assert metrics.ssim(first, second) == pytest.approx(expected)


def test_sharpness_is_the_square_of_contrast() -> None:
    truth = np.rint(128 + 80 * np.sin(np.arange(64) / 4))[None, :, None].repeat(64, 0).repeat(3, 2)
    half = 128 + (truth - 128) / 2
    value = metrics.sharpness(half.astype(np.uint8), truth.astype(np.uint8), CENTRE)
    assert value == pytest.approx(0.25, abs=0.01)


def test_blur_lowers_sharpness_and_grain_does_not_bring_it_back() -> None:
    _, truth = pair(128)
    mask = MASKS["eyes"](128, np.random.default_rng(0))
    blurred = cv2.GaussianBlur(truth, (0, 0), 3)
    noise = np.random.default_rng(0).normal(0, 5, truth.shape)
    grained = np.clip(blurred + noise, 0, 255).astype(np.uint8)
    plain = metrics.sharpness(blurred, truth, mask)
    assert plain < 0.6
    assert metrics.sharpness(grained, truth, mask) < plain + 0.1


def test_the_seam_worked_by_hand() -> None:
    """Steps of 10 grey levels everywhere in the truth; in the result the hole is 30 higher: 20 or 40 across it."""
    truth = (np.arange(8, dtype=np.uint8) * 10)[None, :, None].repeat(8, 0).repeat(3, 2)
    mask = np.zeros((8, 8), bool)
    mask[:, 3:5] = True
    completed = truth.copy()
    completed[mask] += 30
    assert metrics.seam(completed, truth, mask) == pytest.approx((40 + 20) / (10 + 10))


def test_seam_and_sharpness_look_at_nothing_else() -> None:
    completed, truth = pair()
    values = metrics.measure(completed, truth, CENTRE)
    elsewhere = completed.copy()
    elsewhere[:8] = 0
    assert metrics.seam(elsewhere, truth, CENTRE) == values["seam"]
    assert metrics.sharpness(elsewhere, truth, CENTRE) == values["sharpness"]


def test_measuring_together_is_measuring_apart() -> None:
    completed, truth = pair()
    values = metrics.measure(completed, truth, CENTRE)
    for name, value in ((name, value) for name, value in values.items() if name not in ("hole_ssim", "ms_ssim")):
        arguments = (completed, truth) if name in ("psnr", "ssim", "l1") else (completed, truth, CENTRE)
        assert getattr(metrics, name)(*arguments) == pytest.approx(value, nan_ok=True, abs=0)


@pytest.mark.parametrize("box", [(0, 64, 0, 64), (0, 9, 20, 31), (50, 64, 60, 64), (30, 31, 30, 31)])
def test_windows_without_a_difference_are_not_computed_and_count_all_the_same(box: tuple[int, int, int, int]) -> None:
    """Pictures that differ in one corner, or in one pixel, against scikit-image over the whole of them."""
    other, truth = pair()
    completed = truth.copy()
    view = np.s_[box[0] : box[1], box[2] : box[3]]
    completed[view] = other[view]
    _, full = structural_similarity(
        completed,
        truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=255,
        full=True,
    )
    assert metrics.ssim(completed, truth) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-9)
    assert metrics.measure(completed, truth, CENTRE)["hole_ssim"] == pytest.approx(full[CENTRE].mean(), abs=1e-9)


@pytest.mark.parametrize("size", [176, 201])
def test_ms_ssim_agrees_with_torchmetrics_and_scikit_image(size: int) -> None:
    """Contrast and structure of each scale by torchmetrics; the coarsest by scikit-image, because torchmetrics also
    counts windows there that leave the picture."""
    torch = pytest.importorskip("torch")
    update = pytest.importorskip("torchmetrics.functional.image.ssim")._ssim_update
    completed, truth = pair(size)
    first, second = (torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(float)) for picture in (completed, truth))
    expected = 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363):
        parts = update(first, second, data_range=255.0, return_contrast_sensitivity=True)
        expected *= float(parts[1]) ** weight
        first, second = (torch.nn.functional.avg_pool2d(picture, 2) for picture in (first, second))
    coarsest = structural_similarity(
        first[0].numpy(),
        second[0].numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=0,
        data_range=255,
    )
    assert ms_ssim(completed, truth) == pytest.approx(expected * coarsest**0.1333, abs=1e-9)


def test_ms_ssim_of_flat_pictures_worked_by_hand() -> None:
    """Contrast and structure are 1 on every scale: the luminance of the coarsest to the power 0.1333 is left."""
    first, second = (np.full((176, 176, 3), level, np.uint8) for level in (100, 150))
    luminance = (2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025)
    assert ms_ssim(first, second) == pytest.approx(luminance**0.1333)
    assert math.isnan(ms_ssim(first[:175], second[:175]))


def test_what_papers_may_have_meant_agrees_with_scikit_image() -> None:
    completed, truth = pair()
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (completed, truth)]
    values = metrics.measure_as_papers(completed, truth)
    assert values["psnr_grey"] == pytest.approx(peak_signal_noise_ratio(grey[1], grey[0]))
    assert values["ssim_rgb_uniform7"] == pytest.approx(structural_similarity(completed, truth, channel_axis=-1))
    assert values["ssim_grey_uniform7"] == pytest.approx(structural_similarity(*grey))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    gaussian = structural_similarity(*grey, **options)
    assert values["ssim_grey_gaussian11"] == pytest.approx(gaussian)


def test_what_has_no_value() -> None:
    flat = np.full((16, 16, 3), 9, np.uint8)
    mask = np.zeros((16, 16), bool)
    with pytest.raises(ValueError, match="no hole"):
        metrics.hole_psnr(flat, flat, mask)
    with pytest.raises(ValueError, match="two shapes"):
        metrics.psnr(flat, flat[:8])
    with pytest.raises(ValueError, match="smaller than the window"):
        metrics.ssim(flat[:8], flat[:8])
    mask[4:8, 4:8] = True
    assert math.isnan(metrics.sharpness(flat, flat, mask))
    assert math.isnan(metrics.seam(flat, flat, mask))
    assert math.isnan(metrics.seam(pair(16)[0], flat, np.ones((16, 16), bool)))
