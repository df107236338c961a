"""JPEG files: segments and scans, decoding, and the file that they make.

Private to the reader and writer of photos. Decoders and libjpeg are given nothing but a stream that is coded anew from
the segments understood here, so that no two parsers can disagree on what a file holds.

Sources: ITU-T T.81 annex B; JFIF 1.02; EXIF 2.32; ICC.1:2022 annex B.4; XMP part 3; CIPA DC-007 (several pictures).
"""

import io
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg
from PIL import JpegImagePlugin

from facefill.arrays import U8
from facefill.errors import InputError
from facefill.files.colour import Native
from facefill.files.metadata import CREDENTIALS, Dpi, Found, Kept, keep, trailing
from facefill.files.samples import image_of

EXIF_HEADER = b"Exif\0\0"
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
ICC_HEADER = b"ICC_PROFILE\0"
_PHOTOSHOP_HEADER = b"Photoshop 3.0\0"
ADOBE = 0xEE
_COLOUR_MARKS = {0xE0: b"JFIF\0", ADOBE: b"Adobe"}
_KNOWN = {
    b"MPF\0": "further pictures (previews, gain map)",
    b"urn:iso:std:iso:ts:21496": "a gain map's marks",
    b"http://ns.adobe.com/xmp/extension/": "extended XMP",
    b"FPXR\0": "a FlashPix block",
    b"JFXX\0": "the JFXX thumbnail",
    b"Exif": "damaged EXIF",
}
_SEGMENT_BYTES = 65533
LONGEST_XMP = _SEGMENT_BYTES - len(XMP_HEADER)
_MOST_SEGMENTS = 10_000
_MOST_SCANNED = 4_000_000_000  # pixels times scans: a scan of a few bytes makes a decoder go over the whole picture
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # neither a stuffed byte nor a restart
_CODING = {0xC4, 0xCC, 0xDA, 0xDB, 0xDD}  # Huffman and arithmetic tables, scans, quantisation, restart interval
_PROGRESSIVE, _UNSEEN = (0xC2, 0xCA), 99
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # baseline, extended, progressive; the last two with arithmetic coding


class Segment(NamedTuple):
    """One JPEG marker segment: the payload without marker and length, and the samples that follow a scan's header."""

    marker: int
    payload: bytes
    scan: bytes = b""

    def coded(self) -> bytes:
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload + self.scan

    @property
    def is_metadata(self) -> bool:
        return self.marker not in (*_CODING, *_FRAMES)


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


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file: its segments up to the end of the picture, and what lies behind that."""

    segments: tuple[Segment, ...]
    trailer: bytes

    @cached_property
    def frame(self) -> Frame:
        (marker, payload, _), *more = [s for s in self.segments if s.marker in _FRAMES]
        if more:
            raise ValueError("it has several frames")
        bits, height, width, count = struct.unpack_from(">BHHB", payload)
        fields = [payload[6 + 3 * index : 9 + 3 * index] for index in range(count)]
        factors = tuple((field[1] >> 4, field[1] & 15) for field in fields)
        if not height or not width or any(not 1 <= side <= 4 for factor in factors for side in factor):
            raise ValueError("its frame makes no picture")
        return Frame(marker, bits, height, width, tuple(field[0] for field in fields), factors)

    @cached_property
    def colour_marks(self) -> list[Segment]:
        """The last segments of JFIF and of Adobe before the samples, which say how colours are coded; no thumbnail."""
        found: dict[int, Segment] = {}
        for marker, payload, _ in takewhile(lambda segment: segment.marker != 0xDA, self.segments):
            if _COLOUR_MARKS.get(marker, b" ") == payload[:5] and len(payload) > 11:
                found[marker] = Segment(marker, payload[:12] + bytes(2 * (marker != ADOBE)))
        return [found[marker] for marker in sorted(found)]

    @property
    def adobe(self) -> int | None:
        """The colour transform in Adobe's segment; None where there is none."""
        return next((payload[11] for marker, payload, _ in self.colour_marks if marker == ADOBE), None)

    @property
    def is_whole(self) -> bool:
        """Whether its scans bring every coefficient to its last bit, and each refines what is there (T.81 G.1.1)."""
        levels = {number: [_UNSEEN] * 64 for number in self.frame.ids}
        for payload in (s.payload for s in self.segments if s.marker == 0xDA and len(s.payload) > 5):
            first, last, high, low = payload[-3], min(payload[-2], 63), payload[-1] >> 4, payload[-1] & 15
            if self.frame.marker not in _PROGRESSIVE:  # some cameras leave these numbers 0, and nobody reads them
                first, last, high, low = 0, 63, 0, 0
            for bits in (levels[number] for number in payload[1 : 1 + 2 * payload[0] : 2] if number in levels):
                if high and any(bits[place] != high for place in range(first, last + 1)):
                    return False
                bits[first : last + 1] = [low] * (last + 1 - first)
        return not any(any(bits) for bits in levels.values())

    def coded(self, metadata: Iterable[Segment] | None = None) -> bytes:
        """A JPEG of the picture behind other metadata; None: what says how colours are coded, and nothing else."""
        metadata = self.colour_marks if metadata is None else metadata
        picture = [segment for segment in self.segments if not segment.is_metadata]
        return b"".join([b"\xff\xd8", *(s.coded() for s in (*metadata, *picture)), b"\xff\xd9"])


def parse_jpeg(data: bytes) -> Jpeg:
    """The segments of a file. A missing end is no damage; what no marker explains is left out."""
    segments: list[Segment] = []
    at, scans = 2, 0
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            break
        if marker in (0x01, 0xD8):
            continue
        if at + 2 > len(data):
            raise ValueError("a segment is cut off")
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2 or at + length > len(data) or len(segments) >= _MOST_SEGMENTS:
            raise ValueError("a segment is cut off" if len(segments) < _MOST_SEGMENTS else "it has too many segments")
        payload, at = data[at + 2 : at + length], at + length
        scan = b""
        if marker == 0xDA:
            scans += 1
            end = _MARKER.search(data, at)
            scan = data[at : end.start() if end else len(data)]
            at += len(scan)
        segments.append(Segment(marker, payload, scan))
    jpeg = Jpeg(tuple(segments), data[at:] if found else b"")
    if not any(s.marker in _FRAMES for s in segments):
        raise ValueError("it is neither baseline nor progressive: save it again as such a JPEG")
    if scans > 1 and scans * jpeg.frame.height * jpeg.frame.width > _MOST_SCANNED:
        raise ValueError(f"its {scans} scans would take too long")
    if not jpeg.is_whole:
        raise ValueError("its samples are cut off")
    return jpeg


def decode_jpeg(jpeg: Jpeg) -> tuple[Native, list[str]]:
    """The samples of a JPEG, CMYK with 0 as no ink, and notes on them.

    Raises ValueError where samples are missing, InputError for a kind of JPEG that nobody can write again.
    """
    frame = jpeg.frame
    kind = {1: "grey", 3: "rgb", 4: "cmyk"}.get(len(frame.ids), "")
    if frame.bits != 8 or not kind:
        got = f"{frame.bits} bits and {len(frame.ids)} channels"
        raise InputError("a JPEG of 8 bits and 1, 3 or 4 channels", got, "save it again as an ordinary JPEG or PNG")
    if kind == "cmyk" and jpeg.adobe is None:
        got = "four channels that may be anything"
        raise InputError("a CMYK JPEG with Adobe's marker", got, "save it as RGB")
    data, space, notes = jpeg.coded(), {"grey": "GRAY", "rgb": "RGB", "cmyk": "CMYK"}[kind], []
    try:
        samples = simplejpeg.decode_jpeg(data, space, strict=True)
    except ValueError as error:
        said = str(error).removeprefix("Corrupt JPEG data: ")
        if "premature end" in said.lower() or "marker 0xd9 instead" in said:
            raise ValueError("its samples are cut off") from error
        samples = _decode_leniently(data, space)
        if "subsampling" not in said:
            notes.append(f"its samples may be damaged in places ({said})")
    if samples.shape[:2] != (frame.height, frame.width):
        raise ValueError("its sides contradict each other")
    return Native(255 - samples if kind == "cmyk" else samples, kind, kept=keep(_found_in(jpeg))), notes


def _decode_leniently(data: bytes, space: str) -> U8:
    """What can be read of damaged samples, and of those whose channels have odd sides, which simplejpeg refuses."""
    try:
        samples: U8 = simplejpeg.decode_jpeg(data, space, strict=False)
        return samples
    except ValueError:
        if space == "CMYK":
            raise
    flag = cv2.IMREAD_GRAYSCALE if space == "GRAY" else cv2.IMREAD_COLOR_RGB
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if decoded is None:
        raise ValueError("its samples cannot be decoded")
    return np.atleast_3d(decoded)


def _found_in(jpeg: Jpeg) -> Found:
    """The metadata of a JPEG."""
    exif, xmp, icc, iptc, dropped = [], [], dict[int, bytes](), list[bytes](), list[str]()
    dpi: Dpi | None = None
    for marker, payload, _ in (segment for segment in jpeg.segments if segment.is_metadata):
        if marker == 0xE1 and payload.startswith(EXIF_HEADER):
            exif.append(payload[len(EXIF_HEADER) :])
        elif marker == 0xE1 and payload.startswith(XMP_HEADER):
            xmp.append(payload[len(XMP_HEADER) :])
        elif marker == 0xE2 and payload.startswith(ICC_HEADER):
            icc.setdefault(payload[len(ICC_HEADER)] if len(payload) > 14 else 0, payload[len(ICC_HEADER) + 2 :])
        elif marker == 0xED and payload.startswith(_PHOTOSHOP_HEADER):
            text, more = split_resources(payload[len(_PHOTOSHOP_HEADER) :])
            iptc.append(text)
            dropped += more
        elif marker == 0xE0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
            unit, across, down = struct.unpack_from(">BHH", payload, 7)
            per_inch = {1: 1.0, 2: 2.54}.get(unit, 0.0)
            dpi = (across * per_inch, down * per_inch) if across and down and per_inch else None
            dropped += ["the JFIF thumbnail"] * (len(payload) > 14)
        elif marker != ADOBE or not payload.startswith(b"Adobe") or len(payload) > 12:
            dropped.append(_name_of(marker, payload))
    dropped += trailing(jpeg.trailer)
    profile = b"".join(icc[number] for number in sorted(icc))
    return Found(tuple(exif), tuple(xmp), b"".join(iptc), profile, dpi=dpi, dropped=tuple(dropped))


def split_resources(resources: bytes) -> tuple[bytes, list[str]]:
    """The IPTC records in Photoshop's image resource blocks (8BIM), and names of the blocks beside them."""
    iptc, names, at = list[bytes](), list[str](), 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        name = (resources[at + 6] + 2) & ~1
        (length,) = struct.unpack_from(">I", resources[at + 6 + name : at + 10 + name].rjust(4, b"\0"))
        start = at + 10 + name
        if number == 0x0404:
            iptc.append(resources[start : start + length])
        else:
            names.append("Photoshop's thumbnail" if number in (0x0409, 0x040C) else "Photoshop's settings")
        at = start + length + length % 2
    return b"".join(iptc), list(dict.fromkeys(names))


def join_resources(iptc: bytes) -> bytes:
    """IPTC records as a Photoshop image resource block."""
    return b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def _name_of(marker: int, payload: bytes) -> str:
    """What a person knows a segment by."""
    for start, name in _KNOWN.items():
        if payload.startswith(start):
            return name
    if marker == 0xEB and b"jumb" in payload[:64]:
        return CREDENTIALS
    label = re.match(rb"[A-Za-z][A-Za-z0-9_ .:/-]{2,30}", payload)
    if not 0xE0 <= marker <= 0xEF:
        return "a comment" if marker == 0xFE else f"a block of kind {marker:02X}"
    return f"an APP{marker - 0xE0} block" + (f" ({label[0].decode()})" if label else "")


def segments_of(kept: Kept, source: Jpeg | None = None) -> tuple[list[Segment], list[str]]:
    """Metadata segments for a JPEG, and notes on what does not fit.

    source: whose picture it is: JFIF's and Adobe's segments say how its colours are coded.
    """
    x_dpi, y_dpi = (min(max(round(value), 1), 65535) for value in kept.dpi or (1, 1))
    jfif = Segment(0xE0, b"JFIF\0\1\1" + struct.pack(">BHHBB", bool(kept.dpi), x_dpi, y_dpi, 0, 0))
    segments = [jfif if mark.marker == 0xE0 else mark for mark in (source.colour_marks if source else [jfif])]
    notes: list[str] = []
    blocks = {
        "EXIF": (0xE1, EXIF_HEADER, kept.exif),
        "XMP": (0xE1, XMP_HEADER, kept.xmp),
        "IPTC": (0xED, _PHOTOSHOP_HEADER, join_resources(kept.iptc) if kept.iptc else None),
    }
    for name, (marker, header, block) in blocks.items():
        if block and len(header + block) > _SEGMENT_BYTES:
            notes.append(f"its {name} is too long for a JPEG segment and is left out")
        elif block:
            segments.append(Segment(marker, header + block))
    size = _SEGMENT_BYTES - len(ICC_HEADER) - 2
    parts = [kept.icc[at : at + size] for at in range(0, len(kept.icc), size)] if kept.icc else []
    if len(parts) > 255:
        parts, notes = [], [*notes, "its colour profile is too long for a JPEG and is left out"]
    for number, part in enumerate(parts, 1):
        segments.append(Segment(0xE2, ICC_HEADER + bytes([number, len(parts)]) + part))
    return segments, notes


def encode_jpeg(native: Native, source: Jpeg | None) -> tuple[bytes, list[str]]:
    """With the tables and the subsampling of its source, where that was a JPEG; else quality 95 without subsampling."""
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    if source:
        before = JpegImagePlugin.JpegImageFile(io.BytesIO(source.coded()))
        options = {
            "qtables": before.quantization,
            "progressive": source.frame.marker in _PROGRESSIVE,
            "subsampling": max(JpegImagePlugin.get_sampling(before), 0),
        }
    stream = io.BytesIO()
    image_of(native).save(stream, "JPEG", **options)
    coded = parse_jpeg(stream.getvalue())
    segments, notes = segments_of(native.kept, coded)
    return coded.coded(segments), notes
