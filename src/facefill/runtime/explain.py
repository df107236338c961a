"""Sheets that show how the crops of a plan were completed: one row for each crop."""

from typing import Any

import numpy as np

from facefill.arrays import U8, Bool
from facefill.errors import InputError
from facefill.imaging.sheets import blending_steps, draw_offsets, mean_distance, side_by_side, spread_map
from facefill.runtime.draw import Drawn
from facefill.runtime.model import Model
from facefill.runtime.plan import Plan, Task


def draw_attention(model: Model, plan: Plan) -> U8:
    """Each crop with its hole coloured by where it borrows from, see `draw_offsets`. Raises InputError."""
    rows = []
    for _, _, face, mask in _crops(plan):
        offset = model.borrowed(face[None], mask[None])[0]
        cells = (len(face) + 7) // 8, (len(face[0]) + 7) // 8
        rows.append(draw_offsets(face, offset[:, : cells[0], : cells[1]], mask))
    return np.concatenate(rows)


def draw_steps(model: Model, plan: Plan, seed: int) -> U8:
    """The steps of blending what the method drew into each crop, see `imaging.sheets.blending_steps`."""
    rows = []
    for index, task, face, mask in _crops(plan):
        extra = {"worn": plan.worn(task, mask)[None], "landmarks": task.landmarks[None]}
        given: dict[str, Any] = {name: extra[name] for name in model.record.inputs if name in extra}
        filled = model.fill(face[None], mask[None], [seed + index], range(1), given)[0, 0]
        rows.append(side_by_side(blending_steps(face, filled, mask)))
    return np.concatenate(rows)


def draw_samples(plan: Plan, drawn: Drawn) -> tuple[U8, U8, float]:
    """All samples of each crop side by side, where they differ, and by how much on average, see `imaging.sheets`."""
    rows = []
    for _, task, _, mask in _crops(plan):
        samples = np.stack([task.crop.take(photo) for photo in drawn.photos])
        rows.append((side_by_side(samples), spread_map(samples), mean_distance(samples, mask)))
    sheets, spreads, distances = zip(*rows, strict=True)
    return np.concatenate(sheets), np.concatenate(spreads), float(np.mean(distances))


def _crops(plan: Plan) -> list[tuple[int, Task, U8, Bool]]:
    """The tasks for the network, their places, crops and what of those is missing. Raises InputError without any."""
    crops = [
        (index, task, *crop)
        for index, (task, crop) in enumerate(zip(plan.tasks, plan.crops, strict=True))
        if task.softly is None
    ]
    if not crops:
        fix = "use another method, or a wider hole"
        raise InputError("a hole that a network completes in a crop", "one that is filled at the photo's own size", fix)
    return crops
