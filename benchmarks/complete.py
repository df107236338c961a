"""How long completing takes: the network, the helpers, and a whole photo against decoding and encoding it alone.

    python benchmarks/complete.py [--runs 15]

Prints medians in milliseconds for 1 and 2 threads in bf16 (where the processor has it) and float32, beside the
machine's rates of matrix products and memory copies in the same run; then whole photos of 1, 6 and 24 megapixels, in
turn with decode + encode of the same JPEG, the least processor time of each step, and peak memory of one process per
size. Makes its photos from examples/.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from facefill.catalog import find_weights
from facefill.files.photo import encode_photo, read_photo
from facefill.runtime.cover import SIDE_PX as COVER_PX
from facefill.runtime.engine import load_engine
from facefill.runtime.inpainter import Inpainter, open_inpainter
from facefill.runtime.second_look import SIDE_PX as LOOK_PX

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut-surgical.jpg"
SIZES = {"1 Mpx": (1152, 864), "6 Mpx": (3000, 2000), "24 Mpx": (6000, 4000)}


def milliseconds(work: Callable[[], object], runs: int) -> float:
    """Median of `runs` after one that warms up."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def make_photo(width: int, height: int, path: Path) -> None:
    """The example's head at a third of the height, in a scene of that size, with a camera's noise."""
    head = cv2.imread(str(EXAMPLE))[0:300, 90:390]
    side = height // 2
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(60, 200, (9, 12, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    scene[height // 4 : height // 4 + side, width // 3 : width // 3 + side] = cv2.resize(
        head, (side, side), interpolation=cv2.INTER_LANCZOS4
    )
    noise = np.empty_like(scene, np.int16)
    cv2.randn(noise, (0, 0, 0), (3, 3, 3))
    cv2.imwrite(str(path), np.clip(scene + noise, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def matrix_rate(threads: int) -> tuple[float, str]:
    """GFLOP/s of a 1024³ product: bf16 with torch where it is installed, else float32 with numpy."""
    try:
        import torch
    except ImportError:
        a = np.ones((1024, 1024), np.float32)
        return 2 * 1024**3 / milliseconds(lambda: a @ a, 15) / 1e6, "float32, numpy"
    torch.set_num_threads(threads)
    b = torch.ones(1024, 1024, dtype=torch.bfloat16)
    return 2 * 1024**3 / milliseconds(lambda: b @ b, 15) / 1e6, "bf16, torch"


def networks(runs: int) -> None:
    face, plane = (1, 3, 256, 256), (1, 1, 256, 256)
    shapes = {
        "swift": {"image": face, "mask": plane, "landmarks": (1, 5, 2), "noise": plane},
        "cover": {"worn": (1, 3, COVER_PX, COVER_PX)},
        "second_look": {"image": (1, 3, LOOK_PX, LOOK_PX)},
        "finder": {"image": (1, 3, 640, 640)},
    }
    copy = np.ones(64 << 20, np.uint8)
    print(f"memory copy {64 / 1024 / milliseconds(copy.copy, runs) * 1e3:.1f} GiB/s")
    for threads in (1, 2):
        rate, how = matrix_rate(threads)
        print(f"{threads} thread(s): matrix product {rate:.0f} GFLOP/s ({how})")
        for name, wanted in shapes.items():
            inputs = {key: np.zeros(shape, np.float32) for key, shape in wanted.items()}
            row = []
            for exact in (False, True):
                engine = load_engine(find_weights(name)[0], threads=threads, exact=exact)
                row.append(milliseconds(lambda engine=engine, inputs=inputs: engine.run(inputs), runs))
            print(f"  {name:<11}: default {row[0]:7.1f} ms   float32 {row[1]:7.1f} ms")


def whole(path: Path, runs: int, threads: int) -> None:
    inpainter = open_inpainter("swift", threads=threads)
    out = path.with_name("out.jpg")

    def unmask() -> None:
        plan = inpainter.plan_unmask(read_photo(path))
        inpainter.complete(plan).save(out, overwrite=True)

    def plain() -> None:
        cv2.imwrite(str(out), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 90])

    cv2.setNumThreads(threads)
    unmask(), plain()
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(milliseconds_once(unmask))
        theirs.append(milliseconds_once(plain))
    # not getrusage, whose peak begins with that of the parent
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(
        f"  unmask {np.median(ours):8.0f} ms   decode + encode {np.median(theirs):8.0f} ms   "
        f"ratio {np.median(ours) / np.median(theirs):.2f}   peak memory {peak:.0f} MiB"
    )
    print(f"  of the processor: {', '.join(f'{name} {least:.0f} ms' for name, least in steps(inpainter, path, runs))}")


def steps(inpainter: Inpainter, path: Path, runs: int) -> list[tuple[str, float]]:
    """The least processor time of each step of a photo, in milliseconds."""
    names, rows = ("decode", "find", "what covers", "complete and paste", "encode"), []
    for _ in range(runs):
        marks = [time.process_time()]
        photo = read_photo(path)
        marks.append(time.process_time())
        found = inpainter.finder().find(photo.pixels)
        marks.append(time.process_time())
        inpainter.cover().find(photo.pixels, found)
        marks.append(time.process_time())
        plan = inpainter.plan_unmask(photo)
        middle = time.process_time()
        result = inpainter.complete(plan)
        marks.append(marks[-1] + time.process_time() - middle)
        middle = time.process_time()
        encode_photo(photo, result.photo, result.mask, provenance=result.provenance)
        marks.append(marks[-1] + time.process_time() - middle)
        rows.append(np.diff(marks) * 1e3)
    return list(zip(names, np.min(rows, axis=0).tolist(), strict=True))


def milliseconds_once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        whole(options.one, options.runs, options.threads)
        return
    networks(options.runs)
    with tempfile.TemporaryDirectory() as folder:
        for name, (width, height) in SIZES.items():
            path = Path(folder) / "photo.jpg"
            make_photo(width, height, path)
            print(f"{name}, {options.threads} thread(s)", flush=True)
            subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--one",
                    str(path),
                    "--runs",
                    str(max(3, options.runs // 3)),
                    "--threads",
                    str(options.threads),
                ],
                check=True,
            )


if __name__ == "__main__":
    main()
