"""Small datasets for tests, in the layout that training and evaluation take."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from PIL import Image

from facefill.arrays import U8, Points
from facefill.files.photo import encode_picture, read_photo
from facefill.runtime.finder import Face
from tests.faces import draw_face

POINTS = ("eye_l", "eye_r", "nose", "mouth_l", "mouth_r")


def write_dataset(folder: Path, count: int = 12, split: str = "train", side: int = 64) -> Path:
    """Drawn faces with a manifest; two pictures of each identity. Landmarks are in the 256 picture, as in the field's
    manifests."""
    (folder / split).mkdir(parents=True)
    columns = ["split", "file", "source", "identity", "native_side_px", *(f"{p}_{a}" for p in POINTS for a in "xy")]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for index in range(count):
            face, _ = draw_face(side, index)
            landmarks = draw_face(256, index)[1]
            name = f"face{index:03d}.png"
            Image.fromarray(face).save(folder / split / name)
            writer.writerow([split, name, "drawn", index // 2, side, *landmarks.round(1).ravel()])
    return folder


class KnownPhotos:
    """Stands in for the finder: it knows the photos by their pixels."""

    def __init__(self) -> None:
        self.faces: dict[str, list[Face]] = {}
        self.asked = 0

    def learn(self, pixels: U8, landmarks: list[Points]) -> None:
        self.faces[hashlib.sha256(pixels.tobytes()).hexdigest()] = [
            Face((0, 0, 1, 1), points, 1.0) for points in landmarks
        ]

    def find(self, photo: U8) -> list[Face]:
        self.asked += 1
        return self.faces.get(hashlib.sha256(photo.tobytes()).hexdigest(), [])


def save(known: KnownPhotos, path: Path, pixels: U8, landmarks: list[Points], quality: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_picture(pixels, "JPEG" if path.suffix == ".jpg" else "PNG", quality))
    known.learn(read_photo(path).pixels, landmarks)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
