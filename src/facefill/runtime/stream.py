"""The faces of one film or camera completed frame after frame, so that nothing flickers.

Networks draw a face in every frame or every few, and wherever it changes. Between, what they drew is carried along with
the face.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from facefill.arrays import F32, U8, Bool
from facefill.imaging.crop import Crop, Matrix, chain, inverse
from facefill.imaging.masks import bounding_box
from facefill.runtime.cover import Cover
from facefill.runtime.helpers import Finds
from facefill.runtime.model import Model
from facefill.runtime.pace import DRAWN_EVERY, Pace
from facefill.runtime.plan import LARGEST_SHARE
from facefill.runtime.track import Track, Tracker

GLANCE_PX = 32
"""Side of the aligned face in which it is seen whether a face has changed."""
BESIDE_PX = 4
"""Width of its rim that is ignored: hair, and what lies behind the head."""
CHANGED_LEVELS = 16.0
"""Change of any pixel of it, in grey levels, from which the face is drawn anew at once."""
ANCHOR_PX = 4.0
"""How far a carried square may be from the aligned one, in its own pixels, before the face is aligned again."""
HOLD = 0.945
"""What is covered stays so for a while where the face has not changed: at 0.945 a pixel that is no longer covered is
held for twelve frames. The network may lose a strap in one frame and find it in the next."""
RISE, FALL = 1 / 3, 1 / 8
"""How much of what is drawn comes in each frame where a face that does not change is newly covered, and goes where one
is no longer covered; there it goes from the edges, too, by a pixel of the aligned face in each frame."""
SOFT_PX = 5
"""Over so many pixels of the aligned face a hole's edge is soft; it stands more than half of them beside the cover."""
STILL_SHARE = 0.3
"""How much of the way to what was drawn last a still face's hole goes in each frame."""
WARM_FRAMES = 60
"""So many frames of a camera are no measure of how fast networks are: the first ones wait for them to be loaded."""
MOVED_LEVELS = 12.0
"""Mean change of a face, in grey levels, from which its hole shows at once what was drawn."""


@dataclass(frozen=True)
class _Drawing:
    """What networks made of a face in one frame."""

    frame: int
    home: Crop
    """Its square, in the first frame of its track."""
    cover: F32
    """(S, S), 1 where it is covered, less for each frame since it was."""
    fresh: float
    """How much of the way to what is drawn its hole goes in each frame."""
    changed: Bool
    """(S, S), where the face has changed since it was drawn before: what is newly covered there is hidden at once."""
    patch: F32
    """(S, S, 3), the face with what is drawn in its hole."""

    def hole(self, frame: int) -> Bool:
        """(S, S), where it is covered in its own frame or a later one."""
        return np.asarray((self.cover >= 1) | (self.cover * np.float32(HOLD ** (frame - self.frame)) > 0.5))

    @property
    def too_covered(self) -> bool:
        return bool(self.hole(self.frame).mean() > LARGEST_SHARE)

    @property
    def is_wanted(self) -> bool:
        return bool(self.hole(self.frame).any()) and not self.too_covered


_Drawings = Future[dict[int, _Drawing]]
"""What networks made of faces of one frame, by the number of the track; where only the cover is found, the patch is the
face as it is."""


@dataclass(frozen=True)
class _Order:
    """A face that networks are to draw."""

    track: Track
    frame: int
    home: Crop
    glance: F32
    """(G, G, 3), the face as it looks in this frame."""
    changed: Bool
    """(S, S), where it does not look as it did when it was drawn before."""
    fresh: float = 1.0
    before: _Drawings | None = None
    """What covered it then."""


@dataclass(frozen=True)
class _Ordered:
    """The order that was given last for a face, and what comes of it."""

    order: _Order
    covered: _Drawings
    drawn: _Drawings


@dataclass(frozen=True)
class Seen:
    """A frame that was looked at."""

    pixels: U8
    frame: int
    faces: dict[int, tuple[Matrix, _Drawings]]
    """By the number of the track: how the face moved since its first frame, and what is to be shown on it."""


@dataclass(frozen=True)
class _Shown:
    """What a face shows in one frame."""

    home: Crop
    share: F32
    """(S, S), how much of what is drawn."""
    patch: F32
    """(S, S, 3), what is drawn."""


@dataclass(frozen=True)
class StreamFrame:
    """A completed frame."""

    pixels: U8
    """(H, W, 3) RGB."""
    mask: Bool
    """(H, W), True at every completed pixel."""
    faces: int
    completed: int
    drawn: int
    """Those of them that show a new drawing; what the frame before showed of the others is carried along."""
    too_covered: int
    """Faces left as they are, because too much of them is hidden."""


class Stream:
    """Completes the frames of one film or camera, in their order.

    `look` and `fill` may each run in a thread of its own, so that the next frames are looked at while one is filled;
    networks draw in two more, or one. every: a face that does not change is drawn in every so many frames; each frame
    waits for its drawing, and the same frames give the same bytes. pace: that of a live camera, whose frames wait
    for their drawing where every one is drawn; otherwise they show the newest that is ready, and wait for a face's
    first one only. quick: the model that draws once a machine turns out to be too slow for the other one in every
    frame.
    """

    def __init__(
        self,
        finder: Finds,
        cover: Cover,
        model: Model,
        *,
        every: int = DRAWN_EVERY,
        pace: Pace | None = None,
        quick: Model | None = None,
    ) -> None:
        self._tracker, self._cover, self._model, self._quick = Tracker(finder), cover, model, quick
        self._every, self._pace = every, pace
        self._networks = ThreadPoolExecutor(1 if pace else 2)
        self._frame = 0
        self._ordered: dict[int, _Ordered] = {}
        self._ready: dict[int, _Drawings] = {}
        self._shown: dict[int, _Shown] = {}
        self._newest: dict[int, int] = {}
        """In which frame what each face shows was drawn."""

    def complete(self, pixels: U8) -> StreamFrame:
        """The next (H, W, 3) uint8 RGB frame with the covers taken off."""
        return self.fill(self.look(pixels))

    def look(self, pixels: U8) -> Seen:
        """Follow the faces into the next (H, W, 3) uint8 RGB frame, and order drawings of those that are due."""
        if self._pace:
            self._pace.frame(time.perf_counter())
            if self._pace.every > 1 and self._quick and self._frame >= WARM_FRAMES:
                self._model, self._quick, self._pace = self._quick, None, Pace()
            self._every = self._pace.every
        tracks = self._tracker.follow(pixels)
        orders = [order for track in tracks if (order := self._order(track, pixels))]
        if orders:
            covered: _Drawings = Future()
            drawn = self._networks.submit(self._draw, pixels, orders, covered)
            self._ordered |= {order.track.number: _Ordered(order, covered, drawn) for order in orders}
        self._ordered = {track.number: self._ordered[track.number] for track in tracks}
        self._ready = {
            number: last.drawn if self._waits or last.drawn.done() else self._ready.get(number, last.drawn)
            for number, last in self._ordered.items()
        }
        self._frame += 1
        return Seen(
            pixels, self._frame - 1, {track.number: (track.motion, self._ready[track.number]) for track in tracks}
        )

    @property
    def _waits(self) -> bool:
        """Whether each frame waits for its drawing."""
        return not self._pace or self._every == 1

    def _order(self, track: Track, pixels: U8) -> _Order | None:
        """None where the face is carried along."""
        aligned = Crop.around_face(track.face.landmarks, self._model.record.size_px)
        home = aligned.after(inverse(track.motion))
        if track.number not in self._ordered:
            return _Order(track, self._frame, home, _glance(aligned, pixels), np.ones((home.size, home.size), bool))
        ordered = self._ordered[track.number]
        last = ordered.order
        carried = last.home.after(track.motion)
        change = np.nan_to_num(np.abs(_glance(carried, pixels) - last.glance))
        changed = change.max(2) >= CHANGED_LEVELS
        if not changed.any() and self._frame - last.frame < self._every:
            return None
        if not self._waits and not ordered.drawn.done():
            return None
        if np.abs(carried.corners() - aligned.corners()).max() <= ANCHOR_PX * aligned.scale:
            home = last.home
        fresh = min(1.0, STILL_SHARE + float(change.mean()) / MOVED_LEVELS)
        glance, changed = _glance(home.after(track.motion), pixels), _enlarged(changed, home.size)
        return _Order(track, self._frame, home, glance, changed, fresh, ordered.covered)

    def _draw(self, pixels: U8, orders: list[_Order], covered: _Drawings) -> dict[int, _Drawing]:
        """covered: told as soon as the covers are found, so that the next drawing need not wait for this one's end."""
        start = time.perf_counter()
        try:
            found = self._find(pixels, orders)
        except BaseException as error:
            covered.set_exception(error)
            raise
        covered.set_result(found)
        drawn = {
            order.track.number: self._completed(found[order.track.number], order, pixels.shape) for order in orders
        }
        if self._pace:
            self._pace.drew(time.perf_counter() - start)
        return drawn

    def _find(self, pixels: U8, orders: list[_Order]) -> dict[int, _Drawing]:
        """The faces with what covers them."""
        found = {}
        faces = [order.track.face for order in orders]
        if self._pace:
            covers = [self._cover.find_quickly(pixels, face) for face in faces]
        else:
            covers = self._cover.find(pixels, faces)
        for order, mask in zip(orders, (cover.mask(pixels.shape) for cover in covers), strict=True):
            crop = order.home.after(order.track.motion)
            face = crop.take_known(pixels, mask).astype(np.float32)
            cover = _held(order, crop.take_mask(mask))
            found[order.track.number] = _Drawing(order.frame, order.home, cover, order.fresh, order.changed, face)
        return found

    def _completed(self, drawing: _Drawing, order: _Order, shape: tuple[int, ...]) -> _Drawing:
        if not drawing.is_wanted:
            return drawing
        crop, hole = order.home.after(order.track.motion), drawing.hole(order.frame)
        face, missing = drawing.patch.astype(np.uint8)[None], (hole | crop.outside(shape))[None]
        given = {"worn": face, "landmarks": crop.to_crop(order.track.face.landmarks)[None].astype(np.float32)}
        wanted: dict[str, Any] = {name: given[name] for name in self._model.record.inputs if name in given}
        patch = self._model.complete(face, missing, seeds=[0], quickly=bool(self._pace), **wanted)[0, 0].astype(
            np.float32
        )
        return replace(drawing, patch=patch)

    def fill(self, seen: Seen) -> StreamFrame:
        """Complete what was found. Frames come in the order in which they were looked at."""
        pixels, mask = seen.pixels, np.zeros(seen.pixels.shape[:2], bool)
        shown: dict[int, _Shown] = {}
        newest: dict[int, int] = {}
        completed = new = too_covered = 0
        for number, (motion, drawn) in seen.faces.items():
            drawing = drawn.result()[number]
            too_covered += drawing.too_covered
            if drawing.too_covered:
                continue
            shown[number] = layer = _blend(self._shown.get(number), drawing, seen.frame)
            if not layer.share.any():
                continue
            completed += 1
            new += self._newest.get(number) != drawing.frame
            newest[number] = drawing.frame
            patch = np.rint(layer.patch).astype(np.uint8)
            pixels, changed = _lay(pixels, layer.home.after(motion), patch, layer.share)
            mask |= changed
        self._shown, self._newest = shown, newest
        return StreamFrame(pixels, mask, len(seen.faces), completed, new, too_covered)


def _blend(before: _Shown | None, drawing: _Drawing, frame: int) -> _Shown:
    """What a face shows in this frame: part of the way from the frame before to what is drawn."""
    hole = drawing.hole(frame)
    if before is None:
        return _Shown(drawing.home, hole.astype(np.float32), drawing.patch)
    share, patch = (_carried(layer, before.home, drawing.home) for layer in (before.share, before.patch))
    fresh = np.where(share > 0, np.float32(drawing.fresh), np.float32(1))[..., None]
    fallen = cv2.erode(share, np.ones((3, 3), np.uint8)) - np.float32(FALL)
    share = np.where(hole, share + np.where(drawing.changed, np.float32(1), np.float32(RISE)), fallen)
    return _Shown(drawing.home, np.clip(share, 0, 1), np.asarray(patch + fresh * (drawing.patch - patch), np.float32))


def _lay(photo: U8, crop: Crop, patch: U8, share: F32) -> tuple[U8, Bool]:
    """A copy of a photo with so much of a crop's patch laid over it, and where it may have changed."""
    laid, changed = photo.copy(), np.zeros(photo.shape[:2], bool)
    x0, y0, x1, y1 = crop.bounds(photo.shape, bounding_box(share > 0, SOFT_PX))
    if x1 > x0 and y1 > y0:
        back = inverse(crop.moved(-x0, -y0).matrix)
        soft = cv2.blur(share, (SOFT_PX, SOFT_PX))
        shown = cv2.warpAffine(soft, back, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        sampled = Crop(max(shown.shape), back).take(patch)[: y1 - y0, : x1 - x0]
        part = photo[y0:y1, x0:x1]
        both = np.ascontiguousarray(sampled), np.ascontiguousarray(part)
        laid[y0:y1, x0:x1] = cv2.blendLinear(*both, shown, 1 - shown)
        changed[y0:y1, x0:x1] = shown > 0
    return laid, changed


def _glance(crop: Crop, pixels: U8) -> F32:
    """(G, G, 3), the face without what is beside its head; NaN outside the frame."""
    small = crop.at_size(GLANCE_PX)
    glance = small.take(pixels).astype(np.float32)
    glance[small.outside(pixels.shape)] = np.nan
    return glance[BESIDE_PX:-BESIDE_PX, BESIDE_PX:-BESIDE_PX]


def _enlarged(glance: Bool, size: int) -> Bool:
    """(S, S), what is so in a part of the glance, and what is beside it at the edges."""
    whole = np.pad(glance, BESIDE_PX, mode="edge").view(np.uint8)
    return np.asarray(cv2.resize(whole, (size, size), interpolation=cv2.INTER_NEAREST) > 0)


def _held(order: _Order, hole: Bool) -> F32:
    """The cover grows at once, and shrinks slowly where the face has not changed: what comes and goes would be seen."""
    cover = hole.astype(np.float32)
    if order.before is None:
        return cover
    before = order.before.result()[order.track.number]
    fallen = np.float32(HOLD ** (order.frame - before.frame)) * ~order.changed
    return np.asarray(np.maximum(cover, fallen * _carried(before.cover, before.home, order.home)), np.float32)


def _carried(layer: F32, home: Crop, to: Crop) -> F32:
    """A square's (S, S, ...) in the pixels of another square."""
    if home is to:
        return layer
    matrix = chain(inverse(home.matrix), to.matrix)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(layer, matrix, layer.shape[:2], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
