"""Scores of methods on aligned faces with a hole of `imaging.masks` or a cover of `covers.wear`.

    python benchmarks/quality.py DATASET [--splits test-celeba] [--methods swift] [--holes centre,worn] [--limit N]
    python benchmarks/quality.py DATASET --holes worn:sunglasses,worn:hand,worn:scratches,half-left,eyes

worn draws a cover of any kind, worn:KIND one of that kind.

DATASET is a folder with a manifest.csv. Prints a table: n, then means of PSNR (dB), SSIM and hole PSNR, and medians of
sharpness and seam, as facefill.imaging.metrics defines them. Holes are seeded by the SHA-256 of "hole@256/file".
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

import facefill
from facefill.covers.wear import wear
from facefill.datasets.manifest import read_manifest
from facefill.files.photo import read_photo
from facefill.imaging import metrics
from facefill.imaging.masks import MASKS
from facefill.runtime.model import Model

T = TypeVar("T")
POINTS = ("eye_l", "eye_r", "nose", "mouth_l", "mouth_r")


def by_hash(things: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """Things in the order of the SHA-256 of their names: any first ones are a fair sample, whatever their order was."""
    return sorted(things, key=lambda thing: hashlib.sha256(name(thing).encode()).digest())


def photos_in(folder: Path) -> list[Path]:
    """The files of a folder in the order of the SHA-256 of their names."""
    return by_hash((path for path in folder.iterdir() if path.is_file()), lambda path: path.name)


def read_rows(folder: Path, split: str, limit: int | None) -> list[dict[str, str]]:
    """The first so many of a split, by `by_hash`."""
    return by_hash((entry.row for entry in read_manifest(folder, split)), lambda row: row["file"])[:limit]


def hole_of(name: str, face: np.ndarray, row: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The picture that the method may see, and the mask."""
    digest = hashlib.sha256(f"{name}@256/{row['file']}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    kind = name.partition(":")[2] or None
    if name.startswith("worn"):
        landmarks = np.array([[float(row[f"{point}_{axis}"]) for axis in "xy"] for point in POINTS])
        worn = wear(face, landmarks, rng, kind=kind)
        return worn.face, worn.mask
    return face, MASKS[name](face.shape[0], rng)


def score(model: Model, folder: Path, rows: list[dict[str, str]], name: str) -> dict[str, float]:
    found: dict[str, list[float]] = {key: [] for key in ("psnr", "ssim", "hole_psnr", "sharpness", "seam")}
    for row in rows:
        truth = read_photo(folder / row["split"] / row["file"]).pixels
        shown, mask = hole_of(name, truth, row)
        filled = model.complete(shown[None], mask[None], seeds=[0])[0, 0]
        completed = np.where(mask[..., None], filled, truth)
        for key, value in metrics.measure(completed, truth, mask).items():
            if key in found:
                found[key].append(value)
    middle = {"sharpness": np.nanmedian, "seam": np.nanmedian}
    return {key: float(middle.get(key, np.mean)(values)) for key, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--splits", default="test-celeba,test-asian,test-generated")
    parser.add_argument("--methods", default="swift")
    parser.add_argument("--holes", default="centre,worn")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    print(
        f"{'method':<12}{'split':<16}{'hole':<18}{'n':>5}{'PSNR':>8}{'SSIM':>8}{'hole PSNR':>11}{'sharp':>8}{'seam':>8}"
    )
    for method in options.methods.split(","):
        model = facefill.load(method, exact=options.exact)
        for split in options.splits.split(","):
            rows = read_rows(options.dataset, split, options.limit)
            for name in options.holes.split(","):
                got = score(model, options.dataset, rows, name)
                print(
                    f"{model.name:<12}{split:<16}{name:<18}{len(rows):>5}{got['psnr']:>8.2f}{got['ssim']:>8.3f}"
                    f"{got['hole_psnr']:>11.2f}{got['sharpness']:>8.2f}{got['seam']:>8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
