"""Whether what is completed on large faces is as sharp and as grainy as the photo around it.

    python benchmarks/large.py PHOTO... [--least 1.2] [--sheet sheet.png]

Takes the uncovered faces whose crops the network must be enlarged for, by at least `--least`, hides the middle, the
lower half and the eyes of each, completes them at the resolution of the photo, and prints medians of result over truth
inside the hole: sharpness (squared luminance gradients after a Gaussian of 1.5 px) and grain (deviation of what a
Gaussian of 1 px takes away), in the half of the hole where the photo is calmer, and each in its own calmer half: what
is drawn where the photo was calm counts as grain in the first. 1 is like the photo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from facefill.arrays import U8, Bool
from facefill.catalog import find_weights
from facefill.files.photo import read_photo
from facefill.imaging.crop import Crop
from facefill.imaging.masks import MASKS
from facefill.imaging.metrics import LUMA, measure
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Finder
from facefill.runtime.inpainter import open_inpainter

SIDE_PX = 256
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def grain(picture: U8, calm: Bool) -> float:
    luma = picture.astype(np.float32) @ LUMA
    return float((luma - cv2.GaussianBlur(luma, (0, 0), 1.0))[calm].std())


def calm_part(truth: U8, mask: Bool) -> Bool:
    """The half of the hole, away from its border, where the original changes least."""
    luma = truth.astype(np.float32) @ LUMA
    busy = cv2.GaussianBlur(np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 3.0)), (0, 0), 6.0)
    inner = cv2.erode(mask.view(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return inner & (busy <= np.median(busy[inner]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--method", default="swift")
    parser.add_argument("--least", type=float, default=1.2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    inpainter = open_inpainter(given.method, threads=given.threads)
    finder = Finder(load_engine(find_weights("finder")[0], threads=given.threads))
    found: dict[str, list[tuple[float, float, float, float]]] = {"centre": [], "lower": [], "eyes": []}
    rows: list[U8] = []
    paths = [
        path
        for given_path in given.photos
        for path in (sorted(given_path.iterdir()) if given_path.is_dir() else [given_path])
    ]
    for path in (path for path in paths if path.suffix.lower() in SUFFIXES):
        photo = read_photo(path)
        shape = photo.pixels.shape
        for face in finder.find(photo.pixels):
            crop = Crop.around_face(face.landmarks, SIDE_PX)
            if crop.scale < given.least or face.score < 0.9 or crop.inside(shape) < 0.95:
                continue
            pictures = [crop.take(photo.pixels)]
            for name, values in found.items():
                mask = crop.put_mask(MASKS[name](SIDE_PX, np.random.default_rng(0)), shape)
                task = inpainter.plan_complete(photo, mask)
                completed = inpainter.complete(task).photo
                calm = calm_part(photo.pixels, task.mask)
                wanted = grain(photo.pixels, calm)
                values.append(
                    (
                        crop.scale,
                        measure(completed, photo.pixels, task.mask)["sharpness"],
                        grain(completed, calm) / wanted,
                        grain(completed, calm_part(completed, task.mask)) / wanted,
                    )
                )
                pictures.append(crop.take(completed))
            rows.append(np.concatenate(pictures, 1))
    if given.sheet and rows:
        cv2.imwrite(str(given.sheet), np.concatenate(rows[:8])[..., ::-1])
    print("| hole | faces | enlarged, median | sharpness | grain | grain, own calm half |\n|---|---|---|---|---|---|")
    for name, values in found.items():
        middle = np.median(np.array(values).reshape(-1, 4), axis=0) if values else (np.nan,) * 4
        print(f"| {name} | {len(values)} | {' | '.join(f'{value:.2f}' for value in middle)} |")


if __name__ == "__main__":
    main()
