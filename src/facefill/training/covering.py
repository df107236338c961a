"""What the cover network and the second look learn from, as sources of the training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from facefill.arrays import U8
from facefill.catalog import find_weights
from facefill.config import Frozen
from facefill.covers.fabric import choose
from facefill.datasets.progress import track
from facefill.offline import cache_folder
from facefill.runtime.cover import OUTSIDE
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Finder
from facefill.training.augmentation import tint
from facefill.training.data import DataConfig, Source, read_faces, read_names, split_validation
from facefill.training.lessons import judging_names, read_photos
from facefill.training.looks import Looks, Person
from facefill.training.painter import MIXES, Painter, degrade, draw_pool, move
from facefill.training.real_covers import Covered, judging_photos, read_bodies, read_others, read_real
from facefill.training.teacher import Teacher, label_faces, open_teacher

SHOWN = {"pool": 0.52, "mask": 0.3, "glasses": 0.08, "none": 0.1}
"""How often the cover network sees what was drawn, and faces in real masks, in real sunglasses and without either."""
JUDGED_SEED = 99
LEAST_FACE_PX = 24.0
"""Side of the smallest face in a photo that the second look learns from, the square root of its box's area."""


class CoveringConfig(Frozen):
    folder: Path
    """A dataset of aligned faces."""
    split: str = "train"
    """The rows of its manifest to learn from."""
    covers: Path | None = None
    """Real covers with outlines and photos without a face, see `real_covers`; None: drawn covers only."""
    unsure: tuple[str, ...] = ()
    """Files of `covers` whose covers are not followed below the aligned face."""
    corrections: Path | None = None
    """A JSON file with corrected outlines for some of them, see `real_covers.Strokes`."""
    without: tuple[str, ...] = ("mask+sunglasses",)
    """Kinds of `covers` to leave out: those that judge."""
    worn: Path | None = None
    """A text file with the dataset's faces that are covered themselves, to leave out, a name a line."""
    teacher: Path | None = None
    """yunet.onnx, whose landmarks take the place of the dataset's; faces that it does not find are left out."""
    people: Path | None = None
    """A folder of photos of people beside those of `covers`, for the second look; the teacher labels their faces."""
    judging: Path | None = None
    """A JSON with the names of its photos to leave out under `files`: those that judge."""
    kept: int = 500
    """Faces of the split kept from training, the same as other recipes keep."""
    faces: int = 7000
    """So many of the dataset's faces, chosen by hash."""
    pool: int = 8000
    """Pictures that are drawn beforehand and shown again and again, mirrored, moved and tinted."""
    mixes: dict[str, float] = MIXES
    """How often each kind of picture is drawn, see `painter.MIXES`."""
    seed: int = 1
    """Seed of what is drawn."""
    validation_images: int = 200
    cache: Path | None = None
    """Folder for what is drawn; None: facefill in the user's cache folder."""
    workers: int = 0
    """Processes that read the pool."""


class _CoverData:
    """What both networks learn from: drawn pictures, real covers, and both kinds once more for judging."""

    def __init__(self, config: CoveringConfig) -> None:
        data = DataConfig(folder=config.folder, split=config.split, holes={"none": 1}, cache=config.cache)
        aligned = read_faces(data)
        self.digest = aligned.digest
        cache = config.cache or cache_folder()
        places, judged = split_validation(aligned.identities, config.kept)
        worn = read_names(config.worn) if config.worn else set()
        order = sorted(
            (at for at in places.tolist() if aligned.names[at] not in worn),
            key=lambda at: hashlib.sha256(f"cover/{aligned.names[at]}".encode()).digest(),
        )[: config.faces]
        if config.teacher:
            asked = [*judged.tolist(), *order]
            key = hashlib.sha256(f"{aligned.digest}/{asked}".encode()).hexdigest()[:16]
            path, marks = cache / f"{key}-labels.npy", np.full_like(aligned.landmarks, np.nan)
            marks[asked] = label_faces(aligned.pixels, asked, partial(open_teacher, config.teacher), path)[1]
            aligned = replace(aligned, landmarks=marks)
        known = np.isfinite(aligned.landmarks[:, 0, 0])
        real = read_real(config.covers, "train", config.unsure, corrections=config.corrections) if config.covers else []
        real = [face for face in real if face.kind not in config.without]
        self.real = [face for face in real if not held_out(face.file)]
        self.held = [face for face in real if held_out(face.file)]
        bodies = read_bodies(config.covers) if config.covers else []
        cloths = read_others(config.covers, "garment") if config.covers else []
        painter = Painter(aligned, np.array([at for at in order if known[at]]), self.real, bodies, cloths, config.mixes)
        self.judge = Painter(aligned, judged[known[judged]], self.held, bodies, cloths, config.mixes)
        drawn_by = config.model_dump_json(exclude={"people", "judging"})
        key = hashlib.sha256(f"{aligned.digest}/{drawn_by}".encode()).hexdigest()[:16]
        self.pool, self.marks = draw_pool(painter, config.pool, config.seed, cache / f"{key}-covering.u8")


def held_out(file: str) -> bool:
    """Whether a real face chooses weights and teaches nothing: every eighth, all faces of a photo alike."""
    photo = file.rsplit("_", 1)[0] if Path(file).name.startswith("fm_") else file
    return hashlib.sha256(f"cover/{photo}".encode()).digest()[0] < 32


def open_covering(config: CoveringConfig) -> Source:
    """Faces and what covers them; real covers of other photos judge, then drawn ones on other faces."""
    drawn = _CoverData(config)
    count = max(config.validation_images - len(drawn.held), 0)
    judged = [*drawn.held, *(drawn.judge.draw(np.random.default_rng([JUDGED_SEED, at])) for at in range(count))]
    shown = partial(Learning, drawn.pool, drawn.real)
    return Source(shown, Judged(judged), len(judged), drawn.digest, ("a covered face",))


def open_looks(config: CoveringConfig, finder: Callable[[], Any] | None = None) -> Source:
    """Faces and what is none; other drawn pictures, other real faces and mistakes on other photos judge.

    finder: opens what takes the place of the shipped one, whose mistakes on photos without a face are shown most.
    """
    drawn = _CoverData(config)
    photos = read_others(config.covers) if config.covers else []
    found = _mistakes(finder() if finder else Finder(load_engine(find_weights("finder")[0])), photos) if photos else []
    taught, kept = ([mistake for mistake in found if bool(mistake[0] % 8) is teaches] for teaches in (True, False))
    pool, marks, count = drawn.pool, drawn.marks, len(drawn.pool) // 20
    crowd = read_people(config)
    people = [one for place, one in enumerate(crowd) if place % 8]
    shown = partial(Looks, pool[count:], marks[count:], drawn.real, people, photos, taught)
    judged = Looks(pool[:count], marks[:count], drawn.held, crowd[::8], photos, kept, 2)
    return Source(shown, judged, config.validation_images, drawn.digest, ("an aligned square",))


def read_people(config: CoveringConfig, teach: Callable[[Path], Teacher] = open_teacher) -> list[list[Person]]:
    """The faces that the teacher is sure of, by photo, without the photos that judge; none without a teacher."""
    if not config.teacher:
        return []
    folders = [(config.people, judging_names(config.judging))] if config.people else []
    if config.covers:
        folders.append((config.covers / "photos", judging_photos(config.covers)))
    teacher = teach(config.teacher)
    seen = [
        [
            Person(scene.image, points.astype(np.float64))
            for box, points, count in zip(scene.boxes, scene.landmarks, scene.counts, strict=True)
            if count == 1 and float(np.sqrt((box[2:] - box[:2]).prod())) > LEAST_FACE_PX
        ]
        for folder, without in folders
        for scene in read_photos(folder, without, teacher)
    ]
    return [people for people in seen if people]


def _mistakes(finder: Finder, photos: list[U8]) -> list[tuple[int, NDArray[np.float64]]]:
    """Which photo, and the five landmarks, where the finder sees something; the surer it is, the more often."""
    mistakes = []
    for place, photo in enumerate(track(photos, "finding faces where none are", len(photos))):
        for score, landmarks in finder.suspect(photo, 0.15):
            often = int(np.searchsorted([0.25, 0.4, 0.66], score))
            mistakes += [(place, landmarks)] * (1, 2, 5, 12)[often]
    return mistakes


class Learning(Dataset[dict[str, Any]]):
    """Item `place, side_px` is the place-th picture that the cover network sees."""

    def __init__(self, pool: U8, real: list[Covered], seed: int) -> None:
        self._pool, self._seed = pool, seed
        self._real: dict[str, list[Covered]] = {}
        for face in real:
            name = {"none": "none", "sunglasses": "glasses"}.get(face.kind, "mask")
            self._real.setdefault(name, []).append(face)
        self._shares = {name: share for name, share in SHOWN.items() if name == "pool" or name in self._real}

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        """worn (S, S, 3) uint8, kinds (S, S) uint8: see `nets.cover`."""
        rng = np.random.default_rng([self._seed, item[0]])
        name = choose(rng, self._shares)
        if name == "pool":
            stored = self._pool[int(rng.integers(len(self._pool)))]
            face = Covered(stored[..., :3], stored[..., 3], np.zeros((5, 2)))
            face = move(face, rng) if rng.random() < 0.5 else face
        else:
            faces = self._real[name]
            face = degrade(move(faces[int(rng.integers(len(faces)))], rng), rng)
        if rng.random() < 0.5:
            face = face.mirrored()
        picture = np.ascontiguousarray(face.picture)
        if rng.random() < 0.8:
            picture = np.array(cv2.LUT(picture, tint(0.8, rng)), np.uint8)
            picture[face.outside] = OUTSIDE
        return {"worn": picture, "kinds": np.ascontiguousarray(face.kinds), "index": 0}


class Judged(Dataset[dict[str, Any]]):
    def __init__(self, faces: list[Covered]) -> None:
        self._faces = faces

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        face = self._faces[item[0]]
        return {"worn": face.picture, "kinds": face.kinds, "index": 0}
