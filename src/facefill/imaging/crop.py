"""Between a photo and an aligned square: one similarity transform, put back at the photo's own resolution.

Points are (x, y) in pixels, with (0, 0) at the centre of the first pixel.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, F64, U8, Bool, Box, Points
from facefill.imaging.masks import bounding_box, nearest

Matrix = F64

# Up to this many source pixels per output pixel, interpolation is sharper than averaging and hardly aliases.
SHARP_UP_TO = 1.25
# Up to this many, what networks are shown is sampled linearly.
LINEAR_UP_TO = 2.6
# Below this many, a cheap enlargement comes first.
ENLARGES_BELOW = 0.5
# Where two crops share a hole, one fades into the other over twice this share of the smaller crop's side.
FADE = 1 / 16


@dataclass(frozen=True, eq=False)
class Crop:
    """A square of `size` x `size` pixels; the similarity `matrix` (2, 3) maps its pixels into the photo."""

    size: int
    matrix: Matrix

    @classmethod
    def around_face(cls, landmarks: Points, size: int = 256) -> Self:
        """Return FFHQ's alignment of a face.

        landmarks: (5, 2), the viewer's left and right eye, nose, left and right mouth corner.

        Source: Karras, Laine & Aila 2019, "A style-based generator architecture", appendix A, and the function
        `recreate_aligned_images` of its dataset code: the square stands on the axis x = eye_to_eye -
        rot90(eye_to_mouth), half its side is max(2.0 |eye_to_eye|, 1.8 |eye_to_mouth|), and its middle lies
        0.1 eye_to_mouth below the eyes. That middle counts from the corner of the first pixel, as manifests of
        aligned faces have it (128 in a picture of 256), so that such a face's own crop is the identity.

        Raises ValueError when eyes and mouth fall together.
        """
        eyes = (landmarks[0] + landmarks[1]) / 2
        eye_to_eye = np.asarray(landmarks[1] - landmarks[0], float)
        eye_to_mouth = (landmarks[3] + landmarks[4]) / 2 - eyes
        axis = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
        length = float(np.hypot(*axis))
        half_px = max(2.0 * float(np.hypot(*eye_to_eye)), 1.8 * float(np.hypot(*eye_to_mouth)))
        if not (length > 0 and np.isfinite(half_px)):
            raise ValueError(f"no direction in the landmarks {np.asarray(landmarks).tolist()}")
        return cls._square(eyes + 0.1 * eye_to_mouth, axis / length, half_px, size)

    @classmethod
    def _square(cls, middle: Points, axis: Points, half_px: float, size: int) -> Self:
        """Return the crop with the x axis along `axis`; `middle` counts from the first pixel's corner."""
        turn = np.array([[axis[0], -axis[1]], [axis[1], axis[0]]]) * (2 * half_px / size)
        origin = middle + turn @ np.full(2, 0.5 - size / 2) - 0.5
        return cls(size, np.column_stack([turn, origin]))

    @property
    def scale(self) -> float:
        """Photo pixels per crop pixel."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def to_photo(self, points: Points) -> Points:
        """Map points (..., 2) from the crop into the photo."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2])

    def to_crop(self, points: Points) -> Points:
        """Map points (..., 2) from the photo into the crop."""
        return np.asarray((points - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T)

    def moved(self, dx: float, dy: float) -> Self:
        """Return the crop for a photo whose pixels lie (dx, dy) further: a window cut at (x0, y0) lies (-x0, -y0)."""
        return self.after(np.array([[1.0, 0, dx], [0, 1, dy]]))

    def after(self, motion: Matrix) -> Self:
        """Return the crop of the same things after they moved in the photo by a similarity (2, 3)."""
        return type(self)(self.size, chain(motion, self.matrix))

    def at_size(self, size: int) -> Self:
        """Return the same square of the photo in `size` x `size` pixels."""
        grown = self.size / size
        middle = self.to_photo(np.full(2, (grown - 1) / 2))  # of the first of its pixels
        return type(self)(size, np.column_stack([grown * self.matrix[:, :2], middle]))

    def corners(self) -> Points:
        """Return the outer corners (4, 2) in the photo, clockwise from the crop's top left."""
        edge = self.size - 0.5
        return self.to_photo(np.array([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]]))

    def inside(self, shape: tuple[int, ...]) -> float:
        """Return which share of the crop's area lies in a photo of shape (H, W, ...)."""
        right, bottom = shape[1] - 0.5, shape[0] - 0.5
        photo = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]], np.float32)
        area, _ = cv2.intersectConvexConvex(self.corners().astype(np.float32), photo)
        return min(float(area) / (self.size * self.scale) ** 2, 1.0)

    def outside(self, shape: tuple[int, ...]) -> Bool:
        """Return which pixels (size, size) have their centre outside a photo of shape (H, W, ...)."""
        right, bottom = shape[1] - 0.5, shape[0] - 0.5
        outermost = _ends(self.matrix, self.size, self.size)
        if (outermost > -0.499).all() and (outermost < (right - 0.001, bottom - 0.001)).all():
            return np.zeros((self.size, self.size), bool)
        place = np.arange(self.size)
        x, y = (along[0] * place + along[1] * place[:, None] + along[2] for along in self.matrix)
        return np.asarray((x < -0.5) | (x > right) | (y < -0.5) | (y > bottom))

    def take(self, photo: U8) -> U8:
        """Return the crop (size, size, ...) of a photo (H, W, ...), antialiased, mirrored where it leaves it."""
        region, matrix = _region_of(photo, self.matrix, self.size)
        return _resample(region, matrix, self.size, self.size, shown=True)

    def take_known(self, photo: U8, hidden: Bool) -> U8:
        """Return the crop (size, size, 3) of a photo (H, W, 3) without what is hidden (H, W).

        Each hidden pixel first takes the colour of the nearest known one (mid grey where there is none). Resampled as
        it is, a cover would leave a hem around its hole: a sample shows several pixels.
        """
        region, matrix = _region_of(photo, self.matrix, self.size)
        holes = _region_of(hidden.view(np.uint8), self.matrix, self.size)[0] > 0
        if holes.all():
            region = np.full_like(region, 128)
        elif holes.any():
            x0, y0, x1, y1 = bounding_box(holes, 1)
            region, missing = region.copy(), holes[y0:y1, x0:x1]
            part = region[y0:y1, x0:x1]
            part[missing] = nearest(part, ~missing, missing)
        return _resample(region, matrix, self.size, self.size, shown=True)

    def share(self, mask: Bool) -> float:
        """Return which share of the crop's area is missing by a photo's mask (H, W)."""
        region, matrix = _region_of(mask.view(np.uint8), self.matrix, self.size)
        levels = _resample(region * np.uint8(255), matrix, self.size, self.size)
        return float(levels[~self.outside(mask.shape)].sum()) / 255 / self.size**2

    def take_mask(self, mask: Bool) -> Bool:
        """Return the crop (size, size) of a mask (H, W): what shows any of a missing pixel is missing."""
        region, matrix = _region_of(mask.view(np.uint8), self.matrix, self.size)
        region = region * np.uint8(255)
        if _shrinkage(matrix) > SHARP_UP_TO:
            blocks, finer = _in_blocks(region, matrix, _any_pool)
            shown = _any_pool(_warp(blocks, finer, 2 * self.size, 2 * self.size, cv2.INTER_LINEAR), 2)
        else:
            shown = _warp(region, matrix, self.size, self.size, cv2.INTER_LINEAR)
        # A twentieth of a pixel is within the rounding of landmarks; it must not grow every mask by a pixel.
        return shown > 255 // 20

    def put(self, photo: U8, patch: U8, mask: Bool) -> U8:
        """Return a copy of the photo whose missing pixels show the patch.

        photo: (H, W, 3). patch: (size, size, 3) in the crop's pixels. mask: (H, W) in the photo's.
        Missing pixels outside the crop stay. Enlarges with Lanczos, shrinks by averaging. The cost is that of the
        mask's bounding box, beside the copy.
        """
        completed = photo.copy()
        left, top, right, bottom = self.bounds(mask.shape)
        x0, y0, x1, y1 = bounding_box(np.ascontiguousarray(mask[top : max(bottom, top), left : max(right, left)]))
        if x1 > x0:
            x0, y0, x1, y1 = left + x0, top + y0, left + x1, top + y1
            missing = mask[y0:y1, x0:x1] & self._covers(x0, y0, x1, y1)
            sampled = _resample(patch, self._inverse_from(x0, y0), x1 - x0, y1 - y0)
            completed[y0:y1, x0:x1] = cv2.copyTo(sampled, missing.view(np.uint8), completed[y0:y1, x0:x1])
        return completed

    def put_mask(self, mask: Bool, shape: tuple[int, ...]) -> Bool:
        """Return the crop's mask (size, size) as one of a photo of shape (H, W, ...), its edge interpolated."""
        placed = np.zeros(shape[:2], bool)
        x0, y0, x1, y1 = self.bounds(shape, bounding_box(mask, 1))
        if x1 > x0 and y1 > y0:
            levels = mask.astype(np.uint8) * 255
            sampled = _resample(levels, self._inverse_from(x0, y0), x1 - x0, y1 - y0)
            placed[y0:y1, x0:x1] = (sampled > 127) & self._covers(x0, y0, x1, y1)
        return placed

    def bounds(self, shape: tuple[int, ...], part: Box | None = None) -> Box:
        """Return the photo's pixels (x0, y0, x1, y1) that the crop, or a part of it, can touch; empty if x1 <= x0."""
        left, top, right, bottom = part or (0, 0, self.size, self.size)
        edges = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - 0.5
        corners = self.to_photo(edges)
        x0, y0 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(corners.max(axis=0)) + 1, shape[1::-1]).astype(int)
        return int(x0), int(y0), int(x1), int(y1)

    def _inverse_from(self, x0: int, y0: int) -> Matrix:
        """Return the matrix from pixels of the photo's window at (x0, y0) to the crop's."""
        linear = np.linalg.inv(self.matrix[:, :2])
        return np.column_stack([linear, linear @ (np.array([x0, y0]) - self.matrix[:, 2])])

    def depth(self, x0: int, y0: int, x1: int, y1: int) -> F32:
        """Return how deep the pixels of a window of the photo lie in the crop, in its pixels; 0 outside."""
        deep = np.full((y1 - y0, x1 - x0), np.inf, np.float32)
        for place in self._places(x0, y0, x1, y1):
            deep = np.minimum(deep, np.minimum(place + 0.5, self.size - 0.5 - place))
        return np.asarray(np.maximum(deep, 0), np.float32)

    def _places(self, x0: int, y0: int, x1: int, y1: int) -> Iterator[F32]:
        """Yield x, then y in the crop of each pixel of a window of the photo."""
        x, y = np.arange(x1 - x0, dtype=np.float32), np.arange(y1 - y0, dtype=np.float32)[:, None]
        for along_x, along_y, start in self._inverse_from(x0, y0).astype(np.float32):
            yield along_x * x + (along_y * y + start)

    def _covers(self, x0: int, y0: int, x1: int, y1: int) -> Bool:
        """Return which pixels of a window of the photo have their centre inside the crop."""
        low, high = -0.5 - 1e-4, self.size - 0.5 + 1e-4
        corners = _ends(self._inverse_from(x0, y0), x1 - x0, y1 - y0)
        inside = np.ones((y1 - y0, x1 - x0), bool)
        if low <= corners.min() and corners.max() <= high:
            return inside
        for place in self._places(x0, y0, x1, y1):
            inside &= (place >= low) & (place <= high)
        return inside


def turn_of(landmarks: Points) -> float:
    """How far a face is turned to a side: the nose's distance from the middle of eyes and mouth along the eyes' line,
    as a share of the eyes' distance; nan of unknown landmarks (5, 2)."""
    eyes, nose, mouth = landmarks[:2], landmarks[2], landmarks[3:]
    across = eyes[1] - eyes[0]
    beside = nose - (eyes.mean(axis=0) + mouth.mean(axis=0)) / 2
    return abs(float(beside @ across) / max(float(across @ across), 1e-9))


def chain(then: Matrix, first: Matrix) -> Matrix:
    """Return the similarity (2, 3) that does what `first` and `then` do, one after the other."""
    return np.column_stack([then[:, :2] @ first[:, :2], then[:, :2] @ first[:, 2] + then[:, 2]])


def inverse(motion: Matrix) -> Matrix:
    """Return the similarity (2, 3) that undoes another."""
    linear = np.linalg.inv(motion[:, :2])
    return np.column_stack([linear, -linear @ motion[:, 2]])


def put_all(photo: U8, crops: Sequence[Crop], patches: Sequence[U8], masks: Sequence[Bool]) -> U8:
    """Return a copy of the photo whose missing pixels show the patches, each in the mask (H, W) of its own crop.

    The masks do not overlap. Where two of them meet in one hole, their patches fade into each other across the border
    between them, as far as both crops reach: what two crops draw of one hole does not agree.
    """
    completed = photo
    for crop, patch, mask in zip(crops, patches, masks, strict=True):
        completed = crop.put(completed, patch, mask)
    if not _meet(masks):
        return completed
    reach = max(2, round(FADE * min(crop.size * crop.scale for crop in crops)))
    near = [cv2.blur(mask.astype(np.float32), (2 * reach + 1, 2 * reach + 1)) for mask in masks]
    shared = np.logical_or.reduce(masks) & (np.sum([part > 0 for part in near], axis=0) > 1)
    x0, y0, x1, y1 = bounding_box(shared)
    view = np.s_[y0:y1, x0:x1]
    total, weights = np.zeros((y1 - y0, x1 - x0, 3), np.float32), np.zeros((y1 - y0, x1 - x0), np.float32)
    for crop, patch, part in zip(crops, patches, near, strict=True):
        weight = part[view] * np.minimum(crop.depth(x0, y0, x1, y1) / (FADE * crop.size), 1)
        shown = crop.put(completed, patch, shared & (part > 0))[view]
        total += weight[..., None] * shown
        weights += weight
    mixed = shared[view] & (weights > 1e-6)
    completed[view][mixed] = np.rint(total[mixed] / weights[mixed][:, None]).astype(np.uint8)
    return completed


def _meet(masks: Sequence[Bool]) -> bool:
    """Whether a missing pixel lies right beside one of another mask."""
    owner = np.zeros(masks[0].shape, np.int32)
    for index, mask in enumerate(masks):
        owner[mask] = index + 1
    beside = ((owner[1:], owner[:-1]), (owner[:, 1:], owner[:, :-1]))
    return any(bool(((one != other) & (one > 0) & (other > 0)).any()) for one, other in beside)


def _region_of(photo: U8, matrix: Matrix, size: int) -> tuple[U8, Matrix]:
    """Cut out what a crop needs of the photo, mirrored beyond its edges; return it and the crop's matrix to it."""
    low, high = _seen(matrix, size, size, 5 * _block(matrix))
    region = _mirrored(photo, int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    return region, np.column_stack([matrix[:, :2], matrix[:, 2] - low])


def _ends(matrix: Matrix, width: int, height: int) -> Points:
    """Where a matrix puts the outermost pixels of a window of (height, width), (4, 2)."""
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    return np.asarray(corners @ matrix[:, :2].T + matrix[:, 2])


def _seen(matrix: Matrix, width: int, height: int, reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The (x, y) between which samples of (height, width) look at a source, as far as `reach` around each."""
    ends = _ends(matrix, width, height)
    return np.floor(ends.min(axis=0)).astype(int) - reach, np.ceil(ends.max(axis=0)).astype(int) + reach + 1


def _resample(source: U8, matrix: Matrix, width: int, height: int, *, shown: bool = False) -> U8:
    """Return (height, width, ...) samples of the source; `matrix` maps output pixels to source pixels.

    shown: to a network. It gets cubic samples at about the source's own size, and linear ones of a source up to
    `LINEAR_UP_TO` as large: within a level of the better ones, for a third and a sixth of their time.
    """
    shrinkage = _shrinkage(matrix)
    if shrinkage > SHARP_UP_TO:
        blocks, finer = _in_blocks(source, matrix, _mean_pool)
        how = cv2.INTER_LINEAR if shown and shrinkage < LINEAR_UP_TO else cv2.INTER_CUBIC
        return _mean_pool(_warp(blocks, finer, 2 * width, 2 * height, how), 2)
    if shrinkage > ENLARGES_BELOW:
        return _warp(source, matrix, width, height, cv2.INTER_CUBIC if shown else cv2.INTER_LANCZOS4)
    # Bilinear samples of a separable enlargement: within 3 levels of Lanczos samples, for a tenth of their time.
    low, high = _seen(matrix, width, height, 5)
    low = np.maximum(low, 0)
    part = np.ascontiguousarray(source[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)])
    enlarged = cv2.resize(part, None, fx=4, fy=4, interpolation=cv2.INTER_LANCZOS4)
    finer = np.column_stack([4 * matrix[:, :2], 4 * (matrix[:, 2] - low) + 1.5])
    return _warp(np.asarray(enlarged, np.uint8), finer, width, height, cv2.INTER_LINEAR)


def _in_blocks(source: U8, matrix: Matrix, pool_by: Callable[[U8, int], U8]) -> tuple[U8, Matrix]:
    """Return the source pooled in whole blocks, and the matrix to it from pixels half as large as the output's.

    Averaging blocks of about half an output pixel, and then 2 x 2 samples of them, is an area average along the
    output's own axes at the cost of one pass over the source. With blocks of k = round(s / 2) source pixels for a
    shrinkage of s, samples stand at most 1.5 blocks apart, and most that aliases falls outside what the output holds.
    """
    factor = _block(matrix)
    below, beside = (-side % factor for side in source.shape[:2])
    if below or beside:
        source = np.asarray(cv2.copyMakeBorder(source, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.uint8)
    origin = (matrix[:, 2] - 0.25 * matrix[:, :2].sum(axis=1) + 0.5) / factor - 0.5
    return pool_by(source, factor), np.column_stack([matrix[:, :2] / (2 * factor), origin])


def _shrinkage(matrix: Matrix) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _block(matrix: Matrix) -> int:
    return max(round(_shrinkage(matrix) / 2), 1)


def _mirrored(photo: U8, x0: int, y0: int, x1: int, y1: int) -> U8:
    """Return photo[y0:y1, x0:x1], reflected (edge pixels twice) where that leaves the photo."""
    height, width = photo.shape[:2]
    top, left = max(y0, 0), max(x0, 0)
    inside = photo[top : max(y1, 0), left : max(x1, 0)]
    if inside.size == 0:
        return np.ascontiguousarray(photo[_reflect(y0, y1, height)][:, _reflect(x0, x1, width)])
    below, beside = y1 - top - inside.shape[0], x1 - left - inside.shape[1]
    grown = cv2.copyMakeBorder(inside, top - y0, below, left - x0, beside, cv2.BORDER_REFLECT | cv2.BORDER_ISOLATED)
    return np.asarray(grown, np.uint8)


def _reflect(start: int, stop: int, length: int) -> NDArray[np.intp]:
    place = np.arange(start, stop) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def _warp(source: U8, matrix: Matrix, width: int, height: int, how: int) -> U8:
    flags = how | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, np.uint8)


def _mean_pool(picture: U8, factor: int) -> U8:
    if factor == 1:
        return picture
    size = (picture.shape[1] // factor, picture.shape[0] // factor)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _any_pool(picture: U8, factor: int) -> U8:
    if factor == 1:
        return picture
    # The largest of the block that begins at each pixel, and then of those that begin at a block.
    largest = cv2.dilate(picture, np.ones((factor, factor), np.uint8), anchor=(0, 0))
    return np.asarray(largest[::factor, ::factor], np.uint8)
