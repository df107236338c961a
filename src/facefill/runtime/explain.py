"""Sheets that show how the crops of a plan were completed: one row for each crop."""

from __future__ import annotations

import numpy as np

from facefill.imaging.sheets import blending_steps, draw_offsets, mean_distance, side_by_side, spread_map
from facefill.runtime.model import Model
from facefill.runtime.plan import U8, Plan


def draw_attention(model: Model, plan: Plan) -> U8:
    """Each crop with its hole coloured by where it borrows from, see `imaging.sheets.draw_offsets`.

    Raises InputError for a method that borrows nothing.
    """
    faces, masks = plan.crops
    offsets = model.borrowed(faces, masks)
    cells = (len(faces[0]) + 7) // 8, (len(faces[0][0]) + 7) // 8
    return np.concatenate([draw_offsets(face, offset[:, : cells[0], : cells[1]], mask)
                           for face, offset, mask in zip(faces, offsets, masks, strict=True)])


def draw_steps(model: Model, plan: Plan, seed: int) -> U8:
    """The steps of blending what the method drew into each crop, see `imaging.sheets.blending_steps`."""
    faces, masks = plan.crops
    worn = {"worn": plan.worn} if "worn" in model.record.inputs else {}
    filled = model.fill(faces, masks, [seed + index for index in range(len(faces))], 1, worn)[:, 0]
    return np.concatenate([side_by_side(blending_steps(face, one, mask))
                           for face, one, mask in zip(faces, filled, masks, strict=True)])


def draw_samples(plan: Plan, patches: U8) -> tuple[U8, U8, float]:
    """All samples (N, samples, S, S, 3) of each crop side by side, where they differ, and by how much on average, see
    `imaging.sheets`."""
    faces, masks = plan.crops
    completed = np.where(masks[:, None, :, :, None], patches, faces[:, None])
    distances = [mean_distance(samples, mask) for samples, mask in zip(completed, masks, strict=True)]
    return (np.concatenate([side_by_side(samples) for samples in completed]),
            np.concatenate([spread_map(samples) for samples in completed]), float(np.mean(distances)))
