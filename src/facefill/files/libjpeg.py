"""The coefficients of a JPEG through jpeglib's libjpeg, which reads and writes files only: here they lie in memory.

jpeglib's own `load` and `write_dct` put the whole photo into the disk's folder for temporary files, and fail where
there is none that can be written. Here only a system without files in memory (all but Linux) does so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ENGINE = "turbo210"  # the fastest of the libjpegs in jpeglib; all of them code the same coefficients

Blocks = NDArray[np.int16]


def is_ready(data: bytes) -> bool:
    """Whether jpeglib is there, with room for its files. data: of the JPEG."""
    try:
        import jpeglib
    except ImportError:
        return False
    # libjpeg ends the whole process where its file cannot be written
    if not _has_memory_files() and _free_bytes() < 4 * len(data) + (1 << 24):
        return False
    if jpeglib.version.get() != _ENGINE:
        jpeglib.version.set(_ENGINE)
    return True


def read_blocks(picture: Any, data: bytes) -> tuple[list[Blocks], NDArray[np.uint16], NDArray[np.int64]]:
    """What a JPEG's entropy coding holds: per component (rows, columns, 8, 8), quantised; (n, 8, 8) quantisation
    tables; the number of each component's table. picture: `jpeglib.DCTJPEG` of the JPEG's size and components.
    """
    blocks = [np.zeros((rows, columns, 8, 8), np.int16) for rows, columns in picture.block_dims]
    tables, table_of = np.zeros((4, 8, 8), np.uint16), np.zeros(4, np.int16)
    with _file(data) as path:  # its wrapper would print the path where this fails
        read = _library().get().read_jpeg_dct(_library().cstr(path), *_pointers(blocks), _pointer(tables),
                                              np.ctypeslib.as_ctypes(table_of))
    if not read:
        raise OSError("libjpeg cannot read the coefficients")
    numbers = table_of[: len(blocks)].astype(np.int64)
    return blocks, tables[: numbers.max() + 1], numbers


def code_blocks(
    picture: Any, blocks: list[Blocks], tables: NDArray[np.uint16], table_of: NDArray[np.int64], optimise: bool
) -> bytes:
    """A baseline JPEG of `picture`'s size and components, without other metadata.

    optimise: Huffman tables of its own instead of the standard's.
    """
    numbers = np.full(4, -1, np.int16)
    numbers[: len(table_of)] = table_of
    with _file() as path:
        _library().write_jpeg_dct(
            srcfile=None, dstfile=path, **dict(zip(("Y", "Cb", "Cr", "K"), _pointers(blocks), strict=True)),
            image_dims=picture.c_image_dims(), block_dims=picture.c_block_dims(), samp_factor=picture.c_samp_factor(),
            in_color_space=int(picture.jpeg_color_space), in_components=picture.num_components,
            qt=_pointer(np.ascontiguousarray(tables, np.uint16)), quality=-1,
            quant_tbl_no=np.ctypeslib.as_ctypes(numbers), num_markers=0, marker_types=None, marker_lengths=None,
            markers=None, flags=["+OPTIMIZE_CODING"] if optimise else [])
        with open(path, "rb") as file:
            return file.read()


def _library() -> Any:
    from jpeglib.dct_jpeg import CJpegLib

    return CJpegLib


def _pointer(blocks: NDArray[Any]) -> Any:
    """What jpeglib's C functions take: each block as a row of 64."""
    return np.ctypeslib.as_ctypes(blocks.reshape(*blocks.shape[:-2], 64))


def _pointers(blocks: list[Blocks]) -> list[Any]:
    """Of the four components that there may be."""
    return [_pointer(np.ascontiguousarray(part, np.int16)) for part in blocks] + [None] * (4 - len(blocks))


def _has_memory_files() -> bool:
    return hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")


def _free_bytes() -> int:
    try:
        return shutil.disk_usage(tempfile.gettempdir()).free
    except OSError:  # no folder that can be written
        return 0


@contextmanager
def _file(data: bytes = b"") -> Iterator[str]:
    """The path of a file that holds the data and is gone afterwards."""
    if _has_memory_files():
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
