"""How far completions of one face with different noise are apart, and what they lose.

    python benchmarks/spread.py DATASET --squeezenet squeezenet_v1.1.npz [--lpips-heads heads.npz] [--method swift]
        [--split test-celeba] [--faces 24] [--samples 5] [--holes centre,worn] [--sheet sheet.png]

The first sample is the default, drawn without noise. Prints for each hole: the mean perceptual distance of two samples
over that of the default from the truth, their mean absolute difference inside the hole in levels, how much hole PSNR
the others lose against the default on average and at worst, and the share of them that lose more than 1.5 dB.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from quality import hole_of, read_rows
from torch import Tensor

from facefill.arrays import U8
from facefill.evaluation.features import load_features
from facefill.files.photo import read_photo
from facefill.imaging.metrics import hole_psnr
from facefill.runtime.inpainter import open_inpainter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--squeezenet", type=Path, required=True)
    parser.add_argument("--lpips-heads", type=Path, required=True)
    parser.add_argument("--method", default="swift")
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--faces", type=int, default=24)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--holes", default="centre,worn")
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    inpainter = open_inpainter(given.method)
    (features,) = load_features((given.squeezenet,), given.lpips_heads)
    rows: list[U8] = []
    print(
        "| hole | faces | apart / from truth | levels apart | dB lost, mean | at worst | over 1.5 dB |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name in given.holes.split(","):
        apart, levels, lost = [], [], []
        for index, row in enumerate(read_rows(given.dataset, given.split, given.faces)):
            truth = read_photo(given.dataset / row["split"] / row["file"]).pixels
            shown, mask = hole_of(name, truth, row)
            plan = inpainter.plan_complete(read_photo(shown), mask, aligned=True, covered=name.startswith("worn"))
            drawn = np.stack(inpainter.run([plan], seed=index, samples=given.samples)[0].photos)
            completed = np.where(mask[..., None], drawn, truth)
            seen = features.look(np.concatenate([completed, truth[None]]))[0]
            pairs = list(combinations(range(given.samples), 2))

            def distance(one: int, other: int, seen: list[Tensor] = seen) -> float:
                return float(features.compare([layer[[one]] for layer in seen], [layer[[other]] for layer in seen])[0])

            apart.append(np.mean([distance(*pair) for pair in pairs]) / distance(0, given.samples))
            levels.append(
                np.mean([np.abs(drawn[one][mask].astype(int) - drawn[other][mask]).mean() for one, other in pairs])
            )
            psnr = [hole_psnr(one, truth, mask) for one in completed]
            lost += [psnr[0] - value for value in psnr[1:]]
            if index < 6:
                rows.append(np.concatenate([shown, *completed], 1))
        losses = np.array(lost)
        print(
            f"| {name} | {len(apart)} | {np.mean(apart):.3f} | {np.mean(levels):.1f} | {losses.mean():.2f} | "
            f"{losses.max():.2f} | {(losses > 1.5).mean():.1%} |",
            flush=True,
        )
    if given.sheet:
        cv2.imwrite(str(given.sheet), np.concatenate(rows)[..., ::-1])


if __name__ == "__main__":
    main()
