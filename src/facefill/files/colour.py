"""Samples as a file holds them, and their upright 8-bit sRGB view; there and back. Private to `photo.py`.

Colour profiles are applied by LittleCMS, relative colorimetric with black point compensation, as photo editors do by
default; a profile that is sRGB in effect costs nothing. Only missing pixels ever travel back.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from facefill.arrays import U8
from facefill.files.metadata import Kept

Samples = NDArray[Any]  # uint8 or uint16

MODES = {"grey": "L", "rgb": "RGB", "cmyk": "CMYK"}
_SPACES = {"GRAY": "grey", "RGB": "rgb", "CMYK": "cmyk"}
_BAND_ROWS = 256  # LittleCMS works on four bytes per pixel, and alpha on many: bands keep that small beside the photo
_SAME_LEVELS = 1  # a profile that moves no colour further than this is sRGB, whatever it calls itself


@dataclass(frozen=True, eq=False)
class Native:
    """A picture as its file holds it.

    samples: (H, W, C) uint8, or uint16 where bits is 16, in stored orientation: colour channels, perhaps one more.
    With bits 1 the samples are 0 and 255. kind: "grey", "rgb" or "cmyk" (0 is no ink). extra: what the further channel
    is, as TIFF counts: 0 anything, 1 alpha by which the colours are multiplied, 2 alpha; None: there is none. kept:
    what may go into another file. colour_chunks: a PNG's chunks, names and bytes, that say how its colours are meant.
    """

    samples: Samples
    kind: str
    extra: int | None = None
    bits: int = 8
    kept: Kept = field(default_factory=Kept)
    colour_chunks: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def icc(self) -> bytes | None:
        """The colour profile."""
        return self.kept.icc

    @property
    def colours(self) -> Samples:
        """The samples without the further channel."""
        return self.samples if self.extra is None else self.samples[..., :-1]


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


def _apply(transform: ImageCms.ImageCmsTransform, samples: U8, mode: str) -> U8:
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


def to_srgb(native: Native) -> U8:
    """The (H, W, 3) uint8 sRGB view, in stored orientation. May share memory with the samples."""
    colours = straight(native).colours
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
    native = straight(native)
    if native.kind == "grey" and is_srgb(native.icc, "grey"):
        colours, bits = np.repeat(native.colours, 3, axis=2), native.bits
    else:
        colours, bits = to_srgb(native), 8
    if native.extra is not None:
        alpha = native.samples[..., -1:]
        colours = np.dstack([colours, alpha // 257 if native.bits > bits else alpha])
    kept = replace(native.kept, icc=None)
    return replace(native, samples=colours, kind="rgb", kept=kept, bits=bits, colour_chunks=())


def straight(native: Native) -> Native:
    """The same picture with colours that no alpha is multiplied into."""
    if native.extra != 1:
        return native
    most, samples = (65535 if native.bits == 16 else 255), native.samples.copy()
    for top in range(0, len(samples), _BAND_ROWS):
        band = samples[top : top + _BAND_ROWS]
        alpha = band[..., -1:].astype(np.uint32)
        colours = np.minimum((band[..., :-1] * np.uint32(most) + alpha // 2) // np.maximum(alpha, 1), most)
        band[..., :-1] = colours * (alpha > 0)  # what is wholly transparent is black, as Pillow shows it
    return replace(native, samples=samples, extra=2)


def from_srgb(kind: str, bits: int, icc: bytes | None) -> Callable[[U8], Samples]:
    """A function from (N, 3) uint8 sRGB pixels to (N, C) samples of this kind and depth in the profile's colours."""
    same = is_srgb(icc, kind)
    transform = None if same or not icc else _transform(icc, kind, back=True)

    def convert(pixels: U8) -> Samples:
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


def fill(native: Native, completed: U8, mask: NDArray[np.bool_]) -> Native:
    """A copy with the missing pixels' colours replaced; their alpha stays. completed, mask: in stored orientation."""
    samples = native.samples.copy()
    new = from_srgb(native.kind, native.bits, native.icc)(completed[mask])
    if native.extra == 1:
        most = 65535 if native.bits == 16 else 255
        new = ((new * samples[mask, -1:].astype(np.uint32) + most // 2) // most).astype(samples.dtype)
    samples[mask, : native.colours.shape[2]] = new
    return replace(native, samples=samples)
