"""Compositing: known pixels of the image, missing ones of `filled`, without a seam. Runtime and evaluation share it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from facefill.errors import pick
from facefill.imaging.masks import Mask, bounding_box
from facefill.imaging.poisson import harmonic

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]

BLENDS: dict[str, float | None] = {"poisson": np.inf, "fade": 16.0, "paste": None}
"""How far in pixels the correction reaches from known pixels; None for no correction."""
# Border differences up to this many grey levels off the median are never treated as leftovers of a cover.
TRUSTED = 8.0
# Windows up to this many pixels are not worth cutting further.
SMALL_PX = 128 * 128
# Above this many, a window of scratches thinner than THIN_PX is solved in tiles: whole, it would need gigabytes.
LARGE_PX = 4_000_000
THIN_PX = 17
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def composite(
    image: Pixels, filled: Pixels, mask: Mask, *, blend: str = "poisson", limit: float | None = 3.0
) -> Pixels:
    """Return `completed`: the image's known pixels bit for bit, and in the hole `filled`, blended in.

    image, filled: (H, W, 3) uint8. mask: (H, W) bool, True = missing.
    blend: "paste" takes `filled` as it is. "poisson" keeps its gradients but meets the image at the hole's border
    (Perez, Gangnet & Blake 2003, "Poisson image editing", equation 3): it adds the harmonic interpolation of image -
    filled on the known pixels beside the hole, with natural conditions where the hole meets the picture's edge. So
    `filled` must show what the method drew on those pixels too; where it holds the image's own, nothing is corrected.
    "fade" corrects by exp(-(d / 16)^2) of that at distance d px from the border: thin holes as "poisson" does, and what
    spoils a border (the rim of a cover) stays near it.
    limit: differences on the border are clamped to their median +- max(8 levels, limit x 1.4826 x their median absolute
    deviation), per channel and window, so that pixels of a cover left outside the mask stay a thin edge and do not
    bleed over the face. None trusts every border pixel, as the paper does.

    The cost is that of the missing parts' bounding boxes, beside one copy. Raises InputError for an unknown blend.
    """
    completed = image.copy()
    reach_px = pick(BLENDS, blend, "blend")
    for x0, y0, x1, y1 in windows(mask, 1):
        view = np.s_[y0:y1, x0:x1]
        missing = np.ascontiguousarray(mask[view])
        patch = np.ascontiguousarray(filled[view])
        if reach_px is not None:
            patch = _corrected(image[view], patch, missing, limit, reach_px)
        cv2.copyTo(patch, missing.view(np.uint8), completed[view])
    return completed


def membrane(image: Pixels, filled: Pixels, mask: Mask, *, limit: float | None = 3.0) -> Floats:
    """Return what Poisson blending adds to `filled`, (C, H, W) in grey levels: harmonic in the hole.

    Outside the hole it holds the (clamped) differences beside it, and 0 elsewhere. Arguments as in `composite`.
    """
    beside = cv2.dilate(mask.view(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > 0
    beside &= ~mask
    planes = np.zeros((image.shape[2], *mask.shape), np.float32)
    for plane, ours, theirs in zip(planes, np.moveaxis(image, 2, 0), np.moveaxis(filled, 2, 0), strict=True):
        plane[beside] = ours[beside].astype(np.float32) - theirs[beside]
    if limit is not None and beside.any():
        for plane in planes:
            values = plane[beside]
            middle = float(np.median(values))
            reach = max(TRUSTED, limit * 1.4826 * float(np.median(np.abs(values - middle))))
            plane[beside] = np.clip(values, middle - reach, middle + reach)
    return harmonic(planes, mask, tolerance=0.2)


def windows(mask: Mask, margin_px: int) -> Iterator[Box]:
    """Yield boxes (x0, y0, x1, y1) that hold every missing pixel once, each with that much margin inside the picture.

    A large box is cut in two wherever whole rows or columns of it, more than 16 and two margins, miss nothing: two
    faces in the corners of a large photo cost two faces, not a photo.
    """
    height, width = mask.shape
    pending = [(0, 0, width, height)]
    while pending:
        left, top, right, bottom = pending.pop()
        x0, y0, x1, y1 = bounding_box(mask[top:bottom, left:right])
        if x1 == 0:
            continue
        x0, y0, x1, y1 = x0 + left, y0 + top, x1 + left, y1 + top
        part = mask[y0:y1, x0:x1]
        across, down = (0, 0), (0, 0)
        if part.size > SMALL_PX:
            across, down = _widest_gap(np.any(part, axis=0)), _widest_gap(np.any(part, axis=1))
        if max(across[1] - across[0], down[1] - down[0]) <= max(2 * margin_px, 16):
            x1, y1 = min(x1 + margin_px, width), min(y1 + margin_px, height)
            yield max(x0 - margin_px, 0), max(y0 - margin_px, 0), x1, y1
        elif across[1] - across[0] >= down[1] - down[0]:
            pending += [(x0, y0, x0 + across[0], y1), (x0 + across[1], y0, x1, y1)]
        else:
            pending += [(x0, y0, x1, y0 + down[0]), (x0, y0 + down[1], x1, y1)]


def _widest_gap(used: Mask) -> tuple[int, int]:
    """Return (start, stop) of the longest run of False between two of True; (0, 0) without one."""
    places = np.flatnonzero(used)
    jumps = np.diff(places)
    if len(jumps) == 0:
        return 0, 0
    widest = int(jumps.argmax())
    return int(places[widest]) + 1, int(places[widest + 1])


def _corrected(image: Pixels, filled: Pixels, mask: Mask, limit: float | None, reach_px: float) -> Pixels:
    corrected = filled.copy()
    if mask.size > LARGE_PX and not cv2.erode(mask.view(np.uint8), np.ones((THIN_PX, THIN_PX), np.uint8)).any():
        # Scratches all over a large photo: what lies further away than several widths of a scratch changes nothing.
        for core, grown in _tiles(mask.shape, 1024, 4 * THIN_PX):
            part = np.ascontiguousarray(mask[grown])
            layer = _corrected(image[grown], filled[grown], part, limit, reach_px)
            inner = tuple(slice(c.start - g.start, c.stop - g.start) for c, g in zip(core, grown, strict=True))
            corrected[core] = layer[inner]
        return corrected
    added = membrane(image, filled, mask, limit=limit)
    if np.isfinite(reach_px):
        deep = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5).astype(np.float64)
        added *= np.exp(-np.square(deep / reach_px))
    for channel, plane in enumerate(added):
        corrected[..., channel] = cv2.add(np.ascontiguousarray(filled[..., channel]), plane, dtype=cv2.CV_8U)
    return corrected


def _tiles(shape: tuple[int, ...], side: int, overlap: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield the slices of each tile, without and with its overlap on the next ones."""
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            starts = (top, left)
            core = tuple(slice(a, min(a + side, end)) for a, end in zip(starts, shape, strict=True))
            grown = (
                slice(max(c.start - overlap, 0), min(c.stop + overlap, end)) for c, end in zip(core, shape, strict=True)
            )
            yield core, tuple(grown)


def match_grain(
    image: Pixels, completed: Pixels, mask: Mask, rng: np.random.Generator, *, detail_px: float = 2.0
) -> Pixels:
    """Return `completed` with seeded grain in the hole, as much as its surroundings have and it lacks.

    A patch that was enlarged into a large photo has neither the photo's noise nor its finest texture. What is finer
    than about `detail_px` (the crop's photo pixels per crop pixel is a good value) is taken as a stationary random
    field; its spectrum is measured on known pixels within 24 to 64 px of the hole whose colour is like the hole's, and
    in the hole itself, both without the strong edges. Where the known one is higher, Gaussian noise of the difference
    is added (Galerne, Gousseau & Morel 2011, "Random phase textures"), weaker where brightness has less of it.
    Channels covary as they do in the surroundings.

    image: what is known, (H, W, 3) uint8. completed: after compositing. Outside the mask the image's pixels come back.
    """
    sigma_px = float(np.clip(detail_px, 1.0, 8.0))
    grained = image.copy()
    for x0, y0, x1, y1 in windows(mask, int(np.clip(8 * sigma_px, 24, 64))):
        view = np.s_[y0:y1, x0:x1]
        missing = np.ascontiguousarray(mask[view])
        picture = np.where(missing[..., None], completed[view], image[view]).astype(np.float32)
        coarse = cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
        fine = picture - coarse
        here, around = _alike(fine, coarse, missing, sigma_px)
        noise = _lacking_grain(fine, here, around, sigma_px, rng)
        noise *= _grain_by_brightness(fine, coarse, around, ~missing)[..., None]
        patch = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
        cv2.copyTo(patch, missing.view(np.uint8), grained[view])
    return grained


def _alike(fine: Floats, coarse: Floats, missing: Mask, sigma_px: float) -> tuple[Mask, Mask]:
    """Return the calm pixels of the hole, and of the known quarter around it that is nearest to the hole's colour.

    Calm: with the energy of the calmest thirtieth, up to 1.6 times. Noise has the same energy everywhere; what has more
    is texture (brows, lashes, cloth, fur), and as grain that would be freckles.
    """
    colour = np.median(coarse[missing], axis=0)
    distance = np.abs(coarse - colour).sum(axis=-1)
    around = ~missing
    if around.any():
        around &= distance <= np.quantile(distance[around], 0.25)
    energy = cv2.GaussianBlur((fine**2).sum(axis=-1), (0, 0), 3 * sigma_px, borderType=cv2.BORDER_REFLECT)
    here = missing.copy()
    for part in (here, around):
        if part.any():
            part &= energy <= 1.6 * np.quantile(energy[part], 0.03)
    return here, around


def _lacking_grain(fine: Floats, here: Mask, around: Mask, sigma_px: float, rng: np.random.Generator) -> Floats:
    """Return noise (H, W, 3) with the spectrum of `fine` around less that here; zero when too few pixels tell it."""
    if around.sum() < 400 or here.sum() < 100:
        return np.zeros_like(fine)
    luma = fine @ LUMA
    reach = int(np.ceil(3 * sigma_px))
    wanted, present = _covariance(luma, around, reach), _covariance(luma, here, reach)
    variance = float(wanted[reach, reach])
    if variance < 0.05:
        return np.zeros_like(fine)
    side = 4 * reach + 2
    taper = np.hanning(2 * reach + 3)[1:-1]
    spectrum = [_spectrum(part * np.outer(taper, taper), side) for part in (wanted, present)]
    frequency = np.fft.fftfreq(side)
    squared = frequency[:, None] ** 2 + frequency**2
    # What is measured went through the high-pass 1 - G; what is added goes in before it.
    passed = (1 - np.exp(-2 * (np.pi * sigma_px) ** 2 * squared)) ** 2
    power = np.maximum(spectrum[0] - spectrum[1], 0) / np.maximum(passed, 0.25)
    kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(power)).real)[reach + 1 : -reach, reach + 1 : -reach]
    white = rng.standard_normal(fine.shape, dtype=np.float32)
    field = cv2.filter2D(white, cv2.CV_32F, kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT)
    channels = fine[around].T @ fine[around] / (around.sum() * variance)
    return np.asarray(field @ np.linalg.cholesky(channels + 1e-4 * np.eye(3)).T.astype(np.float32))


def _grain_by_brightness(fine: Floats, coarse: Floats, around: Mask, known: Mask) -> Floats:
    """Return how strong grain is at each pixel's brightness against `around`, (H, W), 0.25 to 1.25.

    Sensors and JPEG leave less of it in the dark: a hole that reaches into shadow would glitter there.
    """
    strength, brightness = np.abs(fine @ LUMA), coarse @ LUMA
    usual = float(np.median(strength[around])) if around.any() else 0.0
    middles, levels = [], []
    for low in range(0, 256, 32):
        alike = strength[known & (brightness >= low) & (brightness < low + 32)]
        if alike.size >= 400:
            middles.append(low + 16)
            levels.append(float(np.median(alike)))
    if not levels or usual <= 0:
        return np.ones_like(brightness)
    return np.asarray(np.clip(np.interp(brightness, middles, levels) / usual, 0.25, 1.25), np.float32)


def _covariance(values: Floats, where: Mask, reach: int) -> NDArray[np.float64]:
    """Return the mean product of two of the chosen pixels for each offset up to `reach`, (2 reach + 1) squared."""
    shape = [fft.next_fast_len(side + reach, real=True) for side in values.shape]
    counts, products = (
        fft.irfft2(np.abs(fft.rfft2(layer, shape)) ** 2, shape)
        for layer in (where.astype(np.float32), np.where(where, values, np.float32(0)))
    )
    near = np.ix_(*(np.arange(-reach, reach + 1) % side for side in shape))
    return np.asarray(products[near] / np.maximum(counts[near], 1), np.float64)


def _spectrum(covariance: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    reach = covariance.shape[0] // 2
    padded = np.zeros((side, side))
    padded[: 2 * reach + 1, : 2 * reach + 1] = covariance
    return np.asarray(np.fft.fft2(np.roll(padded, (-reach, -reach), axis=(0, 1))).real)
