"""A second look at each face that was found, as it is and mirrored: is it one, and where exactly are its landmarks?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from facefill.arrays import F64, MIRRORED, U8
from facefill.runtime.cover import square_around, view_of
from facefill.runtime.engine import Engine
from facefill.runtime.finder import Face, snap
from facefill.runtime.model import to_network

SIDE_PX = 160
"""Side of the picture that the network looks at: the square in which covers are looked for."""
THRESHOLD = 0.3
"""Certainty from which it is a face."""


class SecondLook:
    """engine: an `Engine` of second_look.onnx (input `image`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def look(self, photo: U8, faces: Sequence[Face]) -> list[Face]:
        """Those of a (H, W, 3) uint8 RGB photo's findings that are faces, with better landmarks and the same score."""
        seen = []
        for face in faces:
            sure, landmarks = self._look(photo, face)
            if sure >= THRESHOLD:
                eyes = float(np.hypot(*(landmarks[1] - landmarks[0])))
                apart = float(np.hypot(*(landmarks - face.landmarks).T).mean())
                seen.append(replace(face, landmarks=landmarks, moved=apart / max(eyes, 1e-9)))
        return seen

    def _look(self, photo: U8, face: Face) -> tuple[float, F64]:
        try:
            square = square_around(face, SIDE_PX)
        except ValueError:
            return 0.0, face.landmarks
        view = view_of(photo, square)
        both = to_network(np.stack([view, view[:, ::-1]]))
        said = next(iter(self._engine.run({"image": both}).values())).astype(np.float64)
        points = said[:, 1:].reshape(2, 5, 2)
        mirrored = points[1, MIRRORED] * (-1, 1)
        place = (points[0] + mirrored) / 2 * SIDE_PX + (SIDE_PX - 1) / 2
        return float(1 / (1 + np.exp(-said[:, 0].mean()))), snap(square.to_photo(place))
