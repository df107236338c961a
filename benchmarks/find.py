"""How well covers and faces are found: one table, the shipped networks beside older ones.

    python benchmarks/find.py --covers FOLDER --dataset FOLDER --worn FOLDER --plain FOLDER --yunet yunet.onnx \
        [--old FOLDER] [--limit N]

--covers: real covers with outlines, as `training.real_covers` reads them; its split `judge`, and of mask and sunglasses
together those of both splits, which nobody learns from. Inside the aligned face, pixels that nobody checked left out.
IoU: of the mask before it is grown; left: more than 5 % of the cover remain after it is grown; taken: what the mask
takes besides, of the cover. Garments: photos without a face, of `judge`, and how many get one.
--worn, --plain: photos with faces boxed (tests/data/*_boxes.json). A face is found where a box overlaps it by an IoU of
0.5; a false alarm matches none and does not lie to half of its area in a region to ignore. Invented: photos of
uncovered people in which something is found that is no face. Skin: photos in which a face gets a mask, sunglasses and a
microphone apart. Landmarks: mean distance of five over the eye distance, from the mean of four views of --yunet; drawn:
found under a drawn cover, from those of the face without it.
--dataset: aligned faces; face masks of `worn@256` drawn on those of its test splits, of each the first --limit by the
SHA-256 of their names.
--old: a folder with finder.onnx and cover.onnx of version 0.2.0. The history has older weights:

    git log --oneline -- src/facefill/weights/cover.onnx
    git show COMMIT:src/facefill/weights/cover.onnx > old/cover.onnx     # 0.2.0: 1650640; finder.onnx likewise

Intervals are 95 %: bootstrap for means and medians, over faces or photos, where there are at least 20 of them; Wilson
(1927) for shares.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray
from quality import by_hash

from facefill.arrays import F32, U8, Bool
from facefill.catalog import weights_folder
from facefill.covers.wear import COVERS, wear
from facefill.datasets.cache import decode, list_entries
from facefill.datasets.manifest import MANIFEST_PX, scale_landmarks
from facefill.errors import InputError
from facefill.evaluation.intervals import Statistic, bootstrap
from facefill.evaluation.protocols import PROTOCOLS, draw_case, hole_rng
from facefill.files.photo import read_photo
from facefill.imaging.boxes import overlap
from facefill.imaging.crop import Crop
from facefill.nets.cover import IGNORED
from facefill.runtime import cover as covers
from facefill.runtime import finder as finders
from facefill.runtime.cover import FACE_PX, INSET_PX, Cover, grow, outline
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import LONG_SIDE_PX, Face, Finder
from facefill.runtime.helpers import Finds
from facefill.runtime.second_look import SecondLook
from facefill.training.real_covers import Covered, read_real
from facefill.training.scenes import share_inside
from facefill.training.teacher import Teacher, find_in_view, label_face, open_teacher

SQUARE = np.s_[:FACE_PX, INSET_PX : INSET_PX + FACE_PX]
DATA = Path(__file__).parents[1] / "tests" / "data"
_NUMBERS = "000093 006591 009394 017539 018314 019993 021729 028825 028979"
NOT_PLAIN = tuple(f"{number}.jpg" for number in _NUMBERS.split())
"""Plain photos whose face has sunglasses or a microphone before it."""
LARGE_PX = 40.0
"""Faces above this side count, the square root of the box's area."""


class Version:
    """Two networks and the rules they were chosen with."""

    def __init__(self, name: str, finder: Finds, cover: Cover, rules: dict[str, float], least: float) -> None:
        """rules: constants of `runtime.cover` at that time; of a version with any the cover looked at the aligned face.
        least: score of the finder from which a face counted."""
        self.name, self.finder, self._cover, self._rules, self._least = name, finder, cover, rules, least
        self._wide = not rules

    def masks(self, face: Covered, aligned: U8) -> tuple[Bool, Bool, tuple[str, ...]]:
        """What covers a face, (256, 256) in its aligned picture: before it is grown, after it, and the kinds."""
        view = face.picture if self._wide else aligned
        with ruled(covers, self._rules):
            scores = self._cover.probabilities(view)
            score = scores.sum(0) * ((view != covers.OUTSIDE).any(2) if self._wide else 1)
            mask = outline(score, view)
            grown = grow(mask, int(covers.GROW_PX))
        kinds = covers.kinds_of(mask, scores)
        return (mask[SQUARE], grown[SQUARE], kinds) if self._wide else (mask, grown, kinds)

    def find(self, photo: U8) -> list[Face]:
        with ruled(finders, {"THRESHOLD": self._least}):
            return self.finder.find(photo)


def ruled(module: Any, rules: dict[str, float]) -> AbstractContextManager[Any]:
    """The module's constants as an older version had them."""
    return patch.multiple(module, **rules) if rules else nullcontext()


def read_versions(old: Path | None) -> list[Version]:
    def engine(path: Path) -> Any:
        return load_engine(path, threads=1, exact=True)

    ours = weights_folder()
    second = SecondLook(engine(ours / "second_look.onnx"))
    finder = Finder(engine(ours / "finder.onnx"), second.look)
    versions = [Version("now", finder, Cover(engine(ours / "cover.onnx")), {}, finders.THRESHOLD)]
    if old:
        rules = {"DOUBT": 0.02, "LIKE_LEVELS": 30.0, "GROW_PX": 4, "SURE": 0.0, "STRAP": 2.0}
        networks = Finder(engine(old / "finder.onnx")), Cover(engine(old / "cover.onnx"))
        versions.append(Version("0.2.0", *networks, rules, 0.66))
    return versions


# ---- what is printed


def mean(values: Sequence[float], by: float = 1.0, digits: int = 3, statistic: Statistic = "mean") -> str:
    """With its interval, or with how many there are where they are too few for one. by: what values are told in."""
    found = bootstrap(by * np.array(values, np.float64), statistic).estimate()
    if not found.n:
        return "none"
    value, low, high = (f"{number:.{digits}f}" for number in (found.value, found.low, found.high))
    return f"{value} (n {found.n}, no interval)" if np.isnan(found.low) else f"{value} [{low}, {high}]"


def share(hits: Sequence[bool] | Sequence[np.bool_]) -> str:
    """Per cent with its Wilson interval."""
    n, k = len(hits), int(np.sum(hits))
    if not n:
        return "none"
    middle = (k + 1.9208) / (n + 3.8416)
    half = 1.96 * np.sqrt(k * (n - k) / n + 0.9604) / (n + 3.8416)
    return f"{100 * k / n:.1f} % [{100 * max(middle - half, 0):.1f}, {100 * (middle + half):.1f}]"


def line(what: str, version: Version, text: str) -> None:
    print(f"{what:34} {version.name:6} {text}", flush=True)


# ---- covers


def judge_real(folder: Path, versions: list[Version]) -> None:
    faces = read_real(folder, "judge")
    both = [face for face in (*faces, *read_real(folder, "train")) if face.kind == "mask+sunglasses"]
    groups = {
        "masks and scarves": [face for face in faces if face.kind not in ("none", "sunglasses")],
        "sunglasses": [face for face in faces if face.kind == "sunglasses"],
        "mask and sunglasses": both,
    }
    for name, chosen in groups.items():
        for version in versions:
            judge_group(name, version, chosen, folder)
    plain = [face for face in faces if face.kind == "none"]
    for version in versions:
        taken = [version.masks(face, aligned_of(folder, face))[1] & counts(face) for face in plain]
        line(
            "uncovered faces",
            version,
            f"n {len(plain)}  any mask {share([mask.any() for mask in taken])}  "
            f"per cent of the pixels {mean([float(mask.mean()) for mask in taken], 100, 2)}",
        )


def judge_group(name: str, version: Version, faces: list[Covered], folder: Path) -> None:
    ious, left, missed, taken, right = [], [], [], [], []
    for face in faces:
        mask, grown, kinds = version.masks(face, aligned_of(folder, face))
        truth, inside = (face.kinds[SQUARE] > 0) & counts(face), counts(face)
        ious.append(mask_iou(mask & inside, truth))
        left.append(bool((truth & ~grown).sum() > 0.05 * truth.sum()))
        taken.append(float((grown & inside & ~truth).sum() / truth.sum()))
        missed.append(not (mask & truth).any())
        wanted = {"sunglasses": "sunglasses", "mask+sunglasses": "mask"}.get(face.kind, "mask")
        right.append(wanted in kinds)
    line(
        name,
        version,
        f"n {len(faces)}  IoU {mean(ious)}  median {mean(ious, statistic='median')}  below 0.7 "
        f"{share([iou < 0.7 for iou in ious])}  left {share(left)}  per cent taken {mean(taken, 100, 1)}  "
        f"nothing found {share(missed)}  kind {share(right)}",
    )


def counts(face: Covered) -> Bool:
    return np.asarray(face.kinds[SQUARE] != IGNORED)


def aligned_of(folder: Path, face: Covered) -> U8:
    return read_photo(folder / face.file).pixels


def mask_iou(found: Bool, truth: Bool) -> float:
    either = (found | truth).sum()
    return float((found & truth).sum() / either) if either else 1.0


def judge_drawn(dataset: Path, limit: int, versions: list[Version]) -> None:
    ious: dict[tuple[str, str], list[float]] = {}
    for split in ("test-celeba", "test-asian", "test-generated"):
        for entry in spread(dataset, split, limit):
            face, points = read_aligned(entry)
            case = draw_case(PROTOCOLS["worn@256"], face, points, entry.row["file"], None)
            other = wear(face, points, hole_rng("benchmarks/cover", entry.row["file"]), kinds=COVERS)
            for version in versions:
                for name, picture, truth in (
                    ("face masks of worn@256", case.shown, case.mask),
                    ("any drawn cover", other.face, other.mask),
                ):
                    mask = version.masks(in_square(picture), picture)[0]
                    ious.setdefault((name, version.name), []).append(mask_iou(mask, truth))
    for (name, version_name), values in sorted(ious.items()):
        version = next(version for version in versions if version.name == version_name)
        line(name, version, f"n {len(values)}  IoU {mean(values)}  median {mean(values, statistic='median')}")


def spread(dataset: Path, split: str, limit: int) -> list[Any]:
    entries = [entry for entry in list_entries(dataset, split) if entry.landmarks is not None]
    return by_hash(entries, lambda entry: str(entry.row["file"]))[:limit]


def read_aligned(entry: Any) -> tuple[U8, NDArray[np.float64]]:
    return decode(entry.read(), FACE_PX), scale_landmarks(entry.landmarks, MANIFEST_PX, FACE_PX)


def in_square(face: U8) -> Covered:
    """An aligned face with nothing around it."""
    picture = np.full((covers.SIDE_PX, covers.SIDE_PX, 3), covers.OUTSIDE, np.uint8)
    picture[SQUARE] = face
    return Covered(picture, np.zeros(picture.shape[:2], np.uint8), np.zeros((5, 2)))


# ---- faces


def judge_garments(folder: Path, versions: list[Version]) -> None:
    with (folder / "negatives.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "judge"]
    for version in versions:
        found = [bool(version.find(read_photo(folder / name).pixels)) for name in names]
        line("photos of garments", version, f"n {len(names)}  a face in {share(found)}")


def judge_photos(folder: Path, boxes: Path, versions: list[Version]) -> None:
    files: dict[str, Any] = json.loads(boxes.read_text(encoding="utf-8"))["files"]
    for version in versions:
        hits: list[bool] = []
        alarms: list[float] = []
        for name, entry in files.items():
            matched, false = match(version.find(read_photo(folder / name).pixels), entry)
            hits += matched
            alarms.append(len(false))
        line(
            f"faces of {folder.name}",
            version,
            f"n {len(hits)}  recall {share(hits)}  false alarms a photo "
            f"{mean(alarms)} ({sum(alarms):.0f} in {len(files)})",
        )


def match(found: list[Face], entry: dict[str, Any]) -> tuple[list[bool], list[Face]]:
    """Whether each labelled face over `LARGE_PX` is found; and the findings that are no labelled face."""
    truth = [np.array(box, np.float32) for box in entry["faces"]]
    seen, false = [False] * len(truth), []
    for face in sorted(found, key=lambda face: -face.score):
        box = np.clip(np.array(face.box, np.float32), 0, np.array([*entry["size"]] * 2, np.float32))
        shared = overlap(box, np.stack(truth)) if truth else np.zeros(0)
        best = int(shared.argmax()) if len(shared) else -1
        if best >= 0 and shared[best] >= 0.5 and not seen[best]:
            seen[best] = True
        elif not any(share_inside(box, np.array(region, np.float32)) >= 0.5 for region in entry["ignore"]):
            false.append(face)
    large = [float(np.sqrt((box[2:] - box[:2]).prod())) > LARGE_PX for box in truth]
    return [hit for hit, counted in zip(seen, large, strict=True) if counted], false


def judge_plain(folder: Path, versions: list[Version]) -> None:
    files: dict[str, Any] = json.loads((DATA / "plain_boxes.json").read_text(encoding="utf-8"))["files"]
    for version in versions:
        invented, skin = [], []
        for name in sorted(set(files) - set(NOT_PLAIN)):
            photo = read_photo(folder / name).pixels
            faces = version.find(photo)
            _, false = match(faces, files[name])
            wrong = {id(face) for face in false}
            drawn = [(id(face) in wrong, bool(seen_cover(version, photo, face))) for face in faces]
            invented.append(any(false and covered for false, covered in drawn))
            skin.append(any(covered and not false for false, covered in drawn))
        line(
            "uncovered people",
            version,
            f"{len(skin)} of {len(files)} photos, without those of a face with sunglasses or a microphone before it  "
            f"no face, drawn on {share(invented)}  bare skin taken {share(skin)}",
        )


def seen_cover(version: Version, photo: U8, face: Face) -> int:
    """Pixels of the mask that a face would get."""
    try:
        square = covers.square_around(face)
        aligned = Crop.around_face(face.landmarks, FACE_PX).take(photo)
    except ValueError:
        return 0
    view = Covered(covers.view_of(photo, square), np.zeros((1, 1), np.uint8), face.landmarks)
    return int(version.masks(view, aligned)[0].sum())


def judge_landmarks(plain: Path, dataset: Path, teacher: Teacher, limit: int, versions: list[Version]) -> None:
    photos = [read_photo(path).pixels for path in sorted(plain.iterdir())]
    lessons = [views_of(teacher, photo) for photo in photos]
    drawn = []
    for split in ("test-celeba", "test-asian", "test-generated"):
        for entry in spread(dataset, split, limit):
            face, points = read_aligned(entry)
            row = label_face(face, teacher)
            if row is not None:
                worn = draw_case(PROTOCOLS["worn@256"], face, points, entry.row["file"], None)
                wide = cv2.copyMakeBorder(worn.shown, *(64,) * 4, cv2.BORDER_CONSTANT, value=(128,) * 3)
                drawn.append((wide, row[4:].reshape(5, 2) + 64))
    for version in versions:
        errors = [
            error for photo, rows in zip(photos, lessons, strict=True) for error in distances(version.find(photo), rows)
        ]
        under = [
            error
            for photo, points in drawn
            for error in distances(version.find(np.asarray(photo, np.uint8)), [(None, points)])
        ]
        for name, values in (("landmarks, photos", errors), ("landmarks, drawn covers", under)):
            most = f"{100 * np.quantile(values, 0.9):.1f}" if values else "none"
            middle = mean(values, 100, 1, "median")
            line(name, version, f"n {len(values)}  per cent, median {middle}  90 % below {most}")


Lesson = tuple[F32 | None, NDArray[Any]]
"""A face's box and landmarks."""


def views_of(teacher: Teacher, photo: U8) -> list[Lesson]:
    """The teacher's faces over `LARGE_PX`, the mean of two sizes and their mirror images."""
    scale = min(1.0, LONG_SIDE_PX / max(photo.shape[:2]))
    views = [find_in_view(photo, teacher, scale * by, mirrored, 0.6) for by in (1.0, 0.7) for mirrored in (False, True)]
    lessons: list[Lesson] = []
    for row in views[0][views[0][:, 14] >= 0.8]:
        same = [view[int(overlap(row[:4], view[:, :4]).argmax())] for view in views if len(view)]
        together = np.mean([other[4:14] for other in same if overlap(row[:4], other[:4]) > 0.5], 0)
        if np.sqrt((row[2:4] - row[:2]).prod()) > LARGE_PX:
            lessons.append((row[:4], together.reshape(5, 2)))
    return lessons


def distances(faces: list[Face], lessons: Sequence[Lesson]) -> list[float]:
    """The landmark error of each lesson that is found."""
    errors = []
    for box, points in lessons:
        apart = float(np.linalg.norm(points[0] - points[1]))
        away = [float(np.linalg.norm(face.landmarks - points, axis=1).mean()) / apart for face in faces]
        near = [
            overlap(box, face.box) >= 0.5 if box is not None else error < 1
            for face, error in zip(faces, away, strict=True)
        ]
        if any(near):
            errors.append(min(error for error, close in zip(away, near, strict=True) if close))
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("covers", "dataset", "worn", "plain", "yunet", "old"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--limit", type=int, default=60, help="faces of each test split")
    given = parser.parse_args()
    versions = read_versions(given.old)
    parts: list[tuple[Any, Callable[[], None]]] = [
        (given.covers, lambda: judge_real(given.covers, versions)),
        (given.covers, lambda: judge_garments(given.covers, versions)),
        (given.dataset, lambda: judge_drawn(given.dataset, given.limit, versions)),
        (given.worn, lambda: judge_photos(given.worn, DATA / "worn_boxes.json", versions)),
        (given.plain, lambda: judge_photos(given.plain, DATA / "plain_boxes.json", versions)),
        (given.plain, lambda: judge_plain(given.plain, versions)),
        (
            given.plain and given.dataset and given.yunet,
            lambda: judge_landmarks(given.plain, given.dataset, open_teacher(given.yunet), given.limit, versions),
        ),
    ]
    if not any(wanted for wanted, _ in parts):
        raise InputError("something to judge by", "no folder", "name --covers, --dataset, --worn or --plain")
    for wanted, judge in parts:
        if wanted:
            judge()


if __name__ == "__main__":
    main()
