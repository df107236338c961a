"""TIFF tags, which EXIF blocks are made of as well: reading, writing, orientation, thumbnails.

Private to the reader and writer of photos. What is not understood is kept as it is. What cannot be parsed raises
ValueError, LookupError or struct.error, which the reader of photos turns into an InputError.

Sources: TIFF 6.0; BigTIFF (Adobe Pagemaker TIFF notes, AWare); EXIF 2.32 (CIPA DC-008); Photoshop file formats.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Dpi = tuple[float, float]

ORIENTATION = 0x0112
_SUB_IFDS = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability
_TYPE_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), 1)) | {16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_PHOTOSHOP_RESOURCES, _PHOTOSHOP_LAYERS, _XMP_TAG, _ICC_TAG = 34377, 37724, 700, 34675
_PHOTOSHOP_THUMBNAILS = (0x0409, 0x040C)
# Title, maker, orientation, resolution, software, date, artist, rating, copyright, titles of Windows, EXIF, GPS
_DESCRIPTIVE = {*range(270, 273), 274, 282, 283, 296, 305, 306, 315, 18246, 33432, *range(40091, 40096), *_SUB_IFDS}
# Sides, depth, compression, strips, tiles, palette, kinds of samples, JPEG and YCbCr coding, further directories
_CODING = {*range(256, 260), 262, 266, 273, *range(277, 280), 284, 292, 293, 317, *range(320, 326), 330}
_CODING |= {*range(338, 342), 347, *range(512, 522), *range(529, 533)}


class Tag(NamedTuple):
    """One TIFF entry. value: its bytes in the file's own byte order, or the entries of a directory it points to."""

    number: int
    kind: int
    length: int
    value: bytes | tuple[Tag, ...]


def tag(order: str, number: int, kind: int, *values: int) -> Tag:
    """An entry of unsigned numbers. order: "<" or ">"; kind: 1 byte, 3 short, 4 long."""
    return Tag(number, kind, len(values), struct.pack(f"{order}{len(values)}{_NUMBERS[kind]}", *values))


def numbers(order: str, entry: Tag) -> tuple[int, ...]:
    """The unsigned numbers of an entry."""
    if not isinstance(entry.value, bytes) or entry.kind not in _NUMBERS:
        raise ValueError(f"TIFF tag {entry.number} holds no numbers")
    return struct.unpack(f"{order}{entry.length}{_NUMBERS[entry.kind]}", entry.value)


def tiff_order(data: bytes) -> str:
    """The struct byte order of a TIFF or EXIF block: "<" or ">"."""
    return {b"II": "<", b"MM": ">"}[bytes(data[:2])]


def read_tags(data: bytes) -> dict[int, Tag]:
    """Entries of the first directory of a TIFF, BigTIFF or EXIF block, with the EXIF and GPS directories inside it."""
    order = tiff_order(data)
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (at,) = struct.unpack_from(order + "Q", data, 8) if big else struct.unpack_from(order + "I", data, 4)
    return {entry.number: entry for entry in _read_directory(data, order, at, big, depth=0)}


def _read_directory(data: bytes, order: str, at: int, big: bool, depth: int) -> tuple[Tag, ...]:
    head, step, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    (count,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize("=" + head)
    entries = []
    for position in range(at, at + min(count, 4096) * step, step):
        number, kind, length = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, position)
        size = _TYPE_BYTES.get(kind, 1) * length
        start = position + step - inline
        if size > inline:
            (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, start)
        value: bytes | tuple[Tag, ...] = bytes(data[start : start + size])
        if len(value) < size:
            continue  # damaged makers' entries are common in photos that every viewer opens
        if number in _SUB_IFDS and depth < 2:
            pointer = numbers(order, Tag(number, kind, length, value))[0]
            value = _read_directory(data, order, pointer, big, depth + 1)
        entries.append(Tag(number, kind, length, value))
    return tuple(entries)


def build_tiff(order: str, tags: Sequence[Tag], strips: Sequence[bytes] = ()) -> bytes:
    """A classic TIFF of one directory (an EXIF block where there are no strips). StripOffsets and counts are added."""
    body = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    offsets = []
    for strip in strips:
        offsets.append(len(body))
        body += strip + b"\0" * (len(strip) % 2)
    placed = list(tags)
    if strips:
        placed += [tag(order, 273, 4, *offsets), tag(order, 279, 4, *map(len, strips))]
    struct.pack_into(order + "I", body, 4, len(body))
    _write_directory(body, order, placed)
    return bytes(body)


def _write_directory(body: bytearray, order: str, tags: Sequence[Tag]) -> None:
    tags = sorted((entry for entry in tags if entry.kind < 16), key=lambda entry: entry.number)
    at = len(body)
    body += struct.pack(order + "H", len(tags)) + bytes(12 * len(tags) + 4)
    for position, entry in enumerate(tags):
        kind, count, value = entry.kind, entry.length, entry.value
        if not isinstance(value, bytes):
            kind, count, pointer = 4, 1, len(body)
            _write_directory(body, order, value)
            value = struct.pack(order + "I", pointer)
        elif len(value) > 4:
            pointer = len(body)
            body += value + b"\0" * (len(value) % 2)
            value = struct.pack(order + "I", pointer)
        struct.pack_into(order + "HHI4s", body, at + 2 + 12 * position, entry.number, kind, count, value)


def exif_of_tiff(data: bytes) -> bytes | None:
    """An EXIF block of the tags in a TIFF file that describe the photo and not its coding; None where it has none."""
    kept = [entry for number, entry in read_tags(data).items() if number in _DESCRIPTIVE]
    return build_tiff(tiff_order(data), kept) if kept else None


def is_compressed(tiff: bytes) -> bool:
    """Whether the samples of a TIFF file are compressed in any way."""
    entry = read_tags(tiff).get(259)
    return entry is not None and entry.value not in (struct.pack("<H", 1), struct.pack(">H", 1))


def tags_of_source(source: bytes, xmp: bytes | None) -> tuple[list[Tag], list[str], str]:
    """All tags of a TIFF file for its completed picture, but for those that describe the coding; notes; byte order."""
    order, tags, notes = tiff_order(source), [], []
    for number, entry in read_tags(source).items():
        if number == _PHOTOSHOP_LAYERS:
            notes.append("its Photoshop layers show the old face and are left out")
        elif number == _PHOTOSHOP_RESOURCES and isinstance(entry.value, bytes):
            value = drop_photoshop_thumbnails(entry.value)
            tags.append(Tag(number, entry.kind, len(value), value))
        elif number not in _CODING and not (number == _XMP_TAG and xmp):
            tags.append(entry)
    if xmp:
        tags.append(Tag(_XMP_TAG, 1, len(xmp), xmp))
    return tags, notes, order


def tags_of_blocks(
    exif: bytes | None, xmp: bytes | None, icc: bytes | None, dpi: Dpi | None
) -> tuple[list[Tag], list[str], str]:
    """Tags for a picture that was no TIFF before; no notes; byte order."""
    order = tiff_order(exif) if exif else "<"
    tags = {number: entry for number, entry in read_tags(exif).items() if number in _DESCRIPTIVE} if exif else {}
    if dpi and 282 not in tags:
        for number, value in zip((282, 283), dpi, strict=True):
            tags[number] = Tag(number, 5, 1, struct.pack(order + "II", round(value * 100), 100))
        tags[296] = tag(order, 296, 3, 2)
    if xmp:
        tags[_XMP_TAG] = Tag(_XMP_TAG, 1, len(xmp), xmp)
    if icc:
        tags[_ICC_TAG] = Tag(_ICC_TAG, 7, len(icc), icc)
    return list(tags.values()), [], order


def orientation_of(exif: bytes | None) -> int:
    """The EXIF orientation 1 to 8; 1 where there is none or it is not one of these."""
    if not exif:
        return 1
    try:
        entry = read_tags(exif).get(ORIENTATION)
        value = numbers(tiff_order(exif), entry)[0] if entry else 1
    except (KeyError, ValueError, IndexError, struct.error):
        return 1  # an unreadable EXIF block is kept, but tells nothing
    return value if 1 <= value <= 8 else 1


def renew_thumbnail(exif: bytes, picture: NDArray[np.uint8]) -> bytes:
    """The EXIF block with its thumbnail made anew from `picture`, everything else at its old place.

    picture: (H, W, 3) uint8 RGB in stored orientation. The new thumbnail fits the old one's sides and bytes, so
    that no offset moves (makers' notes hold absolute ones); where it cannot, the thumbnail's directory is cut
    off.
    """
    try:
        return _renew_thumbnail(exif, picture)
    except (KeyError, ValueError, IndexError, struct.error):
        return exif  # nobody can show a thumbnail of a block that cannot be parsed


def _renew_thumbnail(exif: bytes, picture: NDArray[np.uint8]) -> bytes:
    order, blob = tiff_order(exif), bytearray(exif)
    (first,) = struct.unpack_from(order + "I", exif, 4)
    link = first + 2 + 12 * struct.unpack_from(order + "H", exif, first)[0]
    (second,) = struct.unpack_from(order + "I", exif, link)
    if not second:
        return exif
    entries = {entry.number: entry for entry in _read_directory(exif, order, second, False, depth=2)}
    start_tag, length_tag = (0x0201, 0x0202) if 0x0201 in entries else (0x0111, 0x0117)
    if start_tag not in entries or length_tag not in entries:
        return exif
    starts, lengths = numbers(order, entries[start_tag]), numbers(order, entries[length_tag])
    old = exif[starts[0] : starts[0] + lengths[0]]
    for start, length in zip(starts, lengths, strict=True):
        blob[start : start + length] = bytes(len(blob[start : start + length]))
    new = _thumbnail(old, picture) if start_tag == 0x0201 else b""
    if new:
        blob[starts[0] : starts[0] + len(new)] = new
    else:
        struct.pack_into(order + "I", blob, link, 0)
    return bytes(blob)


def _thumbnail(old: bytes, picture: NDArray[np.uint8]) -> bytes:
    """A JPEG of `picture` within the sides and padded to the bytes of the old one; empty where none fits."""
    try:
        with Image.open(io.BytesIO(old)) as image:
            width, height = image.size
    except OSError:
        return b""
    scale = min(width / picture.shape[1], height / picture.shape[0], 1)
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = Image.fromarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    for quality in (92, 85, 75, 60, 45, 30, 15, 5):
        coded = io.BytesIO()
        small.save(coded, "JPEG", quality=quality, optimize=True)
        if coded.tell() <= len(old):
            return coded.getvalue() + bytes(len(old) - coded.tell())
    return b""


def drop_photoshop_thumbnails(resources: bytes) -> bytes:
    """Photoshop image resource blocks (8BIM) without the two thumbnail resources."""
    kept, at = [], 0
    while resources[at : at + 4] == b"8BIM":
        (number,) = struct.unpack_from(">H", resources, at + 4)
        name = (resources[at + 6] + 2) & ~1
        (length,) = struct.unpack_from(">I", resources, at + 6 + name)
        end = at + 10 + name + length + length % 2
        if number not in _PHOTOSHOP_THUMBNAILS:
            kept.append(resources[at:end])
        at = end
    return b"".join(kept) + resources[at:]
