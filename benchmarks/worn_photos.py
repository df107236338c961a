"""What `unmask` does to photos of people who wear masks: a line for every face, a summary, and sheets to look at.

    python benchmarks/worn_photos.py FOLDER [--method masked_gan] [--boxes tests/data/worn_boxes.json]
        [--csv faces.csv] [--sheets FOLDER] [--first 0] [--count N]
    python benchmarks/worn_photos.py FOLDER --check tests/data/worn_covers.json

Faces are completed, or refused with a reason; with labelled boxes also missed (a box that no found face overlaps by
half). Leftover: of the 6 px around a hole (on a crop of 256 px) the share that looks like the cover beside it and not
like what lies beyond: within 60 levels of the nearest pixel deep inside the hole (10 to 24 px), and at most 0.6 times
as far from it as from the nearest well outside (9 to 18 px). What a neighbour's crop completed is no part of the rim.
A face has leftover where that share is above a tenth.
A hole is sawn off where it ends in a straight line, over an eighth of the side, at the lower, left or right edge of the
face's aligned crop or of a square that was looked at for its cover, with photo beyond that was left as it is.
Sheets show each completed face before, with its hole's outline, and after. Never commit a sheet of others' pictures.

--check: how well leftover, which knows colours only, agrees with covers that somebody outlined, around holes that are
right, too small, too large or beside the cover. Its numbers were chosen on the half of the faces that chooses. (Colours
taken from 5 to 16 px deep, as first measured, are those of skin wherever a hole is 5 px too large.)
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from quality import by_hash, photos_in

from facefill.arrays import U8, Bool
from facefill.catalog import weights_folder
from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.imaging.boxes import overlap
from facefill.imaging.crop import Crop
from facefill.runtime.cover import (
    FACE_PX,
    INSET_PX,
    LOWER_PX,
    MOST_REST,
    OUTSIDE,
    RIM_PX,
    SIDE_PX,
    THRESHOLD,
    Cover,
    clean,
    grow,
    rest_beside,
    square_around,
    wider,
)
from facefill.runtime.engine import load_engine
from facefill.runtime.inpainter import open_inpainter
from facefill.runtime.plan import FoundFace

TILE_PX, ACROSS, PAGE = 192, 10, 30
SAWN = 1 / 8


@dataclass(frozen=True)
class FaceOutcome:
    """What became of one face, or of a photo where none was found."""

    photo: str
    what: str
    why: str = ""
    box: tuple[int, ...] = ()
    covered: float | None = None
    """Share of the crop that was completed."""
    leftover: float | None = None
    sawn: bool | None = None
    """Whether the hole ends at an edge of a square."""
    cut: bool | None = None
    """Whether the face is warned of: what looks like its cover goes on where its hole ends."""


def sawn_off(square: Crop, completed: Bool) -> bool:
    """Whether the completed pixels of a photo (H, W) end within a pixel of a square's lower, left or right edge. Where
    a cover's own end happens to lie there, it is neither straight nor as wide."""
    along, last = np.arange(square.size, dtype=float), square.size - 1
    for place in (lambda out: (along, last + out), lambda out: (-out, along), lambda out: (last + out, along)):
        rows = []
        for out in (-0.5, 1.5):
            points = np.rint(square.to_photo(np.stack(np.broadcast_arrays(*place(out)), -1))).astype(int)
            inside = ((points >= 0) & (points < completed.shape[::-1])).all(-1)
            rows.append(inside & completed[tuple(np.clip(points, 0, np.array(completed.shape[::-1]) - 1).T[::-1])])
            rows.append(inside)
        if (rows[0] & rows[1] & ~rows[2] & rows[3]).mean() > SAWN:
            return True
    return False


def squares_of(face: FoundFace) -> list[Crop]:
    """All edges that a face's hole could end at: its aligned crop, and what was looked at for its cover."""
    looked_at = square_around(face)
    return [Crop.around_face(face.landmarks), looked_at, *(wider(looked_at, lower_px) for lower_px in LOWER_PX)]


def leftover(before: U8, hole: Bool, inside: Bool) -> float:
    """The share of the hole's rim that looks like the cover. before: (256, 256, 3); hole, inside (the photo): (256,
    256)."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    return rest_beside(before, hole, (depth > 10) & (depth <= 24), inside, inside)


def tile(before: U8, hole: Bool, after: U8, said: str) -> U8:
    """Before, outlined and after, below one another."""
    edge = cv2.morphologyEx(hole.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    outlined = np.where(edge[..., None], np.uint8([255, 0, 255]), before)
    column = np.concatenate(
        [cv2.resize(one, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA) for one in (before, outlined, after)]
    )
    cv2.putText(column, said, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(column, said, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return column


def write_sheets(tiles: list[U8], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for page, start in enumerate(range(0, len(tiles), PAGE)):
        some = tiles[start : start + PAGE]
        some += [np.full_like(some[0], 255)] * (-len(some) % ACROSS)
        rows = [np.concatenate(some[at : at + ACROSS], 1) for at in range(0, len(some), ACROSS)]
        Image.fromarray(np.concatenate(rows)).save(folder / f"page-{page + 1}.jpg", quality=92)


def judge_face(
    name: str, face: FoundFace, before: U8, after: U8, completed: Bool, number: int
) -> tuple[FaceOutcome, U8 | None]:
    """completed: every pixel of the photo that was; what a neighbour's crop completed is no leftover of this face."""
    box = tuple(round(value) for value in face.box)
    if not face.missing.any():
        return FaceOutcome(name, "refused", "; ".join(face.warnings), box), None
    crop = Crop.around_face(face.landmarks)
    hole, old, new = crop.take_mask(face.mask), crop.take(before), crop.take(after)
    inside = crop.take_mask(~completed | face.mask)
    left = leftover(old, hole, inside)
    sawn = any(sawn_off(square, completed) for square in squares_of(face))
    line = FaceOutcome(name, "completed", "", box, round(float(hole.mean()), 3), round(left, 3), sawn, face.cut)
    return line, tile(old, hole, new, f"{number} {Path(name).stem[:16]} {100 * left:.0f}%")


def missed(found: list[tuple[float, ...]], labelled: list[list[float]]) -> list[tuple[int, ...]]:
    boxes = np.array(found, np.float32).reshape(-1, 4)
    return [tuple(map(round, box)) for box in labelled if not len(boxes) or overlap(box, boxes).max() < 0.5]


def read_real(folder: Path, covers: Path) -> list[tuple[U8, Bool, Bool]]:
    """(crop, cover, inside the photo) of every labelled face, sorted by the hash of the file's name."""
    files: dict[str, Any] = json.loads(covers.read_text())["files"]
    cases = []
    for name in by_hash(files, str):
        photo = read_photo(folder / name).pixels
        crop = Crop.around_face(np.array(files[name]["landmarks"]), FACE_PX)
        fine = Crop.around_face(np.array(files[name]["landmarks"]), 4 * FACE_PX)
        outlines = [np.rint(fine.to_crop(np.array(outline)) * 16).astype(np.int32) for outline in files[name]["covers"]]
        height, width = photo.shape[:2]
        corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
        inside = np.rint(fine.to_crop(corners) * 16).astype(np.int32)
        drawn = [filled(outlines), filled([inside])]
        cases.append((crop.take(photo), *drawn))
    return cases


def filled(outlines: list[NDArray[np.int32]]) -> Bool:
    """Pixels of a crop inside polygons in sixteenths of a quarter of a pixel."""
    canvas = np.zeros((4 * FACE_PX,) * 2, np.uint8)
    cv2.fillPoly(canvas, outlines, 255, cv2.LINE_8, 4)
    return np.asarray(cv2.resize(canvas, (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA) > 127)


def cover_scores(cover: Cover) -> Callable[[U8], NDArray[np.float32]]:
    """How sure the network is that anything covers each pixel of an aligned face, (S, S)."""

    def scores(face: U8) -> NDArray[np.float32]:
        view = np.full((SIDE_PX, SIDE_PX, 3), OUTSIDE, np.uint8)
        view[:FACE_PX, INSET_PX : INSET_PX + FACE_PX] = face
        return np.asarray(cover.probabilities(view).sum(0)[:FACE_PX, INSET_PX : INSET_PX + FACE_PX], np.float32)

    return scores


def misplaced(found: Bool) -> list[Bool]:
    """Holes made of a found cover, (256, 256): grown by 0 to 7 px, eaten by 4, and 8 px beside it on each side."""
    holes = [grow(found, px) if px else found for px in (0, 2, 4, 6, 7)]
    holes.append(cv2.erode(found.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    steps = (np.array([[1, 0, x], [0, 1, y]], np.float32) for x, y in ((8, 0), (-8, 0), (0, 8), (0, -8)))
    return holes + [cv2.warpAffine(holes[2].astype(np.uint8), step, (256, 256)) > 0 for step in steps]


def check_leftover(folder: Path, covers: Path) -> None:
    """Print how leftover and the outlined share of the rim agree, on each half of the labelled faces."""
    cases = read_real(folder, covers)
    cover = Cover(load_engine(weights_folder() / "cover.onnx", threads=1, exact=True))
    scores = np.stack([cover_scores(cover)(case[0]) for case in cases])
    pairs = []
    for (face, truth, inside), score in zip(cases, scores, strict=True):
        for hole in misplaced(clean(score > THRESHOLD)):
            rim = grow(hole, RIM_PX) & ~hole & inside
            pairs.append((leftover(face, hole, inside), (rim & truth).sum() / max(rim.sum(), 1)))
    half = len(cases) // 2 * (len(pairs) // len(cases))
    for name, some in (("chosen on", pairs[:half]), ("judged", pairs[half:])):
        said, true = np.array(some).T
        print(
            f"{name:10} n {len(said)}  correlation {np.corrcoef(said, true)[0, 1]:.2f}; said to have leftover: "
            f"{np.mean(said[true < 0.05] > MOST_REST):.1%} of holes with less than a twentieth, "
            f"{np.mean(said[true > 0.2] > MOST_REST):.1%} of those with more than a fifth"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", default="swift")
    parser.add_argument("--boxes", type=Path)
    for name in ("csv", "sheets", "check"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    given = parser.parse_args()
    if given.check:
        check_leftover(given.folder, given.check)
        return
    labels: dict[str, Any] = json.loads(given.boxes.read_text())["files"] if given.boxes else {}
    inpainter = open_inpainter(given.method)
    lines: list[FaceOutcome] = []
    tiles: list[U8] = []
    paths = photos_in(given.folder)[given.first :][: given.count]
    for path in paths:
        photo = read_photo(path)
        found: list[tuple[float, ...]] = []
        try:
            plan = inpainter.plan_unmask(photo)
        except InputError as error:
            lines.append(FaceOutcome(path.name, "no face" if error.got == "none in it" else "refused", error.got))
        else:
            result = inpainter.complete(plan)
            for face in result.faces:
                found.append(face.box)
                line, column = judge_face(path.name, face, photo.pixels, result.photo, result.mask, len(tiles))
                lines.append(line)
                tiles += [] if column is None else [column]
        if path.name in labels and found:
            lines += [FaceOutcome(path.name, "missed", "", box) for box in missed(found, labels[path.name]["faces"])]
    report(lines, len(paths))
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(lines[0])))
            writer.writeheader()
            writer.writerows(asdict(line) for line in lines)
    if given.sheets and tiles:
        write_sheets(tiles, given.sheets)


def report(lines: list[FaceOutcome], photos: int) -> None:
    for line in lines:
        print(*(value for value in asdict(line).values() if value not in ("", (), None)), sep="; ")
    left = np.array([line.leftover for line in lines if line.leftover is not None])
    counts = Counter(line.what for line in lines)
    print(f"{photos} photos: " + ", ".join(f"{count} {what}" for what, count in counts.most_common()))
    if len(left):
        sawn, cut = (
            sum(bool(value) for value in values)
            for values in zip(*((line.sawn, line.cut) for line in lines), strict=True)
        )
        print(f"{sawn} holes end at the edge of a square; {cut} covers are said to go on where the hole ends")
        print(
            f"leftover: {np.mean(left <= MOST_REST):.1%} of {len(left)} completed faces have at most a tenth of the "
            f"rim, {np.mean(left == 0):.1%} none; mean {left.mean():.1%}, median {np.median(left):.1%}"
        )


if __name__ == "__main__":
    main()
