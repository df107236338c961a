"""How well and how fast the finder finds: recall, false alarms, landmarks and milliseconds, with YuNet beside it.

    python benchmarks/finder.py --worn FOLDER --boxes tests/data/worn_boxes.json \
        --plain FOLDER --plain-boxes tests/data/plain_boxes.json --yunet yunet.onnx

A face is found where a box overlaps it by an IoU of 0.5. A false alarm is a finding that matches no face (or one that
is matched already) and does not lie to half of its area in a region to ignore. The landmark error of a face is the mean
distance of its five landmarks from the teacher's, over the teacher's eye distance; the teacher looks at the photo at
640 pixels, once or in four views whose mean is taken.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.catalog import weights_folder
from facefill.files.photo import read_photo
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import LONG_SIDE_PX, Finder, overlaps
from facefill.training.teacher import YuNet

F32 = NDArray[np.float32]
Find = Callable[[NDArray[np.uint8]], F32]
"""(H, W, 3) uint8 to (n, 15): x0, y0, x1, y1, ten landmark coordinates, score."""


def finder_rows(finder: Finder) -> Find:
    def find(photo: NDArray[np.uint8]) -> F32:
        rows = [[*face.box, *face.landmarks.ravel(), face.score] for face in finder.find(photo)]
        return np.array(rows, np.float32).reshape(-1, 15)
    return find


def teacher_rows(teacher: YuNet, threshold: float) -> Find:
    def find(photo: NDArray[np.uint8]) -> F32:
        scale = min(1.0, LONG_SIDE_PX / max(photo.shape[:2]))
        view = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        rows = teacher.find(view, threshold)
        rows[:, :14] /= scale
        return rows
    return find


def judge(find: Find, folder: Path, truth: dict[str, Any], larger_than: float = 40.0) -> dict[str, float]:
    faces = hits = alarms = 0
    for name, entry in truth.items():
        rows = find(read_photo(folder / name).pixels)
        rows = rows[np.argsort(-rows[:, 14])]
        free = [np.array(box, np.float32) for box in entry["faces"]]
        large = [float(np.sqrt((box[2:] - box[:2]).prod())) > larger_than for box in free]
        faces += sum(large)
        for row in rows:
            box = cut(row[:4], entry["size"])
            shared = overlaps(box, np.stack(free)) if free else np.zeros(0)
            if len(shared) and shared.max() >= 0.5:
                best = int(shared.argmax())
                hits += large.pop(best)
                free.pop(best)
            elif not any(share_inside(box, np.array(region)) >= 0.5 for region in entry["ignore"]):
                alarms += 1
    return {"photos": len(truth), "faces": faces, "recall": hits / max(faces, 1), "alarms": alarms / len(truth)}


def cut(box: F32, size: tuple[int, int]) -> F32:
    return np.clip(box, 0, np.array([*size, *size], np.float32))


def share_inside(box: F32, region: F32) -> float:
    span = np.minimum(box[2:], region[2:]) - np.maximum(box[:2], region[:2])
    return float(np.maximum(span, 0).prod() / max(float((box[2:] - box[:2]).prod()), 1e-6))


def landmark_errors(find: Find, teacher: Find, folder: Path, names: list[str]) -> F32:
    """One number for each face that both found."""
    errors = []
    for name in names:
        photo = read_photo(folder / name).pixels
        rows, taught = find(photo), teacher(photo)
        for lesson in taught[taught[:, 14] >= 0.8]:
            shared = overlaps(lesson[:4], rows[:, :4]) if len(rows) else np.zeros(0)
            if not len(shared) or shared.max() < 0.5:
                continue
            points, right = rows[shared.argmax(), 4:14].reshape(5, 2), lesson[4:14].reshape(5, 2)
            if np.sqrt((lesson[2:4] - lesson[:2]).prod()) > 40:
                errors.append(np.linalg.norm(points - right, axis=1).mean() / np.linalg.norm(right[0] - right[1]))
    return np.array(errors, np.float32)


def mean_of_views(teacher: YuNet) -> Find:
    """The teacher, averaged over two sizes and their mirror images."""
    once = teacher_rows(teacher, 0.6)

    def find(photo: NDArray[np.uint8]) -> F32:
        rows = once(photo)
        small = cv2.resize(photo, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        views = [mirror_back(once(np.ascontiguousarray(photo[:, ::-1])), photo.shape[1]), once(small) / 0.7,
                 mirror_back(once(np.ascontiguousarray(small[:, ::-1])), small.shape[1]) / 0.7]
        for row in rows:
            same = [view[overlaps(row[:4], view[:, :4]).argmax()] for view in views if len(view)]
            row[:14] = np.mean([row[:14], *(r[:14] for r in same if overlaps(row[:4], r[None, :4])[0] > 0.5)], 0)
        return rows
    return find


def mirror_back(rows: F32, width: int) -> F32:
    points = rows[:, :14].reshape(-1, 7, 2).copy()
    points[..., 0] = width - 1 - points[..., 0]
    points[:, :2, 0] = points[:, 1::-1, 0]
    points[:, 2:] = points[:, [3, 2, 4, 6, 5]]
    return np.concatenate([points.reshape(-1, 14), rows[:, 14:]], 1)


def milliseconds(path: Path, threads: int, exact: bool, height: int = 480) -> float:
    """Median of one pass over a 640-pixel view."""
    engine = load_engine(path, threads=threads, exact=exact)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, height, LONG_SIDE_PX)).astype(np.float32)
    times = []
    for _ in range(40):
        start = time.perf_counter()
        engine.run({"image": image})
        times.append(time.perf_counter() - start)
    return float(np.median(times[5:])) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=weights_folder() / "finder.onnx")
    for name in ("worn", "boxes", "plain", "plain-boxes", "yunet"):
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args()
    finds: dict[str, Find] = {
        "finder": finder_rows(Finder(load_engine(given.weights, threads=1))),
        "finder, float32": finder_rows(Finder(load_engine(given.weights, threads=1, exact=True))),
    }
    teacher = YuNet(given.yunet) if given.yunet else None
    if teacher:
        finds |= {f"YuNet at 640 px, score {level}": teacher_rows(teacher, level) for level in (0.6, 0.7, 0.9)}
    for folder, boxes in ((given.worn, given.boxes), (given.plain, given.plain_boxes)):
        if not folder or not boxes:
            continue
        truth = json.loads(boxes.read_text(encoding="utf-8"))["files"]
        print(f"\n{folder.name}: faces over 40 px, IoU 0.5\n{'':28} photos  faces  recall  false alarms per photo")
        for name, find in finds.items():
            row = judge(find, folder, truth)
            print(f"{name:28} {row['photos']:6}  {row['faces']:5}  {row['recall']:6.3f}  {row['alarms']:.3f}")
        if teacher and folder == given.plain:
            print("\nlandmarks against the teacher, share of the eye distance, faces over 40 px"
                  f"\n{'':28} faces  median  90 %  | against the mean of its views: median  90 %")
            for name, find in finds.items():
                once, views = (landmark_errors(find, other, folder, sorted(truth))
                               for other in (teacher_rows(teacher, 0.6), mean_of_views(teacher)))
                print(f"{name:28} {len(once):5}  {np.median(once):6.3f}  {np.quantile(once, 0.9):.3f}"
                      f" | {np.median(views):.3f}  {np.quantile(views, 0.9):.3f}")
    print("\nms for one pass of 640x480, OpenVINO")
    for threads in (1, 2):
        print(f"{threads} threads: {milliseconds(given.weights, threads, False):.1f}, "
              f"float32 {milliseconds(given.weights, threads, True):.1f}")


if __name__ == "__main__":
    main()
