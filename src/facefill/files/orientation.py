"""Which way up a photo is: read in one place, for photos and masks alike.

The rule is the one of viewers: the first EXIF block that has an orientation decides (in a TIFF, its own directory),
wherever in the file it stands; where none has, XMP's `tiff:Orientation` does. Where XMP says otherwise than EXIF, it is
made to agree: libraries differ in which of the two they follow.
"""

import re
import struct
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import U8
from facefill.files.tags import Directories

ORIENTATION = 0x0112
_IN_XMP = re.compile(r"\btiff:Orientation(?:\s*=\s*[\"']|\s*>)\s*([1-8])\s*[\"'<]")


def orientation_of(exif: Iterable[bytes], xmp: Iterable[str] = ()) -> int:
    """The orientation 1 to 8 (EXIF 2.32, tag 0x0112) of the stored samples; 1 where nothing says it."""
    for block in exif:
        directories = Directories(block)
        entry = directories.first.get(ORIENTATION)
        kind = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}.get(entry.kind) if entry else None
        if entry and kind and entry.length:
            (value,) = struct.unpack_from(directories.order + kind, entry.value)  # type: ignore[arg-type]
            if 1 <= value <= 8:
                return int(value)
    return next((int(found[1]) for packet in xmp if (found := _IN_XMP.search(packet))), 1)


def upright(stored: U8, orientation: int) -> U8:
    """A picture turned as its orientation says; contiguous."""
    if orientation == 1:
        return np.ascontiguousarray(stored)
    turned = cv2.transpose(stored) if orientation >= 5 else stored.copy()
    down, across = _flips(orientation)
    if down or across:
        cv2.flip(turned, -1 if down and across else 1 if across else 0, dst=turned)
    return turned.reshape(*turned.shape[:2], *stored.shape[2:])  # OpenCV drops the axis of a single channel


def as_stored(turned: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The inverse of `upright` for any array, as a view."""
    orientation = {6: 8, 8: 6}.get(orientation, orientation)  # all others are their own inverse
    array = turned.swapaxes(0, 1) if orientation >= 5 else turned
    down, across = _flips(orientation)
    return array[:: -1 if down else 1, :: -1 if across else 1]


def _flips(orientation: int) -> tuple[bool, bool]:
    """Whether to mirror down and across, after transposing for 5 to 8."""
    return orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
