"""Contact sheets, to be looked at: faces of a dataset with a hole, or the faces of photos as `unmask` leaves them.

    python benchmarks/contact_sheet.py faces DATASET OUT [--split test-celeba] [--hole centre] [--samples 8]
    python benchmarks/contact_sheet.py photos FOLDER OUT [--methods swift]
    python benchmarks/contact_sheet.py photos FOLDER OUT --methods swift,older.onnx --blind 7
    python benchmarks/contact_sheet.py grades OUT

OUT is a folder; faces and photos come in the order of the SHA-256 of their names (--first, --count). faces: truth,
hole and completion below one another; with samples, each face in a row. photos: every face that was completed, cut out
at 1.4 times its box, before with the hole's outline and after by each method, eight to a sheet, and faces.csv with
what became of every face. --blind SEED: the methods in an order of its own for each face, named A, B ...; who is who
stands in key.csv alone. Whoever grades writes grades.csv (face, place, grade, and if wanted kept: the letter of the
one to keep of that face, or none) without having looked at it; `grades` then counts the grades of each method, and how
often it was kept, by view as reports do (`evaluation.groups.VIEWS`). Never commit a sheet of pictures that are not
yours to show.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from quality import hole_of, photos_in, read_rows

import facefill
from facefill.arrays import U8
from facefill.datasets.manifest import PLACES
from facefill.errors import InputError
from facefill.evaluation.groups import VIEWS, view_of
from facefill.files.photo import read_photo
from facefill.imaging.crop import turn_of
from facefill.runtime.inpainter import open_inpainter

COLUMNS, PAIRS, CELL_PX = 8, 8, 320
MARGIN = 1.4
NONE = "none"
GOOD_ENOUGH = ("GOOD", "USABLE")


def tile(cells: list[U8], out: Path, columns: int = COLUMNS) -> None:
    """Cells of equal size, `columns` in a row."""
    blank = np.full_like(cells[0], 255)
    cells = cells + [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[at : at + columns], 1) for at in range(0, len(cells), columns)]
    Image.fromarray(np.concatenate(rows)).save(out)


def faces(options: argparse.Namespace) -> None:
    """Completions of a dataset's faces; several samples of each beside one another."""
    model, cells = facefill.load(options.methods.split(",")[0]), []
    for row in read_rows(options.folder, options.split, None)[options.first : options.first + options.count]:
        truth = read_photo(options.folder / row["split"] / row["file"]).pixels
        shown, mask = hole_of(options.hole, truth, row)
        if options.hole != "worn":
            shown = np.where(mask[..., None], np.uint8(128), shown)
        points = np.array([float(row[place]) for place in PLACES], np.float32).reshape(1, 5, 2)
        told = {"landmarks": points} if "landmarks" in model.record.inputs else {}
        drawn = model.complete(shown[None], mask[None], samples=options.samples, **told)[0]
        completed = [np.where(mask[..., None], sample, truth) for sample in drawn]
        cells.append(np.concatenate([truth, shown, *completed], 1 if options.samples > 1 else 0))
    tile(cells, options.out / f"{options.hole}.png", 1 if options.samples > 1 else COLUMNS)


def cut_out(picture: U8, box: tuple[float, float, float, float]) -> U8:
    """The square around a face's box, white beyond the photo, at the cell's size."""
    x0, y0, x1, y1 = box
    half = MARGIN * max(x1 - x0, y1 - y0) / 2
    scale = CELL_PX / (2 * half)
    matrix = np.array([[scale, 0, (half - (x0 + x1) / 2) * scale], [0, scale, (half - (y0 + y1) / 2) * scale]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shrunk = cv2.warpAffine(picture, matrix, (CELL_PX, CELL_PX), flags=how, borderValue=(255, 255, 255))
    return np.asarray(shrunk, np.uint8)


def label(cell: U8, text: str) -> U8:
    """The cell with a few words at its top."""
    image = Image.fromarray(cell)
    ImageDraw.Draw(image).text((4, 2), text, fill=(255, 255, 0), stroke_width=1, stroke_fill=(0, 0, 0))
    return np.asarray(image)


def outlined(picture: U8, mask: NDArray[np.bool_]) -> U8:
    """The picture with a line around what is missing."""
    width = max(1, round(max(picture.shape[:2]) / 800))
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture.copy(), lines, -1, (0, 255, 0), width))


def photos(options: argparse.Namespace) -> None:
    """Every completed face of a folder's photos, before and after."""
    names = options.methods.split(",")
    inpainters = [open_inpainter(name) for name in names]
    rng = np.random.default_rng(options.blind)
    cells: list[U8] = []
    rows: list[dict[str, Any]] = []
    key: list[dict[str, Any]] = []
    for path in photos_in(options.folder)[options.first : options.first + options.count]:
        photo = read_photo(path)
        try:
            plan = inpainters[0].plan_unmask(photo)
        except InputError as error:
            print(f"{path.name}: {error.got}")
            continue
        shown = [inpainter.complete(inpainter.plan_unmask(photo)).photo for inpainter in inpainters]
        before = outlined(photo.pixels, plan.mask)
        for index, face in enumerate(plan.faces):
            done = face.missing.any()
            turn, name = turn_of(face.landmarks), f"{path.stem}#{index}"
            rows.append(
                {"face": name, "completed": int(done), "turn": f"{turn:.2f}", "warnings": "; ".join(face.warnings)}
            )
            if not done:
                continue
            order = rng.permutation(len(names)) if options.blind is not None else np.arange(len(names))
            key += [
                {"face": name, "place": "ABCDEFGH"[place], "method": names[method], "turn": f"{turn:.2f}"}
                for place, method in enumerate(order)
            ]
            after = [
                label(
                    cut_out(shown[method], face.box), "ABCDEFGH"[place] if options.blind is not None else names[method]
                )
                for place, method in enumerate(order)
            ]
            cells.append(np.concatenate([label(cut_out(before, face.box), name), *after], 1))
    for at in range(0, len(cells), PAIRS):
        tile(cells[at : at + PAIRS], options.out / f"sheet-{at // PAIRS:02d}.png", 2)
    for file, found in (("faces.csv", rows), ("key.csv", key)):
        with (options.out / file).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    print(f"{len(rows)} faces, {len(cells)} completed, {-(-len(cells) // PAIRS)} sheets in {options.out}")


def grades(options: argparse.Namespace) -> None:
    """How often each method got which grade, and was kept, as a table.

    Raises InputError for a kept place that the face does not have, and for two of one face.
    """
    with (options.folder / "key.csv").open(encoding="utf-8") as stream:
        key = {(row["face"], row["place"]): row for row in csv.DictReader(stream)}
    with (options.folder / "grades.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counts.setdefault(method_and_view(key, row["face"], row["place"]), Counter())[row["grade"]] += 1
    kept, undecided = count_kept(key, rows)
    chosen = "kept" in rows[0]
    print(f"| method | view | n | {'kept | ' * chosen}GOOD | GOOD or USABLE | others |")
    print("|---|---|---|---|---|---|" + "---|" * chosen)
    order = [name for _, name in VIEWS] + [""]
    for (method, view), found in sorted(counts.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        others = ", ".join(f"{name} {count}" for name, count in found.most_common() if name not in GOOD_ENOUGH)
        print(
            f"| {method} | {view} | {found.total()} | {f'{kept[method, view]} | ' * chosen}{found['GOOD']} "
            f"| {sum(found[name] for name in GOOD_ENOUGH)} | {others} |"
        )
    if chosen:
        print(f"\nKept: {', '.join(f'{name} {count}' for name, count in by_method(kept).most_common())}; ", end="")
        print(f"none {undecided}.")


def method_and_view(key: dict[tuple[str, str], dict[str, str]], face: str, place: str) -> tuple[str, str]:
    """Which method stood at a place of a face, and the face's view. Raises InputError for a place that it has not."""
    if (face, place) not in key:
        raise InputError("faces and places of key.csv", f"{place!r} of {face}", "correct grades.csv")
    told = key[face, place]
    return told["method"], view_of(float(told["turn"]))


def count_kept(
    key: dict[tuple[str, str], dict[str, str]], rows: list[dict[str, str]]
) -> tuple[Counter[tuple[str, str]], int]:
    """How often each method was kept by view, and of how many faces none was. A face's choice may stand in any of its
    rows, or in all."""
    choices: dict[str, set[str]] = {}
    for row in rows:
        if choice := (row.get("kept") or "").strip():
            choices.setdefault(row["face"], set()).add(choice)
    if several := next((face for face, found in choices.items() if len(found) > 1), None):
        raise InputError(
            "one kept place of each face", f"{sorted(choices[several])} of {several}", "correct grades.csv"
        )
    places = {face: found.pop() for face, found in choices.items()}
    kept = Counter(method_and_view(key, face, place) for face, place in places.items() if place != NONE)
    return kept, sum(place == NONE for place in places.values())


def by_method(kept: Counter[tuple[str, str]]) -> Counter[str]:
    """The same over all views."""
    total: Counter[str] = Counter()
    for (method, _), count in kept.items():
        total[method] += count
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("faces", "photos", "grades"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--methods", default="swift", help="names or .onnx files, with commas between")
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--hole", default="centre")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--blind", type=int, help="shuffle the methods, by this seed")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    if options.what != "grades":
        options.out.mkdir(parents=True, exist_ok=True)
    {"faces": faces, "photos": photos, "grades": grades}[options.what](options)


if __name__ == "__main__":
    main()
