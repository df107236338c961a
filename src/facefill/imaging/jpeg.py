"""JPEG files: their segments, and new content in some of their blocks while all others keep their coefficients.

Private to `photo.py`. A plain re-encode, even with the file's own tables, changes blocks all over the
picture. Here the coefficients are read, the blocks that a hole touches are taken back to samples, their
missing samples replaced, and transformed again; the entropy coding of the rest is lossless. Samples of a
touched block that are known come from its own coefficients, unrounded, so what is quantised again is as near
as possible to what was there.

Source: ITU-T T.81 (annex A.3 DCT and quantisation, A.1.1 sampling factors, annex B markers); JFIF 1.02 for
YCbCr.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.imaging.tiff import Dpi, drop_photoshop_thumbnails, renew_thumbnail

EXIF_HEADER = b"Exif\0\0"
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
ICC_HEADER = b"ICC_PROFILE\0"
ADOBE = 0xEE
_SEGMENT_BYTES = 65533
_ENGINE = "turbo210"  # the fastest of the libjpegs in jpeglib; all of them code the same coefficients
_STANDARD_AC = bytes([0x10, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D])  # T.81 table K.5, as most cameras write
_BAND_UNITS = 16  # rows of MCUs at once: bounds the memory that a large hole takes

# C[u, x] = c(u) cos((2x + 1) u pi / 16) / 2, T.81 A.3.3. Of a block as a column of 64, row after row, the coefficients
# are (C kron C) samples, and the samples (C kron C)' coefficients.
_COSINES = np.cos((2 * np.arange(8) + 1) * np.arange(8)[:, None] * (np.pi / 16)) / 2
_COSINES[0] /= np.sqrt(2)
_DCT = np.kron(_COSINES, _COSINES).astype(np.float32)

# R, G, B, 1 -> Y - 128, Cb - 128, Cr - 128 (JFIF 1.02)
_YCC = np.array(
    [
        [0.299, 0.587, 0.114, -128],
        [-0.168735892, -0.331264108, 0.5, 0],
        [0.5, -0.418687589, -0.081312411, 0],
    ],
    np.float32,
)


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


class Coefficients(NamedTuple):
    """What a JPEG's entropy coding holds.

    blocks: per component (rows, columns, 8, 8) int16, quantised. tables: (n, 8, 8) quantisation tables. table_of: the
    number of each component's table.
    """

    blocks: list[NDArray[np.int16]]
    tables: NDArray[np.uint16]
    table_of: NDArray[np.int64]


ToNative = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def replace_blocks(
    data: bytes,
    completed: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    to_native: ToNative,
    ahead: Future[Coefficients | None] | None = None,
) -> bytes | None:
    """The JPEG with the missing pixels replaced; each block of which no pixel is missing keeps its coefficients.

    completed: (H, W, 3) uint8 RGB and mask: (H, W) bool, both in stored orientation. to_native: takes (N, 3) sRGB
    pixels to (N, C) samples of the file's colour space, CMYK with 0 as no ink. ahead: what `read_ahead` gave.
    Returns a JPEG (its metadata is not the source's), or None where the library or this kind of JPEG forbids it.
    """
    segments, _ = jpeg_segments(data)
    frame = jpeg_frame(segments)
    coefficients = ahead.result() if ahead else read_coefficients(data)
    if coefficients is None:
        return None
    if ahead:  # another completion of the same photo may come
        coefficients = coefficients._replace(blocks=[blocks.copy() for blocks in coefficients.blocks])
    unit_width, unit_height = frame.unit
    height = _BAND_UNITS * unit_height
    for top in np.unique(np.flatnonzero(mask.any(axis=1)) // height * height):
        columns = np.flatnonzero(mask[top : top + height].any(axis=0))
        left, right = columns[0] // unit_width * unit_width, (columns[-1] // unit_width + 1) * unit_width
        band = np.s_[top : top + height, left:right]
        hole = mask[band].astype(np.float32)
        samples = _components(to_native(completed[band].reshape(-1, 3)), segments, frame)
        planes = [plane * hole for plane in cv2.split(samples.reshape(*hole.shape, -1))]
        _replace_band(coefficients, frame, (top // unit_height, left // unit_width), planes, hole)
    return _write_coefficients(coefficients, segments, frame)


def _replace_band(
    coefficients: Coefficients,
    frame: Frame,
    unit: tuple[int, int],
    planes: list[NDArray[np.float32]],
    hole: NDArray[np.float32],
) -> None:
    """Writes the new coefficients of one band in place.

    unit: row and column of the first MCU. planes: per component (h, w), new values minus 128 in the hole, else 0.
    hole: (h, w), 1 where a pixel is missing. A sample that stands for several pixels becomes their mean, in which known
    pixels count with the sample's old value.
    """
    shares: dict[tuple[int, int], tuple[Any, NDArray[np.float32]]] = {}
    for index, (h, v) in enumerate(frame.factors):
        blocks = coefficients.blocks[index][unit[0] * v :, unit[1] * h :]
        inside = np.s_[: blocks.shape[0], : blocks.shape[1]]  # an MCU may reach over the last block
        if (h, v) not in shares:
            share = _in_blocks(hole, frame, index)[inside]
            touched = np.nonzero(share.any(axis=2))
            shares[h, v] = touched, 1 - share[touched]
        touched, known = shares[h, v]
        table = coefficients.tables[coefficients.table_of[index]].reshape(64).astype(np.float32)
        samples = (blocks[touched].reshape(-1, 64) * table) @ _DCT
        samples *= known
        samples += _in_blocks(planes[index], frame, index)[inside][touched]
        new = np.rint(samples @ (_DCT.T / table)).clip(-1023, 1023)  # the range of baseline Huffman codes
        blocks[touched] = new.astype(np.int16).reshape(-1, 8, 8)


def _in_blocks(plane: NDArray[np.float32], frame: Frame, index: int) -> NDArray[np.float32]:
    """(h, w) values as (rows, columns, 64) blocks of a component, subsampled, the last row and column repeated."""
    unit_width, unit_height = frame.unit
    h, v = frame.factors[index]
    down, right = -plane.shape[0] % unit_height, -plane.shape[1] % unit_width
    plane = cv2.copyMakeBorder(plane, 0, down, 0, right, cv2.BORDER_REPLICATE)
    rows, columns = plane.shape[0] // unit_height * v, plane.shape[1] // unit_width * h
    plane = cv2.resize(plane, (8 * columns, 8 * rows), interpolation=cv2.INTER_AREA)  # the mean of whole pixels
    return plane.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(rows, columns, 64)


def _components(native: NDArray[np.uint8], segments: Sequence[Segment], frame: Frame) -> NDArray[np.float32]:
    """(N, C) native samples as (N, C) component values minus 128."""
    values = native.astype(np.float32)
    adobe = next((s.payload for s in segments if s.marker == ADOBE and s.payload.startswith(b"Adobe")), b"")
    transform = adobe[11] if len(adobe) > 11 else None
    jfif = any(s.marker == 0xE0 and s.payload.startswith(b"JFIF\0") for s in segments)
    if len(frame.ids) == 1:
        return values - 128
    if len(frame.ids) == 4:  # Adobe stores ink inverted; its YCCK is the YCbCr of what is then red, green and blue
        if transform == 2:
            return np.concatenate([_ycc(values[:, :3]), 127 - values[:, 3:]], axis=1)
        return 127 - values
    # which three components it has is decided as libjpeg does
    rgb = transform == 0 if transform is not None else frame.ids == tuple(b"RGB")
    return values - 128 if rgb and not jfif else _ycc(values)


def _ycc(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = cv2.transform(rgb[None], _YCC)[0]
    return values


def _picture(frame: Frame, size: tuple[int, int], components: Sequence[int], content: bytes | None) -> Any:
    """jpeglib's object, made from the header that is parsed already: `jpeglib.read_dct` would parse all scans
    for it."""
    import jpeglib

    unit_width, unit_height = frame.unit
    space = {1: "JCS_GRAYSCALE", 3: "JCS_YCbCr", 4: "JCS_CMYK"}[len(components)]
    factors = [frame.factors[index] for index in components]
    blocks = [[-(-frame.height * v // unit_height), -(-frame.width * h // unit_width)] for h, v in factors]
    return jpeglib.DCTJPEG(
        path="",
        content=content,
        height=size[0],
        width=size[1],
        block_dims=np.array(blocks, np.int32),
        samp_factor=np.array([[v, h] for h, v in factors] if len(factors) > 1 else [[1, 1]], np.int32),
        jpeg_color_space=jpeglib.Colorspace[space],
        num_scans=1,
        markers=None,
        huffmans=None,
        progressive_mode=False,
        Y=None,
        Cb=None,
        Cr=None,
        K=None,
        qt=None,
        quant_tbl_no=None,
    )


def read_ahead(data: bytes) -> Future[Coefficients | None]:
    """Starts `read_coefficients` in a thread beside, for a writer that will need them after other work."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpeg")
    future = pool.submit(read_coefficients, data)
    pool.shutdown(wait=False)
    return future


def read_coefficients(data: bytes) -> Coefficients | None:
    """The quantised coefficients of a JPEG; None where the library is missing or cannot write this kind of JPEG."""
    try:
        import jpeglib
    except ImportError:
        return None
    frame = jpeg_frame(jpeg_segments(data)[0])
    unit_width, unit_height = frame.unit
    whole = all(unit_width % (8 * h) == 0 and unit_height % (8 * v) == 0 for h, v in frame.factors)
    huffman = frame.marker in (0xC0, 0xC1, 0xC2)
    if not (whole and huffman and frame.bits == 8 and len(frame.ids) in (1, 3, 4)):
        return None
    # libjpeg ends the whole process where a temporary file cannot be written
    if shutil.disk_usage(tempfile.gettempdir()).free < 4 * len(data) + (1 << 24):
        return None
    if jpeglib.version.get() != _ENGINE:
        jpeglib.version.set(_ENGINE)
    picture = _picture(frame, (frame.height, frame.width), range(len(frame.ids)), data)
    picture.load()
    blocks = [picture.Y, picture.Cb, picture.Cr, picture.K][: len(frame.ids)]
    return Coefficients(blocks, picture.qt, picture.quant_tbl_no)


def _write_coefficients(coefficients: Coefficients, segments: Sequence[Segment], frame: Frame) -> bytes:
    optimise = not any(s.marker == 0xC4 and _STANDARD_AC in s.payload for s in segments)
    if len(frame.ids) == 4:
        return _write_scans(coefficients, segments, frame, optimise)
    picture = _picture(frame, (frame.height, frame.width), range(len(frame.ids)), None)
    picture.Y, picture.Cb, picture.Cr = (*coefficients.blocks, None, None)[:3]
    picture.qt, picture.quant_tbl_no = coefficients.tables, coefficients.table_of
    encoded = _coded(picture, optimise)
    own, scan = jpeg_segments(encoded)
    coded, scans = [segment.coded() for segment in own if segment.marker != 0xC0], bytearray(encoded[scan:])
    for index, number in enumerate(frame.ids):  # without other markers the numbers say which colour space it is
        scans[5 + 2 * index] = number
    (header,) = (segment.payload for segment in own if segment.marker == 0xC0)
    fields = b"".join(bytes([n]) + header[7 + 3 * i : 9 + 3 * i] for i, n in enumerate(frame.ids))
    coded.append(Segment(0xC0, header[:6] + fields).coded())
    return b"".join([b"\xff\xd8", *coded, scans])


def _write_scans(coefficients: Coefficients, segments: Sequence[Segment], frame: Frame, optimise: bool) -> bytes:
    """Each component as a scan of its own, coded as a grey picture: jpeglib does not write a fourth component."""
    unit_width, unit_height = frame.unit
    parts = [b"\xff\xd8", *(s.coded() for s in segments if s.marker == 0xDB)]
    (header,) = (s.payload for s in segments if s.marker == frame.marker)
    parts.append(Segment(0xC0 if frame.marker == 0xC2 else frame.marker, header).coded())
    for index, (h, v) in enumerate(frame.factors):
        size = -(-frame.height * 8 * v // unit_height), -(-frame.width * 8 * h // unit_width)
        picture = _picture(frame, size, [index], None)
        picture.Y = coefficients.blocks[index]
        picture.qt, picture.quant_tbl_no = (
            coefficients.tables[coefficients.table_of[index]][None],
            np.zeros(1, int),
        )
        encoded = _coded(picture, optimise)
        own, scan = jpeg_segments(encoded)
        parts += [s.coded() for s in own if s.marker == 0xC4]
        parts.append(encoded[scan : scan + 5] + bytes([frame.ids[index]]) + encoded[scan + 6 : -2])
    return b"".join([*parts, b"\xff\xd9"])


def _coded(picture: Any, optimise: bool) -> bytes:
    handle, path = tempfile.mkstemp(suffix=".jpg")
    os.close(handle)
    try:
        picture.write_dct(path, flags=["+OPTIMIZE_CODING"] if optimise else [])
        return Path(path).read_bytes()
    finally:
        os.unlink(path)
