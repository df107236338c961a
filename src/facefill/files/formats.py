"""What each file format can hold, and the way from bytes to samples and back.

Private to `photo`, the door. Sizes are checked by headers alone, before anything is decoded.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
from PIL import Image

from facefill.errors import InputError, NotAPhoto, TooLarge
from facefill.files import jpeg, png, samples, tiff
from facefill.files.colour import Native, as_srgb, is_srgb, profile_problem, straight
from facefill.files.metadata import Kept
from facefill.files.orientation import upright

Size = tuple[int, int, int, int]
"""Width, height, channels and bytes per sample, as they will be held."""

_HELD_BYTES = 4  # per pixel that is allowed: 8 bits of RGB and alpha
DAMAGED = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, EOFError, ArithmeticError),
    *(RuntimeError, struct.error, zlib.error, cv2.error, MemoryError, Image.DecompressionBombError),
)
"""What the libraries raise for a picture file that is damaged or cut off."""


@dataclass(frozen=True)
class Format:
    """A file format for photos, and what it can hold beside 8-bit RGB."""

    media_type: str
    suffixes: tuple[str, ...]
    kinds: tuple[str, ...] = ("rgb",)
    bits: tuple[int, ...] = (8,)
    alpha: bool = True
    metadata: bool = True
    longest_side: int = 2**31 - 1


FORMATS: dict[str, Format] = {
    "JPEG": Format(
        "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), ("grey", "rgb", "cmyk"), alpha=False, longest_side=65_500
    ),
    "PNG": Format("image/png", (".png",), ("grey", "rgb"), (1, 8, 16)),
    "WEBP": Format("image/webp", (".webp",), longest_side=16_383),
    "AVIF": Format("image/avif", (".avif",), longest_side=32_768),
    "TIFF": Format("image/tiff", (".tif", ".tiff"), ("grey", "rgb", "cmyk"), (1, 8, 16)),
    "BMP": Format("image/bmp", (".bmp", ".dib"), ("grey", "rgb"), (1, 8), metadata=False),
    "HEIF": Format("image/heic", (".heic", ".heif", ".hif"), longest_side=16_384),
}


def sniff(data: bytes, what: str, expected: str = "photo") -> str:
    """The format that the content shows, whatever the file is called."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == png.SIGNATURE:
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
    refusal = NotAPhoto if expected == "photo" else InputError
    raise refusal(f"a {expected} ({', '.join(FORMATS)})", f"{kind} in {what}", "convert it to PNG first")


def check_size(size: Size, what: str, max_pixels: int) -> None:
    """size: width, height, channels and bytes per sample as they will be held."""
    width, height, channels, sample_bytes = size
    if width * height > max_pixels:
        raise TooLarge(f"at most {max_pixels:,} pixels", f"{width} x {height} in {what}", "shrink it first")
    held = width * height * channels * sample_bytes
    if held > _HELD_BYTES * max_pixels:
        got = f"{held:,} ({width} x {height} pixels of {channels * sample_bytes} bytes) in {what}"
        fix = "shrink it, or save it with 8 bits"
        raise TooLarge(f"at most {_HELD_BYTES * max_pixels:,} bytes of samples", got, fix)


def decode(
    data: bytes, name: str, what: str, check: Callable[[Size], None] = lambda _: None
) -> tuple[Native, list[str]]:
    """The samples of a file, and notes on them. check: refuses a size by InputError, as a damaged file is refused."""
    try:
        if name == "JPEG":
            parsed = jpeg.parse_jpeg(data)
            check((parsed.frame.width, parsed.frame.height, len(parsed.frame.ids), 1))
            return usable(*jpeg.decode_jpeg(parsed))
        if name == "PNG":
            chunks, trailer = png.parse_png(data)
            check(png.size_of(chunks))
            return usable(*png.decode_png(chunks, trailer))
        if name == "TIFF":
            picture = tiff.Tiff(data)
            check(picture.size)
            return usable(*tiff.decode_tiff(picture))
        image = samples.open_other(data, name)
        check((image.width, image.height, len(image.getbands()), 1))
        return usable(*samples.decode_image(image, data, name))
    except InputError:
        raise
    except DAMAGED as error:
        said = "".join(sign if sign.isprintable() else " " for sign in " ".join(str(error).split()))[:200]
        got = f"{what}, damaged, cut off or of an unknown kind ({said})"
        raise InputError(f"a whole {name} file", got, "get it again, or convert it to PNG") from error


def usable(native: Native, notes: list[str]) -> tuple[Native, list[str]]:
    """The picture without a profile that cannot be used, which is said."""
    problem = profile_problem(native.icc, native.kind)
    if problem:
        native = replace(native, kept=replace(native.kept, icc=None))
        notes = [*notes, problem]
    if native.kind == "cmyk" and not native.icc:
        notes = [*notes, "its CMYK has no colour profile: colours are approximate"]
    return native, notes


def fit(native: Native, target: str) -> tuple[Native, list[str]]:
    """The picture as `target` can hold it, and notes on what was lost by that."""
    entry, notes = FORMATS[target], []
    longest = entry.longest_side
    if max(native.samples.shape[:2]) > longest:
        got = f"{native.samples.shape[1]} x {native.samples.shape[0]}"
        raise InputError(f"sides of at most {longest:,} pixels for {target}", got, "write a PNG or TIFF instead")
    if native.extra == 0 and target != "TIFF":
        notes.append("its further channel is left out")
        native = replace(native, samples=native.colours, extra=None)
    native = native if target == "TIFF" else straight(native)
    if native.bits not in entry.bits:
        if native.bits == 16:
            notes.append(f"{target} holds 8 bits: the photo's 16 are rounded")
            shape = native.samples.shape
            native = replace(native, samples=cv2.convertScaleAbs(native.samples, alpha=1 / 257).reshape(shape))
        native = replace(native, bits=8)
    if native.extra is not None and not entry.alpha:
        notes.append(f"{target} holds no alpha: its transparent pixels become opaque")
        native = replace(native, samples=native.colours, extra=None)
    lost = not entry.metadata and not is_srgb(native.icc, native.kind)
    # no reader in use knows grey with alpha in a BMP, or with 16 bits in a TIFF
    unread = target == "BMP" or (target == "TIFF" and native.bits == 16)
    paired = native.kind == "grey" and native.extra is not None and unread
    if native.kind not in entry.kinds or lost or paired:
        if native.kind == "cmyk" or lost:
            notes.append(f"{target} holds no {'CMYK' if native.kind == 'cmyk' else 'profile'}: colours become sRGB")
        native = as_srgb(native)
    kept = native.kept
    notes += [f"{target} holds no EXIF and no XMP: left out"] * bool(not entry.metadata and (kept.exif or kept.xmp))
    notes += [f"{target} holds no IPTC: left out"] * bool(kept.iptc and target not in ("JPEG", "TIFF"))
    notes += [f"{target} holds no texts of a PNG: left out"] * bool(kept.texts and target != "PNG")
    if not entry.metadata:
        turned = upright(native.samples, kept.orientation)
        native = replace(native, samples=turned, kept=Kept(dpi=kept.dpi))
    return native, notes


def encode(native: Native, target: str, source: bytes | None) -> tuple[bytes, list[str]]:
    """The samples and what is kept beside them as a file, and notes. source: the file that they are of, if any."""
    if target == "JPEG":
        return jpeg.encode_jpeg(native, jpeg.parse_jpeg(source) if source else None)
    if target == "PNG":
        return png.encode_png(native)
    if target == "TIFF":
        return tiff.encode_tiff(native, tiff.Tiff(source) if source else None)
    return samples.encode_other(native, target, bool(source and samples.is_lossless_webp(source))), []
