"""Reads the mask that a user gives: which pixels of a photo are missing."""

import os
from functools import partial
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefill.arrays import Bool
from facefill.errors import InputError
from facefill.files.colour import to_srgb
from facefill.files.orientation import upright
from facefill.files.photo import open_source, read_samples
from facefill.imaging.masks import dilate

_DARK, _BRIGHT, _MOST_MIDDLE = 63, 192, 0.2


def read_mask(
    source: str | os.PathLike[str] | BinaryIO | bytes | Image.Image | NDArray[np.generic],
    shape: tuple[int, ...],
    *,
    dilate_px: float = 0,
) -> Bool:
    """Read the mask of a photo of `shape` (H, W, ...). source: as for `photo.read_photo`, or a bool array.

    The rule: white or opaque = missing. If an alpha channel varies, alpha > 127 is missing; otherwise luma > 127 is (of
    255; 16-bit files are scaled). A bool array is taken as it is, True = missing. A mask is never resized.
    dilate_px: grow the result by a disc of that radius.

    Raises InputError: not a picture, wrong type, another size, nothing or all missing, looking inverted, or a photo.
    """
    given = open_source(source)
    if isinstance(given, np.ndarray):
        mask = _mask_of_array(given, shape)
    else:
        native = read_samples(given, "the mask", partial(_check_sides, shape=shape))
        levels = to_srgb(native) if native.kind == "cmyk" else native.samples
        levels = (levels >> 8).astype(np.uint8) if native.bits == 16 else levels
        mask = _mask_of_array(upright(np.ascontiguousarray(levels), native.kept.orientation), shape)
    if not mask.any():
        expected = "white or opaque pixels where something is missing"
        raise InputError(expected, "a mask without any", "paint the hole white")
    if mask.all():
        raise InputError("some known pixels", "a mask that is missing everywhere", "paint only the hole white")
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if mask.mean() > 0.9 and border.mean() > 0.95:
        fix = "invert it, white is what to fill (magick mask.png -negate inverted.png; in Python: ~mask)"
        raise InputError("a hole in a known picture", f"{mask.mean():.0%} missing, which looks inverted", fix)
    if dilate_px:
        mask = dilate(mask, dilate_px)
        if mask.all():
            raise InputError("some known pixels", f"none after a dilation of {dilate_px} px", "dilate less")
    return mask


def _mask_of_array(values: NDArray[np.generic], shape: tuple[int, ...]) -> Bool:
    layers = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or layers not in (1, 2, 3, 4):
        raise InputError("a mask (H, W), or (H, W, C) with 1 to 4 channels", f"shape {values.shape}", "pass one layer")
    if values.dtype != np.uint8 and not (values.dtype == bool and layers == 1):
        fix = "pass `mask > 0.5`, or whatever means missing to you"
        raise InputError("a mask of type bool (H, W) or uint8", f"{values.dtype} {values.shape}", fix)
    _check_size(values.shape[:2], shape)
    if values.dtype == bool:
        return values.reshape(values.shape[:2]).astype(bool)
    levels = values.reshape(*values.shape[:2], layers).astype(np.uint8)
    alpha = levels[..., -1]
    if layers in (2, 4) and alpha.min() != alpha.max():
        return alpha > 127
    luma = levels[..., 0] if layers < 3 else cv2.cvtColor(np.ascontiguousarray(levels[..., :3]), cv2.COLOR_RGB2GRAY)
    middle = float(np.mean((luma > _DARK) & (luma < _BRIGHT)))
    if middle > _MOST_MIDDLE:
        got = f"one of which {middle:.0%} is neither dark nor bright, as a photo is"
        raise InputError("a mask of black and white", got, "paint what is missing white, and all else black")
    if luma.max() == 1:
        fix = "pass bool, or multiply by 255"
        raise InputError("white (255) where pixels are missing", "values of 0 and 1 only", fix)
    return np.asarray(luma > 127)


def _check_size(found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if tuple(found) != tuple(shape[:2]):
        expected = f"a mask of {shape[1]}x{shape[0]} pixels like the photo"
        fix = "draw it on the photo itself; masks are never resized"
        raise InputError(expected, f"one of {found[1]}x{found[0]}", fix)


def _check_sides(size: tuple[int, int, int, int], shape: tuple[int, ...]) -> None:
    """Before it is known which way up the mask is."""
    if sorted(size[:2]) != sorted(shape[:2]):
        _check_size(size[1::-1], shape)
