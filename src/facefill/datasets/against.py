"""What a dataset that judges shares with one that was learnt from: copies of a picture, and faces too much like one.

A copy is told by the picture (`duplicates`). Another photo of the same moment, or of the same person, is told by an
embedder that the user gives: any function from aligned faces to vectors whose cosine says how alike two people are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facefill.arrays import F32, U8, Points
from facefill.datasets.cache import decode
from facefill.datasets.duplicates import ALIKE, NEAR_BITS, hash_face, likeness, near_pairs, thumb_of
from facefill.datasets.faces import ALIGNED
from facefill.datasets.manifest import MANIFEST_PX, Entry
from facefill.datasets.progress import track

Embed = Callable[[U8, Points], F32]
"""Aligned faces (N, S, S, 3) uint8 RGB and their landmarks (N, 5, 2) in pixels, to vectors (N, D) of length 1."""

TOO_NEAR = 0.75
"""Cosine above which two faces count as one."""
COLUMNS = ("file", "copy", "alike", "nearest", "cosine")
"""Columns of the audit: a face, the picture that it copies and their likeness, the nearest face and its cosine; empty
where there is none."""


@dataclass(frozen=True)
class Nearest:
    file: str
    copy: str = ""
    """The picture that it is a near-duplicate of, empty for none."""
    alike: float = 0.0
    """Their likeness, -1 to 1."""
    nearest: str = ""
    """The face with the largest cosine, empty without an embedder."""
    cosine: float = float("nan")

    def row(self) -> dict[str, str]:
        return {
            "file": self.file,
            "copy": self.copy,
            "alike": f"{self.alike:.3f}" if self.copy else "",
            "nearest": self.nearest,
            "cosine": f"{self.cosine:.3f}" if self.nearest else "",
        }

    def leaks(self, too_near: float = TOO_NEAR) -> str:
        """Why it may not judge what was learnt from the other dataset; empty where it may."""
        if self.copy:
            return f"{self.copy}: the same picture, {self.alike:.2f}"
        return f"{self.nearest}: too near, cosine {self.cosine:.2f}" if self.cosine > too_near else ""


def find_nearest(ours: Sequence[Entry], theirs: Sequence[Entry], embed: Embed | None = None) -> list[Nearest]:
    """What each of our faces is nearest to among theirs, in our order.

    Raises InputError for a picture that is missing, damaged or not square.
    """
    (hashes, thumbs, vectors), (other_hashes, other_thumbs, other_vectors) = _look(ours, embed), _look(theirs, embed)
    copies: dict[int, tuple[float, int]] = {}
    for first, second, mirrored in near_pairs(hashes, NEAR_BITS, other_hashes).tolist():
        other = other_thumbs[second]
        alike = likeness(thumbs[first], np.ascontiguousarray(other[:, ::-1]) if mirrored else other)
        if alike >= ALIKE:
            copies[first] = max(copies.get(first, (-1.0, 0)), (alike, second))
    found = []
    for place, entry in enumerate(ours):
        alike, copy = copies.get(place, (0.0, -1))
        one = Nearest(entry.row["file"], theirs[copy].row["file"] if copy >= 0 else "", alike)
        if embed:
            cosines = other_vectors @ vectors[place]
            best = int(cosines.argmax())
            one = replace(one, nearest=theirs[best].row["file"], cosine=float(cosines[best]))
        found.append(one)
    return found


def _look(entries: Sequence[Entry], embed: Embed | None) -> tuple[U8, list[U8], F32]:
    """Hashes (N, 2, 32) and thumbs (64, 64) of N faces, and their vectors (N, D), D = 0 without an embedder."""
    hashes, thumbs, vectors = [], [], []
    for entry in track(entries, "comparing", len(entries)):
        face, points = decode(entry.read(), MANIFEST_PX), entry.landmarks
        hashes.append(hash_face(face))
        thumbs.append(thumb_of(face))
        if embed:
            points = ALIGNED * MANIFEST_PX - 0.5 if points is None else points
            vectors.append(embed(face[None], points[None])[0])
    return np.stack(hashes), thumbs, np.array(vectors, np.float32)
