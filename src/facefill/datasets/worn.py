"""A dataset of covered faces from one of uncovered ones: the worn picture, the true mask, the truth."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from facefill.arrays import U8, Points
from facefill.covers.wear import Worn, wear
from facefill.datasets import manifest
from facefill.datasets.cache import OpenFinder, find_landmarks, list_entries
from facefill.datasets.manifest import COLUMNS, MANIFEST_PX, Entry, Row, implausible, scale_landmarks
from facefill.datasets.progress import track
from facefill.errors import InputError
from facefill.files.photo import encode_picture, read_photo
from facefill.files.whole import write_whole
from facefill.runtime.helpers import Finds


@dataclass(frozen=True)
class WornDataset:
    faces: int
    refused: tuple[str, ...]
    """Files that were refused, and why; also in refused.csv."""
    sha256: str
    """Hash of manifest.csv, which holds the hashes of the worn pictures."""


def wear_faces(
    faces: Path,
    out: Path,
    seed: int = 0,
    *,
    split: str | None = None,
    overwrite: bool = False,
    finder: OpenFinder | None = None,
) -> WornDataset:
    """Put a cover on every face of a dataset and write `out`: worn/, masks/, truth/, manifest.csv, refused.csv.

    faces: a folder with a manifest.csv, of tar shards, or of aligned pictures. split: only this one. finder: opens what
    finds the landmarks of faces that have none. Pictures and masks (white = covered) are PNG, without loss; the truth
    is the face's own file. Which cover a face gets depends on the seed and on its file name in the manifest only.
    Faces that are damaged or whose landmarks no aligned face has are refused, listed and left out.
    Raises InputError for a folder without faces, an `out` that holds a dataset, or when every face is refused.
    """
    if (out / "manifest.csv").exists() and not overwrite:
        raise InputError("a new folder", f"{out}, which holds a dataset", "choose another or --overwrite")
    entries = list_entries(faces, split)
    rows: list[Row] = []
    refused: list[Row] = []
    names: set[PurePosixPath] = set()
    found: Finds | None = None
    for entry in track(entries, "covering", len(entries)):
        try:
            data = entry.read()
            face = read_photo(data).pixels
            points = entry.landmarks
            if points is None:
                found = found or (finder() if finder else None)
                points = find_landmarks(found, face)
            worn = cover_face(face, points, entry.row["file"], seed)
            name = (PurePosixPath(entry.row.get("split") or "") / entry.row["file"]).with_suffix("")
            if name in names:
                raise InputError("each file name once in a split", f"{name} twice", "rename one")
            rows.append(_write(entry, data, points, worn, name, out))
            names.add(name)
        except InputError as error:
            refused.append({"split": entry.row.get("split") or "", "file": entry.row["file"], "reason": str(error)})
    write_whole(out / "refused.csv", manifest.format_manifest(refused, ("split", "file", "reason")))
    if not rows:
        got = f"{len(refused)} refused, the first {refused[0]['file']}: {refused[0]['reason']}"
        raise InputError("faces to cover", got, f"see {out / 'refused.csv'}")
    columns = list(dict.fromkeys((*COLUMNS, *entries[0].row, "mask", "truth", "kind")))
    written = manifest.format_manifest(rows, columns)
    write_whole(out / "manifest.csv", written)
    reasons = tuple(f"{row['file']}: {row['reason']}" for row in refused)
    return WornDataset(len(rows), reasons, hashlib.sha256(written).hexdigest())


def cover_face(face: U8, landmarks: Points, file: str, seed: int) -> Worn:
    """The face (S, S, 3) uint8 RGB with a cover that depends on seed and file name only.

    landmarks: (5, 2) pixels of a face of 256. Raises InputError where they belong to no aligned face.
    """
    if odd := implausible(landmarks):
        raise InputError("landmarks of an aligned face", odd, "mend its row, or align it: facefill prepare")
    source = hashlib.sha256(f"wear/{seed}/{file}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(source, np.uint32))
    return wear(face, scale_landmarks(landmarks, MANIFEST_PX, face.shape[0]), rng)


def _write(entry: Entry, data: bytes, points: Points, worn: Worn, name: PurePosixPath, out: Path) -> Row:
    """Write the three files of a face; its row in the manifest."""
    picture, mask = f"worn/{name}.png", f"masks/{name}.png"
    truth = f"truth/{name}{PurePosixPath(entry.row['file']).suffix}"
    coded = encode_picture(worn.face)
    write_whole(out / picture, coded)
    write_whole(out / mask, encode_picture(worn.mask.astype(np.uint8) * 255))
    write_whole(out / truth, data)
    return {
        **entry.row,
        **manifest.places_of(points),
        "file": picture,
        "mask": mask,
        "truth": truth,
        "kind": worn.kind,
        "sha256": hashlib.sha256(coded).hexdigest(),
    }
