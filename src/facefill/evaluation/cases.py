"""Completes the pictures of protocols, as everybody's photos are completed."""

from collections.abc import Sequence

import numpy as np

from facefill.arrays import U8, Bool
from facefill.evaluation.photos import complete_photo
from facefill.evaluation.protocols import Case, Protocol, seed_of
from facefill.files.photo import read_photo
from facefill.runtime.inpainter import Inpainter


def complete_cases(inpainter: Inpainter, protocol: Protocol, cases: Sequence[Case]) -> U8:
    """(N, S, S, 3) pictures, completed as everybody's are: plan, run, finish."""
    if protocol.whole:
        return np.stack([complete_photo(inpainter, protocol, case) for case in cases])
    seeds = [seed_of(protocol, case.file) for case in cases]
    how = {"aligned": True, "covered": protocol.covers}
    plans = [inpainter.plan_complete(read_photo(case.shown), case.mask, **how) for case in cases]
    done = zip(plans, inpainter.run(plans, seed=seeds), seeds, strict=True)
    return np.stack([inpainter.finish(plan, drawn, seed=seed).photo for plan, drawn, seed in done])


def show_covered(protocol: Protocol, shown: U8, masks: Bool) -> U8:
    """(N, S, S, 3) of what covers the faces; a hole that no cover was drawn on shows nothing, mid-grey."""
    return shown if protocol.covers else np.where(masks[..., None], np.uint8(127), shown)
