"""Small datasets for tests, in the layout that training and evaluation take."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

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
