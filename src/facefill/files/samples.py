"""File bytes to samples and back, a format at a time.

Private to `photo.py`, which decides what to write; here is how. Pillow does most of it. OpenCV decodes what
Pillow would cut down (16-bit colour) or decode with more copies (JPEG); TIFF, 16-bit PNG and BMP with alpha
are coded here, because no library in use writes them without loss of depth, tags or alpha.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin

from facefill.errors import InputError
from facefill.files import jpeg, metadata, tiff
from facefill.files.colour import MODES, Native, Pixels, Samples, as_stored, profile_problem
from facefill.files.tiff import tag

DAMAGED = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error),
)
"""What the libraries raise for a picture file that is damaged or cut off."""

_CLEAR = "its transparent colour becomes an alpha channel"
_KINDS = {"1": "grey", "L": "grey", "LA": "grey", "RGB": "rgb", "RGBA": "rgb", "CMYK": "cmyk"}


def use_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError("a format that is installed", "HEIC", "pip install facefill[heic]") from error
    pillow_heif.register_heif_opener()


def native_of(image: Image.Image, data: bytes, name: str, *, decode: bool = True) -> tuple[Native, list[str]]:
    """The samples of an opened Pillow image, and notes on them; without `decode` only what stands in the header.

    data: the file's bytes, empty where there are none.
    """
    notes = []
    if name == "PNG" and data:
        metadata.png_chunks(data)  # the writer needs all of them; the decoders read over damage behind the samples
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"it holds {frames} pictures: only the first is used")
    info = image.info
    exif = info.get("exif") or (image.getexif().tobytes() if not data and image.getexif() else b"")
    exif = exif.removeprefix(jpeg.EXIF_HEADER) or (tiff.exif_of_tiff(data) if data and name == "TIFF" else None)
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or None
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    across, down = info.get("dpi", (0, 0))
    dpi = (float(across), float(down)) if across and down else None
    if decode:
        samples, kind, alpha, bits = _samples(image, data, name, notes)
    else:
        samples, kind, alpha, bits = np.empty((0, 0, 0), np.uint8), _KINDS[image.mode], False, 8
    if decode and name == "TIFF" and data:  # decoded upright already
        samples = np.ascontiguousarray(as_stored(samples, tiff.orientation_of(exif)))
    icc = info.get("icc_profile") or None
    notes += _coding_notes(data, name, bool(icc))
    problem = profile_problem(icc, kind)
    if problem:
        icc = None
        notes.append(problem)
    if kind == "cmyk" and not icc:
        notes.append("its CMYK has no colour profile: colours are approximate")
    return Native(samples, kind, alpha, bits, icc, exif or None, xmp, dpi), notes


def _coding_notes(data: bytes, name: str, profiled: bool) -> list[str]:
    """What neither Pillow nor OpenCV tells: more than 8 bits (AV1 ISOBMFF 2.3.3), colours by number (ITU-T H.273)."""
    notes = []
    if name == "AVIF" and (at := data.find(b"av1C")) >= 0 and data[at + 6] & 0x40:
        notes.append("its 10 or 12 bits become 8")
    mark, step = (b"colrnclx", 2) if name in ("AVIF", "HEIF") else (b"cICP", 1)
    at = data.find(mark, 0, 1 << 16) if name in ("AVIF", "HEIF", "PNG") and not profiled else -1
    if at >= 0:
        primaries, transfer = data[at + len(mark) + step - 1], data[at + len(mark) + 2 * step - 1]
        if primaries not in (1, 2) or transfer in (16, 18):
            notes.append("its wide or high-dynamic-range colours have no profile: they are taken for sRGB")
    return notes


def _samples(image: Image.Image, data: bytes, name: str, notes: list[str]) -> tuple[Samples, str, bool, int]:
    """(H, W, C) samples, kind, alpha and bits of an opened image; what had to become something else is noted."""
    mode = image.mode
    deep = _deep_samples(image, data, name, notes)
    if deep is not None:
        return deep
    if name == "JPEG" and data and mode in ("L", "RGB"):
        return _jpeg_samples(image, data), _KINDS[mode], False, 8
    if mode in ("P", "PA"):
        clear = mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
        notes.append(f"its palette becomes {image.mode}")
    elif "transparency" in image.info and mode in ("1", "L", "RGB"):
        image = image.convert("RGBA" if mode == "RGB" else "LA")
        notes.append(_CLEAR)
    elif mode in ("RGBX", "YCbCr"):
        image = image.convert("RGB")
    elif mode in ("RGBa", "La"):
        image = image.convert(mode.upper())
    elif name == "PNG" and data and mode == "L" and data[24] < 8:
        notes.append(f"its {data[24]}-bit grey becomes 8-bit")
    if image.mode not in _KINDS:
        got = f"samples of kind {image.mode}"
        raise InputError("8 or 16 bits of grey, RGB or CMYK", got, "convert it to RGB first")
    samples = np.atleast_3d(np.asarray(image.convert("L") if image.mode == "1" else image))
    return samples, _KINDS[image.mode], image.mode.endswith("A"), 1 if image.mode == "1" else 8


def _jpeg_samples(image: Image.Image, data: bytes) -> Samples:
    """By OpenCV, which decodes to the same values with half the copies, where the file has an end."""
    _, scan = jpeg.jpeg_segments(data)
    if data.find(b"\xff\xd9", scan) >= 0:  # OpenCV fills what is cut off with grey, and says nothing
        flag = cv2.IMREAD_GRAYSCALE if image.mode == "L" else cv2.IMREAD_COLOR_RGB
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
        if decoded is not None and decoded.shape[:2] == (image.height, image.width):
            return np.atleast_3d(decoded)
    return np.atleast_3d(np.asarray(image))


def _deep_samples(
    image: Image.Image, data: bytes, name: str, notes: list[str]
) -> tuple[Samples, str, bool, int] | None:
    """16-bit samples, None where there are fewer bits. Pillow would cut colour down to 8 bits."""
    tags = getattr(image, "tag_v2", {})
    deep = data[24] == 16 if name == "PNG" and data else name == "TIFF" and 16 in tags.get(258, ())
    if not deep and not image.mode.startswith("I;16"):
        return None
    clear = image.info.get("transparency")
    if clear is not None:
        notes.append(_CLEAR)
    if image.mode.startswith("I;16") and tags.get(262, 1) == 1:
        grey = np.asarray(image).astype(np.uint16)
        if clear is None:
            return grey[..., None], "grey", False, 16
        return np.dstack([grey, np.where(grey == clear, 0, 65535).astype(np.uint16)]), "grey", True, 16
    # OpenCV does not know of separate planes, of white as 0, of inks and of premultiplied alpha
    if name == "PNG" or (tags.get(262) == 2 and tags.get(284, 1) == 1 and 1 not in tags.get(338, ())):
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if samples is None:
            raise ValueError("its samples are cut off")
        if samples.dtype == np.uint16 and samples.shape[2:] in ((3,), (4,)):
            if data[25] == 4 and name == "PNG":
                return samples[..., [0, 3]], "grey", True, 16
            alpha = samples.shape[2] == 4
            return samples[..., [2, 1, 0, 3][: samples.shape[2]]], "rgb", alpha, 16
    raise InputError("16-bit grey or RGB, straight alpha, one plane", "another kind of 16 bits", "save it with 8 bits")


def is_lossless_webp(data: bytes) -> bool:
    """Whether the first picture in a WebP file is coded without loss."""
    lossless, lossy = data.find(b"VP8L"), data.find(b"VP8 ")
    return lossless >= 0 and (lossy < 0 or lossless < lossy)


def _image(native: Native) -> Image.Image:
    """8-bit and 1-bit samples as a Pillow image."""
    if native.bits == 1:
        return Image.fromarray(native.samples[..., 0] >= 128)
    samples = np.ascontiguousarray(native.samples[..., 0] if native.samples.shape[2] == 1 else native.samples)
    return Image.fromarray(samples, MODES[native.kind] + "A" * native.alpha)


def encode_jpeg(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """With the tables and the subsampling of its source, where that was a JPEG; else quality 95 without subsampling."""
    options: dict[str, object] = {"quality": 95, "subsampling": 0}
    segments, notes = jpeg.new_jpeg_metadata(native.exif, native.xmp, native.icc, native.dpi)
    if source:
        before = JpegImagePlugin.JpegImageFile(io.BytesIO(source))
        sampling = JpegImagePlugin.get_sampling(before)
        own, _ = jpeg.jpeg_segments(source)
        progressive = jpeg.jpeg_frame(own).marker == 0xC2
        options = {
            "qtables": before.quantization,
            "progressive": progressive,
            "subsampling": max(sampling, 0),
        }
        segments, notes = jpeg.renew_jpeg_metadata(own, native.xmp, picture)
        segments = [segment for segment in segments if segment.marker != jpeg.ADOBE]
    coded = io.BytesIO()
    _image(native).save(coded, "JPEG", **options)
    own, _ = jpeg.jpeg_segments(coded.getvalue())
    adobe = [segment for segment in own if segment.marker == jpeg.ADOBE]  # says how this encoder turned its colours
    return jpeg.join_jpeg(coded.getvalue(), [*segments, *adobe]), notes


def encode_png(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """Among the chunks of its source, where that was a PNG."""
    if native.bits == 16:
        coded = _deep_png(native.samples)
    else:
        stream = io.BytesIO()
        _image(native).save(stream, "PNG")
        coded = stream.getvalue()
    if source:
        chunks = metadata.renew_png_metadata(metadata.png_chunks(source), native.xmp, picture)
    else:
        chunks = metadata.new_png_metadata(native.exif, native.xmp, native.icc, native.dpi)
    return metadata.join_png(coded, chunks), []


def _deep_png(samples: Samples) -> bytes:
    """16-bit samples of 1 to 4 channels as a bare PNG, filtered by the difference to the pixel on the left."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 1
    filtered[:, 1:] = rows
    filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    return metadata.PNG_SIGNATURE + b"".join(metadata.Chunk(*chunk).coded() for chunk in chunks)


def encode_tiff(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """With all tags of its source that do not describe the coding; without loss, uncompressed where the source was."""
    if source:
        tags, notes, order = tiff.tags_of_source(source, native.xmp)
    else:
        tags, notes, order = tiff.tags_of_blocks(native.exif, native.xmp, native.icc, native.dpi)
    height, width, channels = native.samples.shape
    packed = not source or tiff.is_compressed(source)
    rows_per_strip = max(1, (1 << 18) // (width * channels * max(native.bits // 8, 1)))
    strips = []
    for top in range(0, height, rows_per_strip):
        band = native.samples[top : top + rows_per_strip]
        if native.bits == 1:
            coded = np.packbits(band[..., 0] >= 128, axis=1).tobytes()
        else:
            if packed:
                band = np.concatenate([band[:, :1], band[:, 1:] - band[:, :-1]], axis=1)
            coded = (band.astype(order + "u2") if native.bits == 16 else band).tobytes()
        strips.append(zlib.compress(coded) if packed else coded)
    structure = [
        tag(order, 256, 4, width),
        tag(order, 257, 4, height),
        tag(order, 258, 3, *[native.bits] * channels),
        tag(order, 259, 3, 8 if packed else 1),
        tag(order, 262, 3, {"grey": 1, "rgb": 2, "cmyk": 5}[native.kind]),
        tag(order, 277, 3, channels),
        tag(order, 278, 4, rows_per_strip),
        tag(order, 284, 3, 1),
    ]
    if packed and native.bits != 1:
        structure.append(tag(order, 317, 3, 2))
    if native.alpha:
        structure.append(tag(order, 338, 3, 2))
    return tiff.build_tiff(order, [*tags, *structure], strips), notes


def encode_bmp(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """Alpha needs the header of version 4 (BITMAPV4HEADER) with its four masks; Pillow writes none."""
    dpi = native.dpi or (96.0, 96.0)
    if not native.alpha:
        coded = io.BytesIO()
        _image(native).save(coded, "BMP", dpi=dpi)
        return coded.getvalue(), []
    height, width = native.samples.shape[:2]
    rows = np.ascontiguousarray(cv2.cvtColor(native.samples, cv2.COLOR_RGBA2BGRA)[::-1])
    across, down = (round(value / 0.0254) for value in dpi)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, rows.size, across, down, 0, 0)
    masks = struct.pack("<IIII4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")
    file_header = struct.pack("<2sIHHI", b"BM", 122 + rows.size, 0, 0, 122)
    return file_header + header + masks + rows.tobytes(), []


def encode_webp(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """Without loss where the source was such a WebP, else at quality 95."""
    options: dict[str, object] = {"quality": 95, "method": 4}
    if source and is_lossless_webp(source):
        options = {"lossless": True, "exact": True, "quality": 60}
    return _encode_modern(native, "WEBP", options)


def encode_avif(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """At quality 95 without subsampling."""
    return _encode_modern(native, "AVIF", {"quality": 95, "subsampling": "4:4:4"})


def encode_heif(native: Native, source: bytes | None, picture: Pixels) -> tuple[bytes, list[str]]:
    """At quality 95 without subsampling."""
    use_heif()
    return _encode_modern(native, "HEIF", {"quality": 95, "chroma": 444})


def _encode_modern(native: Native, name: str, options: dict[str, object]) -> tuple[bytes, list[str]]:
    blocks = {"icc_profile": native.icc, "exif": native.exif, "xmp": native.xmp}
    coded = io.BytesIO()
    _image(native).save(coded, name, **options, **{key: block for key, block in blocks.items() if block})
    return coded.getvalue(), []


ENCODERS: dict[str, Callable[[Native, bytes | None, Pixels], tuple[bytes, list[str]]]] = {
    "JPEG": encode_jpeg,
    "PNG": encode_png,
    "WEBP": encode_webp,
    "AVIF": encode_avif,
    "TIFF": encode_tiff,
    "BMP": encode_bmp,
    "HEIF": encode_heif,
}
