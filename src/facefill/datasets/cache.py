"""Decoded faces: once into a file that is mapped into memory, or anew each time one is shown."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from facefill.arrays import F32, U8, Points
from facefill.datasets import manifest
from facefill.datasets.manifest import MANIFEST_PX, PLACES, Entry, Row, scale_landmarks
from facefill.datasets.progress import track
from facefill.datasets.shards import read_shards
from facefill.errors import InputError, explained
from facefill.files.photo import read_photo
from facefill.files.whole import beside, write_whole
from facefill.runtime.helpers import Finds

MOST_DAMAGED = 0.01
"""Share of the pictures of a dataset that may be damaged; they are left out and listed."""


OpenFinder = Callable[[], Finds]
"""Opens what finds faces, when it is first needed."""


class Pictures(Protocol):
    """(N, S, S, 3) uint8 RGB: an array, or what is read like one."""

    def __getitem__(self, where: Any, /) -> Any: ...


class Stored:
    """Decoded pictures in a file, mapped into memory. A worker process gets the path and no pixels; what all of them
    map is in memory once, and the system drops it where memory is short."""

    def __init__(self, path: Path, count: int, side_px: int) -> None:
        self._path, self._shape = path, (count, side_px, side_px, 3)
        self._mapped: U8 | None = None

    def __getitem__(self, where: Any) -> U8:
        if self._mapped is None:
            self._mapped = np.memmap(self._path, np.uint8, "r", shape=self._shape)
        return np.asarray(self._mapped[where])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": None}


class Streamed:
    """Pictures that are decoded whenever they are asked for: no disk and no memory, but a decoding each time."""

    def __init__(self, entries: Sequence[Entry], side_px: int) -> None:
        self._parts = [(entry.path, entry.offset, entry.length) for entry in entries]
        self._side_px = side_px

    def __getitem__(self, where: Any) -> U8:
        if isinstance(where, int | np.integer):
            return decode(manifest.read_part(*self._parts[int(where)]), self._side_px)
        chosen = np.arange(len(self._parts))[where]
        return np.stack([self[int(place)] for place in chosen])


@dataclass(frozen=True)
class Opened:
    pixels: Pictures
    landmarks: F32
    """(N, 5, 2) pixels of a picture of 256; nan where nobody knows and nobody asked."""
    rows: tuple[Row, ...]


def list_entries(folder: Path, split: str | None) -> list[Entry]:
    """The pictures of a dataset: those of its manifest.csv, else of its shards, else all in the folder.

    split: of a manifest or of shards only this one; None: all. Raises InputError where there are none.
    """
    if (folder / "manifest.csv").is_file():
        return manifest.read_manifest(folder, split)
    if folder.is_dir() and any(folder.glob("*.tar")):
        return read_shards(folder, split)
    paths = manifest.find_pictures(folder) if folder.is_dir() else []
    if not paths:
        fix = "name another folder (train: --set data.folder=DATASET)"
        raise InputError("a dataset with a manifest.csv, tar shards or pictures", f"none in {folder}", fix)
    return [Entry({"file": path.relative_to(folder).as_posix()}, path) for path in paths]


def digest_of(rows: Sequence[Row], side_px: int) -> str:
    """SHA-256 over names and landmarks, in order: the same for a folder and its shards."""
    text = "\n".join(",".join([row["file"], *(row.get(place, "") for place in PLACES)]) for row in rows)
    return hashlib.sha256(f"{side_px}\n{text}".encode()).hexdigest()


def decode(data: bytes, side_px: int) -> U8:
    """(S, S, 3) of a picture's bytes. Raises InputError where it is damaged or not square."""
    face = read_photo(data).pixels
    if face.shape[0] != face.shape[1]:
        raise InputError("a square picture", f"one of {face.shape[1]}x{face.shape[0]}", "align it: facefill prepare")
    if face.shape[0] == side_px:
        return face
    how = cv2.INTER_AREA if face.shape[0] > side_px else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(face, (side_px, side_px), interpolation=how), np.uint8)


def find_landmarks(finder: Finds | None, face: U8) -> Points:
    """(5, 2) pixels of a picture of 256: those of the largest face in an aligned picture (S, S, 3) uint8 RGB.

    Raises InputError where there is none, or no finder.
    """
    if finder is None:
        raise InputError("landmarks", "none in the manifest", "make the dataset with: facefill prepare")
    faces = finder.find(face)
    if not faces:
        raise InputError("a face in every picture", "none found", "remove it, or write its landmarks")
    return scale_landmarks(np.asarray(faces[0].landmarks), face.shape[0], MANIFEST_PX)


def open_pictures(
    entries: Sequence[Entry], side_px: int, folder: Path, *, stream: bool = False, finder: OpenFinder | None = None
) -> Opened:
    """Decode the pictures once and remember which could be; the second time that is read from `folder`.

    stream: keep no pixels on the disk. finder: is asked for the landmarks of faces that have none; None: those are nan.
    Peak memory is one picture; on the disk lie N * S * S * 3 bytes, none with `stream`.
    Pictures that are damaged, missing, not square, or in which the finder sees no face are listed in a file, counted
    and left out. Raises InputError where they are more than `MOST_DAMAGED`.
    """
    key = _key(entries, side_px, finder is not None)
    index, pixels, skipped = (folder / f"{key}{suffix}" for suffix in (".json", ".u8", "-skipped.txt"))
    if not index.is_file() or not (stream or pixels.is_file()):
        fix = "free some, set data.cache to another folder, or data.stream"
        with explained("room for decoded pictures", folder, fix):
            folder.mkdir(parents=True, exist_ok=True)
            _build(entries, side_px, (index, pixels, skipped), stream, finder)
    about = json.loads(index.read_text(encoding="utf-8"))
    kept = [entries[place] for place in about["kept"]]
    if len(kept) < len(entries):
        left_out = f"{len(entries) - len(kept)} of {len(entries)} pictures left out"
        print(f"facefill: {left_out}, listed in {skipped}", file=sys.stderr)
    points = np.array(about["landmarks"], np.float32).reshape(-1, 5, 2)
    shown: Pictures = Streamed(kept, side_px) if stream else Stored(pixels, len(kept), side_px)
    return Opened(shown, points, tuple(entry.row for entry in kept))


def _key(entries: Sequence[Entry], side_px: int, found: bool) -> str:
    """What names the cache's files: another name, landmark, size or date of a picture makes another key."""
    text = [f"{digest_of([entry.row for entry in entries], side_px)} {found}"]
    for path in dict.fromkeys(entry.path for entry in entries):
        stat = path.stat() if path.is_file() else None
        text.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}" if stat else path.name)
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def _build(
    entries: Sequence[Entry], side_px: int, paths: tuple[Path, Path, Path], stream: bool, finder: OpenFinder | None
) -> None:
    """Write index, pixels (unless `stream`) and the list of what was left out; the index comes last, so that
    with it everything is there."""
    index, pixels, skipped = paths
    kept: list[int] = []
    landmarks: list[list[list[float]]] = []
    reasons: list[str] = []
    found = None
    with nullcontext(Path(os.devnull)) if stream else beside(pixels) as part:
        with part.open("wb") as file:
            for place, entry in enumerate(track(entries, "decoding", len(entries))):
                points = entry.landmarks
                try:
                    face = decode(entry.read(), side_px)
                    if points is None and finder is not None:
                        found = found or finder()
                        points = find_landmarks(found, face)
                except InputError as error:
                    reasons.append(f"{entry.row['file']}: {error}")
                    continue
                file.write(face.tobytes())
                kept.append(place)
                landmarks.append((np.full((5, 2), np.nan) if points is None else points).tolist())
        if reasons:
            skipped.write_text("\n".join(reasons) + "\n", encoding="utf-8")
        if len(reasons) > MOST_DAMAGED * len(entries):
            got = f"{len(reasons)} of {len(entries)}, the first {reasons[0]}"
            fix = f"mend or remove them; {skipped} lists all"
            raise InputError(f"at most {MOST_DAMAGED:.0%} damaged pictures", got, fix)
    write_whole(index, json.dumps({"kept": kept, "landmarks": landmarks}).encode())
