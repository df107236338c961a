"""One photo: its faces found, aligned, and judged fit to learn from or not."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from pydantic import Field

from facefill.arrays import U8
from facefill.config import Frozen
from facefill.datasets.duplicates import ALIKE, NEAR_BITS, hash_face
from facefill.datasets.manifest import MANIFEST_PX, implausible
from facefill.errors import InputError
from facefill.files.photo import encode_picture, read_photo
from facefill.imaging.crop import Crop
from facefill.runtime.cover import FoundCover
from facefill.runtime.finder import Face
from facefill.runtime.helpers import Finds


class Rules(Frozen):
    """What becomes of a face. A dataset keeps the rules that it was begun with."""

    size_px: Literal[256, 512] = 256
    """Side of the aligned pictures."""
    format: Literal["webp", "png"] = "webp"
    quality: int = Field(default=95, ge=1, le=100)
    """WebP quality, 1 to 100."""
    min_side_px: int | None = None
    """A face whose aligned square has fewer pixels in the photo is tiny; None: half of `size_px`."""
    min_score: float = 0.8
    """A face is uncertain below this score of the finder; what it takes for faces and is none lies mostly below."""
    min_inside: float = 0.7
    """A face is outside where less than this share of its square, or not every landmark, lies in the photo."""
    max_blur: float = 0.58
    """A face is blurred above this `measure_blur`. Of 700 faces of a good dataset one in 300 is above it, of the same
    behind a Gaussian of 3 px (in 256) all are, of 2 px most."""
    max_covered: float | None = None
    """A face is covered where more than this share of its picture is; None: not asked."""
    near_bits: int = Field(default=NEAR_BITS, ge=0, le=127)
    """Faces whose hashes differ in so many of 256 bits or fewer are compared, see `duplicates`."""
    alike: float = ALIKE
    """Compared faces at least this much alike are near-duplicates, -1 to 1."""
    validation: float = Field(default=0.05, ge=0, le=1)
    test: float = Field(default=0.05, ge=0, le=1)
    """Shares of the identities, or of the groups of near-duplicates, in these splits; the others are in train."""


Reason = Literal["", "implausible", "uncertain", "outside", "tiny", "blurred", "covered"]


class FindsCovers(Protocol):
    def find(self, photo: U8, faces: Sequence[Face]) -> list[FoundCover]: ...


@dataclass(frozen=True)
class SeenFace:
    file: str
    native_side_px: int
    """Side of its aligned square in pixels of the photo."""
    landmarks: list[list[float]]
    """Five x, y in pixels of an aligned picture of 256."""
    score: float
    """The finder's."""
    blur: float
    hash: str
    """Result of `duplicates.hash_face` in hexadecimal."""
    sha256: str
    """Hash of its picture's file."""
    reason: Reason
    """Why it is dropped; empty where it may stay."""
    detail: str


@dataclass(frozen=True)
class Look:
    """What there is in a photo. It goes through a pickle, so that other machines can look."""

    photo: str
    sha256: str
    error: str
    """Why the photo could not be read, else empty."""
    faces: tuple[SeenFace, ...]
    pictures: dict[str, bytes]
    """Files of the faces that may stay, by name."""


def look_at(
    photo: Path | bytes, finder: Finds, rules: Rules, *, name: str | None = None, cover: FindsCovers | None = None
) -> Look:
    """Find, align and judge the faces of one photo. It depends on nothing else, so photos can be looked at anywhere.

    name: the photo's name in the log, which recognises it; None: its path. cover: needed with `rules.max_covered`.
    A photo that cannot be read is no exception, but a look with an error.
    """
    if rules.max_covered is not None and cover is None:
        raise ValueError("max_covered needs a cover")
    name = name if name is not None else str(photo) if isinstance(photo, Path) else hashlib.sha256(photo).hexdigest()
    try:
        source = read_photo(photo)
    except InputError as error:
        return Look(name, "", str(error), (), {})
    digest = hashlib.sha256(source.source or b"").hexdigest()
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem)[:40]
    faces, pictures = [], {}
    for index, found in enumerate(finder.find(source.pixels)):
        file = f"faces/{digest[:2]}/{stem}-{digest[:10]}-{index}.{rules.format}"
        seen, picture = _judge(found, source.pixels, file, rules, cover)
        faces.append(seen)
        if not seen.reason:
            pictures[file] = picture
    return Look(name, digest, "", tuple(faces), pictures)


def _judge(found: Face, photo: U8, file: str, rules: Rules, cover: FindsCovers | None) -> tuple[SeenFace, bytes]:
    try:
        square = Crop.around_face(found.landmarks, MANIFEST_PX)
    except ValueError as error:
        return SeenFace(file, 0, [], found.score, 0.0, "", "", "implausible", str(error)), b""
    points = square.to_crop(found.landmarks)
    side_px = square.scale * MANIFEST_PX
    whole = bool((found.landmarks >= -0.5).all() and (found.landmarks <= np.array(photo.shape[1::-1]) - 0.5).all())
    share = square.inside(photo.shape)
    least_px = rules.min_side_px if rules.min_side_px is not None else rules.size_px // 2
    reason: Reason = ""
    detail, blur, bits, digest, picture = "", 0.0, "", "", b""
    if odd := implausible(points, aligned=False):
        reason, detail = "implausible", odd
    elif found.score < rules.min_score:
        reason, detail = "uncertain", f"{found.score:.2f}"
    elif share < rules.min_inside or not whole:
        reason, detail = "outside", f"{share:.2f} of it in the photo" + ("" if whole else ", a landmark is not")
    elif side_px < least_px:
        reason, detail = "tiny", f"{side_px:.0f} px"
    else:
        crop = Crop.around_face(found.landmarks, rules.size_px)
        face = crop.take(photo)
        blur = measure_blur(face)
        hidden = cover.find(photo, [found])[0].mask(photo.shape) if cover else np.zeros(photo.shape[:2], bool)
        if blur > rules.max_blur:
            reason, detail = "blurred", f"{blur:.2f}"
        elif rules.max_covered is not None and (covered := float(crop.take_mask(hidden).mean())) > rules.max_covered:
            reason, detail = "covered", f"{covered:.2f}"
        else:
            picture = encode_picture(face, rules.format.upper(), rules.quality if rules.format == "webp" else None)
            bits, digest = hash_face(face).tobytes().hex(), hashlib.sha256(picture).hexdigest()
    marks, score = points.round(2).tolist(), round(found.score, 4)
    return SeenFace(file, round(side_px), marks, score, round(blur, 4), bits, digest, reason, detail), picture


def measure_blur(face: U8) -> float:
    """How little a face loses by a further blur, 0 to 1: from brows to chin, at half its side.

    Crete et al. 2007, "The blur effect", equations 1 to 6, with a mean of 7 pixels: the share of all steps between
    neighbours that a mean along the rows, or the columns, leaves; the larger of both. Contrast does not count.
    """
    side = face.shape[0] // 2
    grey = cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
    inner = grey[int(0.28 * side) : int(0.92 * side), side // 4 : 3 * side // 4].astype(np.float32)
    shares = []
    for axis, window in ((0, (1, 7)), (1, (7, 1))):
        steps, smooth = (np.abs(np.diff(view, axis=axis)) for view in (inner, cv2.blur(inner, window)))
        total = float(steps.sum())
        shares.append(1 - float(np.maximum(steps - smooth, 0).sum()) / total if total else 1.0)
    return max(shares)
