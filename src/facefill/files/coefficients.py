"""JPEG coefficients: new content in some blocks of a JPEG while all others keep what they hold.

Private to the writer of photos. A plain re-encode, even with the file's own tables, changes blocks all over the
picture. Here the coefficients are read, the blocks that a hole touches are taken back to samples, their missing samples
replaced, and transformed again; the entropy coding of the rest is lossless. Known samples of a touched block come from
its own coefficients, unrounded, so that what is quantised again is as near as possible to what was there.

Source: ITU-T T.81 (A.1.1 sampling factors, A.3 DCT and quantisation); JFIF 1.02 for YCbCr.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.files.jpeg import ADOBE, Frame, Segment, jpeg_frame, jpeg_segments
from facefill.files.libjpeg import code_blocks, is_ready, read_blocks

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


class Coefficients(NamedTuple):
    """What a JPEG's entropy coding holds.

    blocks: per component (rows, columns, 8, 8) int16, quantised. tables: (n, 8, 8) quantisation tables. table_of: the
    number of each component's table. lock: held while the blocks are not the source's.
    """

    blocks: list[NDArray[np.int16]]
    tables: NDArray[np.uint16]
    table_of: NDArray[np.int64]
    lock: Lock


class _Change(NamedTuple):
    """Some blocks of one component: a view of the component, where in it, and what they hold or held."""

    blocks: NDArray[np.int16]
    places: tuple[NDArray[np.int64], ...]
    values: NDArray[np.int16]


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
    with coefficients.lock:
        changes = _changes(coefficients, frame, segments, completed, mask, to_native)
        before = [change._replace(values=change.blocks[change.places]) for change in changes]
        try:
            for change in changes:
                change.blocks[change.places] = change.values
            return _write_coefficients(coefficients, segments, frame)
        finally:  # another completion of the photo may follow, and a copy of all blocks would take longer
            for change in before:
                change.blocks[change.places] = change.values


def _changes(
    coefficients: Coefficients,
    frame: Frame,
    segments: Sequence[Segment],
    completed: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    to_native: ToNative,
) -> list[_Change]:
    """The new coefficients of all bands in which a pixel is missing."""
    unit_width, unit_height = frame.unit
    height = _BAND_UNITS * unit_height
    changes: list[_Change] = []
    for top in np.unique(np.flatnonzero(mask.any(axis=1)) // height * height):
        columns = np.flatnonzero(mask[top : top + height].any(axis=0))
        left, right = columns[0] // unit_width * unit_width, (columns[-1] // unit_width + 1) * unit_width
        band = np.s_[top : top + height, left:right]
        hole = mask[band].astype(np.float32)
        samples = _components(to_native(completed[band].reshape(-1, 3)), segments, frame)
        planes = [plane * hole for plane in cv2.split(samples.reshape(*hole.shape, -1))]
        changes += _changes_of_band(coefficients, frame, (top // unit_height, left // unit_width), planes, hole)
    return changes


def _changes_of_band(
    coefficients: Coefficients,
    frame: Frame,
    unit: tuple[int, int],
    planes: list[NDArray[np.float32]],
    hole: NDArray[np.float32],
) -> list[_Change]:
    """The new coefficients of one band.

    unit: row and column of the first MCU. planes: per component (h, w), new values minus 128 in the hole, else 0.
    hole: (h, w), 1 where a pixel is missing. A sample that stands for several pixels becomes their mean, in which known
    pixels count with the sample's old value.
    """
    changes = []
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
        changes.append(_Change(blocks, touched, new.astype(np.int16).reshape(-1, 8, 8)))
    return changes


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


def _picture(frame: Frame, size: tuple[int, int], components: Sequence[int]) -> Any:
    """jpeglib's object, made from the header that is parsed already: `jpeglib.read_dct` would parse all scans
    for it."""
    import jpeglib

    unit_width, unit_height = frame.unit
    space = {1: "JCS_GRAYSCALE", 3: "JCS_YCbCr", 4: "JCS_CMYK"}[len(components)]
    factors = [frame.factors[index] for index in components]
    blocks = [[-(-frame.height * v // unit_height), -(-frame.width * h // unit_width)] for h, v in factors]
    return jpeglib.DCTJPEG(
        path="",
        content=None,
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
    frame = jpeg_frame(jpeg_segments(data)[0])
    unit_width, unit_height = frame.unit
    whole = all(unit_width % (8 * h) == 0 and unit_height % (8 * v) == 0 for h, v in frame.factors)
    huffman = frame.marker in (0xC0, 0xC1, 0xC2)
    if not (whole and huffman and frame.bits == 8 and len(frame.ids) in (1, 3, 4)):
        return None
    if not is_ready(data):
        return None
    picture = _picture(frame, (frame.height, frame.width), range(len(frame.ids)))
    return Coefficients(*read_blocks(picture, data), Lock())


def _write_coefficients(coefficients: Coefficients, segments: Sequence[Segment], frame: Frame) -> bytes:
    optimise = not any(s.marker == 0xC4 and _STANDARD_AC in s.payload for s in segments)
    if len(frame.ids) == 4:
        return _write_scans(coefficients, segments, frame, optimise)
    picture = _picture(frame, (frame.height, frame.width), range(len(frame.ids)))
    encoded = code_blocks(picture, coefficients.blocks, coefficients.tables, coefficients.table_of, optimise)
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
        picture = _picture(frame, size, [index])
        table = coefficients.tables[coefficients.table_of[index]][None]
        encoded = code_blocks(picture, [coefficients.blocks[index]], table, np.zeros(1, np.int64), optimise)
        own, scan = jpeg_segments(encoded)
        parts += [s.coded() for s in own if s.marker == 0xC4]
        parts.append(encoded[scan : scan + 5] + bytes([frame.ids[index]]) + encoded[scan + 6 : -2])
    return b"".join([*parts, b"\xff\xd9"])
