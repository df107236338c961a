"""Which pixels of a photo cover its faces: face masks, sunglasses, hands ..."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, U8, Bool
from facefill.choices import pick
from facefill.imaging.crop import Crop
from facefill.imaging.masks import bounding_box, nearest
from facefill.runtime.engine import Engine
from facefill.runtime.finder import Face
from facefill.runtime.model import to_network

KINDS = ("mask", "sunglasses", "other", "hand")
"""What covers a face, in the order of the network's outputs: a face mask or scarf; sunglasses; another thing; a hand. A
network of three outputs calls hands other things, and one of a single output tells nothing apart."""
FACE_PX = 256
"""Side of the aligned face (`Crop.around_face`) in the network's picture."""
SIDE_PX = 320
"""Side of the network's picture."""
INSET_PX = 32
"""Columns beside the aligned face on either side; twice as many rows are below it, none above."""
OUTSIDE = 128
"""Level of all channels where the photo does not reach."""
THRESHOLD = 0.5
"""Probability from which a pixel counts as covered."""
SURE = 0.95
"""Probability that a tenth of a cover's pixels have; shadows and clothes that are taken for covers seldom do."""
SMALLEST_PX = 0.004 * FACE_PX**2
"""A spot of less than this, 0.4 % of the aligned face, is no cover and is dropped; such a hole in a cover is filled."""
DOUBT = 0.1
"""Probability up to which the network rules a pixel out, whatever it looks like."""
LIKE_LEVELS = 20.0
"""Distance in RGB up to which a pixel looks like the cover beside it."""
REACH_PX = 16
"""How far from the found edge a pixel is looked at, twice over."""
STRAP = 0.25
"""Probability from which a pixel belongs to what leads away from a cover as an ear strap does."""
HUG_PX = 3
"""So near to a cover's edge it is that edge of which the network is unsure, and no strap."""
STRAP_REACH_PX = 10
"""How far a strap leads away from its cover, at least."""
STRAP_WIDTH_PX = 10
"""A strap's area over how far it leads away, at most."""
BESIDE_PX = (32, 64)
"""Between these distances from where a cover leaves the square it is told whether it goes on."""
GOES_ON = 0.92
"""Median probability there of a cover that goes on beyond the square: 0.93 to 1.00 on 13 photos; of clothes and heads
that are taken for a part of one it was 0.52 to 0.91 on 16."""
WIDER = 1.25
"""Side of the squares that are looked at then, over that of the first: wider ones show smaller faces than it knows."""
LOWER_PX = (0, 80)
"""How far down each of them lies, in pixels of the first."""
STRAIGHT_PX = SIDE_PX // 8
"""Along so much of an edge of a square a cover may end where wider ones don't carry it on."""
GARMENT = 0.25
"""What goes on over more than this share of the aligned face's area is worn as a garment, and stays below the chin."""
HELD, HELD_DEPTH_PX, HELD_PX = 0.9, 5, 15
"""Above it, what is a cover is left of it: what lies deep inside pixels of this probability, and so near to that."""
COLLAR_MIDDLE_PX, COLLAR_AXES_PX = (160, 150), (125, 140)
"""The ellipse in the square, (column, row), outside of which nothing of a garment is held: it ends in a collar."""
RIM_PX, BEYOND_PX = 6, (9, 18)
"""Beside a hole: what may be a rest of the cover, and what that is compared with."""
REST_LEVELS, NEARER = 60.0, 0.6
"""A rest is so near to the cover in RGB, and so many times nearer than to what lies beyond."""
MOST_REST = 0.1
"""Share of a rim above which something of the cover is left beside the hole."""
_MARGIN_PX = 17
"""Around what may be covered: a square of this side is no pinhole, see `SMALLEST_PX`, nor is what lies beyond."""
GROW_PX = 6
"""How far the mask grows beyond the found edge: a rim of the cover that stays bleeds into the completed skin; from 9 on
outlines of the face blur."""

QUICK_PX, QUICK_GROW_PX = 288, 5
"""Side of the view of a camera's face, with four fifths of the pixels, and how far what is found grows in it; in one of
224 px straps go on into the hair."""


@dataclass(frozen=True)
class FoundCover:
    """What covers a face of a photo."""

    window: tuple[slice, slice]
    """Rows and columns of the photo that hold the cover; empty where nothing covers the face."""
    missing: Bool
    """True where the face is covered, in the window's pixels."""
    kinds: tuple[str, ...] = ()
    """Kinds from `KINDS`, the largest first; empty where the network does not tell."""
    cut: bool = False
    """Whether what looks like it goes on where its mask ends."""
    left_on: tuple[str, ...] = ()
    """Kinds that cover the face too and were not asked for, the largest first."""

    def mask(self, shape: tuple[int, ...]) -> Bool:
        """(H, W) of a photo of that shape."""
        mask = np.zeros(shape[:2], bool)
        mask[self.window] = self.missing
        return mask


def read_kinds(text: str) -> tuple[str, ...]:
    """Kinds of covers from their names with commas; `all` stands for every kind. Raises InputError for another."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        pick({**dict.fromkeys(KINDS), "all": None}, name, "kind of cover")
    return KINDS if "all" in names else names


@dataclass(frozen=True)
class _SeenSquare:
    """What the network sees in one square of (S, S) pixels."""

    square: Crop
    inside: Bool
    """Which of the square's pixels the photo has."""
    scores: F32
    """(kinds, S, S), 0 for those that were not asked for."""
    others: F32
    """(kinds, S, S), of those alone."""
    score: F32
    """(S, S), for any kind; 0 outside the photo."""
    mask: Bool
    """What is covered, before it is grown."""

    def leaves(self, grown: Bool) -> Bool:
        """Where a grown mask meets the square's edge while the photo goes on."""
        rim = np.ones_like(grown)
        rim[1:-1, 1:-1] = False
        return grown & rim & self.inside

    def ends(self, placed: Bool) -> bool:
        """Whether what is placed in a photo (H, W) ends in a straight line at an edge of the square."""
        step = max(2, math.ceil(1.5 / self.square.scale))
        corner = self.square.to_photo(np.full(2, -float(step)))
        around = Crop(self.square.size + 2 * step, np.column_stack([self.square.matrix[:, :2], corner]))
        placed, known = around.take_mask(placed), ~around.outside(placed.shape)
        along = slice(step, -step)
        edges = (((-step - 1, along), (-1, along)), ((along, step), (along, 0)), ((along, -step - 1), (along, -1)))
        return any(np.sum(placed[edge] & ~placed[out] & known[out]) > STRAIGHT_PX for edge, out in edges)


class Cover:
    """Finds covers with a network. engine: an `Engine` of cover.onnx (input `worn`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, photo: U8, faces: Sequence[Face], kinds: Collection[str] = KINDS) -> list[FoundCover]:
        """What of these kinds covers each face of a (H, W, 3) uint8 RGB photo."""
        return [self._find(photo, square_around(face), kinds) for face in faces]

    def find_quickly(self, frame: U8, face: Face) -> FoundCover:
        """What covers a face of a (H, W, 3) uint8 RGB frame: what the network says of a smaller view, without
        the second thoughts that a photo is worth."""
        square = square_around(face, QUICK_PX)
        score = self.probabilities(view_of(frame, square)).sum(0)
        mask = grow(with_straps(clean(score > THRESHOLD), score), QUICK_GROW_PX)
        placed = square.put_mask(mask & ~square.outside(frame.shape), frame.shape)
        x0, y0, x1, y1 = bounding_box(placed)
        window = slice(y0, y1), slice(x0, x1)
        return FoundCover(window, placed[window].copy())

    def _find(self, photo: U8, square: Crop, kinds: Collection[str]) -> FoundCover:
        look = self._look(photo, square, kinds)
        mask, grown = look.mask, clean(grow(look.mask, GROW_PX))
        placed = square.put_mask(grown, photo.shape)
        leaves = look.leaves(grown)
        cut = False
        if leaves.any():
            found = self._further(photo, look, placed, kinds) if goes_on(look.mask, look.score, leaves) else None
            if found is None:
                mask = end_garment(look.mask, look.score, reaching(grown, leaves))
                placed, cut = square.put_mask(clean(grow(mask, GROW_PX)), photo.shape), True
            else:
                placed, last = found
                cut = _is_cut(photo, placed, look, last.square)
        x0, y0, x1, y1 = bounding_box(placed)
        window = slice(y0, y1), slice(x0, x1)
        return FoundCover(window, placed[window].copy(), kinds_of(mask, look.scores), cut, _left_on(photo, look))

    def _look(self, photo: U8, square: Crop, kinds: Collection[str]) -> _SeenSquare:
        view = view_of(photo, square)
        said = self.probabilities(view)
        asked = np.isin(KINDS[: len(said)], tuple(kinds))[:, None, None] | (len(said) == 1)
        scores, others = said * asked, said * ~asked
        inside = ~square.outside(photo.shape)
        score = scores.sum(0) * inside
        return _SeenSquare(square, inside, scores, others, score, outline(score, view))

    def _further(
        self, photo: U8, first: _SeenSquare, placed: Bool, kinds: Collection[str]
    ) -> tuple[Bool, _SeenSquare] | None:
        """What is placed (H, W) and all of the cover that goes on from there, and the last look; None for a garment,
        which goes on and on.

        Wider looks may add what the look before rules out only where they are sure of it.
        """
        looks, whole = [first], placed
        most = np.count_nonzero(placed) + GARMENT * (FACE_PX * first.square.scale) ** 2
        for lower_px in LOWER_PX:
            ruled_out = looks[-1].square.put_mask(looks[-1].score <= DOUBT, photo.shape)
            look = self._look(photo, wider(first.square, lower_px), kinds)
            held = look.square.take_mask(whole)
            more = look.mask & (~look.square.take_mask(ruled_out) | (look.score > SURE))
            grown = clean(grow(clean(more & reaching(more | held, held)), round(GROW_PX / WIDER)))
            whole = whole | look.square.put_mask(grown, photo.shape)
            if np.count_nonzero(whole) > most:
                return None
            if not look.leaves(grown)[1:].any():
                return None if any(before.ends(whole) for before in looks) else (whole, look)
            looks.append(look)
        return None

    def probabilities(self, view: U8) -> F32:
        """(kinds, S, S): how sure the network is that a cover of each kind hides each pixel of a (S, S, 3) view."""
        return np.asarray(next(iter(self._engine.run({"worn": to_network(view[None])}).values()))[0], np.float32)


def _left_on(photo: U8, look: _SeenSquare) -> tuple[str, ...]:
    """The kinds that would have been found, too, had they been asked for."""
    if not look.others.any():
        return ()
    return kinds_of(outline(look.others.sum(0) * look.inside, view_of(photo, look.square)), look.others)


def _is_cut(photo: U8, placed: Bool, first: _SeenSquare, square: Crop) -> bool:
    """Whether what looks like the cover is left beside what is placed (H, W), or what the first look did not reach."""
    view, hole, inside = view_of(photo, square), square.take_mask(placed), ~square.outside(photo.shape)
    cover, reached = (
        square.take_mask(first.square.put_mask(mask, photo.shape))
        for mask in (_deep(first.mask & (first.score > HELD)), np.ones_like(first.mask))
    )
    rims = ((inside, 0.0), (~reached, LIKE_LEVELS))
    return any(rest_beside(view, hole, cover, rim, inside, alike) > MOST_REST for rim, alike in rims)


def square_around(face: Face, side_px: int = SIDE_PX) -> Crop:
    """The square that the network looks at, in pixels of that side. Raises ValueError where landmarks fall together."""
    aligned = Crop.around_face(np.asarray(face.landmarks, np.float64), FACE_PX)
    grown = SIDE_PX / side_px
    middle = (grown - 1) / 2  # of the first of its pixels
    corner = aligned.to_photo(np.array([middle - INSET_PX, middle]))
    return Crop(side_px, np.column_stack([aligned.matrix[:, :2] * grown, corner]))


def wider(square: Crop, lower_px: int) -> Crop:
    """The square of as many pixels that is `WIDER`, with its top so far below this one's, both around one axis."""
    beside = (1 - WIDER) / 2
    corner = square.to_photo(np.array([beside * square.size - beside, lower_px - beside]))
    return Crop(square.size, np.column_stack([square.matrix[:, :2] * WIDER, corner]))


def view_of(photo: U8, square: Crop) -> U8:
    """(S, S, 3), the square of a photo, `OUTSIDE` where the photo does not reach."""
    view = square.take(photo)
    view[square.outside(photo.shape)] = OUTSIDE
    return view


def kinds_of(mask: Bool, scores: F32) -> tuple[str, ...]:
    """What a mask consists of, the largest part first; parts too small to be a cover are none."""
    if len(scores) == 1:
        return ()
    counts = np.bincount(scores[:, mask].argmax(0), minlength=len(KINDS))
    return tuple(KINDS[kind] for kind in np.argsort(-counts, kind="stable") if counts[kind] >= SMALLEST_PX)


def outline(score: F32, view: U8) -> Bool:
    """What is covered, (S, S), before it is grown. score: (S, S), how probable a cover is. view: (S, S, 3)."""
    covered = np.zeros(score.shape, bool)
    x0, y0, x1, y1 = bounding_box(score > DOUBT, _MARGIN_PX)
    if x1 > x0:  # beyond, the network rules out whatever follows
        part = np.s_[y0:y1, x0:x1]
        score, view = score[part], view[part]
        mask = follow(trust(clean(score > THRESHOLD), score), view, score)
        covered[part] = clean(with_straps(mask, score))
    return covered


def clean(mask: Bool) -> Bool:
    """A copy without specks, and with pinholes filled; both below `SMALLEST_PX`."""
    cleaned = mask.copy()
    x0, y0, x1, y1 = bounding_box(mask, _MARGIN_PX)
    part = cleaned[y0:y1, x0:x1]
    for value in (True, False) if part.size else ():
        labels, areas = _pieces(part == value, 4)
        small = areas < SMALLEST_PX
        small[0] = False
        if small.any():
            part ^= small[labels]
    return cleaned


def _pieces(mask: Bool, connectivity: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The number of the piece that each pixel belongs to, 0 where the mask is False, and each piece's area."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=connectivity)
    return np.asarray(labels, np.int32), np.bincount(labels.ravel(), minlength=count)


def trust(mask: Bool, score: F32) -> Bool:
    """A copy without the pieces of which the network is not sure anywhere: a tenth of a piece is above `SURE`."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    unsure = [label for label in range(1, count) if np.quantile(score[labels == label], 0.9) < SURE]
    return mask & ~np.isin(labels, unsure) if unsure else mask


def follow(mask: Bool, view: U8, score: F32) -> Bool:
    """Extend a mask to what hangs together with it, looks like the cover and is not ruled out by the network.

    The network is unsure where covers are of an unusual make, and then stops in the middle of one; colour goes on.
    mask, score: (S, S). view: (S, S, 3).
    """
    picture = cv2.GaussianBlur(view, (0, 0), 1.5).astype(np.float32)
    for _ in range(2):
        depth, height = (cv2.distanceTransform(part.view(np.uint8), cv2.DIST_L2, 5) for part in (mask, ~mask))
        inner = (depth > 5) & (depth <= 20)
        if not inner.any():
            break
        beside = ~mask & (height <= REACH_PX) & (score > DOUBT)
        able = mask.copy()
        able[beside] = np.linalg.norm(picture[beside] - nearest(picture, inner, beside), axis=1) < LIKE_LEVELS
        mask = clean(reaching(able, mask))
    return mask


def reaching(mask: Bool, seeds: Bool) -> Bool:
    """The pieces of a mask in which a seed lies. All (S, S)."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    held = np.zeros(count, bool)
    held[labels[mask & seeds]] = True
    return np.asarray(held[labels], bool)


def goes_on(mask: Bool, score: F32, leaves: Bool) -> bool:
    """Whether the network is sure of what leaves its square, (S, S), a little way inside."""
    away = cv2.distanceTransform((~leaves).view(np.uint8), cv2.DIST_L2, 5)
    beside = mask & (away >= BESIDE_PX[0]) & (away < BESIDE_PX[1])
    return bool(beside.any() and np.median(score[beside]) >= GOES_ON)


def end_garment(mask: Bool, score: F32, part: Bool) -> Bool:
    """A copy of a mask in which of this part only that is left of which the network is sure, and what is near it."""
    rows, columns = np.ogrid[:SIDE_PX, :SIDE_PX]
    (x, y), (across, down) = COLLAR_MIDDLE_PX, COLLAR_AXES_PX
    within_collar = ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1
    sure = _deep(mask & part & (score > HELD)) & within_collar
    return clean(mask & (~part | grow(sure, HELD_PX)))


def _deep(mask: Bool) -> Bool:
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 5) > HELD_DEPTH_PX)


def rest_beside(view: U8, hole: Bool, cover: Bool, rim: Bool, inside: Bool, alike: float = 0.0) -> float:
    """The share of a hole's rim, `RIM_PX` wide, that looks like the cover and not like what lies beyond.

    view: (S, S, 3). cover, rim, inside: (S, S), pixels of the cover, those to look at, and those that the photo has.
    alike: levels from the cover up to which a pixel is a rest of it even where the same lies beyond.
    """
    height = cv2.distanceTransform((~hole).view(np.uint8), cv2.DIST_L2, 5)
    rim = rim & inside & (height > 0) & (height <= RIM_PX)
    beyond = inside & (height > BEYOND_PX[0]) & (height <= BEYOND_PX[1])
    if not (rim.any() and cover.any() and beyond.any()):
        return 0.0
    picture = cv2.GaussianBlur(view, (0, 0), 1.5).astype(np.float32)
    to_cover, to_beyond = (np.linalg.norm(picture[rim] - nearest(picture, of, rim), axis=1) for of in (cover, beyond))
    return float(np.mean((to_cover < alike) | ((to_cover < REST_LEVELS) & (to_cover < NEARER * to_beyond))))


def with_straps(mask: Bool, score: F32) -> Bool:
    """A copy with what begins at the mask and leads away from it, long and narrow; the network is less sure of ear
    straps than of what they hold."""
    away = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, 5)
    able = (score > STRAP) & ~mask
    labels, areas = _pieces(able & (away > HUG_PX), 8)
    near, far = np.full(len(areas), np.inf), np.zeros(len(areas))
    beside = labels > 0
    np.minimum.at(near, labels[beside], away[beside])
    np.maximum.at(far, labels[beside], away[beside])
    strap = ((near < HUG_PX + 2) & (far >= STRAP_REACH_PX) & (areas < STRAP_WIDTH_PX * far))[labels]
    return np.asarray(mask | strap | (able & grow(strap, HUG_PX + 1)), bool)


def grow(mask: Bool, radius_px: int) -> Bool:
    """Dilate by a disc."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)
