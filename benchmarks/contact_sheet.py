"""Contact sheets, to be looked at: faces of a dataset with a hole, or photos as `unmask` leaves them.

    python benchmarks/contact_sheet.py faces DATASET sheet.png [--split test-celeba] [--hole centre] [--count 24]
    python benchmarks/contact_sheet.py photos FOLDER sheet.png [--count 20] [--first 0]

faces: truth, hole and completion below one another. photos: each found face before and after, cut out at 256 px; prints
what became of every face. Never commit a sheet of pictures that are not yours to show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from quality import hole_of, read_rows

import facefill
from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.imaging.crop import Crop
from facefill.runtime.inpainter import open_inpainter

COLUMNS = 8


def tile(columns: list[np.ndarray], out: Path) -> None:
    """Columns of equal size, `COLUMNS` in a row."""
    blank = np.full_like(columns[0], 255)
    columns = columns + [blank] * (-len(columns) % COLUMNS)
    rows = [np.concatenate(columns[at : at + COLUMNS], 1) for at in range(0, len(columns), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(out)


def faces(options: argparse.Namespace) -> None:
    model = facefill.load(options.method)
    columns = []
    for row in read_rows(options.folder, options.split, None)[options.first : options.first + options.count]:
        truth = read_photo(options.folder / row["split"] / row["file"]).pixels
        shown, mask = hole_of(options.hole, truth, row)
        if options.hole != "worn":
            shown = np.where(mask[..., None], np.uint8(128), shown)
        completed = np.where(mask[..., None], model.complete(shown[None], mask[None])[0, 0], truth)
        columns.append(np.concatenate([truth, shown, completed]))
    tile(columns, options.out)


def photos(options: argparse.Namespace) -> None:
    inpainter = open_inpainter(options.method)
    columns = []
    paths = sorted(path for path in options.folder.iterdir() if path.is_file())
    for path in paths[options.first : options.first + options.count]:
        photo = read_photo(path)
        try:
            plan = inpainter.plan_unmask(photo)
        except InputError as error:
            print(f"{path.name}: {error}")
            continue
        result = inpainter.finish(plan, inpainter.run([plan])[0][:, 0])
        print(f"{path.name}: {len(plan.tasks)} of {len(plan.faces)} faces completed", *result.warnings, sep="; ")
        for face in result.faces:
            if not face.missing.any():
                continue
            crop = Crop.around_face(face.landmarks)
            before, after = crop.take(photo.pixels), crop.take(result.photo)
            edge = np.where(crop.take_mask(face.mask)[..., None], np.uint8([255, 0, 255]), before)
            columns.append(np.concatenate([before, before // 2 + edge // 2, after]))
    if columns:
        tile(columns, options.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("faces", "photos"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--method", default="swift")
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--hole", default="centre")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    (faces if options.what == "faces" else photos)(options)


if __name__ == "__main__":
    main()
