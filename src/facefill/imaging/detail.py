"""What a completed face lacks beside the photo that it is enlarged into: the contrast of small things, and grain."""

import cv2
import numpy as np

from facefill.arrays import F32, F64, U8, Bool
from facefill.imaging.blend import windows
from facefill.imaging.masks import bounding_box

# Completed faces have 0.54 to 0.66 of the energy of the hidden ones in bands up to 5.6 pixels of the network
# (docs/swift.md). Finer bands are left to grain; half as much again is as far as it goes unseen.
BAND_PX = (2.0, 7.0)
GAIN = 0.47
# The gain fades in over this many pixels from the hole's border, so that nothing rings against known pixels.
BORDER_PX = 8.0
# Pixels near black or white show no grain, however much the camera has.
UNCLIPPED = (12, 243)
# The camera's noise is that of the calmest tenth of all that is known; a bit more, as that is the calmest of a noise.
CALM, SPREAD = 0.1, 1.2
# Skin has pores beyond that, of up to three grey levels. What has more is beard, hair or cloth, and as grain freckles.
SKIN_LEVELS = 3.0


def restore_contrast(patch: U8, mask: Bool, enlarged: float) -> U8:
    """Return the patch with more contrast of small things in the hole, as much as completions lack.

    patch: (S, S, 3) uint8, a crop's completion. mask: (S, S), True = missing; known pixels come back as they are.
    enlarged: photo pixels per patch pixel. At 1 or less the patch comes back as it is, from 1.25 with the whole gain:
    a face that the network sees at its own size is what it was trained for.
    """
    gain = GAIN * float(np.clip((enlarged - 1) / 0.25, 0, 1))
    if gain == 0 or not mask.any():
        return patch
    picture = patch.astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT) for sigma_px in BAND_PX)
    deep = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3)
    picture += (gain * np.minimum(deep / BORDER_PX, 1))[..., None] * (fine - coarse)
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def match_grain(image: U8, completed: U8, mask: Bool, rng: np.random.Generator, *, detail_px: float = 2.0) -> U8:
    """Return `completed` with seeded grain in the hole, as much as its surroundings have and it lacks.

    A patch that was enlarged into a large photo has neither the photo's noise nor its finest texture. What is finer
    than about `detail_px` (the crop's photo pixels per crop pixel is a good value) is taken as a stationary random
    field; its spectrum is measured on calm known pixels of the hole's colour, up to a sixth of the picture's side or
    128 px away, and in the hole itself. Where the known one is higher, Gaussian noise of the difference is added
    (Galerne, Gousseau & Morel 2011, "Random phase textures"), weaker where brightness has less of it or the hole has
    texture of its own. Channels covary as they do in the surroundings.

    image: what is known, (H, W, 3) uint8. completed: after compositing. Outside the mask the image's pixels come back.
    """
    sigma_px = float(np.clip(detail_px, 1.0, 8.0))
    grained = image.copy()
    for x0, y0, x1, y1 in windows(mask, int(np.clip(max(mask.shape) // 6, 24, 128))):
        view = np.s_[y0:y1, x0:x1]
        missing = np.ascontiguousarray(mask[view])
        picture = np.where(missing[..., None], completed[view], image[view]).astype(np.float32)
        coarse = cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
        fine = picture - coarse
        luma, brightness = (cv2.cvtColor(part, cv2.COLOR_RGB2GRAY) for part in (fine, coarse))
        here, around, most = _calm(luma, coarse, brightness, missing, sigma_px)
        left, top, right, bottom = bounding_box(missing)
        hole = np.s_[top:bottom, left:right]
        if np.count_nonzero(around) >= 400 and np.count_nonzero(here) >= 100:
            shape = (bottom - top, right - left, 3)
            measured = float((luma[around] ** 2).mean())
            wanted = min(measured, most)
            white, share = rng.standard_normal(shape, dtype=np.float32), wanted / max(measured, 1e-9)
            noise = _lacking_grain(fine, luma, around, luma[hole], here[hole], sigma_px, white, share)
            strength = _by_brightness(luma, brightness, around, ~missing, brightness[hole])
            strength *= _room(luma[hole], missing[hole], wanted, float((luma[here] ** 2).mean()), sigma_px)
            picture[hole] += noise * strength[..., None]
        patch = np.clip(np.rint(picture[hole]), 0, 255).astype(np.uint8)
        cv2.copyTo(patch, missing[hole].astype(np.uint8), grained[view][hole])
    return grained


def _calm(luma: F32, coarse: F32, brightness: F32, missing: Bool, sigma_px: float) -> tuple[Bool, Bool, float]:
    """Return the calm pixels of the hole and of what is known of its colour, and the most that their grain may be.

    Calm: with the energy of the calmest thirtieth, up to 1.6 times; of the hole, and of the quarter of the known pixels
    nearest to its colour. Where that is beard or hair all the same, its energy, a mean square, tells nothing of the
    hole: then it is at most that of the camera's noise, which is the same everywhere, or that of skin.
    """
    known = ~missing
    # Of either side only: the hole is smoother than what is beside it.
    energy = np.where(missing, *(_mean_of(luma**2, side, sigma_px) for side in (missing, known)))
    # Every few pixels tell as much as all: neighbours' means over squares are nearly the same.
    step = max(1, round(sigma_px))
    some = np.s_[::step, ::step]
    here = missing & (energy <= 1.6 * _quantile(energy[some][missing[some]], 0.03))
    distance = cv2.transform(cv2.absdiff(coarse, _colour(coarse[some][missing[some]])), np.ones((1, 3), np.float32))
    alike = known & (distance <= _quantile(distance[some][known[some]], 0.25))
    around = alike & (energy <= 1.6 * _quantile(energy[some][alike[some]], 0.03))
    shown = known & (brightness > UNCLIPPED[0]) & (brightness < UNCLIPPED[1])
    most = SKIN_LEVELS**2
    if np.count_nonzero(shown) >= 400:
        most = max(SPREAD * _quantile(energy[some][shown[some]], CALM), SKIN_LEVELS**2)
    return here, around, most


def _quantile(values: F32, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else 0.0


def _colour(pixels: F32) -> tuple[float, float, float, float]:
    """The median colour as OpenCV takes one."""
    red, green, blue = np.median(pixels, axis=0).tolist() if len(pixels) else (0.0, 0.0, 0.0)
    return red, green, blue, 0.0


def _lacking_grain(
    fine: F32, luma: F32, around: Bool, inside: F32, here: Bool, sigma_px: float, white: F32, share: float
) -> F32:
    """Return white noise (h, w, 3) with `share` of the spectrum of `luma` around less that of `inside` here, in fine's
    colours."""
    reach = int(np.ceil(3 * sigma_px))
    wanted, present = _covariance(luma, around, reach), _covariance(inside, here, reach)
    variance = float(wanted[reach, reach])
    wanted = wanted * share
    if variance < 0.05:
        return np.zeros_like(white)
    side = 4 * reach + 2
    taper = np.hanning(2 * reach + 3)[1:-1]
    spectrum = [_spectrum(part * np.outer(taper, taper), side) for part in (wanted, present)]
    frequency = np.fft.fftfreq(side)
    squared = frequency[:, None] ** 2 + frequency**2
    # What is measured went through the high-pass 1 - G; what is added goes in before it.
    passed = (1 - np.exp(-2 * (np.pi * sigma_px) ** 2 * squared)) ** 2
    power = np.maximum(spectrum[0] - spectrum[1], 0) / np.maximum(passed, 0.25)
    kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(power)).real)[reach + 1 : -reach, reach + 1 : -reach]
    field = cv2.filter2D(white, cv2.CV_32F, kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT)
    known = fine[around].astype(np.float64)  # those of a grey photo are one: its grain is to have no colour
    channels = known.T @ known / (len(known) * variance)
    return np.asarray(field @ np.linalg.cholesky(channels + 1e-7 * np.eye(3)).T.astype(np.float32))


def _by_brightness(luma: F32, brightness: F32, around: Bool, known: Bool, wanted: F32) -> F32:
    """Return how strong grain is at each `wanted` brightness (h, w) against `around`, 0.25 to 1: less in the dark."""
    strength = np.abs(luma)
    usual = float(np.median(strength[around]))
    middles, levels = [], []
    for low in range(0, 256, 32):
        alike = strength[known & (brightness >= low) & (brightness < low + 32)]
        if alike.size >= 400:
            middles.append(low + 16)
            levels.append(float(np.median(alike)))
    if not levels or usual <= 0:
        return np.ones_like(wanted)
    return np.asarray(np.clip(np.interp(wanted, middles, levels) / usual, 0.25, 1.0), np.float32)


def _room(luma: F32, missing: Bool, wanted: float, present: float, sigma_px: float) -> F32:
    """Return how much of the lacking grain each place of the hole has room for, (h, w), 0 to 1.

    wanted, present: mean squares of `luma` around the hole and where it is calm. 0 where the hole has twice what is
    wanted already: a mouth or lashes that the method drew would get noise on top of their own texture.
    """
    # Up to four times: one edge must not keep grain from all that lies around it.
    local = _mean_of(np.minimum(luma**2, 4 * wanted), missing, sigma_px)
    return np.asarray(np.sqrt(np.clip((2 * wanted - local) / max(2 * wanted - present, 1e-6), 0, 1)), np.float32)


def _mean_of(values: F32, part: Bool, sigma_px: float) -> F32:
    """The mean of a part's pixels over squares as wide as a Gaussian of twice `sigma_px`."""
    side = 2 * round(2 * sigma_px * np.sqrt(3)) + 1
    sums, shares = (
        cv2.blur(layer, (side, side), borderType=cv2.BORDER_REFLECT)
        for layer in (np.where(part, values, np.float32(0)), part.astype(np.float32))
    )
    return np.asarray(sums / np.maximum(shares, 1e-3))


def _covariance(values: F32, where: Bool, reach: int) -> F64:
    """Return the mean product of two of the chosen pixels for each offset up to `reach`, (2 reach + 1) squared."""
    counts, products = (_correlation(layer, reach) for layer in (where.astype(np.float32), np.where(where, values, 0)))
    near = np.ix_(*(np.arange(-reach, reach + 1) % side for side in products.shape))
    return np.asarray(products[near] / np.maximum(counts[near], 1), np.float64)


def _correlation(layer: F32, reach: int) -> F32:
    """The sum of products of two pixels for each offset up to `reach`, which wraps at the far sides."""
    below, right = (cv2.getOptimalDFTSize(side + reach) - side for side in layer.shape)
    spectrum = cv2.dft(cv2.copyMakeBorder(layer, 0, below, 0, right, cv2.BORDER_CONSTANT))
    return np.asarray(cv2.idft(cv2.mulSpectrums(spectrum, spectrum, 0, conjB=True), flags=cv2.DFT_SCALE))


def _spectrum(covariance: F64, side: int) -> F64:
    reach = covariance.shape[0] // 2
    padded = np.zeros((side, side))
    padded[: 2 * reach + 1, : 2 * reach + 1] = covariance
    return np.asarray(np.fft.fft2(np.roll(padded, (-reach, -reach), axis=(0, 1))).real)
