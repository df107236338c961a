"""Samples as a file holds them, and their upright 8-bit sRGB view; there and back.

Private to `photo.py`. Colour profiles are applied by LittleCMS, relative colorimetric with black point
compensation, as photo editors do by default; a profile that is sRGB in effect costs nothing. Only missing
pixels ever travel back.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
Samples = NDArray[Any]  # uint8 or uint16

MODES = {"grey": "L", "rgb": "RGB", "cmyk": "CMYK"}
_SPACES = {"GRAY": "grey", "RGB": "rgb", "CMYK": "cmyk"}
_BAND_ROWS = 256  # LittleCMS works on four bytes per pixel: bands keep that small beside the photo itself
_SAME_LEVELS = 1  # a profile that moves no colour further than this is sRGB, whatever it calls itself


@dataclass(frozen=True, eq=False)
class Native:
    """A picture as its file holds it.

    samples: (H, W, C) uint8, or uint16 where bits is 16, in stored orientation: colour channels, then alpha.
    With bits 1 the samples are 0 and 255. kind: "grey", "rgb" or "cmyk" (0 is no ink). icc, exif (a TIFF block),
    xmp: the blocks of the file. dpi: dots per inch across and down.
    """

    samples: Samples
    kind: str
    alpha: bool = False
    bits: int = 8
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def colours(self) -> Samples:
        """The samples without alpha."""
        return self.samples[..., :-1] if self.alpha else self.samples


def profile_problem(icc: bytes | None, kind: str) -> str:
    """Why a profile cannot be used for samples of this kind; empty where it can."""
    if not icc:
        return ""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip()
        if _SPACES.get(space) != kind:
            return f"its colour profile is for {space}, not {MODES[kind]}: it is ignored"
        _transform(icc, kind, back=False)
        _transform(icc, kind, back=True)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return "its colour profile cannot be used: it is ignored"
    return ""


def _transform(icc: bytes, kind: str, *, back: bool) -> ImageCms.ImageCmsTransform:
    profile, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    if back:
        return ImageCms.buildTransform(srgb, profile, "RGB", MODES[kind], intent, flags)
    return ImageCms.buildTransform(profile, srgb, MODES[kind], "RGB", intent, flags)


def _apply(transform: ImageCms.ImageCmsTransform, samples: Pixels, mode: str) -> Pixels:
    """(H, W, C) uint8 of Pillow mode `mode` through a transform."""
    picture = Image.fromarray(samples[..., 0] if mode == "L" else samples, mode)
    result = np.asarray(ImageCms.applyTransform(picture, transform))
    return result if result.ndim == 3 else result[..., None]


def is_srgb(icc: bytes | None, kind: str) -> bool:
    """Whether samples of this kind are sRGB as they are: without a profile, or with one that moves no colour."""
    if not icc or kind == "cmyk":
        return kind != "cmyk"
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    if kind == "grey":
        grid = levels[None, :, None]
    else:
        grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(1, -1, 3)
    seen = _apply(_transform(icc, kind, back=False), grid, MODES[kind])
    return int(np.abs(seen.astype(int) - grid).max()) <= _SAME_LEVELS


def to_srgb(native: Native) -> Pixels:
    """The (H, W, 3) uint8 sRGB view, in stored orientation. May share memory with the samples."""
    colours = native.colours
    if native.bits == 16:
        colours = cv2.convertScaleAbs(np.ascontiguousarray(colours), alpha=1 / 257).reshape(colours.shape)
    if is_srgb(native.icc, native.kind):
        return colours if native.kind == "rgb" else cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_GRAY2RGB)
    mode = MODES[native.kind]
    transform = _transform(native.icc, native.kind, back=False) if native.icc else None
    view = np.empty((*colours.shape[:2], 3), np.uint8)
    for top in range(0, len(view), _BAND_ROWS):
        band = np.ascontiguousarray(colours[top : top + _BAND_ROWS])
        if transform:
            view[top : top + _BAND_ROWS] = _apply(transform, band, mode)
        else:
            view[top : top + _BAND_ROWS] = np.asarray(Image.fromarray(band, mode).convert("RGB"))
    return view


def as_srgb(native: Native) -> Native:
    """The same picture as sRGB without a profile; grey keeps its depth, what a profile or inks made has 8 bits."""
    if native.kind == "grey" and is_srgb(native.icc, "grey"):
        colours, bits = np.repeat(native.colours, 3, axis=2), native.bits
    else:
        colours, bits = to_srgb(native), 8
    if native.alpha:
        alpha = native.samples[..., -1:]
        colours = np.dstack([colours, alpha // 257 if native.bits > bits else alpha])
    return replace(native, samples=colours, kind="rgb", icc=None, bits=bits)


def from_srgb(kind: str, bits: int, icc: bytes | None) -> Callable[[Pixels], Samples]:
    """A function from (N, 3) uint8 sRGB pixels to (N, C) samples of this kind and depth in the profile's colours."""
    same = is_srgb(icc, kind)
    transform = None if same or not icc else _transform(icc, kind, back=True)

    def convert(pixels: Pixels) -> Samples:
        if not len(pixels):
            return np.empty((0, Image.getmodebands(MODES[kind])), np.uint16 if bits == 16 else np.uint8)
        row = pixels[None]
        if transform:
            row = _apply(transform, row, "RGB")
        elif kind != "rgb":
            row = np.asarray(Image.fromarray(row, "RGB").convert(MODES[kind])).reshape(1, len(pixels), -1)
        if bits == 1:
            return np.where(row[0] >= 128, 255, 0).astype(np.uint8)
        samples: Samples = row[0]
        return samples.astype(np.uint16) * 257 if bits == 16 else samples

    return convert


def fill(native: Native, completed: Pixels, mask: NDArray[np.bool_]) -> Native:
    """A copy with the missing pixels' colours replaced; their alpha stays. completed, mask: in stored orientation."""
    samples = native.samples.copy()
    samples[mask, : native.colours.shape[2]] = from_srgb(native.kind, native.bits, native.icc)(completed[mask])
    return replace(native, samples=samples)


def upright(stored: Pixels, orientation: int) -> Pixels:
    """A picture turned as its EXIF orientation (1 to 8) says; contiguous."""
    if orientation == 1:
        return np.ascontiguousarray(stored)
    turned = cv2.transpose(stored) if orientation >= 5 else stored.copy()
    down, across = _flips(orientation)
    if down or across:
        cv2.flip(turned, -1 if down and across else 1 if across else 0, dst=turned)
    return turned.reshape(*turned.shape[:2], *stored.shape[2:])  # OpenCV drops the axis of a single channel


def as_stored(turned: Samples, orientation: int) -> Samples:
    """The inverse of `upright` for any array, as a view."""
    orientation = {6: 8, 8: 6}.get(orientation, orientation)  # all others are their own inverse
    array = turned.swapaxes(0, 1) if orientation >= 5 else turned
    down, across = _flips(orientation)
    return array[:: -1 if down else 1, :: -1 if across else 1]


def _flips(orientation: int) -> tuple[bool, bool]:
    """Whether to mirror down and across, after transposing for 5 to 8 (EXIF 2.32, tag 0x0112)."""
    return orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
