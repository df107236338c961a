"""Fine holes in whole photos: quality and time against Telea at the photo's own size, in one run.

    python benchmarks/fine.py PHOTO [--methods swift,biharmonic,telea,total_variation] [--repeats 5]
    python benchmarks/fine.py FACES --strokes      # a folder of aligned faces: from which width on a network is better

Ten scratches of 3 px across the photo as it is; 5,000 missing pixels, and 100 letters, in the photo brought to 12
megapixels. Each method plans, runs and finishes like a user's call, in a process of its own (spawned; its largest
resident size is told), alternating with OpenCV's Telea on the same array: median seconds of both, and their ratio.
PSNR is that of the missing pixels. Loading and the first call are not counted.

--strokes: six strokes of one width across each of 16 faces of 256 px, the first by the SHA-256 of their names, filled
by each method in its own way, whatever the plan would choose; mean hole PSNR by width.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from quality import photos_in

from facefill.arrays import Bool
from facefill.evaluation.evaluate import peak_mb
from facefill.files.photo import read_photo
from facefill.imaging.metrics import hole_psnr
from facefill.runtime.inpainter import open_inpainter
from facefill.runtime.model import load

LARGE = (4000, 3000)
WIDTHS = (2, 4, 8, 12, 16, 24, 48)


def draw_hole(name: str, width: int, height: int) -> Bool:
    rng, canvas = np.random.default_rng(0), np.zeros((height, width), np.uint8)
    if name == "scratches":
        for ends in rng.uniform(0, 1, (10, 2, 2)) * (width, height):
            cv2.line(canvas, *(tuple(map(int, end)) for end in ends), 1, 3)
    elif name == "letters":
        for line in range(10):
            cv2.putText(
                canvas,
                "ABCDEFGHIJ",
                (width // 20, (line + 1) * height // 11),
                cv2.FONT_HERSHEY_SIMPLEX,
                height / 750,
                1,
                height // 400,
            )
    else:
        canvas.ravel()[rng.choice(canvas.size, 5000, replace=False)] = 1
    return canvas > 0


def measure(method: str, path: Path, name: str, repeats: int) -> tuple[float, ...]:
    """Missing pixels, PSNR and seconds of the method, of Telea, and megabytes."""
    truth = read_photo(path).pixels
    if name != "scratches":
        truth = np.asarray(cv2.resize(truth, LARGE, interpolation=cv2.INTER_CUBIC), np.uint8)
    mask = draw_hole(name, *truth.shape[1::-1])
    source, inpainter = read_photo(np.where(mask[..., None], np.uint8(0), truth)), open_inpainter(method)
    seconds: list[tuple[float, float]] = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        ours = inpainter.complete(inpainter.plan_complete(source, mask)).photo
        middle = time.perf_counter()
        theirs = cv2.inpaint(source.pixels, mask.view(np.uint8), 3, cv2.INPAINT_TELEA)
        seconds.append((middle - begin, time.perf_counter() - middle))
    first, second = (statistics.median(column) for column in zip(*seconds[1:], strict=True))
    return (
        int(mask.sum()),
        hole_psnr(ours, truth, mask),
        first,
        hole_psnr(theirs, truth, mask),
        second,
        peak_mb() or float("nan"),
    )


def compare_strokes(folder: Path, methods: list[str]) -> None:
    files = photos_in(folder)[:16]
    faces = np.stack([read_photo(file).pixels for file in files])
    print(f"| mean hole PSNR, dB | {' | '.join(f'{width} px wide' for width in WIDTHS)} |")
    print(f"|---|{'---|' * len(WIDTHS)}")
    for method in methods:
        model, row = load(method), []
        for width in WIDTHS:
            rng, masks = np.random.default_rng(0), np.zeros(faces.shape[:3], np.uint8)
            for mask in masks:
                for first, last in rng.integers(0, 256, (6, 2, 2)).tolist():
                    cv2.line(mask, first, last, 1, width)
            filled = model.complete(faces, masks > 0)[:, 0]
            row.append(np.mean([hole_psnr(*case) for case in zip(filled, faces, masks > 0, strict=True)]))
        print(f"| {method} | {' | '.join(f'{value:.1f}' for value in row)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, metavar="PHOTO or FACES")
    parser.add_argument("--methods", default="swift,biharmonic")
    parser.add_argument("--holes", default="scratches,pixels,letters")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--strokes", action="store_true")
    given = parser.parse_args()
    if given.strokes:
        compare_strokes(given.photo, given.methods.split(","))
        return
    print(
        "| hole | missing px | method | hole PSNR, dB | Telea's | s | Telea's | ratio | peak MB |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for name in given.holes.split(","):
        for method in given.methods.split(","):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                count, psnr, ours_s, other, theirs_s, peak = pool.submit(
                    measure, method, given.photo, name, given.repeats
                ).result()
            print(
                f"| {name} | {count} | {method} | {psnr:.2f} | {other:.2f} | {ours_s:.2f} | {theirs_s:.2f} | "
                f"{ours_s / theirs_s:.2f} | {peak:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
