"""The segments of a JPEG file: reading them, and metadata for a picture whose samples were coded anew.

Private to the reader and writer of photos. What is not understood is kept byte for byte.

Sources: ITU-T T.81 annex B; JFIF 1.02; EXIF 2.32; ICC.1:2022 annex B.4; XMP part 3; CIPA DC-007 (several pictures).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facefill.files.tiff import Dpi, drop_photoshop_thumbnails, renew_thumbnail

EXIF_HEADER = b"Exif\0\0"
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
ICC_HEADER = b"ICC_PROFILE\0"
ADOBE = 0xEE
_SEGMENT_BYTES = 65533


class Segment(NamedTuple):
    """One JPEG marker segment; the payload without marker and length."""

    marker: int
    payload: bytes

    def coded(self) -> bytes:
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload

    @property
    def is_metadata(self) -> bool:
        return 0xE0 <= self.marker <= 0xEF or self.marker == 0xFE


class Frame(NamedTuple):
    """What the SOF segment says. factors: (horizontal, vertical) sampling factors of each component."""

    marker: int
    bits: int
    height: int
    width: int
    ids: tuple[int, ...]
    factors: tuple[tuple[int, int], ...]

    @property
    def unit(self) -> tuple[int, int]:
        """Width and height of an MCU in pixels."""
        return 8 * max(h for h, _ in self.factors), 8 * max(v for _, v in self.factors)


def jpeg_segments(data: bytes) -> tuple[list[Segment], int]:
    """Segments before the first scan, in order, and the offset of that scan's SOS marker."""
    segments: list[Segment] = []
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("a JPEG marker is missing")
        marker = data[at + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            return segments, at
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2 or at + 2 + length > len(data):
            raise ValueError("a JPEG segment is cut off")
        segments.append(Segment(marker, bytes(data[at + 4 : at + 2 + length])))
        at += 2 + length


def jpeg_frame(segments: Sequence[Segment]) -> Frame:
    """The frame header among the segments."""
    for marker, payload in segments:
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, count = struct.unpack_from(">BHHB", payload)
            fields = [payload[6 + 3 * index : 9 + 3 * index] for index in range(count)]
            factors = tuple((field[1] >> 4, field[1] & 15) for field in fields)
            return Frame(marker, bits, height, width, tuple(field[0] for field in fields), factors)
    raise ValueError("the JPEG has no frame")


def join_jpeg(encoded: bytes, metadata: Iterable[Segment]) -> bytes:
    """The coded picture of `encoded` behind other metadata; its own are left out."""
    segments, scan = jpeg_segments(encoded)
    coded = [segment.coded() for segment in segments if not segment.is_metadata]
    return b"".join([b"\xff\xd8", *(segment.coded() for segment in metadata), *coded, encoded[scan:]])


def renew_jpeg_metadata(
    segments: Sequence[Segment], xmp: bytes | None, picture: NDArray[np.uint8]
) -> tuple[list[Segment], list[str]]:
    """A source's metadata segments for its completed picture: thumbnails made anew or dropped, XMP replaced.

    xmp: the packet to hold; None keeps the source's. picture: (H, W, 3) uint8 RGB in stored orientation.
    Returns the segments, and notes for the user.
    """
    renewed, notes = [], []
    for marker, payload in (segment for segment in segments if segment.is_metadata):
        if marker == 0xE1 and payload.startswith(EXIF_HEADER):
            payload = EXIF_HEADER + renew_thumbnail(payload[len(EXIF_HEADER) :], picture)
        elif marker == 0xE1 and payload.startswith(XMP_HEADER) and xmp is not None:
            continue
        elif marker == 0xE0 and payload.startswith(b"JFIF\0") and len(payload) > 14:
            payload = payload[:12] + b"\0\0"
        elif marker == 0xE0 and payload.startswith(b"JFXX\0"):
            continue
        elif marker == 0xE2 and payload.startswith(b"MPF\0"):
            notes.append("further pictures in the file (previews, gain maps) show the old face and are left out")
            continue
        elif marker == 0xED and payload.startswith(b"Photoshop 3.0\0"):
            payload = payload[:14] + drop_photoshop_thumbnails(payload[14:])
        renewed.append(Segment(marker, payload))
    if xmp is not None:
        notes += _insert_xmp(renewed, xmp)
    return renewed, notes


def new_jpeg_metadata(
    exif: bytes | None, xmp: bytes | None, icc: bytes | None, dpi: Dpi | None
) -> tuple[list[Segment], list[str]]:
    """Metadata segments, and notes, for a picture that was no JPEG before. exif: a TIFF block."""
    x_dpi, y_dpi = (min(max(round(value), 1), 65535) for value in dpi or (1, 1))
    segments = [Segment(0xE0, b"JFIF\0\1\1" + struct.pack(">BHHBB", bool(dpi), x_dpi, y_dpi, 0, 0))]
    notes = []
    if exif and len(exif) + len(EXIF_HEADER) <= _SEGMENT_BYTES:
        segments.append(Segment(0xE1, EXIF_HEADER + exif))
    elif exif:
        notes.append("its EXIF is too long for a JPEG and is left out")
    if xmp:
        notes += _insert_xmp(segments, xmp)
    size = _SEGMENT_BYTES - len(ICC_HEADER) - 2
    parts = [icc[at : at + size] for at in range(0, len(icc), size)] if icc else []
    for number, part in enumerate(parts, 1):
        segments.append(Segment(0xE2, ICC_HEADER + bytes([number, len(parts)]) + part))
    return segments, notes


def _insert_xmp(segments: list[Segment], xmp: bytes) -> list[str]:
    if len(XMP_HEADER) + len(xmp) > _SEGMENT_BYTES:
        return ["its XMP is too long for a JPEG segment: the completion is not recorded in it"]
    behind = [n for n, s in enumerate(segments, 1) if s.marker == 0xE0 or s.payload.startswith(EXIF_HEADER)]
    segments.insert(max(behind, default=0), Segment(0xE1, XMP_HEADER + xmp))
    return []
