"""Whether completions keep the tone of a photo: of dark ones how red the skin is, of grey ones that they stay grey.

    python benchmarks/tones.py DATASET [--method swift] [--split test-celeba] [--faces 30] [--hole lower] [--dark 0.35]

Aligned faces, completed as a user's. Prints, of photos as they are and darkened (each value times --dark): the error of
the red share in the hole, R / (R + G + B) of its mean colour, completed less truth; the mean over faces, and the mean
of its size. Of grey photos (the luminance three times), and of such whose channels have noise of -1, 0 or 1 level each:
the largest chroma in any hole, the largest channel less the smallest of a pixel, in levels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from quality import hole_of, read_rows

import facefill
from facefill.arrays import U8, Bool
from facefill.files.photo import read_photo


def red_share(picture: U8, mask: Bool) -> float:
    """R / (R + G + B) of the mean colour of what is missing.

    >>> red_share(np.full((2, 2, 3), (90, 30, 60), np.uint8), np.ones((2, 2), bool))
    0.5
    """
    red, green, blue = picture[mask].mean(axis=0)
    return float(red / max(red + green + blue, 1e-9))


def chroma(picture: U8, mask: Bool) -> int:
    """The largest channel less the smallest one, of the most coloured missing pixel, in levels.

    >>> chroma(np.full((2, 2, 3), (90, 30, 60), np.uint8), np.ones((2, 2), bool))
    60
    """
    seen = picture[mask].astype(int)
    return int((seen.max(axis=1) - seen.min(axis=1)).max())


def grey(picture: U8, rng: np.random.Generator, noise: int = 0) -> U8:
    """The picture without colour; noise: each channel is off by up to so many levels."""
    levels = np.dstack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] * 3).astype(int)
    return np.clip(levels + rng.integers(-noise, noise, levels.shape, endpoint=True), 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--method", default="swift")
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--faces", type=int, default=30)
    parser.add_argument("--hole", default="lower")
    parser.add_argument("--dark", type=float, default=0.35)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    errors: dict[str, list[float]] = {"as they are": [], f"times {given.dark:g}": []}
    largest: dict[str, list[int]] = {"grey": [], "grey, channels off by up to 1 level": []}
    for row in read_rows(given.dataset, given.split, given.faces):
        face = read_photo(given.dataset / row["split"] / row["file"]).pixels
        mask: NDArray[np.bool_] = hole_of(given.hole, face, row)[1]

        def complete(photo: U8, mask: Bool = mask) -> U8:
            return facefill.complete(photo, mask, method=given.method, aligned=True, large_hole=True).photo

        dark = np.rint(face * given.dark).astype(np.uint8)
        for found, photo in zip(errors.values(), (face, dark), strict=True):
            found.append(red_share(complete(photo), mask) - red_share(photo, mask))
        for colours, photo in zip(largest.values(), (grey(face, rng), grey(face, rng, 1)), strict=True):
            colours.append(chroma(complete(photo), mask))
    print("| photos | n | error of the red share | its size | largest chroma, levels: median | of all |")
    print("|---|---|---|---|---|---|")
    for name, values in errors.items():
        print(f"| {name} | {len(values)} | {np.mean(values):+.3f} | {np.mean(np.abs(values)):.3f} |  |  |")
    for name, levels in largest.items():
        print(f"| {name} | {len(levels)} |  |  | {np.median(levels):.0f} | {max(levels)} |")


if __name__ == "__main__":
    main()
