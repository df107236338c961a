"""YuNet (Wu et al. 2023) as a teacher of boxes and landmarks, read from its ONNX file; it is not part of facefill."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.errors import InputError

F32 = NDArray[np.float32]
Picture = NDArray[np.uint8]

MIRRORED = [1, 0, 2, 4, 3]
MARGIN_PX = 32
"""Reflected border put around an aligned face: the teacher misses faces that fill its view."""
VIEWS = ((1.0, False), (1.0, True), (0.6, False), (0.6, True))
"""(scale, mirrored) of the views whose mean is a label: one view alone jitters by 4 % of the eye distance."""


class YuNet:
    """The detector, at the size of the picture it is given."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """path: yunet.onnx. Raises InputError where ONNX Runtime is not installed."""
        try:
            import onnxruntime
        except ImportError:
            raise InputError("ONNX Runtime", "no such package", "pip install 'facefill[train]'") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [port.name for port in self._session.get_outputs()]

    def find(self, picture: Picture, threshold: float = 0.6, same_iou: float = 0.3) -> F32:
        """(H, W, 3) uint8 RGB to (n, 15): x0, y0, x1, y1, x and y of five landmarks, score.

        The decoding is that of OpenCV's `FaceDetectorYN`, which cannot open a file of flexible size.
        """
        height, width = picture.shape[:2]
        canvas = cv2.copyMakeBorder(picture, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT)
        blob = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        maps = dict(zip(self._names, self._session.run(None, {"input": blob}), strict=True))
        found = [np.zeros((0, 15), np.float32)]
        for stride in (8, 16, 32):
            certain, there = (np.clip(maps[f"{name}_{stride}"][0, :, 0], 0, 1) for name in ("cls", "obj"))
            score = np.sqrt(certain * there)
            index = np.flatnonzero(score >= threshold)
            columns = canvas.shape[1] // stride
            cell = np.stack([index % columns, index // columns], 1)
            box = maps[f"bbox_{stride}"][0, index]
            centre, half = (cell + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride / 2
            points = (maps[f"kps_{stride}"][0, index].reshape(-1, 5, 2) + cell[:, None]) * stride
            found.append(np.concatenate([centre - half, centre + half, points.reshape(-1, 10), score[index, None]], 1))
        rows = np.concatenate(found)
        sizes = np.concatenate([rows[:, :2], rows[:, 2:4] - rows[:, :2]], 1)
        kept = cv2.dnn.NMSBoxes(sizes.tolist(), rows[:, 14].tolist(), 0.0, same_iou) if len(rows) else []
        return np.asarray(rows[np.array(kept, int).reshape(-1)], np.float32)


def label_faces(pictures: Picture, teacher: YuNet) -> tuple[F32, F32, NDArray[np.bool_]]:
    """Label (N, S, S, 3) aligned uncovered faces: boxes (N, 4), landmarks (N, 5, 2) in their pixels, found (N,).

    The label is the mean over `VIEWS` of the finding nearest to the face's usual place.
    """
    rows = np.zeros((len(pictures), 14), np.float32)
    found = np.zeros(len(pictures), bool)
    size = pictures.shape[1]
    usual = np.array([0.23, 0.19, 0.77, 0.92], np.float32) * size
    for index, picture in enumerate(pictures):
        border = (MARGIN_PX,) * 4
        wide = cv2.copyMakeBorder(np.ascontiguousarray(picture), *border, cv2.BORDER_REFLECT_101)
        views = [_in_view(wide, teacher, scale, mirrored) - MARGIN_PX for scale, mirrored in VIEWS]
        nearest = [view[np.abs(view[:, :4] - usual).max(1).argmin()] for view in views if len(view)]
        agreed = [row for row in nearest if np.abs(row[:4] - usual).max() < 0.25 * size]
        if agreed:
            rows[index], found[index] = np.mean(agreed, 0), True
    return rows[:, :4], rows[:, 4:].reshape(-1, 5, 2), found


def _in_view(picture: Picture, teacher: YuNet, scale: float, mirrored: bool) -> F32:
    """The teacher's (n, 14) boxes and landmarks in one view, in pixels of the picture."""
    view = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale != 1 else picture
    rows = teacher.find(np.ascontiguousarray(view[:, ::-1]) if mirrored else view, 0.4)[:, :14].reshape(-1, 7, 2)
    if mirrored:
        rows[..., 0] = view.shape[1] - rows[..., 0]
        rows[:, :2, 0] = rows[:, 1::-1, 0]
        rows[:, 2:] = rows[:, 2:][:, MIRRORED]
    return np.asarray(rows.reshape(-1, 14) * (picture.shape[1] / view.shape[1]), np.float32)
