"""The networks that help a method: what finds faces, and what finds what covers them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.catalog import find_weights
from facefill.errors import InputError
from facefill.runtime.cover import Cover
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Face, Finder
from facefill.runtime.second_look import SecondLook

HELPERS = ("finder", "second_look", "cover")
"""Shipped networks beside the methods that decide what becomes of a whole photo."""
SURE = 0.7
"""Score from which a finding of YuNet is a face."""
LONG_SIDE_PX = 640
"""YuNet looks at larger photos in this size, where it knows faces of most sizes."""


class Finds(Protocol):
    """What finds faces: the shipped `Finder`, YuNet, or a detector of your own."""

    def find(self, photo: NDArray[np.uint8]) -> list[Face]:
        """The faces of a (H, W, 3) uint8 RGB photo, which it leaves as it is."""


def open_finder(
    file: Path | None = None, *, device: str = "cpu", threads: int | None = None, exact: bool = False
) -> Finds:
    """The shipped finder, or that of a YuNet file. Options as in `facefill.load`.

    Raises InputError where the weights or the device are not there.
    """
    if file is not None:
        return YuNet(file)
    finder, second = (
        load_engine(find_weights(name)[0], device=device, threads=threads, exact=exact)
        for name in ("finder", "second_look")
    )
    return Finder(finder, SecondLook(second).look)


def open_cover(*, device: str = "cpu", threads: int | None = None, exact: bool = False) -> Cover:
    """The shipped cover network. Options as in `facefill.load`."""
    return Cover(load_engine(find_weights("cover")[0], device=device, threads=threads, exact=exact))


class YuNet:
    """Wu et al. 2023, "YuNet", through OpenCV's `FaceDetectorYN`."""

    def __init__(self, file: Path) -> None:
        """file: face_detection_yunet_*.onnx of OpenCV's model zoo. Raises InputError for another."""
        if not file.is_file():
            raise InputError("the file of a finder", f"{file}, which is none", "name YuNet's .onnx file")
        self._file = file
        self._open(320, 320)

    def _open(self, width: int, height: int) -> cv2.FaceDetectorYN:
        # A detector keeps the size of its photo: each call has one of its own, so that any thread may call.
        try:
            detector = cv2.FaceDetectorYN.create(str(self._file), "", (width, height), SURE)
            detector.detect(np.zeros((height, width, 3), np.uint8))
        except cv2.error:
            raise InputError(
                "YuNet with a fixed input size",
                f"{self._file.name}, which OpenCV cannot run",
                "take face_detection_yunet_2023mar.onnx of OpenCV's model zoo",
            ) from None
        return detector

    def find(self, photo: NDArray[np.uint8]) -> list[Face]:
        """All faces of a (H, W, 3) uint8 RGB photo, the largest first."""
        height, width = photo.shape[:2]
        scale = min(1.0, LONG_SIDE_PX / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        view = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        _, rows = self._open(*size).detect(np.ascontiguousarray(view[..., ::-1]))
        return faces_of([] if rows is None else rows, width / size[0], photo.shape)


def faces_of(rows: Sequence[NDArray[np.float32]], scale: float, shape: tuple[int, ...]) -> list[Face]:
    """YuNet's rows (x, y, width, height, five landmarks, score) as faces of a photo `scale` times as large."""
    faces = []
    for row in np.asarray(rows, np.float64).reshape(-1, 15):
        x, y, wide, high = row[:4] * scale
        landmarks = row[4:14].reshape(5, 2) * scale
        box = (max(x, -0.5), max(y, -0.5), min(x + wide, shape[1] - 0.5), min(y + high, shape[0] - 0.5))
        faces.append(Face(box, landmarks, float(row[14])))
    return sorted(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]), reverse=True)
