"""Photos in and out of files: the only door between picture files and upright (H, W, 3) uint8 sRGB arrays.

`read_photo` gives the upright view that all other code works on. `encode_photo` and `write_photo` open the
source again and replace nothing but the missing samples, in the file's own depth, colour space and stored
orientation: what the view cannot hold (alpha, 16 bits, inks, wide gamut, metadata) is not lost by having been
looked at.
"""

from __future__ import annotations

import io
import os
import secrets
import struct
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefill.errors import InputError, pick
from facefill.files import coefficients, jpeg, metadata, tiff
from facefill.files.colour import Native, Pixels, as_srgb, as_stored, fill, from_srgb, is_srgb, to_srgb, upright
from facefill.files.metadata import Provenance
from facefill.files.samples import DAMAGED, ENCODERS, is_lossless_webp, native_of, use_heif
from facefill.files.signature import Signature, sign

__all__ = [
    "FORMATS",
    "Photo",
    "Provenance",
    "check_output",
    "encode_photo",
    "encode_picture",
    "format_of",
    "read_photo",
    "write_photo",
]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Format:
    """A file format for photos, and what it can hold beside 8-bit RGB."""

    suffixes: tuple[str, ...]
    kinds: tuple[str, ...] = ("rgb",)
    bits: tuple[int, ...] = (8,)
    alpha: bool = True
    metadata: bool = True


FORMATS: dict[str, Format] = {
    "JPEG": Format((".jpg", ".jpeg", ".jpe", ".jfif"), ("grey", "rgb", "cmyk"), alpha=False),
    "PNG": Format((".png",), ("grey", "rgb"), (1, 8, 16)),
    "WEBP": Format((".webp",)),
    "AVIF": Format((".avif",)),
    "TIFF": Format((".tif", ".tiff"), ("grey", "rgb", "cmyk"), (1, 8, 16)),
    "BMP": Format((".bmp", ".dib"), ("grey", "rgb"), (1, 8), metadata=False),
    "HEIF": Format((".heic", ".heif", ".hif")),
}
_SUFFIXES = {suffix: name for name, entry in FORMATS.items() for suffix in entry.suffixes}
_MOST_PIXELS_AHEAD = 32_000_000


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as it is looked at, with what is needed to write it back.

    pixels: (H, W, 3) uint8 RGB, upright, sRGB. format: a key of `FORMATS`. source: the bytes of its file, None for a
    photo that came as an array or a Pillow image. notes: what the user should know about the file, a sentence each.
    path: where it was read from. orientation: EXIF orientation 1 to 8 of the stored samples. native: those samples,
    where there is no source. ahead: what the writer needs of a JPEG, if `read_photo` was asked to read it ahead.
    """

    pixels: Pixels
    format: str
    source: bytes | None = None
    notes: tuple[str, ...] = ()
    path: Path | None = None
    orientation: int = 1
    native: Native | None = None
    ahead: Future[coefficients.Coefficients | None] | None = field(default=None, repr=False)


def read_photo(
    source: Path | str | bytes | Image.Image | NDArray[np.uint8],
    *,
    max_pixels: int = 100_000_000,
    max_bytes: int = 200_000_000,
    ahead: bool = False,
) -> Photo:
    """A photo from a file, the bytes of one, a Pillow image or an (H, W, 3) uint8 RGB array.

    max_pixels, max_bytes: limits, checked before anything is decoded. ahead: read what writing this JPEG will need in a
    thread beside, while the caller does other work; takes 3 to 6 bytes per pixel, so not above 32 megapixels.
    Of several frames the first is taken.
    Raises InputError where the source is missing, too large, damaged or of a kind that is not supported.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_image(source, max_pixels)
    path = None if isinstance(source, bytes) else Path(source)
    data = source if isinstance(source, bytes) else _read_bytes(Path(source), max_bytes)
    what = path.name if path else "the photo"
    if len(data) > max_bytes:
        raise InputError(f"at most {max_bytes:,} bytes", f"{len(data):,} in {what}", "shrink it first")
    name = _sniff(data, what)
    native, notes = _decode(data, name, what, max_pixels)
    if path and _SUFFIXES.get(path.suffix.lower(), name) != name:
        notes.insert(0, f"{what} is a {name} file, whatever its name says")
    orientation = tiff.orientation_of(native.exif)
    pixels = upright(to_srgb(native), orientation)
    ahead = ahead and name == "JPEG" and pixels.size <= 3 * _MOST_PIXELS_AHEAD
    coming = coefficients.read_ahead(data) if ahead else None
    return Photo(pixels, name, data, tuple(notes), path, orientation, ahead=coming)


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.exists():
            raise InputError("a photo file", f"{path}, which does not exist", "check the path")
        if not path.is_file():
            raise InputError(
                "a photo file",
                f"{path}, which is {'a folder' if path.is_dir() else 'no file'}",
                "name a file",
            )
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(f"at most {max_bytes:,} bytes", f"{size:,} in {path.name}", "shrink it first")
        return path.read_bytes()
    except OSError as error:
        raise InputError("a readable file", f"{path} ({error.strerror})", "check its permissions") from error


def _sniff(data: bytes, what: str) -> str:
    """The format that the content shows, whatever the file is called."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == metadata.PNG_SIGNATURE:
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:2] == b"BM" and len(data) > 26:
        return "BMP"
    if data[4:8] == b"ftyp":
        brands = data[8 : max(8, min(struct.unpack(">I", data[:4])[0], 256))]
        return "AVIF" if b"avif" in brands or b"avis" in brands else "HEIF"
    kind = "an empty file" if not data else "a GIF" if data[:4] == b"GIF8" else "something else"
    if kind == "something else" and not any(byte < 9 for byte in data[:512]):
        kind = "text"
    raise InputError(f"a photo ({', '.join(FORMATS)})", f"{kind} in {what}", "give a photo, or convert it to PNG first")


def _from_array(array: NDArray[np.uint8], max_pixels: int) -> Photo:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        got = f"an array of {array.shape} {array.dtype}"
        raise InputError("an (H, W, 3) uint8 RGB array", got, "convert it, or give a Pillow image")
    _check_size(array.shape[1], array.shape[0], "the array", max_pixels)
    pixels = np.ascontiguousarray(array)
    return Photo(pixels, "PNG", native=Native(pixels, "rgb"))


def _from_image(image: Image.Image, max_pixels: int) -> Photo:
    _check_size(image.width, image.height, "the image", max_pixels)
    name = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    name = name if name in FORMATS else "PNG"
    try:
        native, notes = native_of(image, b"", name)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError("a whole image", f"one that cannot be decoded ({error})", "open it again") from error
    orientation = tiff.orientation_of(native.exif)
    return Photo(upright(to_srgb(native), orientation), name, None, tuple(notes), None, orientation, native)


def _check_size(width: int, height: int, what: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        got = f"{width} x {height} in {what}"
        raise InputError(f"at most {max_pixels:,} pixels", got, "shrink it first")


def _decode(data: bytes, name: str, what: str, max_pixels: int | None = None) -> tuple[Native, list[str]]:
    """The samples of a file and notes on them. Raises InputError where it is damaged, too large or not supported."""
    if name == "HEIF":
        use_heif()
    Image.init()
    try:
        # the factory, and not Image.open, whose own limit is one for the whole process
        image = Image.OPEN[name][0](io.BytesIO(data), "")
        if max_pixels is not None:
            _check_size(image.width, image.height, what, max_pixels)
        return native_of(image, data, name)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError("a photo of a sane size", f"{what} ({error})", "shrink it") from error
    except DAMAGED as error:
        got = f"{what}, damaged, cut off or of an unknown kind ({error})"
        raise InputError(f"a whole {name} file", got, "get it again, or convert it to PNG") from error


def encode_photo(
    photo: Photo,
    completed: Pixels,
    mask: Mask,
    *,
    format: str | None = None,
    provenance: Provenance | None = None,
) -> tuple[bytes, tuple[str, ...]]:
    """The photo as a file in which only the missing pixels are new.

    completed: (H, W, 3) uint8 RGB, the whole photo; known pixels in it serve thumbnails only. mask: (H, W) bool.
    format: a key of `FORMATS`, None for the photo's own. provenance: goes into the file's XMP where a pixel is missing.
    Returns the bytes, and notes on what the format could not keep.
    """
    if completed.shape != photo.pixels.shape or completed.dtype != np.uint8:
        raise ValueError(f"completed is {completed.shape} {completed.dtype}, the photo {photo.pixels.shape} uint8")
    if mask.shape != photo.pixels.shape[:2] or mask.dtype != np.bool_:
        raise ValueError(f"the mask is {mask.shape} {mask.dtype}, the photo {photo.pixels.shape}")
    target = format or photo.format
    pick(FORMATS, target, "format")
    source = photo.source if target == photo.format else None
    if not mask.any():
        provenance = None
        if source:
            return source, ("no pixel is missing: the file is copied as it is",)
    picture, hole = as_stored(completed, photo.orientation), as_stored(mask, photo.orientation)
    if source and target == "JPEG":
        rewritten = _rewrite_jpeg(photo, source, picture, hole, provenance)
        if rewritten is not None:
            return rewritten
    native = photo.native or _decode(photo.source or b"", photo.format, "the photo")[0]
    native, notes = _fit(fill(native, picture, hole), target, photo.orientation)
    if source and target == "JPEG":
        notes.append("its untouched blocks could not be kept: jpeglib is missing, or cannot read this JPEG")
    xmp, problems = _stamped(native.xmp, provenance, target)
    exif = tiff.renew_thumbnail(native.exif, picture) if native.exif else None
    data, more = ENCODERS[target](replace(native, xmp=xmp, exif=exif), source, picture)
    notes += problems + more
    if target in ("JPEG", "AVIF", "HEIF") or (target == "WEBP" and not is_lossless_webp(data)):
        again = _decode(data, target, "the result")[0]
        difference = cv2.absdiff(upright(to_srgb(again), tiff.orientation_of(again.exif)), photo.pixels)
        difference[mask] = 0
        notes.append(f"{target} codes with loss: outside the hole the largest difference is {difference.max()} of 255")
    return data, tuple(notes)


def encode_picture(pixels: Pixels, format: str = "PNG", quality: int | None = None) -> bytes:
    """The file of a picture that comes from no photo: (H, W, 3) uint8 RGB or (H, W) grey, without metadata.

    format: PNG, WEBP or JPEG. quality: 1 to 100; None: without loss, as PNG always is (JPEG then takes 95).
    """
    pick(dict.fromkeys(("PNG", "WEBP", "JPEG")), format, "format")
    options = {
        "PNG": {},
        "WEBP": {"lossless": quality is None, "quality": quality or 80},
        "JPEG": {"quality": quality or 95},
    }
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options[format])
    return stream.getvalue()


def _rewrite_jpeg(
    photo: Photo, source: bytes, picture: Pixels, hole: Mask, provenance: Provenance | None
) -> tuple[bytes, tuple[str, ...]] | None:
    """The source with new coefficients where the hole is, and nowhere else; None where that cannot be done."""
    header, _ = native_of(Image.OPEN["JPEG"][0](io.BytesIO(source), ""), source, "JPEG", decode=False)
    to_native = from_srgb(header.kind, 8, header.icc)
    try:
        data = coefficients.replace_blocks(source, picture, hole, to_native, photo.ahead)
    except OSError:  # damage that libjpeg reads over, but does not write
        data = None
    if data is None:
        return None
    xmp, problems = _stamped(header.xmp, provenance, "JPEG")
    segments, notes = jpeg.renew_jpeg_metadata(jpeg.jpeg_segments(source)[0], xmp, picture)
    return jpeg.join_jpeg(data, segments), tuple(problems + notes)


def _stamped(xmp: bytes | None, provenance: Provenance | None, target: str) -> tuple[bytes | None, list[str]]:
    if provenance is None:
        return xmp, []
    if not FORMATS[target].metadata:
        return None, [f"{target} holds no XMP: the file does not say that part of it is invented"]
    try:
        return metadata.stamp_xmp(xmp, provenance), []
    except ValueError as error:
        return metadata.stamp_xmp(None, provenance), [f"its XMP is replaced ({error})"]


def _fit(native: Native, target: str, orientation: int) -> tuple[Native, list[str]]:
    """The picture as `target` can hold it, and notes on what was lost by that."""
    entry, notes = FORMATS[target], []
    if native.bits not in entry.bits:
        if native.bits == 16:
            notes.append(f"{target} holds 8 bits: the photo's 16 are rounded")
            shape = native.samples.shape
            native = replace(native, samples=cv2.convertScaleAbs(native.samples, alpha=1 / 257).reshape(shape))
        native = replace(native, bits=8)
    if native.alpha and not entry.alpha:
        notes.append(f"{target} holds no alpha: its transparent pixels become opaque")
        native = replace(native, samples=native.colours, alpha=False)
    lost = not entry.metadata and not is_srgb(native.icc, native.kind)
    # no reader in use knows grey with alpha in a BMP, or with 16 bits in a TIFF
    paired = native.kind == "grey" and native.alpha and (target == "BMP" or (target == "TIFF" and native.bits == 16))
    if native.kind not in entry.kinds or lost or paired:
        if native.kind == "cmyk" or lost:
            notes.append(f"{target} holds no {'CMYK' if native.kind == 'cmyk' else 'profile'}: colours become sRGB")
        native = as_srgb(native)
    if not entry.metadata:
        if native.exif or native.xmp:
            notes.append(f"{target} holds no EXIF and no XMP: they are left out")
        native = replace(native, samples=upright(native.samples, orientation), exif=None, xmp=None)
    return native, notes


def format_of(path: Path | str) -> str:
    """The format that a file name asks for. Raises InputError where its suffix is none of a photo."""
    suffix = Path(path).suffix.lower()
    return pick(_SUFFIXES, suffix, "file suffix", nearness=0.8)  # .gif does not mean .tif


def check_output(path: Path | str, *, inputs: Iterable[Path], overwrite: bool = False) -> None:
    """Raises InputError where `write_photo` would refuse the path, so that nobody computes in vain.

    inputs: the files that are read, which are never written.
    """
    path = Path(path)
    format_of(path)
    try:
        if path.exists() and any(one.exists() and os.path.samefile(path, one) for one in inputs):
            raise InputError("another file to write to", f"the input itself, {path}", "choose another name")
        if path.is_dir():
            raise InputError("a file to write to", f"the folder {path}", "add a file name")
        if not path.parent.is_dir():
            raise InputError("an existing folder", str(path.parent), "create it first")
        if os.path.lexists(path) and not overwrite:
            raise InputError("a new file", f"{path}, which exists", "choose another name or --overwrite")
    except OSError as error:
        raise InputError("a path that can be written", f"{path} ({error.strerror})", "choose another") from error


def write_photo(
    photo: Photo,
    completed: Pixels,
    mask: Mask,
    path: Path | str,
    *,
    overwrite: bool = False,
    provenance: Provenance | None = None,
    signature: Signature | None = None,
) -> tuple[str, ...]:
    """Writes the photo with its missing pixels replaced, in the format of the path's suffix; see `encode_photo`.

    signature: signs a C2PA manifest of the provenance.

    The file appears whole or not at all. The photo's own file is never written, whatever `overwrite` says.
    Returns notes on what the format could not keep. Raises InputError where the path cannot be written.
    """
    inputs = [photo.path] if photo.path else []
    check_output(path, inputs=inputs, overwrite=overwrite)
    data, notes = encode_photo(photo, completed, mask, format=format_of(path), provenance=provenance)
    if signature and provenance and mask.any():
        original = (photo.source, photo.format) if photo.source else None
        data = sign(data, format_of(path), signature, provenance, Path(path).name, original)
    check_output(path, inputs=inputs, overwrite=overwrite)
    _write_whole(Path(path), data)
    return notes


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_name(f".facefill-{secrets.token_hex(8)}.part")
    try:
        try:
            with open(beside, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        fix = "free some space or choose another folder"
        raise InputError("a folder that can be written", f"{path} ({error.strerror})", fix) from error
