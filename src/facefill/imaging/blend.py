"""Compositing: known pixels of the image, missing ones of `filled`, without a seam. Runtime and evaluation share it."""

from collections.abc import Iterator

import cv2
import numpy as np

from facefill.arrays import F32, U8, Bool, Box
from facefill.choices import pick
from facefill.imaging.masks import bounding_box
from facefill.imaging.poisson import harmonic

BLENDS: dict[str, float | None] = {"poisson": np.inf, "fade": 16.0, "paste": None}
"""How far in pixels the correction reaches from known pixels; None for no correction."""
# Border differences up to this many grey levels off the median are never treated as leftovers of a cover.
TRUSTED = 8.0
# Windows up to this many pixels are not worth cutting further.
SMALL_PX = 128 * 128
# Above this many, a window of scratches thinner than THIN_PX is solved in tiles: whole, it would need gigabytes.
LARGE_PX = 4_000_000
THIN_PX = 17


def composite(
    image: U8, filled: U8, mask: Bool, *, blend: str = "poisson", limit: float | None = 3.0, quickly: bool = False
) -> U8:
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
    quickly: find the correction, which is smooth, at half the size, as is good enough for a camera's frames.

    The cost is that of the missing parts' bounding boxes, beside one copy. Raises InputError for an unknown blend.
    """
    completed = image.copy()
    reach_px = pick(BLENDS, blend, "blend")
    for x0, y0, x1, y1 in windows(mask, 1):
        view = np.s_[y0:y1, x0:x1]
        missing = np.ascontiguousarray(mask[view])
        patch = np.ascontiguousarray(filled[view])
        if reach_px is not None:
            patch = _corrected(image[view], patch, missing, limit, reach_px, quickly)
        cv2.copyTo(patch, missing.view(np.uint8), completed[view])
    return completed


def membrane(image: U8, filled: U8, mask: Bool, *, limit: float | None = 3.0, tolerance: float = 0.2) -> F32:
    """Return what Poisson blending adds to `filled`, (C, H, W) in grey levels: harmonic in the hole, up to `tolerance`.

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
    return harmonic(planes, mask, tolerance=tolerance)


def windows(mask: Bool, margin_px: int) -> Iterator[Box]:
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


def _widest_gap(used: Bool) -> tuple[int, int]:
    """Return (start, stop) of the longest run of False between two of True; (0, 0) without one."""
    places = np.flatnonzero(used)
    jumps = np.diff(places)
    if len(jumps) == 0:
        return 0, 0
    widest = int(jumps.argmax())
    return int(places[widest]) + 1, int(places[widest + 1])


def _corrected(image: U8, filled: U8, mask: Bool, limit: float | None, reach_px: float, quickly: bool = False) -> U8:
    corrected = filled.copy()
    if mask.size > LARGE_PX and not cv2.erode(mask.view(np.uint8), np.ones((THIN_PX, THIN_PX), np.uint8)).any():
        # Scratches all over a large photo: what lies further away than several widths of a scratch changes nothing.
        for core, grown in _tiles(mask.shape, 1024, 4 * THIN_PX):
            part = np.ascontiguousarray(mask[grown])
            layer = _corrected(image[grown], filled[grown], part, limit, reach_px)
            inner = tuple(slice(c.start - g.start, c.stop - g.start) for c, g in zip(core, grown, strict=True))
            corrected[core] = layer[inner]
        return corrected
    fades = bool(np.isfinite(reach_px))
    # What is worst solved lies deepest, where what fades is gone: the result differs by no more than a level.
    tolerance = 4.0 if fades else 0.2
    if quickly:
        half = ((mask.shape[1] + 1) // 2, (mask.shape[0] + 1) // 2)
        shrunk = [
            cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in (image, filled, 255 * mask.view(np.uint8))
        ]
        small = membrane(shrunk[0], shrunk[1], shrunk[2] > 0, limit=limit, tolerance=tolerance)
        added = np.stack([cv2.resize(plane, mask.shape[::-1]) for plane in small])
    else:
        added = membrane(image, filled, mask, limit=limit, tolerance=tolerance)
    if fades:
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
