"""YuNet (Wu et al. 2023), a detector that the user brings: face_detection_yunet_*.onnx of OpenCV's model zoo."""

from pathlib import Path

import cv2
import numpy as np

from facefill.arrays import F32, U8
from facefill.errors import InputError
from facefill.imaging.boxes import area
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Face

SURE = 0.7
"""Score from which a finding is a face."""
SIDE_PX = 640
"""Larger photos are looked at in this size, where it knows faces of most sizes."""
SAME_IOU = 0.3
"""Two findings that overlap by more are one face."""


class YuNet:
    """multiple_px: pictures are padded to multiples of it; files of the zoo have one size, `SIDE_PX` squared."""

    def __init__(self, file: Path, multiple_px: int = SIDE_PX, threads: int | None = None) -> None:
        """Raises InputError for another file."""
        if not file.is_file():
            raise InputError("the file of a finder", f"{file}, which is none", "name YuNet's .onnx file")
        self._multiple_px = multiple_px
        self._engine = load_engine(file, threads=threads, exact=True)
        try:
            self.look(np.zeros((multiple_px, multiple_px, 3), np.uint8), SURE)
        except Exception as error:  # engines' own have no class in common
            fix = "take face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
            raise InputError("the file of YuNet", f"{file.name}, which is another network", fix) from error

    def find(self, photo: U8) -> list[Face]:
        """All faces of a (H, W, 3) uint8 RGB photo, the largest first."""
        height, width = photo.shape[:2]
        scale = min(1.0, SIDE_PX / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        view = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        return faces_of(self.look(np.asarray(view, np.uint8), SURE), width / size[0], photo.shape)

    def look(self, picture: U8, threshold: float) -> F32:
        """(H, W, 3) uint8 RGB to (n, 15) as of OpenCV's `FaceDetectorYN`: x0, y0, x1, y1, five landmarks, score."""
        down, right = (-side % self._multiple_px for side in picture.shape[:2])
        canvas = cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_CONSTANT)
        blob = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        maps = self._engine.run({"input": blob})
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
        kept = cv2.dnn.NMSBoxes(sizes.tolist(), rows[:, 14].tolist(), 0.0, SAME_IOU) if len(rows) else []
        return np.asarray(rows[np.array(kept, int).reshape(-1)], np.float32)


def faces_of(rows: F32, scale: float, shape: tuple[int, ...]) -> list[Face]:
    """What `YuNet.look` gives as faces of a photo `scale` times as large, the largest first."""
    faces = []
    for row in rows.astype(np.float64):
        box, landmarks = row[:4] * scale, row[4:14].reshape(5, 2) * scale
        inside = (*np.maximum(box[:2], -0.5).tolist(), *np.minimum(box[2:], np.array(shape[1::-1]) - 0.5).tolist())
        faces.append(Face(inside, landmarks, float(row[14])))
    return sorted(faces, key=lambda face: area(face.box), reverse=True)
