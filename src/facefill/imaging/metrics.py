"""How near a completed picture comes to the true one, and how sharp and seamless it is.

completed, truth: (H, W, 3) uint8 RGB of one shape. mask: (H, W) bool, True = missing, not empty. One value per picture;
the value of many pictures is the mean of theirs.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.imaging.masks import Mask, bounding_box

Pixels = NDArray[np.uint8]
Doubles = NDArray[np.float64]

# ITU-R BT.601, the luma that image files mean by "luminance".
LUMA = np.array([0.299, 0.587, 0.114])
# Wang et al. 2004, section III-B and III-C: an 11 x 11 Gaussian window of 1.5 px, K1 = 0.01, K2 = 0.03.
WINDOW_PX, WINDOW_SIGMA_PX = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Differences finer than this are grain, not sharpness.
SHARPNESS_SIGMA_PX = 1.5


def measure(completed: Pixels, truth: Pixels, mask: Mask) -> dict[str, float]:
    """Return every metric of this module by its function's name; cheaper than one after the other."""
    similar = _similarity(completed, truth)
    return {
        "psnr": psnr(completed, truth),
        "hole_psnr": hole_psnr(completed, truth, mask),
        "ssim": _mean_inside(similar),
        "hole_ssim": _mean_missing(similar, mask),
        "l1": l1(completed, truth),
        "hole_l1": hole_l1(completed, truth, mask),
        "sharpness": sharpness(completed, truth, mask),
        "seam": seam(completed, truth, mask),
    }


def psnr(completed: Pixels, truth: Pixels) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE) over all pixels and channels.

    Identical pictures give inf: count them apart, never average them.
    """
    return _decibels(float((_difference(completed, truth) ** 2).mean()))


def hole_psnr(completed: Pixels, truth: Pixels, mask: Mask) -> float:
    """PSNR over the missing pixels only, in dB; inf where they are identical."""
    return _decibels(float((_difference(completed, truth)[_some(mask)] ** 2).mean()))


def l1(completed: Pixels, truth: Pixels) -> float:
    """Mean absolute difference as a share of 255, 0 to 1."""
    return float(np.abs(_difference(completed, truth)).mean()) / 255


def hole_l1(completed: Pixels, truth: Pixels, mask: Mask) -> float:
    """Mean absolute difference over the missing pixels as a share of 255, 0 to 1."""
    return float(np.abs(_difference(completed, truth)[_some(mask)]).mean()) / 255


def ssim(completed: Pixels, truth: Pixels) -> float:
    """Structural similarity (Wang et al. 2004, equation 13), at most 1; the mean over RGB and over pixels whose window
    lies inside the picture, as scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, channel_axis=-1, data_range=255)` has it.

    Raises ValueError for pictures smaller than the window of 11 pixels.
    """
    return _mean_inside(_similarity(completed, truth))


def hole_ssim(completed: Pixels, truth: Pixels, mask: Mask) -> float:
    """Structural similarity over windows centred on a missing pixel; beyond its edges the picture is mirrored."""
    return _mean_missing(_similarity(completed, truth), mask)


def sharpness(completed: Pixels, truth: Pixels, mask: Mask) -> float:
    """Squared luminance gradients in the hole, completed over truth; 1 is as sharp, below 1 is blurred.

    Both are smoothed by a Gaussian of 1.5 px first, so that grain on top of blur does not count as sharpness; the
    gradient is by central differences. nan where the truth is flat.
    """
    energies = [_gradient_energy(picture, _some(mask)) for picture in (completed, truth)]
    return energies[0] / energies[1] if energies[1] > 0 else math.nan


def seam(completed: Pixels, truth: Pixels, mask: Mask) -> float:
    """Mean |luminance step| from a missing to a neighbouring known pixel, completed over truth; 1 is as in the truth.

    Neighbours share an edge. nan where no pixel is known beside the hole, or the truth is flat there.
    """
    x0, y0, x1, y1 = bounding_box(_some(mask), 1)
    cut = mask[y0:y1, x0:x1]
    steps = []
    for picture in (completed, truth):
        luma = picture[y0:y1, x0:x1] @ LUMA
        across = np.abs(np.diff(luma, axis=1))[cut[:, 1:] != cut[:, :-1]]
        down = np.abs(np.diff(luma, axis=0))[cut[1:] != cut[:-1]]
        steps.append(float(across.sum() + down.sum()))
    return steps[0] / steps[1] if steps[1] > 0 else math.nan


def _difference(completed: Pixels, truth: Pixels) -> Doubles:
    if completed.shape != truth.shape:
        raise ValueError(f"pictures of two shapes, {completed.shape} and {truth.shape}")
    return np.asarray(completed, np.float64) - truth


def _some(mask: Mask) -> Mask:
    if not mask.any():
        raise ValueError("a mask without a missing pixel has no hole to measure")
    return mask


def _decibels(squared_error: float) -> float:
    return 10 * math.log10(255**2 / squared_error) if squared_error > 0 else math.inf


def _similarity(completed: Pixels, truth: Pixels) -> Doubles:
    """Return the SSIM of each pixel's window, (H, W, 3)."""
    _difference(completed, truth)
    if min(truth.shape[:2]) < WINDOW_PX:
        raise ValueError(f"a picture of {truth.shape[1]}x{truth.shape[0]}, smaller than the window of {WINDOW_PX}")
    kernel = cv2.getGaussianKernel(WINDOW_PX, WINDOW_SIGMA_PX, cv2.CV_64F)

    def windowed(values: Doubles) -> Doubles:
        return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT))

    # In double precision: variances are small differences of large squares.
    first, second = completed.astype(np.float64), truth.astype(np.float64)
    mean_1, mean_2 = windowed(first), windowed(second)
    product, square = mean_1 * mean_2, mean_1**2 + mean_2**2
    covariance = windowed(first * second) - product
    variances = windowed(first**2 + second**2) - square
    return np.asarray((2 * product + C1) * (2 * covariance + C2) / ((square + C1) * (variances + C2)))


def _mean_inside(similar: Doubles) -> float:
    half = WINDOW_PX // 2
    return float(similar[half : similar.shape[0] - half, half : similar.shape[1] - half].mean())


def _mean_missing(similar: Doubles, mask: Mask) -> float:
    return float(similar[_some(mask)].mean())


def _gradient_energy(picture: Pixels, mask: Mask) -> float:
    luma = picture @ LUMA
    smooth = cv2.GaussianBlur(luma, (0, 0), SHARPNESS_SIGMA_PX, borderType=cv2.BORDER_REFLECT)
    down, across = np.gradient(smooth)
    return float((down**2 + across**2)[mask].sum())
