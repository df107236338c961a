"""What a dataset is on disk: aligned faces and a manifest.csv that says what is known about each."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefill.arrays import Points
from facefill.choices import pick
from facefill.covers.head import check_landmarks
from facefill.errors import InputError, explained
from facefill.files.photo import FORMATS
from facefill.imaging.crop import Crop

POINTS = ("eye_l", "eye_r", "nose", "mouth_l", "mouth_r")
MANIFEST_PX = 256
"""Landmarks of a manifest are pixels of a face of this side, whatever the side of its picture."""
PLACES = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")
COLUMNS = ("split", "file", "source", "identity", "native_side_px", *PLACES, "sha256")
SUFFIXES = {suffix for entry in FORMATS.values() for suffix in entry.suffixes}

Row = dict[str, str]


@dataclass(frozen=True)
class Entry:
    row: Row
    """What the manifest says; `file` is always there."""
    path: Path
    """Its file, or the shard that holds it."""
    offset: int = 0
    """Where its bytes begin in `path`."""
    length: int | None = None
    """How many they are; None: the whole file."""

    @property
    def landmarks(self) -> Points | None:
        """(5, 2) pixels of a face of 256, None where the manifest has none. Raises InputError for no numbers."""
        if not all(self.row.get(place) for place in PLACES):
            return None
        try:
            return np.array([float(self.row[place]) for place in PLACES]).reshape(5, 2)
        except ValueError as error:
            raise InputError("numbers in the manifest", f"{error} for {self.row['file']}", "mend its row") from None

    def read(self) -> bytes:
        return read_part(self.path, self.offset, self.length)


def read_part(path: Path, offset: int = 0, length: int | None = None) -> bytes:
    """`length` bytes of a file from `offset`, None for all. Raises InputError where it cannot be read so far."""
    with explained("a readable picture", path, "restore it or remove its row"), path.open("rb") as file:
        file.seek(offset)
        data = file.read(-1 if length is None else length)
    if length is not None and len(data) < length:
        raise InputError(f"{length} bytes", f"{len(data)} at the end of {path}", "write the shard again")
    return data


def read_csv(path: Path, what: str, *columns: str, fix: str) -> list[Row]:
    """The rows of a CSV. what, fix: for the message. Raises InputError where it cannot be read, or lacks columns."""
    try:
        rows: list[Row] = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(what, f"{path} ({error})", "save it as UTF-8 text with commas") from None
    if not rows or not set(columns) <= set(rows[0]):
        names = f"column{'s' * (len(columns) > 1)} {' and '.join(columns)}"
        raise InputError(f"{what} with the {names} and rows", f"{path} without", fix)
    return rows


def read_manifest(folder: Path, split: str | None = None) -> list[Entry]:
    """What a folder's manifest.csv lists, in its order. split: take these rows only; None for all.

    A picture lies at folder/split/file or at folder/file. Raises InputError for a manifest without the column file,
    or without rows of the split, and for a name that leads out of the folder.
    """
    rows = read_csv(folder / "manifest.csv", "a manifest.csv", "file", fix="write one with: facefill prepare")
    splits = dict.fromkeys(row.get("split") or "" for row in rows)
    if split is not None and any(splits):
        pick(splits, split, f"split in {folder / 'manifest.csv'}")
        rows = [row for row in rows if (row.get("split") or "") == split]
    entries = []
    for row in rows:
        file = check_inside(row["file"], "the manifest")
        inside = folder / check_inside(row.get("split") or ".", "the manifest") / file
        entries.append(Entry(row, inside if inside.is_file() else folder / file))
    return entries


def check_inside(name: str | None, where: str) -> str:
    """The name, of a file in some folder. Raises InputError where it is none or leads out of the folder.

    Results are written under the names of a dataset, so that one of somebody else must not choose any place.
    """
    parts = Path(name or "").parts
    leads_out = ".." in parts or os.path.isabs(name or "") or os.path.splitdrive(name or "")[0]
    if not name or "\0" in name or leads_out or any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
        raise InputError(f"names inside the dataset in {where}", repr(name)[:80], "mend that row")
    return name


def find_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and those in it, sorted; by their suffix. A file is itself.

    Raises InputError where there is nothing at that path.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError("a photo or a folder of photos", f"nothing at {folder}", "check the path")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def format_manifest(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> bytes:
    """The bytes of a manifest, lines ending in \\n on every system so that its hash means the same."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def places_of(landmarks: Points) -> Row:
    """The columns of the manifest for (5, 2) landmarks in pixels of a face of 256."""
    return {place: f"{value:.1f}" for place, value in zip(PLACES, landmarks.ravel(), strict=True)}


def scale_landmarks(landmarks: NDArray[np.floating], side_px: float, to_px: float) -> Points:
    """Landmarks (..., 2) of a picture of one side as those of the same picture of another side."""
    return (landmarks.astype(np.float64) + 0.5) * (to_px / side_px) - 0.5


def implausible(landmarks: Points, aligned: bool = True) -> str:
    """Why these (5, 2) landmarks, in pixels of a face of 256, belong to no face; "" where they may.

    aligned: they also have to lie about where alignment puts them: within half to twice the scale, 25 degrees and a
    fifth of the side.
    """
    try:
        points = check_landmarks(landmarks, MANIFEST_PX)
        crop = Crop.around_face(points.astype(np.float64), MANIFEST_PX)
    except InputError as error:
        return f"{error.got}, expected {error.expected}"
    except ValueError as error:
        return str(error)
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    share = float((points[2] - eyes) @ (mouth - eyes) / ((mouth - eyes) @ (mouth - eyes)))
    if not 0 < share < 1.2:
        return "a nose that is not between eyes and mouth"
    if points[4, 0] <= points[3, 0]:
        return "mouth corners that are swapped"
    middle = (MANIFEST_PX - 1) / 2
    moved = float(np.abs(crop.to_photo(np.full(2, middle)) - middle).max())
    turn = abs(float(np.degrees(np.arctan2(crop.matrix[1, 0], crop.matrix[0, 0]))))
    if aligned and not (0.5 < crop.scale < 2 and turn < 25 and moved < MANIFEST_PX / 5):
        return f"a face that is not aligned: scale {crop.scale:.2f}, {turn:.0f} degrees, {moved:.0f} px off"
    return ""
