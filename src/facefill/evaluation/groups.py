"""Groups of faces, so that a report shows for whom a method is worse."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from facefill.arrays import F64, U8, Points
from facefill.datasets.faces import Dataset, DatasetFace, landmarks_of, read_face
from facefill.datasets.manifest import read_csv
from facefill.errors import InputError
from facefill.evaluation.records import PictureRecord, Records, row_of
from facefill.imaging.crop import turn_of

RESOLUTIONS = ((200, "below 200 px"), (400, "200 to 399 px"), (10**9, "400 px and more"))
"""Native sides of a face; below 200 px the 256 picture was upsampled."""
VIEWS = ((0.1, "frontal"), (0.2, "turned"), (math.inf, "half profile and more"))
"""Limits of `imaging.crop.turn_of`."""


def group_faces(dataset: Dataset, tones: F64, named: dict[str, dict[str, str]] | None = None) -> dict[str, list[str]]:
    """Which group each face belongs to, by the kind of group: source, native resolution, skin tone, view, and what
    `read_groups` read.

    tones: of each face, as `skin_tone` measures it; the terciles are the dataset's own. Kinds with one group only are
    left out; a face that a kind says nothing about has "".
    """
    terciles: list[tuple[float, str]] = []
    if len(tones) > 2:
        low, high = np.nextafter(np.nanquantile(tones, [1 / 3, 2 / 3]), math.inf)
        terciles = [(low, "darkest third"), (high, "middle third"), (math.inf, "lightest third")]
    landmarks = [face.landmarks for face in dataset.faces]
    groups = {
        "source": [face.source for face in dataset.faces],
        "native resolution": [_limited(face.native_side_px or math.nan, RESOLUTIONS) for face in dataset.faces],
        "skin tone": [_limited(tone, terciles) for tone in tones],
        "view": [view_of(math.nan if at is None else turn_of(at)) for at in landmarks],
    }
    for kind, group_of in (named or {}).items():
        groups[kind] = [group_of.get(face.file, "") for face in dataset.faces]
    return {kind: names for kind, names in groups.items() if len(set(names) - {""}) > 1}


def read_groups(path: Path) -> dict[str, dict[str, str]]:
    """Groups that somebody named: {kind: {file: group}} of a CSV with the column `file` and one for each kind.

    Raises InputError for a file that cannot be read or is no such CSV.
    """
    fix = "name them in its first line, such as file,glasses,age"
    rows = read_csv(path, "a CSV of groups", "file", fix=fix)
    if len(rows[0]) < 2 or any(None in row for row in rows):
        raise InputError("a CSV of groups with a column for each kind", f"{path} without", fix)
    kinds = [kind for kind in rows[0] if kind != "file"]
    return {kind: {row["file"]: row[kind] or "" for row in rows} for kind in kinds}


def read_tones(
    dataset: Dataset,
    kept: Path,
    each: Callable[[Callable[[DatasetFace], float], Sequence[DatasetFace]], Iterable[float]],
) -> F64:
    """Skin tones of a dataset's faces, kept in a file like other values. each: `map`, or a pool's."""
    records, side = Records(kept, {"measure": "skin_tone"}, ("skin_tone",)), dataset.side_px
    if [row[:2] for row in records.rows[: len(dataset.faces)]] != [row_of(face) for face in dataset.faces]:
        records.keep(0)
        tones = each(lambda face: skin_tone(read_face(face, side), landmarks_of(face, side)), dataset.faces)
        for face, value in zip(dataset.faces, tones, strict=True):
            records.append(PictureRecord(*row_of(face), "", {"skin_tone": value}))
    return records.table(len(dataset.faces)).values["skin_tone"]


def skin_tone(face: U8, landmarks: Points) -> float:
    """The individual typology angle of a face's cheeks and forehead in degrees; larger is lighter.

    atan2(L* - 50, b*) of CIELAB (Chardon, Cretois & Hourseau 1991), of the median over three discs of a fifth of the
    eyes' distance: between eye and mouth corner on either side, and above the eyes. Light counts as skin does: it is
    what a camera saw, not what somebody is. face: (S, S, 3) uint8 RGB, uncovered. landmarks: (5, 2) pixels.
    """
    eyes, mouth = landmarks[:2], landmarks[3:]
    distance = float(np.hypot(*(eyes[1] - eyes[0])))
    upwards = eyes.mean(axis=0) - mouth.mean(axis=0)
    spots = [(eyes[0] + mouth[0]) / 2, (eyes[1] + mouth[1]) / 2, eyes.mean(axis=0) + 0.5 * upwards]
    where = np.zeros(face.shape[:2], np.uint8)
    for x, y in spots:
        cv2.circle(where, (round(float(x)), round(float(y))), max(round(0.2 * distance), 1), 1, -1)
    if not where.any():
        return math.nan
    skin = np.median(face[where > 0], axis=0).astype(np.float32) / np.float32(255)
    lightness, _, yellow = cv2.cvtColor(skin.reshape(1, 1, 3), cv2.COLOR_RGB2LAB)[0, 0]
    return math.degrees(math.atan2(float(lightness) - 50, float(yellow)))


def view_of(turn: float) -> str:
    """The name of the view in `VIEWS`, by a face's `imaging.crop.turn_of`, a share of the eyes' distance; empty of nan.

    >>> view_of(0.05), view_of(0.1), view_of(0.3)
    ('frontal', 'turned', 'half profile and more')
    """
    return _limited(turn, VIEWS)


def _limited(value: float, limits: Sequence[tuple[float, str]]) -> str:
    """The name of the first limit that a value is below; empty where it is not known."""
    return next((name for limit, name in limits if value < limit), "")
