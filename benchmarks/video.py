"""Speed and flicker of `facefill video`, on a film made of the example portrait: 1280 × 720, one face, H.264.

    python benchmarks/video.py [--frames 200] [--rounds 3] [--threads 2] [--every 1,2,4] [--sheet sheet.png]

Each round decodes and encodes the film without completing, and with, one after the other: each face drawn in every
frame, in every second one ... Flicker: mean absolute
difference of the hole between two frames, on a still face under camera noise of 2 grey levels.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from facefill.files.photo import read_photo
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.model import load
from facefill.runtime.pace import DRAWN_EVERY
from facefill.runtime.stream import Seen, Stream
from facefill.video.film import open_film, read_frames, to_rgb
from facefill.video.run import convert

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut-surgical.jpg"
WIDTH, HEIGHT, FPS = 1280, 720, 25
JOB = {"method": "swift", "weights": "benchmark"}


def draw_frames(count: int, *, still: bool = False) -> list[np.ndarray]:
    """The portrait as a hand-held camera would see it: moving, turning, noisy."""
    portrait = cv2.resize(read_photo(EXAMPLE).pixels, (1400, 1400), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    frames = []
    for index in range(count):
        at = 0 if still else index
        matrix = cv2.getRotationMatrix2D((640, 400), 4 * np.sin(at / 20), 1 + 0.05 * np.sin(at / 33))
        matrix[:, 2] += -60 + 40 * np.sin(at / 15), -60 + 20 * np.sin(at / 11)
        view = cv2.warpAffine(portrait, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frames.append(np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8))
    return frames


def write_film(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


class Untouched(Stream):
    """Leaves every frame as it is: what decoding and encoding cost alone."""

    def look(self, pixels: np.ndarray) -> Seen:
        return Seen(pixels, 0, {})


def flicker(stream: Stream, frames: list[np.ndarray]) -> tuple[float, float]:
    """Mean and largest mean absolute difference of the hole between two frames, after the first ten."""
    shown = [stream.complete(frame) for frame in frames][10:]
    still = np.logical_and.reduce([frame.mask for frame in shown])
    changes = [
        np.abs(one.pixels[still].astype(int) - other.pixels[still]).mean() for one, other in itertools.pairwise(shown)
    ]
    return float(np.mean(changes)), float(max(changes))


def write_sheet(path: Path, films: list[Path], count: int = 6) -> None:
    """Frames of several films, one row each."""
    rows = []
    for film in films:
        with open_film(film) as opened:
            frames = [to_rgb(frame) for frame in read_frames(opened, None)]
        rows.append(
            np.hstack(
                [
                    cv2.resize(frames[at], (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
                    for at in np.linspace(0, len(frames) - 1, count).astype(int)
                ]
            )
        )
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=lambda text: [int(every) for every in text.split(",")], default=[DRAWN_EVERY])
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    threads = max(1, options.threads // 2)  # as the command shares them out
    model, finder, cover = load("swift", threads=threads), open_finder(threads=threads), open_cover(threads=threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_film(folder / "in.mp4", draw_frames(options.frames))
        kinds: dict[str, Callable[[], Stream]] = {"decode and encode": lambda: Untouched(finder, cover, model)}
        for every in options.every:
            kinds[f"drawn every {every}"] = lambda every=every: Stream(finder, cover, model, every=every)
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        costs: dict[str, list[float]] = {kind: [] for kind in rates}
        for _ in range(options.rounds):
            for kind, open_stream in kinds.items():
                start, spent = time.perf_counter(), time.process_time()
                convert(folder / "in.mp4", folder / "out.mp4", open_stream, JOB | {"kind": kind}, overwrite=True)
                rates[kind].append(options.frames / (time.perf_counter() - start))
                costs[kind].append((time.process_time() - spent) / options.frames * 1e3)
        for kind, values in rates.items():
            print(
                f"{kind:20} {np.median(values):6.1f} frames/s ({min(values):.1f} to {max(values):.1f}), "
                f"{np.median(costs[kind]):.0f} ms of processor time a frame"
            )
        alone = np.median(rates["decode and encode"])
        for kind in list(kinds)[1:]:
            mean, most = flicker(kinds[kind](), draw_frames(40, still=True))
            print(
                f"{kind:20} {np.median(rates[kind]) / alone:.2f} of decode and encode; flicker of a still face: "
                f"{mean:.2f} grey levels, at most {most:.2f} between two frames"
            )
        print(f"{options.threads} threads, {options.frames} frames, {options.rounds} rounds")
        if options.sheet:
            write_sheet(options.sheet, [folder / "in.mp4", folder / "out.mp4"])


if __name__ == "__main__":
    main()
