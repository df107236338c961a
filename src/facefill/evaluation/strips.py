"""A picture for every completed face: input, truth and prediction side by side, with PSNR and SSIM underneath."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.evaluation.benchmark import Bench, EvaluationProgress, complete_case
from facefill.evaluation.photos import show_covered
from facefill.evaluation.protocols import Case
from facefill.files.photo import encode_picture
from facefill.imaging import metrics

FOOT_PX = 20
SMALLEST_PX = 256
"""Smaller faces are enlarged to this, in whole pixels."""


def write_strips(bench: Bench) -> Iterator[EvaluationProgress]:
    """Complete every face again and write report/per-picture/<dataset>/<protocol>/<method>/<file>.png."""
    for dataset in bench.datasets:
        for protocol in bench.protocols:
            for entry in bench.entries:
                folder = bench.settings.report / "per-picture" / dataset.name / protocol.name / entry.label
                count = bench.count(entry.label, dataset)
                for done, face in enumerate(dataset.faces[:count]):
                    case, completed = complete_case(bench, dataset, protocol, entry.label, face.file)
                    shown = show_covered(protocol, case.shown[None], case.mask[None])[0]
                    path = folder / PurePosixPath(face.file).with_suffix(".png")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(encode_picture(draw_strip(shown, case, completed)))
                    yield EvaluationProgress(f"{dataset.name} {protocol.name} {entry.label}, pictures", done + 1, count)


def draw_strip(shown: U8, case: Case, completed: U8) -> U8:
    """What the method saw, the truth and the completion, (S + 20, 3 S + 8, 3), with the values of this picture."""
    psnr, ssim = metrics.psnr(completed, case.truth), metrics.ssim(completed, case.truth)
    said = ("input", "truth", f"prediction  PSNR {psnr:.2f} dB  SSIM {ssim:.3f}")
    times = -(-SMALLEST_PX // len(shown))
    tiles = []
    for picture, text in zip((shown, case.truth, completed), said, strict=True):
        large = picture.repeat(times, 0).repeat(times, 1)
        tile = cv2.copyMakeBorder(large, 0, FOOT_PX, 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        cv2.putText(tile, text, (2, len(large) + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.concatenate(tiles, 1)[:, :-4]
