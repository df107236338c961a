"""Samples through Pillow: what its images hold, and the formats that it reads and writes alone (BMP, WebP, AVIF, HEIF).

Private to the reader and writer of photos.
"""

import io
import re
import struct
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facefill.errors import InputError
from facefill.files.colour import MODES, Native, Samples
from facefill.files.metadata import CREDENTIALS, Dpi, Found, keep, trailing
from facefill.files.tags import Directories, number_of

CLEAR = "its transparent colour becomes an alpha channel"
_KINDS = {"1": "grey", "L": "grey", "LA": "grey", "RGB": "rgb", "RGBA": "rgb", "CMYK": "cmyk"}
_PARTS = set(b"VP8 ,VP8L,VP8X,ALPH,ICCP,EXIF,XMP ,ANIM,ANMF,C2PA,ftyp,meta,mdat,moov".split(b","))
_READ = {b"EXIF": "exif", b"XMP ": "xmp", b"ICCP": "icc_profile"}
_SETTINGS: dict[str, tuple[type, ...]] = {
    **{"dpi": (tuple,), "bit_depth": (int,), "transparency": (int, tuple, bytes)},
    **{"exif": (bytes,), "icc_profile": (bytes,), "xmp": (bytes,), "XML:com.adobe.xmp": (str,)},
}
# items of ISO 14496-12 and 23008-12: a gain map, a thumbnail, a picture that is not the alpha of another
_FURTHER = re.compile(
    rb"infe.{8}tmap|thmb|auxC.{4}(?!urn:mpeg:(?:mpegB:cicp:systems:auxiliary:alpha|hevc:2015:auxid:1)\0)", re.DOTALL
)
_EXIF_MARKS = re.compile(rb"II\*\0|MM\0\*")


def use_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError("a format that is installed", "HEIC", "pip install facefill[heic]") from error
    pillow_heif.register_heif_opener()


def samples_of(image: Image.Image) -> tuple[Samples, str, int | None, int, list[str]]:
    """Samples, kind, extra and bits (see `Native`) of an 8-bit or 1-bit Pillow image; notes on what became other."""
    notes = []
    if image.mode in ("P", "PA"):
        clear = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
        notes.append(f"its palette becomes {image.mode}")
    elif "transparency" in image.info and image.mode in ("1", "L", "RGB"):
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
        notes.append(CLEAR)
    elif image.mode == "YCbCr":
        image = image.convert("RGB")
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None], "grey", None, 16, notes
    if image.mode not in _KINDS:
        got = f"samples of kind {image.mode}"
        raise InputError("8 or 16 bits of grey, RGB or CMYK", got, "convert it to RGB first")
    samples = np.atleast_3d(np.asarray(image.convert("L") if image.mode == "1" else image))
    return samples, _KINDS[image.mode], 2 if image.mode.endswith("A") else None, 1 if image.mode == "1" else 8, notes


def image_of(native: Native) -> Image.Image:
    """8-bit and 1-bit samples as a Pillow image."""
    if native.bits == 1:
        return Image.fromarray(native.samples[..., 0] >= 128)
    samples = np.ascontiguousarray(native.samples[..., 0] if native.samples.shape[2] == 1 else native.samples)
    return Image.fromarray(samples, MODES[native.kind] + "A" * (native.extra is not None))


def open_other(data: bytes, name: str) -> Image.Image:
    """A BMP, WebP, AVIF or HEIF file, its samples not decoded yet. Raises ValueError where its EXIF is a trap."""
    if name == "HEIF":
        use_heif()
    if name in ("AVIF", "HEIF"):  # both parse EXIF while they open a file, with time and memory for all that it claims
        for count, mark in enumerate(_EXIF_MARKS.finditer(data)):
            block = Directories(memoryview(data)[mark.start() :])
            for number in (0x8769, 0x8825):
                block.read(number_of(block.order, block.first.get(number)))
            if block.exhausted or count > 20:
                raise ValueError("its EXIF shares bytes")
    Image.init()
    # the factory, and not Image.open, whose own limit is one for the whole process
    return Image.OPEN[name][0](io.BytesIO(data), "")


def decode_image(image: Image.Image, data: bytes = b"", name: str = "") -> tuple[Native, list[str]]:
    """The samples of an opened image, and notes on them. data, name: of its file, where there is one."""
    if not data:
        image.load()  # which turns a TIFF and says so
    odd = [key for key, kinds in _SETTINGS.items() if not isinstance(image.info.get(key), (*kinds, type(None)))]
    if odd:  # Pillow puts a PNG's texts among its own settings
        image = image.copy()
        image.info = {key: value for key, value in image.info.items() if key not in odd}
    info: dict[Any, Any] = image.info
    exif = info.get("exif") or (image.getexif().tobytes() if not data and image.getexif() else b"")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    across, down = info.get("dpi", (0, 0))
    dpi: Dpi | None = (float(across), float(down)) if across and down else None
    dropped, frames = [], getattr(image, "n_frames", 1)
    if data:
        dropped += ["further pictures"] * (frames > 1)
        more = _FURTHER.search(data, 0, 1 << 16) if name in ("AVIF", "HEIF") else None
        dropped += ["further pictures (depth, gain map, thumbnails)"] * bool(more)
        dropped += [CREDENTIALS] * (b"jumb" in data and b"c2pa" in data)
        dropped += _beside(data, name, info)
    blocks = (exif.removeprefix(b"Exif\0\0"),) if exif else ()
    packets = (xmp.encode() if isinstance(xmp, str) else xmp,) if xmp else ()
    found = Found(blocks, packets, icc=info.get("icc_profile") or b"", dpi=dpi, dropped=tuple(dropped))
    samples, kind, extra, bits, notes = samples_of(image)
    native = Native(samples, kind, extra, bits, keep(found))
    notes += [f"it holds {frames} pictures: only the first is used"] * (frames > 1)
    zeros = len(data) - len(data.rstrip(b"\0")) if name in ("WEBP", "AVIF", "HEIF") else 0
    notes += [f"it ends in {zeros:,} zeros: a part of it may be missing"] * (zeros > 100)  # no decoder minds them
    return native, notes + _coding_notes(data, name, bool(native.kept.icc), info)


def _beside(data: bytes, name: str, info: dict[Any, Any]) -> list[str]:
    """Names of what lies beside and behind the picture in a BMP, WebP, AVIF or HEIF file."""
    riff, at, end, names = name == "WEBP", 0, len(data), list[str]()
    seen = {kind for kind, key in _READ.items() if not info.get(key)}  # libwebp reads them where a flag says so
    if name == "BMP":
        (end,) = struct.unpack_from("<I", data, 2)
        names = ["its colour profile"] * (data[70:74] in (b"DEBM", b"KNIL"))  # embedded, linked
        return names + (trailing(data[end:]) if end > 26 else [])  # some writers leave it 0
    if riff:
        at, end = 12, 8 + struct.unpack_from("<I", data, 4)[0]
    while at + 8 <= min(end, len(data)):
        kind, (size,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        size += 8 + size % 2
        if not riff:  # ISO 14496-12, 4.2: 1 is for a length of eight bytes, 0 for all that follows
            (size,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
            size = int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size or end - at
        if size < 8 or at + size > len(data) + 1 or not kind.strip().isalnum():
            break
        part = data[at + 8 : at + size]
        if kind == b"mpvd" or (kind == b"ftyp" and at):
            names.append("the video of a motion photo")
        elif kind not in _PARTS and part.strip(b"\0") and b"c2pa" not in part:
            names.append(f"the part {kind.decode('latin-1').strip()}")
        elif riff and kind in seen and kind != b"ANMF":
            names.append(f"a further part {kind.decode('latin-1').strip()}")
        seen.add(kind)
        at += size
    return names + trailing(data[min(at, end) :])


def _coding_notes(data: bytes, name: str, profiled: bool, info: dict[Any, Any]) -> list[str]:
    """What the decoders do not tell: more than 8 bits (AV1 ISOBMFF 2.3.3), colours by number (ITU-T H.273)."""
    notes = []
    at = data.find(b"av1C") if name == "AVIF" else -1
    if (at >= 0 and data[at + 6 : at + 7] > b"\x3f" and data[at + 6] & 0x40) or info.get("bit_depth", 8) > 8:
        notes.append("its 10 or 12 bits become 8")
    at = data.find(b"colrnclx", 0, 1 << 16) if name in ("AVIF", "HEIF") and not profiled else -1
    if at >= 0 and len(data) > at + 12:
        notes += wide_colours(data[at + 9], data[at + 11])
    return notes


def wide_colours(primaries: int, transfer: int) -> list[str]:
    """A note where colours by number (ITU-T H.273) are none that sRGB can stand for."""
    wide = primaries not in (1, 2) or transfer in (16, 18)
    return ["its wide or high-dynamic-range colours have no profile: they are taken for sRGB"] * wide


def is_lossless_webp(data: bytes) -> bool:
    """Whether the first picture in a WebP file is coded without loss."""
    lossless, lossy = data.find(b"VP8L"), data.find(b"VP8 ")
    return lossless >= 0 and (lossy < 0 or lossless < lossy)


def encode_other(native: Native, name: str, lossless: bool) -> bytes:
    """A BMP without metadata, or a WebP, AVIF or HEIF at quality 95 without subsampling. lossless: for WebP."""
    coded = io.BytesIO()
    if name == "BMP" and native.extra is not None:
        return bytes(cv2.imencode(".bmp", native.samples[..., [2, 1, 0, 3]])[1].tobytes())
    if name == "BMP":
        image_of(native).save(coded, "BMP", dpi=native.kept.dpi or (96.0, 96.0))
        return coded.getvalue()
    options: dict[str, Any] = {"quality": 95, "method": 4, "subsampling": "4:4:4"}
    if name == "HEIF":
        use_heif()
    if lossless and name == "WEBP":
        options |= {"lossless": True, "exact": True, "quality": 60}
    blocks = {"icc_profile": native.kept.icc, "exif": native.kept.exif, "xmp": native.kept.xmp}
    try:
        image_of(native).save(coded, name, **options, **{key: block for key, block in blocks.items() if block})
    except (OSError, RuntimeError, ValueError) as error:  # x265 takes none of 5000 x 1
        got = f"{native.samples.shape[1]} x {native.samples.shape[0]} ({' '.join(str(error).split())[:100]})"
        raise InputError(f"a picture that {name} can hold", got, "write a PNG or TIFF instead") from error
    return coded.getvalue()
