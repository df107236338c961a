"""How near a completed picture comes to the true one, and how sharp and seamless it is.

completed, truth: (H, W, 3) uint8 RGB of one shape. mask: (H, W) bool, True = missing, not empty. One value per picture;
the value of many pictures is the mean of theirs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F64, U8, Bool
from facefill.imaging.masks import bounding_box

Planes = NDArray[np.generic]

# ITU-R BT.601, the luma that image files mean by "luminance".
LUMA = np.array([0.299, 0.587, 0.114])
# Wang et al. 2004, section III-B and III-C: an 11 x 11 Gaussian window of 1.5 px, K1 = 0.01, K2 = 0.03.
WINDOW_PX, WINDOW_SIGMA_PX = 11, 1.5
UNIFORM_PX = 7
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Wang, Simoncelli & Bovik 2003, "Multi-scale structural similarity", section 3.2: exponents from the finest scale on.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Differences finer than this are grain, not sharpness.
SHARPNESS_SIGMA_PX = 1.5
# Beyond this, neither OpenCV's Gaussian of that width nor the gradient after it reaches.
SHARPNESS_REACH_PX = 8


def measure(completed: U8, truth: U8, mask: Bool) -> dict[str, float]:
    """Every metric by its name in `evaluation/metrics.toml`; cheaper than one after the other."""
    similar = _similarity(completed, truth)
    return {
        "psnr": psnr(completed, truth),
        "hole_psnr": hole_psnr(completed, truth, mask),
        "ssim": similar.mean_inside(similar.whole),
        "hole_ssim": similar.mean_missing(mask),
        "ms_ssim": _over_scales(completed, truth, similar),
        "l1": l1(completed, truth),
        "hole_l1": hole_l1(completed, truth, mask),
        "sharpness": sharpness(completed, truth, mask),
        "seam": seam(completed, truth, mask),
    }


def psnr(completed: U8, truth: U8) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE) over all pixels and channels.

    Identical pictures give inf: count them apart, never average them.
    """
    _same_shape(completed, truth)
    return _decibels(float(cv2.norm(completed, truth, cv2.NORM_L2SQR)) / truth.size)


def hole_psnr(completed: U8, truth: U8, mask: Bool) -> float:
    """PSNR over the missing pixels only, in dB; inf where they are identical."""
    return _decibels(_norm_missing(completed, truth, mask, cv2.NORM_L2SQR))


def l1(completed: U8, truth: U8) -> float:
    """Mean absolute difference as a share of 255, 0 to 1."""
    _same_shape(completed, truth)
    return float(cv2.norm(completed, truth, cv2.NORM_L1)) / truth.size / 255


def hole_l1(completed: U8, truth: U8, mask: Bool) -> float:
    """Mean absolute difference over the missing pixels as a share of 255, 0 to 1."""
    return _norm_missing(completed, truth, mask, cv2.NORM_L1) / 255


def ssim(completed: U8, truth: U8) -> float:
    """Structural similarity (Wang et al. 2004, equation 13), at most 1; the mean over RGB and over pixels whose window
    lies inside the picture, as scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, channel_axis=-1, data_range=255)` has it.

    Raises ValueError for pictures smaller than the window of 11 pixels.
    """
    similar = _similarity(completed, truth)
    return similar.mean_inside(similar.whole)


def measure_as_papers(completed: U8, truth: U8) -> dict[str, float]:
    """Other definitions of PSNR and SSIM that papers use without saying so, of the same values 0 to 255.

    grey: of BT.601 luma rounded to whole levels. gaussian11: as `ssim`. uniform7: a 7 x 7 mean and sample covariance,
    as scikit-image's `structural_similarity` has it unless told otherwise.
    """
    first, second = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] for picture in (completed, truth))
    grey = _similarity(first, second)
    return {
        "psnr_grey": psnr(first, second),
        "ssim_grey_gaussian11": grey.mean_inside(grey.whole),
        "ssim_rgb_uniform7": _uniform_ssim(completed, truth),
        "ssim_grey_uniform7": _uniform_ssim(first, second),
    }


def sharpness(completed: U8, truth: U8, mask: Bool) -> float:
    """Squared luminance gradients in the hole, completed over truth; 1 is as sharp, below 1 is blurred.

    Both are smoothed by a Gaussian of 1.5 px first, so that grain on top of blur does not count as sharpness; the
    gradient is by central differences. nan where the truth is flat.
    """
    x0, y0, x1, y1 = bounding_box(_some(mask), SHARPNESS_REACH_PX)
    energies = []
    for picture in (completed, truth):
        luma = picture[y0:y1, x0:x1] @ LUMA
        smooth = cv2.GaussianBlur(luma, (0, 0), SHARPNESS_SIGMA_PX, borderType=cv2.BORDER_REFLECT)
        down, across = np.gradient(smooth)
        energies.append(float((down**2 + across**2)[mask[y0:y1, x0:x1]].sum()))
    return energies[0] / energies[1] if energies[1] > 0 else math.nan


def seam(completed: U8, truth: U8, mask: Bool) -> float:
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


def _same_shape(completed: Planes, truth: Planes) -> None:
    if completed.shape != truth.shape:
        raise ValueError(f"pictures of two shapes, {completed.shape} and {truth.shape}")


def _some(mask: Bool) -> Bool:
    if not mask.any():
        raise ValueError("a mask without a missing pixel has no hole to measure")
    return mask


def _norm_missing(completed: U8, truth: U8, mask: Bool, kind: int) -> float:
    """The mean of |difference| or its square over missing pixels and channels."""
    _same_shape(completed, truth)
    missing = _some(mask).view(np.uint8)
    count: int = np.count_nonzero(missing) * truth.shape[2]
    return float(cv2.norm(completed, truth, kind, missing)) / count


def _decibels(squared_error: float) -> float:
    return 10 * math.log10(255.0**2 / squared_error) if squared_error > 0 else math.inf


@dataclass(frozen=True)
class _Similar:
    """What the windows of two pictures have in common, where they differ at all; elsewhere everything is 1.

    whole: the SSIM of each pixel's window, (h, w, C). structure: its contrast and structure alone. x0, y0: where both
    stand in the pictures of `shape`.
    """

    whole: F64
    structure: F64
    x0: int
    y0: int
    shape: tuple[int, ...]

    def mean_inside(self, values: F64) -> float:
        """The mean over windows that lie inside the pictures."""
        half = WINDOW_PX // 2
        rows, columns = (
            slice(max(half - start, 0), max(full - half - start, 0))
            for start, full in zip((self.y0, self.x0), self.shape, strict=False)
        )
        part = values[rows, columns]
        count = (self.shape[0] - 2 * half) * (self.shape[1] - 2 * half) * self.shape[2]
        return (float(part.sum()) + count - part.size) / count

    def mean_missing(self, mask: Bool) -> float:
        """The mean over windows centred on a missing pixel; beyond its edges the picture is mirrored."""
        height, width, channels = self.whole.shape
        part = self.whole[mask[self.y0 : self.y0 + height, self.x0 : self.x0 + width]]
        count: int = np.count_nonzero(_some(mask)) * channels
        return (float(part.sum()) + count - part.size) / count


def _similarity(completed: Planes, truth: Planes) -> _Similar:
    _same_shape(completed, truth)
    if min(truth.shape[:2]) < WINDOW_PX:
        raise ValueError(f"a picture of {truth.shape[1]}x{truth.shape[0]}, smaller than the window of {WINDOW_PX}")
    half, (height, width, channels) = WINDOW_PX // 2, truth.shape
    x, y, across, down = cv2.boundingRect((completed != truth).view(np.uint8).reshape(height, -1))
    x, across = x // channels, -(-(x + across) // channels) - x // channels
    if not down:
        return _Similar(np.ones((0, 0, channels)), np.ones((0, 0, channels)), 0, 0, truth.shape)
    # Windows that see a difference, and around them what they see.
    x0, y0, x1, y1 = max(x - half, 0), max(y - half, 0), min(x + across + half, width), min(y + down + half, height)
    left, top = max(x0 - half, 0), max(y0 - half, 0)
    seen = np.s_[top : y1 + half, left : x1 + half]
    maps = _windowed(completed[seen], truth[seen])
    inner = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    return _Similar(maps[0][inner], maps[1][inner], x0, y0, truth.shape)


def _windowed(completed: Planes, truth: Planes) -> tuple[F64, F64]:
    """SSIM, and its contrast and structure, of every window."""
    kernel = cv2.getGaussianKernel(WINDOW_PX, WINDOW_SIGMA_PX, cv2.CV_64F)

    def mean(values: F64) -> F64:
        found = cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REFLECT)
        return np.asarray(found.reshape(values.shape))

    return _ssim_of(completed, truth, mean)


def _uniform_ssim(completed: U8, truth: U8) -> float:
    """SSIM with 7 x 7 means and sample covariances, the mean over channels and windows inside the picture."""
    side, half = UNIFORM_PX, UNIFORM_PX // 2

    def mean(values: F64) -> F64:
        found = cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT).reshape(truth.shape)
        return np.asarray(found[half:-half, half:-half])

    return float(_ssim_of(completed, truth, mean, side**2 / (side**2 - 1))[0].mean())


def _ssim_of(completed: Planes, truth: Planes, mean: Callable[[F64], F64], unbiased: float = 1.0) -> tuple[F64, F64]:
    """SSIM, and its contrast and structure. mean: over each window. unbiased: factor of covariances."""
    # In double precision: variances are small differences of large squares.
    first, second = completed.astype(np.float64), truth.astype(np.float64)
    mean_1, mean_2 = mean(first), mean(second)
    product, square = mean_1 * mean_2, mean_1 * mean_1 + mean_2 * mean_2
    covariance = unbiased * (mean(first * second) - product)
    variances = unbiased * (mean(first * first + second * second) - square)
    structure = (2 * covariance + C2) / (variances + C2)
    return np.asarray((2 * product + C1) / (square + C1) * structure), np.asarray(structure)


def _over_scales(completed: U8, truth: U8, finest: _Similar) -> float:
    """Structural similarity over five scales (Wang, Simoncelli & Bovik 2003, equation 7), 0 to 1.

    Each scale halves the last by means of 2 x 2 pixels; contrast and structure of every scale and the luminance of the
    coarsest, each a mean over RGB and over windows inside the picture and at least 0, to the paper's exponents. nan for
    pictures with a side below 176 px, whose coarsest scale is smaller than the window.

    finest: what the windows of the finest scale have in common.
    """
    if min(truth.shape[:2]) < WINDOW_PX * 2 ** (len(SCALE_WEIGHTS) - 1):
        return math.nan
    product: float = max(finest.mean_inside(finest.structure), 0.0) ** SCALE_WEIGHTS[0]
    # Means of so few whole numbers are exact in single precision.
    first, second = completed.astype(np.float32), truth.astype(np.float32)
    for scale, weight in enumerate(SCALE_WEIGHTS[1:], 1):
        size = first.shape[1] // 2, first.shape[0] // 2
        even = np.s_[: 2 * size[1], : 2 * size[0]]
        first, second = (cv2.resize(values[even], size, interpolation=cv2.INTER_AREA) for values in (first, second))
        similar = _similarity(first, second)
        coarsest = scale == len(SCALE_WEIGHTS) - 1
        product *= max(similar.mean_inside(similar.whole if coarsest else similar.structure), 0.0) ** weight
    return product
