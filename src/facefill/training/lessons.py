"""What the finder learns from: drawn scenes, single faces as its second look sees them, and photos that a teacher
labelled."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Dataset, Subset

from facefill.arrays import F64
from facefill.config import Frozen
from facefill.covers.wear import wear
from facefill.datasets.cache import Stored
from facefill.datasets.manifest import find_pictures
from facefill.datasets.progress import track
from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.files.whole import whole
from facefill.imaging.crop import Crop
from facefill.offline import cache_folder
from facefill.training import backdrops, scenes
from facefill.training.augmentation import tint
from facefill.training.data import DataConfig, Source, read_faces, split_validation
from facefill.training.data import Faces as Aligned
from facefill.training.scenes import LabelledFaces, LabelledScene
from facefill.training.teacher import Teacher, label_faces, label_photo, open_teacher

MOST_FACES = 24
"""More than a scene ever holds."""
LOOK_PX = 128
"""Pictures of this size are of the kind that the finder's second look gets; larger ones are of the first look's."""
LONG_SIDE_PX = 720
"""Photos are kept in this size."""


class LessonConfig(Frozen):
    folder: Path
    """A dataset of aligned faces."""
    split: str = "train"
    """The rows of its manifest to learn from."""
    teacher: Path | None = None
    """yunet.onnx, which labels faces and photos."""
    photos: Path | None = None
    """A folder of photos of people; None: drawn scenes only."""
    without: Path | None = None
    """A JSON with the names of photos to leave out under `files`: those that judge the finder."""
    photo_share: float = 0.38
    """How often a picture comes from a photo."""
    decoy_share: float = 0.36
    """How often a picture of the second look's kind shows no face."""
    faces: int = 4000
    """So many of the dataset's faces, chosen by hash."""
    validation_images: int = 200
    cache: Path | None = None
    """Folder for decoded, covered and labelled faces; None: facefill in the user's cache folder."""
    workers: int = 1
    """Processes that draw scenes."""


def open_lessons(config: LessonConfig, teach: Callable[[Path], Teacher] = open_teacher) -> Source:
    """Scenes and photos for the finder; drawn scenes of other faces judge it.

    teach: opens the teacher's file. Raises InputError where that is missing.
    """
    if config.teacher is None or not config.teacher.is_file():
        fix = "name yunet.onnx with --set lessons.teacher=FILE"
        raise InputError("the file of lessons.teacher", str(config.teacher or "none"), fix)
    aligned = read_faces(DataConfig(folder=config.folder, split=config.split, holes={"none": 1}, cache=config.cache))
    places, judged = split_validation(aligned.identities, config.validation_images)
    # By hash, so that a subset is the same on every machine.
    order = sorted(places, key=lambda at: hashlib.sha256(f"finder/{aligned.names[at]}".encode()).digest())
    cache = config.cache or cache_folder()
    teacher = teach(config.teacher)
    faces = _cover_faces(aligned, np.sort(order[: config.faces]), teacher, cache)
    others = _cover_faces(aligned, judged[: config.validation_images], teacher, cache)
    photos = read_photos(config.photos, judging_names(config.without), teacher) if config.photos else []
    judging, count = Lessons(others, [], config, 99), config.validation_images
    return Source(lambda seed: Lessons(faces, photos, config, seed), judging, count, aligned.digest, ("a scene",))


class Lessons(Dataset[dict[str, Any]]):
    """Item `place, side_px` is the place-th picture that training sees."""

    def __init__(self, faces: LabelledFaces, photos: list[LabelledScene], config: LessonConfig, seed: int) -> None:
        self._faces, self._photos, self._config, self._seed = faces, photos, config, seed

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        """image (S, S, 3) uint8, boxes (M, 4), landmarks (M, 5, 2), counts (M,): -1 fills up to `MOST_FACES`."""
        scene = self._draw(np.random.default_rng([self._seed, item[0]]), item[1])
        count = min(len(scene.boxes), MOST_FACES)
        boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (MOST_FACES, 1))
        landmarks = np.zeros((MOST_FACES, 5, 2), np.float32)
        counts = np.full(MOST_FACES, -1)
        if count:
            boxes[:count], landmarks[:count] = scene.boxes[:count], scene.landmarks[:count]
            counts[:count] = scene.counts[:count]
        return {"image": scene.image, "boxes": boxes, "landmarks": landmarks, "counts": counts, "index": 0}

    def _draw(self, rng: Generator, side_px: int) -> LabelledScene:
        from_photo = bool(self._photos) and rng.random() < self._config.photo_share
        if side_px > LOOK_PX:
            scene = cut_scene(self._photos, self._faces, rng, side_px) if from_photo else None
            return scene or scenes.compose_scene(self._faces, rng, side_px)
        scene = cut_portrait(self._photos, rng, side_px) if from_photo else None
        if scene is None and rng.random() < self._config.decoy_share:
            return scenes.compose_decoy(self._faces, rng, side_px)
        return scene or scenes.compose_portrait(self._faces, rng, side_px)


def _cover_faces(aligned: Aligned, chosen: NDArray[np.int64], teacher: Teacher, folder: Path) -> LabelledFaces:
    """The chosen faces with covers and the teacher's labels, made once and kept in `folder`."""
    names = "\n".join(aligned.names[int(at)] for at in chosen)
    key = hashlib.sha256(f"{aligned.digest}\n{names}".encode()).hexdigest()[:16]
    boxes, landmarks = label_faces(aligned.pixels, chosen.tolist(), lambda: teacher, folder / f"{key}-labels.npy")
    found = np.isfinite(boxes[:, 0])
    places, boxes, landmarks = chosen[found], boxes[found], landmarks[found]
    covered, masks = folder / f"{key}-covered.u8", folder / f"{key}-covers.npy"
    if not masks.is_file():
        drawn = []
        with whole(covered) as part, part.open("wb") as file:
            for at, points in track(zip(places.tolist(), landmarks, strict=True), "covering", len(places)):
                picture = np.ascontiguousarray(aligned.pixels[at])
                worn = wear(picture, points.astype(np.float64), np.random.default_rng([at, 5]))
                file.write(worn.face.tobytes())
                drawn.append(np.packbits(worn.mask, axis=-1))
        np.save(masks, drawn)
    side = aligned.pixels[int(places[0])].shape[0]
    covers = np.unpackbits(np.load(masks), axis=-1, count=side).astype(bool)
    pictures = Subset[Any](aligned.pixels, places)  # type: ignore[arg-type]
    return LabelledFaces(pictures, Stored(covered, len(places), side), covers, boxes, landmarks)


def judging_names(file: Path | None) -> set[str]:
    """The names of photos under `files` of a JSON file: those that judge."""
    return set(json.loads(file.read_text(encoding="utf-8"))["files"]) if file else set()


def read_photos(folder: Path, without: set[str], teacher: Teacher) -> list[LabelledScene]:
    """The photos with what the teacher sees in them, in at most `LONG_SIDE_PX`. without: names to leave out."""
    photos = []
    for path in find_pictures(folder):
        if path.name in without:
            continue
        picture = read_photo(path).pixels
        scale = LONG_SIDE_PX / max(picture.shape[:2])
        if scale < 1:
            picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        boxes, landmarks, counts = label_photo(picture, teacher)
        photos.append(LabelledScene(picture, list(boxes), list(landmarks), counts))
    return photos


def cut_scene(photos: list[LabelledScene], faces: LabelledFaces, rng: Generator, size: int) -> LabelledScene | None:
    """A part of a photo, turned a little and in another size, over a backdrop where it does not reach."""
    photo = photos[int(rng.integers(len(photos)))]
    sure = [at for at, count in enumerate(photo.counts) if count == 1]
    if sure and rng.random() < 0.85:
        box = photo.boxes[sure[int(rng.integers(len(sure)))]]
        wanted = float(np.exp(rng.uniform(np.log(22), np.log(0.85 * size))))
        scale = min(wanted / float(np.sqrt((box[2:] - box[:2]).prod())), 1.7)
        middle, at = (box[:2] + box[2:]) / 2, rng.uniform(0.15, 0.85, 2) * size
    else:
        height, width = photo.image.shape[:2]
        scale = size / max(height, width) * float(np.exp(rng.uniform(0, 0.9)))
        middle, at = rng.uniform(0, (width, height)), np.full(2, size / 2)
    angle = np.deg2rad(rng.normal(0, 7))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([linear, at - linear @ middle])
    scene = LabelledScene(backdrops.draw_backdrop(faces.pictures, faces.boxes, rng, size))
    scenes.place(scene.image, photo.image, np.ones(photo.image.shape[:2], np.float32), matrix)
    _move_labels(scene, photo, matrix)
    return _seen(scene, rng)


def cut_portrait(photos: list[LabelledScene], rng: Generator, size: int) -> LabelledScene | None:
    """What the second look gets of a photo's face, its landmarks a little off; None for a photo without one."""
    photo = photos[int(rng.integers(len(photos)))]
    sure = [at for at, count in enumerate(photo.counts) if count == 1]
    if not sure:
        return None
    at = sure[int(rng.integers(len(sure)))]
    side = float(np.sqrt((photo.boxes[at][2:] - photo.boxes[at][:2]).prod()))
    shift = rng.normal(0, 0.05 * side, (1, 2)) + rng.normal(0, 0.035 * side, (5, 2))
    crop = Crop.around_face(photo.landmarks[at] + shift, size)
    scene = LabelledScene(crop.take(photo.image))
    _move_labels(scene, photo, cv2.invertAffineTransform(crop.matrix))
    return _seen(scene, rng)


def _move_labels(scene: LabelledScene, photo: LabelledScene, matrix: F64) -> None:
    """Label what of the photo's faces is in the scene; too small or mostly outside it counts neither way."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    frame = np.array([0, 0, *scene.image.shape[1::-1]], np.float32)
    for box, landmarks, count in zip(photo.boxes, photo.landmarks, photo.counts, strict=True):
        middle, half = matrix[:, :2] @ ((box[:2] + box[2:]) / 2) + matrix[:, 2], (box[2:] - box[:2]) / 2 * scale
        placed = np.array([*(middle - half), *(middle + half)], np.float32)
        inside = scenes.share_inside(placed, frame)
        if inside > 0.03:
            fits = scenes.SMALLEST_PX <= 2 * float(np.sqrt(half.prod())) < 1.25 * frame[2]
            scenes.label(scene, placed, landmarks, matrix, count if fits and inside >= scenes.LEAST_SEEN else 0)


def _seen(scene: LabelledScene, rng: Generator) -> LabelledScene:
    if rng.random() < 0.5:
        scene = scene.mirrored()
    scene.image = cv2.LUT(scene.image, tint(0.4, rng))
    return scene
