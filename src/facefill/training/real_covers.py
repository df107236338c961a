"""Photos of people in real masks and sunglasses, with outlines: cut out as `cover` looks at them, and put onto others.

The folder: manifest.csv with the columns file, mask, ignore, kind, split, photo, m0 to m5 (a 256 px aligned face ->
the photo at its first size) and five landmarks in the aligned face; images/, masks/ and ignore/ at 256 px, photos/ of
any size, negatives.csv and negatives/. Outlines exist inside the aligned face only; below it a cover goes on as far as
its colours tell (GrabCut, Rother et al. 2004).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from facefill.arrays import U8, Bool, Box, Points, mirror_points
from facefill.covers.fabric import times
from facefill.covers.head import GREY, Head, Light, estimate_light, grain
from facefill.covers.sheet import INVERSE, Layer
from facefill.covers.wear import compose
from facefill.datasets.manifest import PLACES, Row, read_csv
from facefill.imaging.crop import Crop
from facefill.imaging.masks import bounding_box
from facefill.nets.cover import IGNORED, UNKNOWN
from facefill.runtime.cover import FACE_PX, INSET_PX, OUTSIDE, SIDE_PX, view_of

NOTHING, MASK, GLASSES, OTHER, HAND = range(5)
LABELS = {
    "none": NOTHING, "mask": MASK, "scarf": MASK, "mask on a mannequin": MASK, "sunglasses": GLASSES,
    "hand": HAND, "mask+hand": UNKNOWN, "mask+sunglasses": UNKNOWN,
}  # fmt: skip
SQUARE = np.s_[:FACE_PX, INSET_PX : INSET_PX + FACE_PX]
"""Where the aligned face lies in the wider square."""
OFFSET = np.array([INSET_PX, 0.0])
FOLLOWED_PX = 46
"""How far below its outline a cover is followed."""
SHARPER_PX = 0.2
"""A face may be sharper than the cover that is put on it by so much blur, a Gaussian's sigma in pixels."""
UNEVEN = 0.5
"""Share of the face's uneven light that a real cover takes on; it has its own photo's as well."""


@dataclass(frozen=True)
class Covered:
    picture: U8
    """(S, S, 3) RGB, `OUTSIDE` where the photo does not reach."""
    kinds: U8
    """(S, S), see `nets.cover.UNKNOWN`; `IGNORED` outside the photo."""
    landmarks: Points
    """(5, 2) pixels."""
    kind: str = ""
    file: str = ""

    @property
    def worn(self) -> Bool:
        return np.asarray((self.kinds != NOTHING) & (self.kinds != IGNORED))

    @property
    def outside(self) -> Bool:
        """(S, S), what lies outside the photo."""
        return np.asarray((self.kinds == IGNORED) & (self.picture == OUTSIDE).all(2))

    def mirrored(self) -> "Covered":
        picture, kinds = (np.ascontiguousarray(pixels[:, ::-1]) for pixels in (self.picture, self.kinds))
        landmarks = mirror_points(self.landmarks, picture.shape[0])
        return replace(self, picture=picture, kinds=kinds, landmarks=landmarks)


Strokes = list[tuple[str, float, list[tuple[float, float]]]]
"""What an outline lacks, in pixels of the aligned face: (what, width, points). A `strap` of that width along the points
belongs to the cover, and so does the polygon of an `add`; a `remove` does not, and an `ignore` does not count. In the
polygon of a `hand` it is a hand that covers, and a mask in the rest of that face."""


def read_real(
    folder: Path, split: str, unsure: Sequence[str] = (), *, follow: bool = True, corrections: Path | None = None
) -> list[Covered]:
    """The faces of a split. unsure: files whose cover is not followed below the aligned face; follow: whether any is.
    corrections: a JSON file with the `Strokes` of each file whose outline is corrected; a file with none is left out.
    """
    rows = [row for row in _rows(folder / "manifest.csv") if row["split"] == split]
    known: Mapping[str, Strokes] = json.loads(corrections.read_text(encoding="utf-8")) if corrections else {}
    chosen = [row for row in rows if known.get(row["file"]) != []]
    faces = [_read(folder, row, follow and row["file"] not in unsure) for row in chosen]
    return [_corrected(face, known.get(face.file, [])) for face in faces]


def _corrected(face: Covered, strokes: Strokes) -> Covered:
    kinds, kind = face.kinds.copy(), LABELS[face.kind]
    if any(what == "hand" for what, _, _ in strokes):
        kinds[kinds == kind], kind = MASK, MASK
    for what, width, points in strokes:
        line = np.rint((np.array(points) + OFFSET) * 16).astype(np.int32)
        part, rim = (np.zeros(kinds.shape, np.uint8) for _ in range(2))
        if what == "strap":  # a pixel beside it is as likely strap as skin
            thick = max(2, round(width))
            cv2.polylines(part, [line], False, 1, thick, shift=4)
            cv2.polylines(rim, [line], False, 1, thick + 3, shift=4)
            kinds[(rim > 0) & (kinds == NOTHING)] = IGNORED
        else:
            cv2.fillPoly(part, [line], 1, shift=4)
        if what == "hand":
            part[kinds != kind] = 0
        kinds[part > 0] = {"remove": NOTHING, "ignore": IGNORED, "hand": HAND}.get(what, kind)
    kinds[face.outside] = IGNORED
    return replace(face, kinds=kinds)


def _read(folder: Path, row: dict[str, str], follow: bool) -> Covered:
    face = _rgb(folder / row["file"])
    label = np.zeros((FACE_PX, FACE_PX), np.uint8)
    if row["mask"]:
        label[_grey(folder / row["mask"]) > 127] = LABELS[row["kind"]]
    if row["ignore"]:
        label[_grey(folder / row["ignore"]) > 127] = IGNORED
    points = np.reshape([float(row[place]) for place in PLACES], (5, 2)) + OFFSET
    kinds = np.full((SIDE_PX, SIDE_PX), IGNORED, np.uint8)
    picture = np.full((SIDE_PX, SIDE_PX, 3), OUTSIDE, np.uint8)
    if row["photo"]:
        photo, matrix = _rgb(folder / row["photo"]), np.array([float(row[f"m{k}"]) for k in range(6)]).reshape(2, 3)
        scale = 1.0 if max(photo.shape[:2]) < 1024 else _stored_scale(photo, face, matrix)
        square = Crop(SIDE_PX, _shrunk(matrix, scale, -OFFSET))
        picture, known = view_of(photo, square), ~square.outside(photo.shape)
        kinds = np.where(known, _beyond(picture, label, known) if follow else IGNORED, IGNORED).astype(np.uint8)
        picture[SQUARE][label != IGNORED] = face[label != IGNORED]
        kinds[SQUARE] = np.where(known[SQUARE], label, IGNORED)
    else:
        picture[SQUARE], kinds[SQUARE] = face, label
    return Covered(picture, kinds, points, row["kind"], row["file"])


def _shrunk(matrix: Points, scale: float, corner: Points, step: float = 1) -> Points:
    """A matrix (2, 3) into a photo as one into that photo shrunk, from pixels `step` apart that begin at a corner."""
    origin = (matrix[:, :2] @ corner + matrix[:, 2] + 0.5) * scale - 0.5
    return np.column_stack([matrix[:, :2] * scale * step, origin])


def _stored_scale(photo: U8, face: U8, matrix: Points) -> float:
    """How much smaller the stored photo is than the one that the matrix belongs to: where both agree best."""
    target = cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)

    def gap(scale: float) -> float:
        view = view_of(photo, Crop(64, _shrunk(matrix, scale, np.full(2, 1.5), 4)))
        return float(np.abs(view.astype(np.float32) - target).mean())

    coarse = np.exp(np.linspace(np.log(0.05), 0, 240))
    best = int(np.argmin([gap(scale) for scale in coarse]))
    fine = np.linspace(coarse[max(best - 1, 0)], coarse[min(best + 1, 239)], 40)
    return float(fine[int(np.argmin([gap(scale) for scale in fine]))])


def _beyond(picture: U8, label: U8, known: Bool) -> U8:
    """The label outside the aligned face: nothing, but for a cover that reaches its edge and goes on."""
    kinds, inner = np.zeros((2, SIDE_PX, SIDE_PX), np.uint8)
    inner[SQUARE] = label
    cover = (inner != NOTHING) & (inner != IGNORED)
    inside = np.zeros_like(cover)
    inside[SQUARE] = True
    near = cv2.dilate(cover.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not (near & ~inside & known).any():
        return kinds
    reach = cv2.distanceTransform((~cover).astype(np.uint8), cv2.DIST_L2, 5)
    state = np.full((SIDE_PX, SIDE_PX), cv2.GC_BGD, np.uint8)
    state[~inside & known & (reach < FOLLOWED_PX)] = cv2.GC_PR_BGD
    state[~inside & known & (reach < 14)] = cv2.GC_PR_FGD
    state[cover] = cv2.GC_FGD
    state[inner == IGNORED] = cv2.GC_PR_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(picture[..., ::-1]), state, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    found = ((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)) & ~inside & known
    found = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    parts = cv2.connectedComponents((found | cover).astype(np.uint8), connectivity=4)[1]
    found &= np.isin(parts, np.unique(parts[cover]))
    kinds[found] = int(label[(label != NOTHING) & (label != IGNORED)].max())
    if (found & (reach > FOLLOWED_PX - 3)).any():  # it goes on, and nothing tells how far
        kinds[~inside & (reach >= FOLLOWED_PX)] = IGNORED
    return kinds


def _rows(path: Path) -> list[Row]:
    return read_csv(path, f"a {path.name} of real covers", "file", "split", "kind", fix="see `training.real_covers`")


def _rgb(path: Path) -> U8:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return np.ascontiguousarray(picture[..., ::-1])


def _grey(path: Path) -> U8:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)


def read_others(folder: Path, kind: str = "") -> list[U8]:
    """Photos without a face to learn from. kind: what their kind begins with."""
    rows = [row for row in _rows(folder / "negatives.csv") if row["split"] == "train" and row["kind"].startswith(kind)]
    return [_rgb(folder / row["file"]) for row in rows]


def judging_photos(folder: Path) -> set[str]:
    """Names of the photos that hold a face which judges."""
    return {Path(row["photo"]).name for row in _rows(folder / "manifest.csv") if row["split"] != "train"}


def read_bodies(folder: Path) -> list[U8]:
    """What is worn below a chin: the upper parts of clothed people without their heads."""
    return [picture[: picture.shape[0] // 3] for picture in read_others(folder, "clothed")]


def put_on(face: Covered, others: Sequence[Covered], rng: Generator, cloths: Sequence[U8] = ()) -> Covered:
    """The face with a cover that somebody else wears: of eight that are drawn the one whose pose is nearest. It is lit,
    blurred and grained as the face is; where it is less sharp than the face, the face is blurred.

    cloths: photos of garments, of whose cloth every other cover is made. Of a mask behind a hand the mask alone is put
    on. Raises InputError for landmarks that no upright face has.
    """
    source = draw_like(face.landmarks, others, 8, rng)
    matrix = fit_points(source.landmarks, face.landmarks)
    size = (face.picture.shape[1], face.picture.shape[0])
    kind = source.kinds[source.worn].min(initial=IGNORED)
    alpha = cv2.warpAffine((source.kinds == kind).astype(np.float32), matrix, size) * ~face.outside
    box = bounding_box(alpha > 0)
    if kind == IGNORED or box[0] == box[2]:
        return face
    blur, noise = _recorded(source)
    if cloths and rng.random() < 0.5:
        cloth, blur, noise = *_of_cloth(source, cloths[int(rng.integers(len(cloths)))], rng), 0.0
    else:
        cloth = _recolour(source.picture, rng) if rng.random() < 0.4 else source.picture
    blur *= float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    head = Head.from_landmarks(face.landmarks, size[0])
    light = estimate_light(face.picture, head, rng)
    gain = np.clip(_light(face) / _light(source), 0.35, 2.2) ** 0.7 * 2 ** rng.uniform(-0.15, 0.15)
    under = face.picture
    if blur > light.blur_px + SHARPER_PX:
        under = cv2.GaussianBlur(under, (0, 0), float(np.sqrt(blur**2 - light.blur_px**2)))
        light = replace(light, blur_px=blur, grid=None)
    cloth = cv2.warpAffine(cloth, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    part = np.s_[box[1] : box[3], box[0] : box[2]]
    colour = relit(cloth[part], gain, light, head, box)
    shadow, before = float(rng.uniform(0, 0.9)), (blur, noise)
    layer = Layer(box[0], box[1], colour, np.ascontiguousarray(alpha[part]), shadow, recorded=before)
    picture, _ = compose(under, head, light, [layer], rng)
    picture[face.outside] = OUTSIDE
    kinds = np.where(alpha > 0.5, kind, face.kinds).astype(np.uint8)
    return Covered(picture, kinds, face.landmarks, source.kind, face.file)


def relit(cloth: U8, gain: Points, light: Light, head: Head, box: Box) -> U8:
    """Cloth of another photo over a box, under this one's light: as bright, as colourful and as uneven."""
    grey = light.cast[:, None] * GREY
    mix = (np.eye(3) * light.colour + (1 - light.colour) * grey) * gain
    unit = len(light.field) / head.size
    corner = np.array([[unit, 0, (box[0] + 0.5) * unit - 0.5], [0, unit, (box[1] + 0.5) * unit - 0.5]])
    field = cv2.warpAffine(light.field, corner, cloth.shape[1::-1], flags=INVERSE, borderMode=cv2.BORDER_REPLICATE)
    tone = 1 + UNEVEN * (field / max(float(field.mean()), 0.1) - 1)
    return times(cv2.transform(cloth, mix.astype(np.float32)), tone.astype(np.float32))


def _recorded(face: Covered) -> tuple[float, float]:
    """Blur in pixels and noise in levels of a face, read off what shows between brows and lids, or below sunglasses."""
    rows = (0.42, 0.72) if face.kind == "sunglasses" else (0.28, 0.52)
    top, bottom = (round(share * FACE_PX) for share in rows)
    left, right = INSET_PX + FACE_PX // 5, INSET_PX + FACE_PX * 4 // 5
    shown = np.ascontiguousarray(face.picture[top:bottom, left:right])
    return grain(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY).astype(np.float32), SIDE_PX)


def draw_like(landmarks: Points, others: Sequence[Covered], count: int, rng: Generator) -> Covered:
    """Draw `count` faces, mirrored or not, and return the one whose pose is nearest. landmarks: (5, 2) pixels."""
    drawn = [others[int(rng.integers(len(others)))] for _ in range(count)]
    drawn = [other.mirrored() if rng.random() < 0.5 else other for other in drawn]
    return min(drawn, key=lambda other: float(np.abs(pose_of(other.landmarks) - pose_of(landmarks)).sum()))


def pose_of(points: Points) -> Points:
    """How far a nose stands aside and down, in eye distances."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    apart = max(float(np.hypot(*(points[1] - points[0]))), 1.0)
    return np.asarray((points[2] - (eyes + mouth) / 2) / apart)


def fit_points(source: Points, target: Points) -> Points:
    """The (2, 3) affinity between five landmarks in the least squares sense, little sheared."""
    full = np.column_stack([source, np.ones(5)])
    affine = np.linalg.lstsq(full, target, rcond=None)[0].T
    similar = cv2.estimateAffinePartial2D(source.astype(np.float32), target.astype(np.float32), method=cv2.LMEDS)[0]
    if similar is None or np.linalg.det(affine[:, :2]) <= 0:
        return np.asarray(affine if similar is None else similar, np.float64)
    return np.asarray(0.6 * affine + 0.4 * similar, np.float64)


def _light(face: Covered) -> Points:
    """Mean colour of what shows between the eyes and on the cheeks, RGB."""
    eyes, nose, mouth = face.landmarks[:2].mean(0), face.landmarks[2], face.landmarks[3:].mean(0)
    apart = float(np.hypot(*(face.landmarks[1] - face.landmarks[0])))
    down, colours = mouth - eyes, []
    cheeks = *(face.landmarks[:2] + 0.35 * down), *(face.landmarks[3:] + 0.3 * down)
    for x, y in np.rint(np.stack([eyes - 0.25 * down, (eyes + nose) / 2, *cheeks])).astype(int):
        half = max(2, int(0.1 * apart))
        part = np.s_[max(y - half, 0) : max(y + half + 1, 1), max(x - half, 0) : max(x + half + 1, 1)]
        shown = face.kinds[part] == NOTHING
        if shown.mean() > 0.6 if shown.size else False:
            colours.append(face.picture[part][shown].mean(0))
    return np.median(colours, 0) + 8 if colours else np.full(3, 128.0)


def _of_cloth(source: Covered, garment: U8, rng: Generator) -> tuple[U8, float]:
    """What somebody wears, of another cloth: its folds and shadows on a part of a garment's photo; and the blur of that
    in pixels, as far as it is enlarged."""
    side = int(rng.uniform(0.12, 0.5) * min(garment.shape[:2]))
    top, left = (int(rng.uniform(0.2, 0.8) * (length - side)) for length in garment.shape[:2])
    part = garment[top : top + side, left : left + side]
    cloth = cv2.resize(part, source.picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    grey = cv2.GaussianBlur(cv2.cvtColor(source.picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    folds = np.clip(grey / max(float(np.median(grey[source.worn])), 8.0), 0.4, 1.6)[..., None]
    blur = 0.4 * max(source.picture.shape[0] / side - 1, 0)
    return np.asarray(np.clip(cloth * folds, 0, 255), np.uint8), blur


def _recolour(picture: U8, rng: Generator) -> U8:
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(0, 180))) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.4, 1.5), 0, 255)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)
