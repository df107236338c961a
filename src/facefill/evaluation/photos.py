"""Protocols of whole photos of uncovered people: a face mask drawn on one, or damage all over it; the truth is known.

`photo-worn` goes from the finder to blending, as `facefill unmask` does; where that refuses, the cover stays, and that
counts. The aligned face of 256 px is measured. `photo-scratch` is a mask that somebody drew; 256 x 256 pixels of the
photo around the face are measured as they are.
"""

from collections.abc import Sequence

import numpy as np

from facefill.arrays import U8, Bool, Points
from facefill.covers.wear import wear
from facefill.errors import InputError
from facefill.evaluation.protocols import FACE_MASKS, Case, Protocol, hole_rng, seed_of
from facefill.files.photo import read_photo
from facefill.imaging.crop import Crop
from facefill.imaging.masks import MASKS
from facefill.runtime.inpainter import Inpainter

DAMAGE = ("scratches", "text", "random20")
"""Names in `imaging.masks.MASKS`; each photo gets one of them."""
DRAWN_PX = (96, 768)
"""Between these the side of the face that a cover is drawn on is that of the photo's own pixels."""
FEWEST_PX = 100
"""Missing pixels that the measured part has at least."""


def draw_photo_case(protocol: Protocol, photo: U8, landmarks: Points, file: str) -> Case:
    """The photo (H, W, 3) with what this file's seed draws. landmarks: (5, 2) pixels of the photo.

    Raises InputError for a face that no cover can be drawn on.
    """
    rng = hole_rng(protocol.name, file)
    if protocol.covers:
        shown, hole = _wear(photo, landmarks, rng, file)
        crop = Crop.around_face(landmarks, protocol.size_px)
    else:
        crop, shown = _middle(photo, landmarks, protocol.size_px), photo
        hole = _damage(photo, crop, rng)
    inside = crop.take_mask(hole) & ~crop.outside(photo.shape)
    drawn = None if protocol.covers else hole
    return Case(file, crop.take(photo), crop.take(shown), inside, inside, shown, drawn, crop)


def complete_photo(inpainter: Inpainter, protocol: Protocol, case: Case) -> U8:
    """What a user gets of the case's photo, (S, S, 3) of it."""
    assert case.photo is not None
    assert case.crop is not None
    source, seed = read_photo(case.photo), seed_of(protocol, case.file)
    try:
        plan = inpainter.plan_unmask(source) if case.drawn is None else inpainter.plan_complete(source, case.drawn)
    except InputError:  # it is refused, and the photo stays as it is
        return case.shown
    return case.crop.take(inpainter.complete(plan, seed=seed).photo)


def _wear(photo: U8, landmarks: Points, rng: np.random.Generator, file: str) -> tuple[U8, Bool]:
    """The photo with a face mask drawn on, and what it covers. Chin and neck are in the square that it is drawn in."""
    side = int(np.clip(round(256 * Crop.around_face(landmarks, 256).scale), *DRAWN_PX))
    face = Crop.around_face(landmarks, side)
    square = Crop(side * 5 // 4, np.column_stack([face.matrix[:, :2], face.to_photo(np.array([-side / 8, 0.0]))]))
    kind = str(rng.choice(list(FACE_MASKS), p=list(FACE_MASKS.values())))
    before = square.take(photo)
    try:
        worn = wear(before, square.to_crop(landmarks), rng, kind, coverage="full")
    except InputError as error:
        raise InputError(error.expected, f"{error.got} in {file}", error.fix) from None
    changed = square.put_mask((worn.face != before).any(-1), photo.shape)
    return square.put(photo, worn.face, changed), square.put_mask(worn.mask, photo.shape)


def _middle(photo: U8, landmarks: Points, side: int) -> Crop:
    """The square of the photo's own pixels around the face, moved into the photo."""
    places = zip(landmarks.mean(0), photo.shape[1::-1], strict=True)
    x, y = (int(max(0, min(round(at - side / 2), end - side))) for at, end in places)
    return Crop(side, np.array([[1.0, 0, x], [0, 1.0, y]]))


def _damage(photo: U8, crop: Crop, rng: np.random.Generator) -> Bool:
    height, width = photo.shape[:2]
    draw = MASKS[str(rng.choice(DAMAGE))]
    while True:
        hole = np.ascontiguousarray(draw(max(height, width), rng)[:height, :width])
        if np.count_nonzero(crop.take_mask(hole)) >= FEWEST_PX and not hole.all():
            return hole


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
