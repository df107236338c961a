"""Whether a completed face is still recognised, by a face embedder that the user gives."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefill.catalog import file_hash
from facefill.errors import InputError
from facefill.imaging.crop import Crop
from facefill.runtime.engine import load_engine, read_metadata

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Points = NDArray[np.float64]

SIDE_PX = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose and mouth corners lie in the embedder's picture, pixels (Deng et al. 2019, ArcFace's alignment)."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
RATES = (1e-2, 1e-3)
"""False accept rates at which verification is told."""
FEWEST = 10
"""Impostor pairs that must lie above a threshold for its rate to mean something."""


class Embedder:
    """A network from an aligned face to a vector whose cosines tell people apart.

    Its ONNX file takes one (1, 3, 112, 112) float32 RGB picture, (x / 255 - mean) / deviation of ImageNet.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        """Raises InputError for a missing file, or one that takes something else."""
        if not path.is_file():
            raise InputError("an .onnx face embedder", f"nothing at {path}", "check the path")
        read_metadata(path)
        self.sha256 = file_hash(path)
        self._engine = load_engine(path, device=device, threads=threads, exact=True)
        try:
            self.width = self.look(np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8), TEMPLATE[None]).shape[1]
        except Exception as error:
            raise InputError(f"an embedder of one {SIDE_PX}x{SIDE_PX} RGB picture", f"{path.name}, which takes another",
                             "give an ONNX file with the input 1x3x112x112") from error

    def look(self, faces: U8, landmarks: Points) -> F32:
        """Vectors of length 1, (N, D). faces: (N, S, S, 3). landmarks: (N, 5, 2) pixels of the uncovered faces."""
        aligned = np.stack([align(face, points) for face, points in zip(faces, landmarks, strict=True)])
        values = (aligned.astype(np.float32) / np.float32(255) - MEAN) / DEVIATION
        planes = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        # Its only input, whatever the file calls it.
        inputs: dict[str, F32] = defaultdict(lambda: planes)
        found = next(iter(self._engine.run(inputs).values())).reshape(len(faces), -1)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True).clip(1e-12), np.float32)


def align(face: U8, landmarks: Points) -> U8:
    """(112, 112, 3) with the landmarks on the template as well as turning, scaling and shifting can."""
    source, target = landmarks - landmarks.mean(axis=0), TEMPLATE - TEMPLATE.mean(axis=0)
    # Least squares of target against (a, -b; b, a) source, in closed form.
    spread = float((target**2).sum())
    a = float((source * target).sum()) / spread
    b = float((target[:, 0] * source[:, 1] - target[:, 1] * source[:, 0]).sum()) / spread
    turn = np.array([[a, -b], [b, a]])
    matrix = np.column_stack([turn, landmarks.mean(axis=0) - turn @ TEMPLATE.mean(axis=0)])
    return Crop(SIDE_PX, matrix).take(face)


def partners(identities: Sequence[str], files: Sequence[str]) -> NDArray[np.int64]:
    """For each face the place of another picture of the same person, -1 where there is none.

    Of several the one with the least SHA-256 of "file/other file". Faces without an identity have none.
    """
    people: dict[str, list[int]] = defaultdict(list)
    for index, identity in enumerate(identities):
        if identity:
            people[identity].append(index)
    found = np.full(len(files), -1, np.int64)
    for index, identity in enumerate(identities):
        others = [other for other in people.get(identity, ()) if other != index]
        if others:
            found[index] = min(others, key=lambda o: hashlib.sha256(f"{files[index]}/{files[o]}".encode()).digest())
    return found


def verify(vectors: F32, truths: F32, identities: Sequence[str], partner: NDArray[np.int64], rate: float) -> Points:
    """Whether each face (N, D) is accepted as the person of its partner's true picture: 1, 0, or nan without a partner.

    The threshold is such that of all pairs of such a face and a true picture of somebody else, `rate` are accepted. All
    nan where fewer than `FEWEST` pairs would be.
    """
    names = np.array(identities)
    scores = vectors @ truths.T
    known = names != ""
    strangers = (names[:, None] != names[None]) & known[:, None] & known[None]
    impostors = scores[strangers]
    accepted = np.full(len(names), math.nan)
    above = math.floor(rate * len(impostors))
    if above < FEWEST:
        return accepted
    threshold = -np.partition(-impostors, above)[above]
    there = partner >= 0
    accepted[there] = scores[there, partner[there]] > threshold
    return accepted


def grey_hole(face: U8, mask: NDArray[np.bool_]) -> U8:
    """A face whose hole shows nothing: mid-grey, as the covered picture where no cover was drawn."""
    return np.asarray(np.where(mask[..., None], np.uint8(127), face), np.uint8)

