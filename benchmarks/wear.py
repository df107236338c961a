"""How many faces `wear` covers in a second on one core, of each kind and of all as they are drawn.

    python benchmarks/wear.py DATASET [--faces 200] [--rounds 5]

Every round goes over the kinds in turn, so that other work on the machine slows all alike; the table has each kind's
median round, in processor time and in wall time. Faces are the first by the SHA-256 of their names.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from quality import by_hash

from facefill.covers.wear import KINDS, wear
from facefill.datasets.cache import list_entries
from facefill.datasets.manifest import MANIFEST_PX, scale_landmarks
from facefill.files.photo import read_photo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="aligned faces with a manifest that holds their landmarks")
    parser.add_argument("--split", default="train")
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side-px", type=int, default=256)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    entries = [entry for entry in list_entries(args.dataset, args.split) if entry.landmarks is not None]
    faces = []
    for entry in by_hash(entries, lambda entry: entry.row["file"])[: args.faces]:
        pixels = read_photo(entry.read()).pixels
        side = (args.side_px, args.side_px)
        points = scale_landmarks(entry.landmarks, MANIFEST_PX, args.side_px)
        faces.append((cv2.resize(pixels, side, interpolation=cv2.INTER_AREA), points))
    rng = np.random.default_rng(1)
    kinds: tuple[str | None, ...] = (None, *KINDS)
    rates: dict[str | None, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(args.rounds):
        for kind in kinds:
            some = faces if kind is None else faces[:: max(1, len(faces) // 40)]
            clocks = time.process_time(), time.perf_counter()
            for face, points in some:
                wear(face, points, rng, kind)
            spent = time.process_time() - clocks[0], time.perf_counter() - clocks[1]
            rates[kind].append((len(some) / spent[0], len(some) / spent[1]))
    print(f"{len(faces)} faces of {args.side_px} px, {args.rounds} rounds; faces per second of processor, of wall time")
    for kind in kinds:
        cpu, wall = np.median(np.array(rates[kind]), 0)
        print(f"{kind or 'all, by weight':16} {cpu:6.0f} {wall:6.0f}")


if __name__ == "__main__":
    main()
