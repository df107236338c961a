"""Reads the mask that a user gives: which pixels of a photo are missing."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from facefill.errors import InputError
from facefill.files.samples import DAMAGED
from facefill.imaging.masks import Mask, dilate


def read_mask(
    source: str | os.PathLike[str] | Image.Image | NDArray[np.generic],
    shape: tuple[int, ...],
    *,
    dilate_px: float = 0,
) -> Mask:
    """Return the mask for a photo of `shape` (H, W, ...) from a file, a Pillow picture or an array.

    The rule: white or opaque = missing. Where there is an alpha channel that is not the same everywhere,
    alpha > 127 is missing; otherwise luma > 127 is (of 255; 16-bit files are scaled). A bool array is taken as
    it is, True = missing.
    Files are turned upright by their EXIF orientation, like the photo; a mask is never resized.
    dilate_px: grow the result by a disc of that radius.

    Raises InputError: not a picture, wrong type, another size, nothing or all missing, or looking inverted.
    """
    if isinstance(source, np.ndarray):
        mask = _mask_of_array(source, shape)
    elif isinstance(source, Image.Image):
        mask = _mask_of_picture(source, shape)
    else:
        mask = _mask_of_file(Path(source), shape)
    _refuse_useless(mask)
    if dilate_px:
        mask = dilate(mask, dilate_px)
        if mask.all():
            raise InputError("some known pixels", f"none after a dilation of {dilate_px} px", "dilate less")
    return mask


def _mask_of_file(path: Path, shape: tuple[int, ...]) -> Mask:
    if path.is_dir():
        raise InputError("a mask picture", f"the folder {path}", "name one file")
    try:
        with Image.open(path) as picture:
            return _mask_of_picture(picture, shape)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("a mask picture", f"no file {path}", "check the path") from None
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError("a mask picture", f"{path} ({error})", "save it as PNG") from None
    except DAMAGED as error:
        raise InputError("a readable mask picture", f"{path} ({error})", "save it again as PNG") from None


def _mask_of_picture(picture: Image.Image, shape: tuple[int, ...]) -> Mask:
    # The size is compared before anything is decoded, so that a bomb costs nothing.
    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    _refuse_other_size(picture.size if turned else picture.size[::-1], shape)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.max() > 65535 or values.min() < 0:
            raise InputError("a mask of 8 or 16 bits", "one of 32 bits", "save it as an 8-bit PNG")
        return np.asarray(values > 127 * 257)
    if picture.mode == "F":
        raise InputError("a mask of 8 or 16 bits", "one of floating-point numbers", "save it as an 8-bit PNG")
    if picture.has_transparency_data:
        return _mask_of_array(np.asarray(picture.convert("RGBA")), shape)
    return _mask_of_array(np.asarray(picture.convert("L")), shape)


def _mask_of_array(values: NDArray[np.generic], shape: tuple[int, ...]) -> Mask:
    layers = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or layers not in (1, 2, 3, 4):
        raise InputError("a mask (H, W), or (H, W, C) with 1 to 4 channels", f"shape {values.shape}", "pass one layer")
    if values.dtype != np.uint8 and not (values.dtype == bool and layers == 1):
        fix = "pass `mask > 0.5`, or whatever means missing to you"
        raise InputError("a mask of type bool (H, W) or uint8", f"{values.dtype} {values.shape}", fix)
    _refuse_other_size(values.shape[:2], shape)
    if values.dtype == bool:
        return values.reshape(values.shape[:2]).astype(bool)
    levels = values.reshape(*values.shape[:2], layers).astype(np.uint8)
    alpha = levels[..., -1]
    if layers in (2, 4) and alpha.min() != alpha.max():
        return alpha > 127
    luma = levels[..., 0] if layers < 3 else cv2.cvtColor(np.ascontiguousarray(levels[..., :3]), cv2.COLOR_RGB2GRAY)
    if luma.max() == 1:
        raise InputError(
            "white (255) where pixels are missing", "values of 0 and 1 only", "pass bool, or multiply by 255"
        )
    return np.asarray(luma > 127)


def _refuse_other_size(found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if tuple(found) != tuple(shape[:2]):
        expected = f"a mask of {shape[1]}x{shape[0]} pixels like the photo"
        raise InputError(
            expected, f"one of {found[1]}x{found[0]}", "draw it on the photo itself; masks are never resized"
        )


def _refuse_useless(mask: Mask) -> None:
    if not mask.any():
        raise InputError(
            "white or opaque pixels where something is missing", "a mask without any", "paint the hole white"
        )
    if mask.all():
        raise InputError("some known pixels", "a mask that is missing everywhere", "paint only the hole white")
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if mask.mean() > 0.9 and border.mean() > 0.95:
        fix = "invert it, white is what to fill (magick mask.png -negate inverted.png; in Python: ~mask)"
        raise InputError("a hole in a known picture", f"{mask.mean():.0%} missing, which looks inverted", fix)
