"""How well `cover` tells which pixels of a face are covered.

    python benchmarks/cover.py DATASET --worn FOLDER --covers tests/data/worn_covers.json \
        --plain FOLDER --boxes tests/data/plain_boxes.json [--limit 200]

Drawn covers: faces of every test split with the face masks of `worn@256`, with any cover of `wear`, and as they are.
Real covers: one labelled face of each photo in FOLDER; of the files sorted by the SHA-256 of their name the first half
chooses threshold and dilation, the other half judges. Plain: the labelled faces that the finder finds in photos of
uncovered people, and what `unmask` would complete of them. IoU is that of the cleaned mask before it follows colours
and grows, at 256 px, over pixels inside the photo; a mask is missed where less than half of its pixels are found.
Grown: what of the cover the mask leaves, what it takes besides, both as shares of the cover, and the share of the 6 px
around the mask that is cover, of the median and the 90th face.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.catalog import weights_folder
from facefill.covers.wear import COVERS, wear
from facefill.datasets.cache import list_entries
from facefill.datasets.manifest import MANIFEST_PX, scale_landmarks
from facefill.evaluation.protocols import PROTOCOLS, draw_case, hole_rng
from facefill.evaluation.statistics import bootstrap
from facefill.files.photo import read_photo
from facefill.imaging.crop import Crop
from facefill.runtime.cover import GROW_PX, INSET_PX, OUTSIDE, THRESHOLD, Cover, clean, follow, grow
from facefill.runtime.cover import SIDE_PX as SQUARE_PX
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Finder, overlaps

U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SIDE_PX = 256
NOT_PLAIN = ("017539.jpg", "018314.jpg")
"""Plain photos whose face has a microphone or sunglasses before it."""


def cover_scores(cover: Cover) -> Callable[[U8], NDArray[np.float32]]:
    """How sure the network is that anything covers each pixel of an aligned face, (S, S)."""
    def scores(face: U8) -> NDArray[np.float32]:
        view = np.full((SQUARE_PX, SQUARE_PX, 3), OUTSIDE, np.uint8)
        view[:SIDE_PX, INSET_PX : INSET_PX + SIDE_PX] = face
        return np.asarray(cover.probabilities(view).sum(0)[:SIDE_PX, INSET_PX : INSET_PX + SIDE_PX], np.float32)

    return scores


def overlap(found: Mask, truth: Mask) -> float:
    either = (found | truth).sum()
    return float((found & truth).sum() / either) if either else 1.0


def row(name: str, pairs: Iterable[tuple[Mask, Mask]]) -> None:
    """Print a line of the table for (found, truth) of every face."""
    pairs = list(pairs)
    ious = np.array([overlap(*pair) for pair in pairs])
    shared = sum((found & truth).sum() for found, truth in pairs) / sum((found | truth).sum() for found, truth in pairs)
    missed = np.mean([(found & truth).sum() < 0.5 * truth.sum() for found, truth in pairs])
    mean = bootstrap(ious).estimate()
    print(f"{name:24} n {mean.n:4}  IoU {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]  median "
          f"{np.median(ious):.3f}  of all pixels {shared:.3f}  missed {100 * missed:.1f} %", flush=True)


def clear(name: str, found: list[Mask]) -> None:
    shares = np.array([mask.mean() for mask in found])
    print(f"{name:24} n {len(shares):4}  called covered: {100 * shares.mean():.2f} % of the pixels, "
          f"{100 * (shares > 0).mean():.1f} % of the faces get any", flush=True)


def judge_drawn(cover: Cover, dataset: Path, limit: int, threshold: float) -> None:
    masks, covers, plain, kinds = [], [], [], []
    splits = ("test-celeba", "test-asian", "test-generated")
    for split in splits:
        entries = [entry for entry in list_entries(dataset, split) if entry.landmarks is not None]
        for index in np.unique(np.linspace(0, len(entries) - 1, min(limit, len(entries))).astype(int)):
            entry = entries[index]
            face = read_photo(entry.read()).pixels
            points = scale_landmarks(entry.landmarks, MANIFEST_PX, face.shape[0])
            case = draw_case(PROTOCOLS["worn@256"], face, points, entry.row["file"], None)
            worn = wear(face, points, hole_rng("benchmarks/cover", entry.row["file"]), kinds=COVERS)
            found = [clean(score > threshold) for score in map(cover_scores(cover), (case.shown, worn.face, face))]
            masks.append((found[0], case.mask))
            covers.append((found[1], worn.mask))
            kinds.append(worn.kind)
            plain.append(found[2])
    row("worn@256", masks)
    row("any cover", covers)
    for kind in COVERS:
        of_kind = [pair for pair, drawn in zip(covers, kinds, strict=True) if drawn == kind]
        if of_kind:
            row(f"  {kind}", of_kind)
    clear("uncovered test faces", plain)


def read_real(folder: Path, covers: Path) -> list[tuple[U8, Mask, Mask]]:
    """(crop, cover, inside the photo) of every labelled face, sorted by the hash of the file's name."""
    files: dict[str, Any] = json.loads(covers.read_text())["files"]
    cases = []
    for name in sorted(files, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        photo = read_photo(folder / name).pixels
        crop = Crop.around_face(np.array(files[name]["landmarks"]), SIDE_PX)
        fine = Crop.around_face(np.array(files[name]["landmarks"]), 4 * SIDE_PX)
        outlines = [np.rint(fine.to_crop(np.array(outline)) * 16).astype(np.int32) for outline in files[name]["covers"]]
        height, width = photo.shape[:2]
        corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
        inside = np.rint(fine.to_crop(corners) * 16).astype(np.int32)
        drawn = [filled(outlines), filled([inside])]
        cases.append((crop.take(photo), *drawn))
    return cases


def filled(outlines: list[NDArray[np.int32]]) -> Mask:
    """Pixels of a crop inside polygons in sixteenths of a quarter of a pixel."""
    canvas = np.zeros((4 * SIDE_PX,) * 2, np.uint8)
    cv2.fillPoly(canvas, outlines, 255, cv2.LINE_8, 4)
    return np.asarray(cv2.resize(canvas, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) > 127)


def judge_real(cover: Cover, cases: list[tuple[U8, Mask, Mask]], threshold: float) -> None:
    scores = np.stack([cover_scores(cover)(case[0]) for case in cases])
    half = len(cases) // 2
    whole = [follow(clean(score > threshold), case[0], score) for case, score in zip(cases, scores, strict=True)]
    for name, chosen in (("chosen on", range(half)), ("judged", range(half, len(cases)))):
        for level in (*np.arange(0.3, 0.85, 0.1), threshold) if name == "chosen on" else (threshold,):
            row(f"real, {name}, > {level:.2f}", [(clean(scores[k] > level) & cases[k][2], cases[k][1]) for k in chosen])
        for px in range(6):
            grown = [(grow(whole[k], px) & cases[k][2], cases[k][1]) for k in chosen]
            left = np.mean([(truth & ~found).sum() / truth.sum() for found, truth in grown])
            taken = np.mean([(found & ~truth).sum() / truth.sum() for found, truth in grown])
            rims = [rim(*pair) for pair in grown]
            print(f"{'  grown by':24} {px} px: leaves {100 * left:.1f} %, takes {100 * taken:.1f} %, "
                  f"around it {100 * np.median(rims):.1f} and {100 * np.quantile(rims, 0.9):.1f} % cover")


def rim(found: Mask, truth: Mask) -> float:
    """The share of cover in the 6 px around a mask."""
    ring = grow(found, 6) & ~found
    return float((ring & truth).sum() / max(ring.sum(), 1))


def judge_plain(cover: Cover, folder: Path, boxes: Path, threshold: float, finder: Finder) -> None:
    found, taken = [], []
    files: dict[str, Any] = json.loads(boxes.read_text())["files"]
    for name in sorted(set(files) - set(NOT_PLAIN)):
        photo = read_photo(folder / name).pixels
        labelled = np.array(files[name]["faces"], np.float32).reshape(-1, 4)
        for face in finder.find(photo):
            if not len(labelled) or overlaps(np.array(face.box, np.float32), labelled).max() < 0.5:
                continue
            crop = Crop.around_face(np.asarray(face.landmarks, np.float64), SIDE_PX).take(photo)
            score = cover_scores(cover)(crop)
            found.append(clean(score > threshold))
            taken.append(grow(follow(found[-1], crop, score), GROW_PX))
    clear("faces of plain photos", found)
    clear("  followed and grown", taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--weights", type=Path, default=weights_folder() / "cover.onnx")
    parser.add_argument("--finder", type=Path, default=weights_folder() / "finder.onnx")
    for name in ("worn", "covers", "plain", "boxes"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--limit", type=int, default=200, help="faces of each test split")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    given = parser.parse_args()
    cover = Cover(load_engine(given.weights, threads=1, exact=True))
    if given.dataset:
        judge_drawn(cover, given.dataset, given.limit, given.threshold)
    if given.worn and given.covers:
        judge_real(cover, read_real(given.worn, given.covers), given.threshold)
    if given.plain and given.boxes:
        judge_plain(cover, given.plain, given.boxes, given.threshold, Finder(load_engine(given.finder, threads=1)))


if __name__ == "__main__":
    main()
