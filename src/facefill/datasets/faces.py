"""The faces that methods are judged on: a folder with or without a manifest.csv, checked before anything runs."""

import hashlib
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from facefill.arrays import U8, Points
from facefill.datasets.cache import list_entries
from facefill.datasets.manifest import MANIFEST_PX, Entry
from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.imaging.boxes import area
from facefill.imaging.crop import Crop
from facefill.runtime.helpers import open_finder

ALIGNED = np.array([[0.375, 0.476], [0.625, 0.476], [0.5, 0.610], [0.398, 0.735], [0.602, 0.735]])
"""Where FFHQ alignment puts the landmarks on average, as shares of the side."""


@dataclass(frozen=True)
class DatasetFace:
    entry: Entry
    file: str
    """Its name in the manifest: what seeds its holes."""
    source: str
    identity: str
    """Empty where nobody knows."""
    native_side_px: int | None
    landmarks: Points | None
    """(5, 2) shares of the side, x and y from its left edge and top: eyes, nose, mouth corners."""
    sha256: str = ""
    whole: bool = False
    """The file is a whole photo, and the landmarks are shares of its height."""


@dataclass(frozen=True)
class Dataset:
    name: str
    """The split's, or the folder's."""
    faces: tuple[DatasetFace, ...]
    side_px: int
    """Side of the smallest face; larger ones are shrunk where they are read."""
    sha256: str
    """Over every file's name and bytes, in order."""
    largest_px: int = 0
    """Side of the largest face; 0 where nobody looked."""

    @property
    def people(self) -> list[str]:
        """Whose each face is; somebody of his own where nobody knows."""
        return [face.identity or face.file for face in self.faces]


def read_dataset(folder: Path, split: str | None = None, limit: int | None = None, *, whole: bool = False) -> Dataset:
    """The faces of a folder in the order of the SHA-256 of their names, which makes any first ones a fair sample.

    limit: take the first so many only. split: the manifest's rows to take; may be left out where there is only one, or
    no manifest. whole: the pictures are photos of any shape.
    Raises InputError: no such folder, no pictures, an unknown split, a missing or damaged picture, or one that is not
    square.
    """
    if not folder.is_dir():
        got = f"{folder}, which is {'a file' if folder.exists() else 'not there'}"
        raise InputError("a folder of aligned faces", got, "check the path")
    entries = list_entries(folder, split)
    files = [entry.row["file"] for entry in entries]
    splits = dict.fromkeys(entry.row.get("split") for entry in entries)
    if split and splits == {None: None}:
        raise InputError(f"a manifest.csv for the split {split}", f"none in {folder}", "leave --split out")
    if len(splits) > 1 and not split:
        expected = f"one split of {', '.join(map(str, splits))}"
        raise InputError(expected, "none chosen", f"add --split {next(iter(splits))}")
    if double := next((file for file, count in Counter(files).items() if count > 1), None):
        raise InputError("each file once in a split", f"{double} twice in {folder}", "remove one of its rows")
    faces = [_face_of(entry) for entry in entries]
    faces = sorted(faces, key=lambda face: hashlib.sha256(face.file.encode()).digest())[:limit]
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(_look, faces))
    for face, ((width, height), _) in zip(faces, seen, strict=True):
        if width != height and not whole:
            raise InputError("square faces", f"{face.file} of {width}x{height}", "align them: facefill prepare")
    sides = [min(size) for size, _ in seen]
    faces = [replace(face, sha256=digest, whole=whole) for face, (_, digest) in zip(faces, seen, strict=True)]
    text = "".join(f"{face.file}\n{face.sha256}\n" for face in faces)
    inner = faces[0].entry.path.parent
    name = split or (inner if inner != folder else folder.resolve()).name
    return Dataset(name, tuple(faces), min(sides), hashlib.sha256(text.encode()).hexdigest(), max(sides))


def read_face(face: DatasetFace, side_px: int) -> U8:
    """(S, S, 3) uint8 RGB of a side, shrunk by area means where the file is larger; the aligned crop of a photo."""
    pixels = read_pixels(face)
    if face.whole:
        return Crop.around_face(landmarks_in(face, pixels.shape[0]), side_px).take(pixels)
    if pixels.shape[0] == side_px:
        return pixels
    return np.asarray(cv2.resize(pixels, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def landmarks_of(face: DatasetFace, side_px: int) -> Points:
    """(5, 2) pixels of a face of that side; where the manifest has none, the average of aligned faces."""
    shares = ALIGNED if face.landmarks is None else face.landmarks
    if face.whole:
        return Crop.around_face(shares, side_px).to_crop(shares)
    return shares * side_px - 0.5


def landmarks_in(face: DatasetFace, height: int) -> Points:
    """(5, 2) pixels of a photo of that height."""
    return (ALIGNED if face.landmarks is None else face.landmarks) * height - 0.5


def locate(dataset: Dataset, device: str = "cpu", threads: int | None = None) -> Dataset:
    """The dataset with landmarks of every face; those that the manifest leaves out are asked of the finder.

    Raises InputError for a picture in which it sees no face, and where its weights are missing.
    """
    if all(face.landmarks is not None for face in dataset.faces):
        return dataset
    finder = open_finder(device=device, threads=threads)
    faces = []
    for face in dataset.faces:
        if face.landmarks is None:
            pixels = read_pixels(face)
            found = finder.find(pixels)
            if not found:
                fix = "add its landmarks to manifest.csv or remove it"
                raise InputError("a face in every picture", f"none found in {face.file}", fix)
            largest = max(found, key=lambda one: area(one.box))
            face = replace(face, landmarks=(largest.landmarks + 0.5) / pixels.shape[0])
        faces.append(face)
    return replace(dataset, faces=tuple(faces))


# --- Reading ------------------------------------------------------------------------------------


def _face_of(entry: Entry) -> DatasetFace:
    row, landmarks = entry.row, entry.landmarks
    try:
        side_px = round(float(side)) if (side := row.get("native_side_px")) else None
    except ValueError as error:
        raise InputError("numbers in the manifest", f"{error} for {row['file']}", "mend its row") from None
    shares = None if landmarks is None else (landmarks + 0.5) / MANIFEST_PX
    return DatasetFace(entry, row["file"], row.get("source") or "", row.get("identity") or "", side_px, shares)


def _look(face: DatasetFace) -> tuple[tuple[int, int], str]:
    """Width and height, from the header, and the SHA-256 of the file."""
    data = face.entry.read()
    try:
        with Image.open(io.BytesIO(data)) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            size = picture.size[::-1] if turned else picture.size
            odd = picture.mode in ("F", "I")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError):
        odd = True
    if odd:
        # What Pillow cannot read, or what may hold no numbers: decoded now, so that a refusal comes before the work.
        size = read_pixels(face).shape[1::-1]
    return (size[0], size[1]), hashlib.sha256(data).hexdigest()


def read_pixels(face: DatasetFace) -> U8:
    """(H, W, 3) uint8 RGB, as the file has it."""
    try:
        return read_photo(face.entry.read()).pixels
    except InputError as error:
        raise InputError(error.expected, f"{error.got} in {face.file}", error.fix) from None
