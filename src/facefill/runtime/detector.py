"""Faces that a detector of somebody else's found, checked and aligned as the shipped finder's are."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from facefill.arrays import F64, U8
from facefill.errors import InputError
from facefill.imaging.boxes import area
from facefill.runtime.finder import Face

SHAPES = (("box", (4,)), ("points", (5, 2)), ("score", ()))
"""The parts of a face, and the shape of each."""
FIX = "return for each face: box x0, y0, x1, y1; eyes, nose tip, mouth corners as (5, 2) x, y; a score from 0 to 1"


class Detects(Protocol):
    """A detector of your own."""

    def find(self, photo: U8) -> Iterable[Any]:
        """The faces of a (H, W, 3) uint8 RGB photo, which it leaves as it is: each a `runtime.finder.Face`, or a pair
        or triple of box (x0, y0, x1, y1), five points (5, 2) and, where the detector has one, a score from 0 to 1.

        Pixels of the photo, (0, 0) the centre of the first. Points: eye, eye, nose tip, mouth corner, mouth corner, the
        viewer's left first, as most detectors give them. A box is as `Face` has it: hairline to chin.
        """


class CheckedDetector:
    """Finds what a detector finds and the second look takes for a face."""

    def __init__(self, detector: Detects, check: Callable[[U8, list[Face]], list[Face]]) -> None:
        """check: keeps those of a photo's findings that are faces, with better landmarks: a `SecondLook`'s `look`."""
        self._detector, self._check = detector, check

    def find(self, photo: U8) -> list[Face]:
        """The faces of a (H, W, 3) uint8 RGB photo, the largest first. Raises InputError for what are no faces."""
        said: Any = self._detector.find(photo)
        try:
            found = list(said)
        except TypeError:
            raise InputError("a list of faces from the finder", _kind(said), "return [] where there is none") from None
        faces = [read_face(one, photo.shape) for one in found]
        return self._check(photo, sorted(faces, key=lambda face: area(face.box), reverse=True))


def read_face(found: Any, shape: tuple[int, ...]) -> Face:
    """A face from what a detector says, see `Detects.find`; its box is cut to the photo. A score that is left out is 1.

    shape: the photo's, of (H, W, ...). Raises InputError for anything else, and for a box outside the photo.
    """
    whole = isinstance(found, Face)
    try:
        parts = [found.box, found.landmarks, found.score] if whole else list(found)
    except TypeError:
        parts = []
    if len(parts) not in (2, 3):
        got = f"{_kind(found)} of {len(parts)}" if parts else _kind(found)
        raise InputError("a face from the finder as box and five points, or with a score", got, FIX)
    box, points, score = (
        _numbers(part, name, wanted) for part, (name, wanted) in zip((*parts, 1.0)[:3], SHAPES, strict=True)
    )
    low, high = np.maximum(box[:2], -0.5), np.minimum(box[2:], np.array(shape[1::-1]) - 0.5)
    if not (low < high).all():
        got = f"the box {', '.join(f'{edge:g}' for edge in box)}"
        raise InputError(f"a box x0, y0, x1, y1 in a photo of {shape[1]}x{shape[0]} from the finder", got, FIX)
    if not 0 <= score <= 1:
        raise InputError("a score from 0 to 1 from the finder", f"{score:g}", FIX)
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    return Face((x0, y0, x1, y1), points, float(score))


def _numbers(said: Any, name: str, wanted: tuple[int, ...]) -> F64:
    """Raises InputError for other than finite numbers of that shape."""
    what = f"the finder's {name} as {' x '.join(map(str, wanted)) or 'one'} finite number{'s' if wanted else ''}"
    try:
        numbers = np.array(said, np.float64)
    except (TypeError, ValueError):
        raise InputError(what, _kind(said), FIX) from None
    if numbers.shape != wanted:
        raise InputError(what, " x ".join(map(str, numbers.shape)) or "one number", FIX)
    if not np.isfinite(numbers).all():
        raise InputError(what, "some that are not finite", FIX)
    return numbers


def _kind(said: Any) -> str:
    return "None" if said is None else f"a {type(said).__name__}"
