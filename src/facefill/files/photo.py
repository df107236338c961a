"""Photos in and out of files: the only door between picture files and upright (H, W, 3) uint8 sRGB arrays.

`read_photo` gives the upright view that all other code works on. `encode_photo` and `write_photo` open the source again
and replace nothing but the missing samples, in the file's own depth, colour space and stored orientation: what the view
cannot hold (alpha, 16 bits, inks, wide gamut, metadata) is not lost by having been looked at.
"""

import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefill.arrays import U8, Bool
from facefill.choices import pick
from facefill.errors import InputError, TooLarge, explained
from facefill.files import coefficients, jpeg, samples
from facefill.files.colour import Native, fill, from_srgb, to_srgb
from facefill.files.formats import DAMAGED, FORMATS, Size, check_size, decode, encode, fit, sniff, usable
from facefill.files.metadata import CREDENTIALS, Kept, names_of
from facefill.files.orientation import as_stored, upright
from facefill.files.provenance import Signature, sign
from facefill.files.whole import write_whole
from facefill.files.xmp import Provenance, stamp_xmp

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

_MOST_PIXELS, _MOST_BYTES = 100_000_000, 200_000_000
_SUFFIXES = {suffix: name for name, entry in FORMATS.items() for suffix in entry.suffixes}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as it is looked at, with what is needed to write it back.

    pixels: (H, W, 3) uint8 RGB, upright, sRGB. format: a key of `FORMATS`. source: the bytes of its file, None for a
    photo that came as an array or a Pillow image. notes: what the user should know about the file, a sentence each.
    path: where it was read from. kept: what of the source may go into another file. kind: of its colours. native:
    the samples, where there is no source.
    """

    pixels: U8
    format: str
    source: bytes | None = None
    notes: tuple[str, ...] = ()
    path: Path | None = None
    kept: Kept = field(default_factory=Kept, repr=False)
    kind: str = "rgb"
    native: Native | None = field(default=None, repr=False)

    @property
    def orientation(self) -> int:
        """1 to 8, of the stored samples."""
        return self.kept.orientation


def read_photo(
    source: str | os.PathLike[str] | BinaryIO | bytes | Image.Image | U8,
    *,
    max_pixels: int = _MOST_PIXELS,
    max_bytes: int = _MOST_BYTES,
) -> Photo:
    """A photo from a path, an open file, the bytes of one, a Pillow image or an (H, W, 3) uint8 RGB array.

    max_pixels, max_bytes: limits, checked before anything is decoded; of samples at most four bytes are held for each
    pixel that is allowed. Of several frames the first is taken, of a TIFF's the largest.
    Raises InputError where the source is missing, too large, damaged or of a kind that is not supported.
    """
    source = open_source(source, max_bytes)
    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or not source.size:
            got = f"an array of {source.shape} {source.dtype}"
            raise InputError("an (H, W, 3) uint8 RGB array", got, "convert it, or give a Pillow image")
        check_size((source.shape[1], source.shape[0], 3, 1), "the array", max_pixels)
        pixels = np.ascontiguousarray(source)
        return Photo(pixels, "PNG", native=Native(pixels, "rgb"))
    if isinstance(source, Image.Image):
        return _from_image(source, max_pixels)
    path = None if isinstance(source, bytes) else source
    what = path.name if path else "the photo"
    data = _read_bytes(source, what, max_bytes)
    name = sniff(data, what)
    native, notes = decode(data, name, what, partial(check_size, what=what, max_pixels=max_pixels))
    if path and _SUFFIXES.get(path.suffix.lower(), name) != name:
        notes.insert(0, f"{what} is a {name} file, whatever its name says")
    pixels = upright(to_srgb(native), native.kept.orientation)
    return Photo(pixels, name, data, tuple(notes), path, native.kept, native.kind)


def open_source(source: object, max_bytes: int = _MOST_BYTES) -> Path | bytes | Image.Image | NDArray[Any]:
    """What a caller gives for a picture, as one of four types; tensors on the CPU are arrays. Raises InputError."""
    if isinstance(source, Image.Image | np.ndarray | bytes):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return Path(os.fsdecode(source))
    got = f"a {type(source).__module__}.{type(source).__qualname__}".replace("a builtins.", "a ")
    try:
        if hasattr(source, "__array__"):
            return np.asarray(source)
        if hasattr(source, "read") and isinstance(data := source.read(max_bytes + 1), bytes):
            return data
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        got = f"{got} ({str(error)[:200]})"
    raise InputError("a path, a file open for reading bytes, its bytes, a Pillow image or an array", got, "convert it")


def read_samples(source: Path | bytes | Image.Image, what: str, check: Callable[[Size], None]) -> Native:
    """The samples of a picture in stored orientation, through the door of photos.

    what: its name in errors. check: raises InputError for a size (width, height, channels, bytes per sample) that is
    not wanted, before anything is decoded. Raises InputError as `read_photo` does.
    """
    if isinstance(source, Image.Image):
        check((source.width, source.height, 1, 1))
        return _native_of(source)[0]

    def check_both(size: Size) -> None:
        check(size)
        check_size(size, what, max(_MOST_PIXELS, size[0] * size[1]))

    data = _read_bytes(source, what, _MOST_BYTES)
    return decode(data, sniff(data, what, "mask picture"), what, check_both)[0]


def _read_bytes(source: Path | bytes, what: str, max_bytes: int) -> bytes:
    """The bytes of a file, or those given. Raises InputError where there are too many."""
    with explained("a readable file", what, "check its permissions"):
        if isinstance(source, Path) and not source.exists():
            raise InputError("a photo file", f"{source}, which does not exist", "check the path")
        if isinstance(source, Path) and not source.is_file():
            kind = "a folder" if source.is_dir() else "no file"
            raise InputError("a photo file", f"{source}, which is {kind}", "name a file")
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > max_bytes:
            raise TooLarge(f"at most {max_bytes:,} bytes", f"{size:,} in {what}", "shrink it first")
        return source if isinstance(source, bytes) else source.read_bytes()


def _from_image(image: Image.Image, max_pixels: int) -> Photo:
    if not image.width or not image.height:
        raise InputError("an image with pixels", f"one of {image.width} x {image.height}", "open another")
    check_size((image.width, image.height, len(image.getbands()), 1), "the image", max_pixels)
    name = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    name = name if name in FORMATS else "PNG"
    native, notes = _native_of(image)
    pixels = upright(to_srgb(native), native.kept.orientation)
    return Photo(pixels, name, None, tuple(notes), None, native.kept, native.kind, native)


def _native_of(image: Image.Image) -> tuple[Native, list[str]]:
    try:
        return usable(*samples.decode_image(image))
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError("a whole image", f"one that cannot be decoded ({error})", "open it again") from error


def encode_photo(
    photo: Photo,
    completed: U8,
    mask: Bool,
    *,
    format: str | None = None,
    provenance: Provenance | None = None,
    signature: Signature | None = None,
    title: str = "a photo",
) -> tuple[bytes, tuple[str, ...]]:
    """The photo as a file in which only the missing pixels are new.

    completed: (H, W, 3) uint8 RGB, the whole photo; its known pixels are not looked at. mask: (H, W) bool. format: a
    key of `FORMATS`, None for the photo's own. provenance: goes into the file's XMP where a pixel is missing.
    signature: signs a C2PA manifest of it, under that title.
    Returns the bytes, and notes on what was left out and what the format could not keep.
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
    signature = signature if provenance else None
    dropped = photo.kept.dropped
    if signature and photo.source:  # the new manifest names the old one
        dropped = tuple(name for name in dropped if name != CREDENTIALS)
    notes = [said] if (said := names_of(dropped)) else []
    data, more = _encode(photo, completed, mask, target, source, provenance)
    notes += more
    if signature and provenance:
        original = (photo.source, photo.format) if photo.source else None
        data = sign(data, target, signature, provenance, title, original)
    return data, tuple(notes)


def _encode(
    photo: Photo, completed: U8, mask: Bool, target: str, source: bytes | None, provenance: Provenance | None
) -> tuple[bytes, list[str]]:
    """source: the photo's own bytes, where it stays in its format."""
    kept, notes = photo.kept, []
    picture, hole = as_stored(completed, kept.orientation), as_stored(mask, kept.orientation)
    if provenance and FORMATS[target].metadata:
        kept = replace(kept, xmp=stamp_xmp(kept.xmp, provenance))
        if target == "JPEG" and len(kept.xmp or b"") > jpeg.LONGEST_XMP:
            notes.append("its XMP is too long for a JPEG segment and is left out")
            kept = replace(kept, xmp=stamp_xmp(None, provenance))
    elif provenance:
        notes.append(f"{target} holds no XMP: the file does not say that part of it is invented")
    parsed = jpeg.parse_jpeg(source) if source and target == "JPEG" else None
    if parsed:
        to_native = from_srgb(photo.kind, 8, kept.icc)
        coded = coefficients.replace_blocks(parsed, picture, hole, to_native)
        if coded is not None:
            segments, more = jpeg.segments_of(kept, parsed)
            return jpeg.parse_jpeg(coded).coded(segments), notes + more
        notes.append("its untouched blocks could not be kept: jpegio is missing, or cannot write this JPEG")
    native = photo.native or decode(photo.source or b"", photo.format, "the photo")[0]
    native, more = fit(replace(fill(native, picture, hole), kept=kept), target)
    notes += more
    data, more = encode(native, target, source)
    notes += more
    if target in ("JPEG", "AVIF", "HEIF") or (target == "WEBP" and not samples.is_lossless_webp(data)):
        again = decode(data, target, "the result")[0]
        difference = cv2.absdiff(upright(to_srgb(again), again.kept.orientation), photo.pixels)
        difference[mask] = 0
        notes.append(f"{target} codes with loss: outside the hole the largest difference is {difference.max()} of 255")
    return data, notes


def encode_picture(pixels: U8, format: str = "PNG", quality: int | None = None) -> bytes:
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


def format_of(path: Path | str) -> str:
    """The format that a file name asks for. Raises InputError where its suffix is none of a photo."""
    suffix = Path(path).suffix.lower()
    return pick(_SUFFIXES, suffix, "file suffix", nearness=0.8)  # .gif does not mean .tif


def check_output(path: Path | str, *, inputs: Iterable[Path], overwrite: bool = False) -> None:
    """Raises InputError where `write_photo` would refuse the path. inputs: files that are read, and never written."""
    path = Path(path)
    format_of(path)
    with explained("a path that can be written", path, "choose another"):
        if path.exists() and any(one.exists() and os.path.samefile(path, one) for one in inputs):
            raise InputError("another file to write to", f"the input itself, {path}", "choose another name")
        if path.is_dir():
            raise InputError("a file to write to", f"the folder {path}", "add a file name")
        if not path.parent.is_dir():
            raise InputError("an existing folder", str(path.parent), "create it first")
        if os.path.lexists(path) and not overwrite:
            raise InputError("a new file", f"{path}, which exists", "choose another name or --overwrite")


def write_photo(
    photo: Photo,
    completed: U8,
    mask: Bool,
    path: Path | str,
    *,
    overwrite: bool = False,
    provenance: Provenance | None = None,
    signature: Signature | None = None,
) -> tuple[str, ...]:
    """Writes the photo with its missing pixels replaced, in the format of the path's suffix; see `encode_photo`.

    The file appears whole or not at all. The photo's own file is never written, whatever `overwrite` says.
    Returns notes on what the format could not keep. Raises InputError where the path cannot be written.
    """
    path, inputs = Path(path), [photo.path] if photo.path else []
    check_output(path, inputs=inputs, overwrite=overwrite)
    data, notes = encode_photo(
        photo, completed, mask, format=format_of(path), provenance=provenance, signature=signature, title=path.name
    )
    check_output(path, inputs=inputs, overwrite=overwrite)
    write_whole(path, data)
    return notes
