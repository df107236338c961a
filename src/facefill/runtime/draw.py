"""Draws what plans ask for: fine parts at the photo's own size, then crop after crop, each straight into the photo."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facefill.arrays import U8, Bool
from facefill.imaging.biharmonic import biharmonic
from facefill.imaging.classical import fill_softly
from facefill.imaging.crop import put_all
from facefill.imaging.detail import match_grain, restore_contrast
from facefill.runtime.method_warnings import collect_warnings
from facefill.runtime.model import ClassicalModel, Model
from facefill.runtime.plan import Plan, Task, Window, within

CHUNK = 16
"""Crops that go to the model in one call, about: what bounds the memory of any mask."""
STAGES = 3
"""How many stages a plan's tasks have."""


@dataclass(frozen=True)
class Drawn:
    """A plan's completed photos, one per sample, and what the method warns of."""

    photos: list[U8]
    """(H, W, 3) each."""
    warnings: tuple[str, ...] = ()


@dataclass
class _Work:
    """A plan on its way: photos in work, by the number of their sample, and what of them is still missing."""

    plan: Plan
    seed: int
    photos: dict[int, U8]
    hidden: Bool
    warnings: dict[str, set[int]] = field(default_factory=dict)
    """Which tasks each sentence is about."""


_Group = tuple[_Work, list[int]]
"""Tasks of one plan that are put together, so that neither blends against the other's hole."""


def draw(model: Model, plans: Sequence[Plan], seeds: Sequence[int], samples: range, *, tell: bool) -> list[Drawn]:
    """Complete plans side by side. seeds: one per plan. samples: their numbers. tell: see
    `method_warnings.collect_warnings`."""
    works = [_begin(model, plan, seed, samples) for plan, seed in zip(plans, seeds, strict=True)]
    for stage in range(STAGES):
        groups = [(work, group) for work in works for group in _groups(work.plan.tasks, stage)]
        for work, group in groups:
            for task in (work.plan.tasks[index] for index in group):
                work.hidden[task.window] |= task.missing  # what is filled softly begins in what a face's crop drew
        for chunk in _chunks(groups):
            for sample in samples:
                patches = _complete(model, chunk, sample, tell)
                for work, group in chunk:
                    _put(work, sample, group, [patches.pop(0) for _ in group])
        for work, group in groups:
            for index in group:
                task = work.plan.tasks[index]
                work.hidden[task.window] &= ~task.missing
    return [
        Drawn(
            list(work.photos.values()),
            tuple(f"{len(tasks)} of {len(work.plan.tasks)} crops: {text}" for text, tasks in work.warnings.items()),
        )
        for work in works
    ]


def _begin(model: Model, plan: Plan, seed: int, samples: range) -> _Work:
    """With everything filled that takes no network."""
    photo, hidden = plan.photo.pixels, plan.hidden
    if plan.fine.any():
        rest = hidden & ~plan.fine
        if isinstance(model, ClassicalModel):
            photo = model.rule(photo, hidden)
            photo[rest] = plan.photo.pixels[rest]
        else:
            photo = biharmonic(photo, plan.fine, rest if rest.any() else None)
        hidden = rest
    return _Work(plan, seed, {sample: photo.copy() for sample in samples}, hidden.copy())


def _complete(model: Model, chunk: Sequence[_Group], sample: int, tell: bool) -> list[U8]:
    """The completed crop of each task of a chunk, in order; crops of one side run together."""
    wanted = [(work, index) for work, group in chunk for index in group]
    sides = [work.plan.tasks[index].crop.size for work, index in wanted]
    views = [work.plan.view(work.plan.tasks[index], work.photos[sample], work.hidden) for work, index in wanted]
    softly = [work.plan.tasks[index].softly is not None for work, index in wanted]
    patches = [fill_softly(*view) if soft else view[0] for view, soft in zip(views, softly, strict=True)]
    for side in dict.fromkeys(sides):
        places = [place for place, other in enumerate(sides) if other == side and not softly[place]]
        if not places:
            continue
        some = [wanted[place] for place in places]
        faces, masks = (np.stack(layer) for layer in zip(*(views[place] for place in places), strict=True))
        extra: dict[str, Any] = {}
        if "worn" in model.record.inputs:
            extra["worn"] = np.stack(
                [work.plan.worn(work.plan.tasks[index], mask) for (work, index), mask in zip(some, masks, strict=True)]
            )
        if "landmarks" in model.record.inputs:
            extra["landmarks"] = np.stack([work.plan.tasks[index].landmarks for work, index in some])
        seeds = [work.seed + index for work, index in some]
        with collect_warnings(tell=tell) as said:
            drawn = model.complete(faces, masks, seeds=seeds, first=sample, **extra)[:, 0]
        for place, patch in zip(places, drawn, strict=True):
            patches[place] = patch
        for text, rows in said:
            for row in rows:
                some[row][0].warnings.setdefault(text, set()).add(some[row][1])
    return patches


def _put(work: _Work, sample: int, group: list[int], patches: Sequence[U8]) -> None:
    """Put crops into the photo: on enlarged faces with the contrast and grain they lack."""
    photo, tasks = work.photos[sample], [work.plan.tasks[index] for index in group]
    window = _around([task.window for task in tasks], photo.shape)
    known = photo[window]
    crops = [task.crop.moved(-window[1].start, -window[0].start) for task in tasks]
    parts = [np.zeros(known.shape[:2], bool) for _ in tasks]
    for part, task in zip(parts, tasks, strict=True):
        part[within(task.window, window)] = task.missing
    # The patch holds the photo's own pixels beside the hole, so there is nothing left to blend.
    shown = list(patches)
    for place, crop in enumerate(task.crop for task in tasks):
        if crop.scale > 1:
            unseen = crop.take_mask(work.hidden) | crop.outside(work.hidden.shape)
            shown[place] = restore_contrast(shown[place], unseen, crop.scale)
    completed, missing = put_all(known, crops, shown, parts), np.logical_or.reduce(parts)
    scale = max(crop.scale for crop in crops)
    if scale > 1:
        completed = match_grain(known, completed, missing, np.random.default_rng(work.seed), detail_px=scale)
    for task in tasks:
        if task.softly is not None:
            part, before = completed[within(task.window, window)], known[within(task.window, window)]
            mixed = before + task.softly[..., None] * (part - before.astype(np.float32))
            part[task.missing] = np.rint(mixed).astype(np.uint8)[task.missing]
    known[missing] = completed[missing]


def _chunks(groups: Iterable[_Group]) -> Iterator[list[_Group]]:
    """Groups in order, until about `CHUNK` crops are together."""
    chunk: list[_Group] = []
    for group in groups:
        chunk.append(group)
        if sum(len(indices) for _, indices in chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _groups(tasks: Sequence[Task], stage: int) -> list[list[int]]:
    """Tasks of a stage whose windows touch; those at the photo's own size have nothing to blend, and stand alone."""

    def touch(one: Task, other: Task) -> bool:
        return all(a.start <= b.stop and b.start <= a.stop for a, b in zip(one.window, other.window, strict=True))

    groups: list[list[int]] = []
    for index, task in enumerate(tasks):
        if task.stage != stage:
            continue
        near = [group for group in groups if stage and any(touch(task, tasks[other]) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append(sorted([index, *(other for group in near for other in group)]))
    return groups


def _around(windows: Sequence[Window], shape: tuple[int, ...]) -> Window:
    """The window that holds all, with a quarter of its size as a margin, cut to the photo."""
    cut = []
    for axis, limit in enumerate(shape[:2]):
        low, high = min(w[axis].start for w in windows), max(w[axis].stop for w in windows)
        margin = max(16, (high - low) // 4)
        cut.append(slice(max(0, low - margin), min(limit, high + margin)))
    return cut[0], cut[1]
