"""JPEG coefficients: new content in some blocks of a JPEG while all others keep what they hold.

Private to the writer of photos. The blocks that a hole touches are taken back to samples, their missing samples
replaced, and transformed again. Known samples of a touched block come from its own coefficients, unrounded, so that
what is quantised again is as near as possible to what was there. libjpeg (through jpegio) reads and writes: it is given
nothing but segments that `jpeg` understood, and every array has the size that the library itself gave it.

Source: ITU-T T.81 (A.1.1 sampling factors, A.3 DCT and quantisation); JFIF 1.02 for YCbCr.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import U8
from facefill.files.jpeg import Frame, Jpeg

_BAND_UNITS = 16  # rows of MCUs at once: bounds the memory that a large hole takes
_MOST_LEVELS = 1023  # of a coefficient that baseline Huffman codes can hold (T.81 F.1.2)

# C[u, x] = c(u) cos((2x + 1) u pi / 16) / 2, T.81 A.3.3. Of a block as a column of 64, row after row, the coefficients
# are (C kron C) samples, and the samples (C kron C)' coefficients.
_COSINES = np.cos((2 * np.arange(8) + 1) * np.arange(8)[:, None] * (np.pi / 16)) / 2
_COSINES[0] /= np.sqrt(2)
_DCT = np.kron(_COSINES, _COSINES).astype(np.float32)

# R, G, B, 1 -> Y - 128, Cb - 128, Cr - 128 (JFIF 1.02)
_YCC = np.array(
    [[0.299, 0.587, 0.114, -128], [-0.168735892, -0.331264108, 0.5, 0], [0.5, -0.418687589, -0.081312411, 0]],
    np.float32,
)


def replace_blocks(jpeg: Jpeg, completed: U8, mask: NDArray[np.bool_], to_native: Callable[[U8], U8]) -> bytes | None:
    """The JPEG with the missing pixels replaced; each block of which no pixel is missing keeps its coefficients.

    completed: (H, W, 3) uint8 RGB and mask: (H, W) bool, both in stored orientation. to_native: takes (N, 3) sRGB
    pixels to (N, C) samples of the file's colour space, CMYK with 0 as no ink.
    Returns a JPEG without metadata, or None where the library or this kind of JPEG forbids it.
    """
    picture = _read(jpeg)
    tables = _tables_of(jpeg, picture) if picture else None
    if tables is None:
        return None
    blocks = [plane.reshape(plane.shape[0] // 8, 8, -1, 8).swapaxes(1, 2) for plane in picture.coef_arrays]
    unit_width, unit_height = jpeg.frame.unit
    height = _BAND_UNITS * unit_height
    for top in np.unique(np.flatnonzero(mask.any(axis=1)) // height * height):
        columns = np.flatnonzero(mask[top : top + height].any(axis=0))
        left, right = columns[0] // unit_width * unit_width, (columns[-1] // unit_width + 1) * unit_width
        band = np.s_[top : top + height, left:right]
        hole = mask[band].astype(np.float32)
        samples = _components(to_native(completed[band].reshape(-1, 3)), jpeg)
        planes = [plane * hole for plane in cv2.split(samples.reshape(*hole.shape, -1))]
        _change_band(blocks, tables, jpeg.frame, (top // unit_height, left // unit_width), planes, hole)
    return _write(picture)


def _change_band(
    blocks: list[NDArray[np.int32]],
    tables: list[NDArray[np.float32]],
    frame: Frame,
    unit: tuple[int, int],
    planes: list[NDArray[np.float32]],
    hole: NDArray[np.float32],
) -> None:
    """New coefficients in one band.

    blocks: per component (rows, columns, 8, 8), the library's own memory. unit: row and column of the first MCU.
    planes: per component (h, w), new values minus 128 in the hole, else 0. hole: (h, w), 1 where a pixel is missing. A
    sample that stands for several pixels becomes their mean, in which known pixels count with the sample's old value.
    """
    shares: dict[tuple[int, int], tuple[Any, NDArray[np.float32]]] = {}
    for index, (h, v) in enumerate(frame.factors):
        part = blocks[index][unit[0] * v :, unit[1] * h :]
        inside = np.s_[: part.shape[0], : part.shape[1]]  # an MCU may reach over the last block
        if (h, v) not in shares:
            share = _in_blocks(hole, frame, index)[inside]
            touched = np.nonzero(share.any(axis=2))
            shares[h, v] = touched, 1 - share[touched]
        touched, known = shares[h, v]
        samples = _times(part[touched].reshape(-1, 64).astype(np.float32) * tables[index], _DCT)
        samples *= known
        samples += _in_blocks(planes[index], frame, index)[inside][touched]
        new = np.rint(_times(samples, _DCT.T / tables[index])).clip(-_MOST_LEVELS, _MOST_LEVELS)
        part[touched] = new.reshape(-1, 8, 8)


def _times(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """rows (N, 64) times a matrix (64, 64), 64 rows at once: for more OpenBLAS wakes threads, which then spin on cores
    that others need for longer than the product takes."""
    product = np.empty_like(rows)
    for start in range(0, len(rows), 64):
        np.matmul(rows[start : start + 64], matrix, out=product[start : start + 64])
    return product


def _in_blocks(plane: NDArray[np.float32], frame: Frame, index: int) -> NDArray[np.float32]:
    """(h, w) values as (rows, columns, 64) blocks of a component, subsampled, the last row and column repeated."""
    unit_width, unit_height = frame.unit
    h, v = frame.factors[index]
    down, right = -plane.shape[0] % unit_height, -plane.shape[1] % unit_width
    plane = cv2.copyMakeBorder(plane, 0, down, 0, right, cv2.BORDER_REPLICATE)
    rows, columns = plane.shape[0] // unit_height * v, plane.shape[1] // unit_width * h
    plane = cv2.resize(plane, (8 * columns, 8 * rows), interpolation=cv2.INTER_AREA)  # the mean of whole pixels
    return plane.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(rows, columns, 64)


def _components(native: U8, jpeg: Jpeg) -> NDArray[np.float32]:
    """(N, C) native samples as (N, C) component values minus 128."""
    values = native.astype(np.float32)
    jfif = any(segment.marker == 0xE0 for segment in jpeg.colour_marks)
    ids = jpeg.frame.ids
    if len(ids) == 1:
        return values - 128
    if len(ids) == 4:  # Adobe stores ink inverted; its YCCK is the YCbCr of what is then red, green and blue
        if jpeg.adobe == 2:
            return np.concatenate([_ycc(values[:, :3]), 127 - values[:, 3:]], axis=1)
        return 127 - values
    # which three components it has is decided as libjpeg does
    rgb = jpeg.adobe == 0 if jpeg.adobe is not None else ids == tuple(b"RGB")
    return values - 128 if rgb and not jfif else _ycc(values)


def _ycc(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = cv2.transform(rgb[None], _YCC)[0]
    return values


def _read(jpeg: Jpeg) -> Any:
    """jpegio's picture; None where that is missing, or cannot write this JPEG again."""
    unit_width, unit_height = jpeg.frame.unit
    if not all(unit_width % (8 * h) == 0 and unit_height % (8 * v) == 0 for h, v in jpeg.frame.factors):
        return None
    try:
        import jpegio

        with _file(jpeg.coded()) as path:
            picture = jpegio.read(path)
    except (ImportError, RuntimeError, OSError):  # damage that a decoder reads over, or no place for a file
        return None
    # its own Huffman tables, unless they lack a code that a block may need: libjpeg writes damage then
    ends = [int(end) for part in picture.coef_arrays for end in (part.min(), part.max())]
    whole = all(
        int(sum(table["counts"])) >= count
        for tables, count in ((picture.dc_huff_tables, 12), (picture.ac_huff_tables, 162))
        for table in tables
    )
    if next(s.payload[0] for s in jpeg.segments if s.marker == 0xDA) < len(jpeg.frame.ids):
        whole = False  # jpegio has set the tables of the first scan's components alone
        for number, component in enumerate(picture.comp_info):
            component.dc_tbl_no = component.ac_tbl_no = int(number > 0)
    picture.optimize_coding = int(not whole or min(ends) < -_MOST_LEVELS)
    return picture if min(ends) >= -_MOST_LEVELS - 1 and max(ends) <= _MOST_LEVELS else None


def _tables_of(jpeg: Jpeg, picture: Any) -> list[NDArray[np.float32]] | None:
    """Each component's quantisation table, (64,); None where one is replaced between two scans, or holds a 0."""
    slots: set[int] = set()
    for number, (marker, payload, _) in enumerate(jpeg.segments):
        at = 0
        while marker == 0xDB and at < len(payload):
            if any(segment.marker == 0xDA for segment in jpeg.segments[:number]):
                return None
            slots.add(payload[at] & 15)
            at += 129 if payload[at] >> 4 else 65
    tables = dict(zip(sorted(slots), picture.quant_tables, strict=False))
    numbers = [component.quant_tbl_no for component in picture.comp_info]
    if len(slots) != len(picture.quant_tables) or not slots.issuperset(numbers):
        return None
    if not all(table.all() for table in picture.quant_tables):  # T.81 B.2.4.1: no step is 0
        return None
    return [tables[number].reshape(64).astype(np.float32) for number in numbers]


def _write(picture: Any) -> bytes | None:
    try:
        with _file() as path:
            picture.write(path)
            with open(path, "rb") as file:
                return file.read()
    except (RuntimeError, OSError):
        return None


@contextmanager
def _file(data: bytes = b"") -> Iterator[str]:
    """The path of a file that holds the data and is gone afterwards; in memory where the system has such files."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        handle = os.memfd_create("jpeg")
        path = f"/proc/self/fd/{handle}"
    else:
        handle, path = tempfile.mkstemp(suffix=".jpg")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(data)
        yield path
    finally:
        os.close(handle)
        if not path.startswith("/proc/"):
            os.unlink(path)
