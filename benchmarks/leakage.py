"""What the splits that judge share with the one that was learnt from: copies, and how near the nearest face is.

    python benchmarks/leakage.py DATASET [--learnt train] [--splits test-celeba,test-asian,test-generated]
        [--embedder embedder.onnx] [--audit FOLDER]

Prints a table: faces, near-duplicates by their pictures, and of the cosine to the nearest learnt face the
median, the 95th percentile, the largest, and how many lie above 0.75. --audit writes a line for each face.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from facefill.datasets.against import COLUMNS, TOO_NEAR, find_nearest
from facefill.datasets.manifest import format_manifest, read_manifest
from facefill.evaluation.features import Embedder
from facefill.files.whole import write_whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--learnt", default="train")
    parser.add_argument("--splits", default="test-celeba,test-asian,test-generated")
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--audit", type=Path)
    given = parser.parse_args()
    splits = given.splits.split(",")
    judged = {split: read_manifest(given.dataset, split) for split in splits}
    embed = Embedder(given.embedder).look if given.embedder else None
    found = find_nearest(
        [entry for split in splits for entry in judged[split]], read_manifest(given.dataset, given.learnt), embed
    )
    print(
        "| split | n | near-duplicates | nearest cosine: median | 95 % | largest | above 0.75 |\n"
        "|---|---|---|---|---|---|---|"
    )
    for split in splits:
        some, found = found[: len(judged[split])], found[len(judged[split]) :]
        cosines = np.array([one.cosine for one in some])
        cells = [f"{value:.2f}" for value in (np.median(cosines), np.quantile(cosines, 0.95), cosines.max())]
        print(
            f"| {split} | {len(some)} | {sum(bool(one.copy) for one in some)} | {' | '.join(cells)} | "
            f"{(cosines > TOO_NEAR).sum()} |"
        )
        if given.audit:
            write_whole(given.audit / f"{split}.csv", format_manifest([one.row() for one in some], COLUMNS))


if __name__ == "__main__":
    main()
