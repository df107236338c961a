"""From a dataset to batches. The order and every hole depend only on the seed and on how many pictures came before."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facefill.arrays import F32, U8, Bool, mirror_points
from facefill.choices import pick
from facefill.config import Frozen
from facefill.covers.wear import COVERS, KINDS, wear
from facefill.datasets.cache import Pictures, digest_of, list_entries, open_pictures
from facefill.datasets.manifest import MANIFEST_PX, Entry, Row, scale_landmarks
from facefill.errors import InputError
from facefill.imaging.crop import turn_of
from facefill.imaging.masks import MASKS, dilate
from facefill.offline import cache_folder
from facefill.runtime.helpers import Finds, open_finder
from facefill.training.augmentation import draw_edges, moved, tint
from facefill.training.distributed import World
from facefill.training.outlines import draw_outline, read_outlines

Places = NDArray[np.int64]
"""(n,) places in a dataset."""
TURNED = 0.15
"""A face turned by more than this `turn_of` counts as turned: about half way to a half profile."""
SHARP = 0.875
"""A face is sharp that had this share of the side or more in its photo, in pixels."""


class DataConfig(Frozen):
    folder: Path
    """The dataset: pictures, with or without a manifest.csv, or tar shards."""
    split: str = "train"
    """The rows of the manifest to learn from; without a manifest every picture."""
    side_px: int = 256
    """Side at which faces are kept in memory; stages may be smaller."""
    validation_images: int = 500
    """Faces of the split kept from training, whole identities, chosen by hash."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the faces to learn from, chosen by hash; a smaller share is part of a larger one."""
    without: Path | None = None
    """A text file with faces of the split to leave out, a name a line: those that wear something themselves."""
    holes: dict[str, float]
    """Names of holes (`imaging.masks`; worn: every kind that `wear` draws; cover: those that are things before the
    face; real: outlines of `covers`; none) and how often each is drawn."""
    covers: Path | None = None
    """Real covers with outlines, see `real_covers`."""
    jitter: float = 0.0
    """Share of the pictures that are turned (to 10 degrees), scaled (to 12 %) and shifted (to 6 % of the side). Wider
    than landmarks are off after a second look, 3.6 % of the eyes' distance in the median, which is a quarter of the
    side (weights/second_look.md), on purpose: squares that somebody else aligned have to be completed, too."""
    colour: float = 0.0
    """Strength of random brightness, contrast and white balance; 1 is as far as photos of one face differ."""
    grow: float = 0.0
    """Masks of covers grow by a random share of the side up to this, as they do where a cover has to be found."""
    grey: float = Field(default=0.0, ge=0, le=1)
    """Share of the pictures without colour: a grey photo has to stay grey."""
    edges: float = Field(default=0.0, ge=0, le=1)
    """Share of the pictures of which a part lies outside their photo: missing, and not judged."""
    turned: int = Field(default=1, ge=1)
    """How many times as often as others faces are shown that are turned by more than `TURNED`."""
    sharp: int = Field(default=1, ge=1)
    """How many times as often as others faces are shown that had `SHARP` of the side or more in their photo: what was
    enlarged teaches blur."""
    cache: Path | None = None
    """Folder for the decoded faces; None: facefill in the user's cache folder."""
    stream: bool = False
    """Decode faces whenever they are shown, from the pictures or shards, and keep none decoded."""
    workers: int = 1
    """Processes that draw holes; 0 draws them in the training process."""


@dataclass(frozen=True)
class Faces:
    pixels: Pictures
    """(N, S, S, 3) uint8 RGB, memory-mapped or decoded when asked for."""
    landmarks: F32
    """(N, 5, 2) pixels; nan where nothing needs them and the dataset has none."""
    names: tuple[str, ...]
    identities: tuple[str, ...]
    digest: str
    """SHA-256 over names and landmarks."""
    native_px: tuple[float, ...] = ()
    """Sides that the faces have in their photos, in pixels; nan where nothing says so."""


def read_faces(config: DataConfig, finder: Callable[[], Finds] | None = None) -> Faces:
    """Open a dataset: a folder with a manifest, without one, or of tar shards. It is decoded the first time only.

    finder: opens what finds the landmarks of faces without any; it is called only where a hole is `worn`, which needs
    them. Damaged pictures are left out and listed, see `cache.open_pictures`.
    Raises InputError for a folder without pictures, without landmarks where they are needed, or with too many damaged.
    """
    entries = _shared(list_entries(config.folder, config.split), config)
    needed = {"worn", "cover", "real"} & set(config.holes)
    unknown = next((entry for entry in entries if entry.landmarks is None), None) if needed else None
    if unknown and finder is None:
        got = f"none for {unknown.row['file']} in {config.folder}"
        fix = "make the dataset with: facefill prepare"
        raise InputError(f"landmarks, which the hole {min(needed)} needs", got, fix)
    folder = config.cache or cache_folder()
    opened = open_pictures(entries, config.side_px, folder, stream=config.stream, finder=finder if unknown else None)
    names, identities = _named(opened.rows)
    landmarks = scale_landmarks(opened.landmarks, MANIFEST_PX, config.side_px).astype(np.float32)
    native_px = tuple(float(row.get("native_side_px") or "nan") for row in opened.rows)
    return Faces(opened.pixels, landmarks, names, identities, digest_of(opened.rows, config.side_px), native_px)


def read_names(path: Path) -> set[str]:
    """The names in a text file, one a line. Raises InputError for a file that cannot be read."""
    try:
        return set(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"a text file with a name a line at {path}", str(error), "name another one") from None


def _named(rows: Iterable[Row]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files and identities; who is unknown is somebody of his own."""
    pairs = [(row["file"], row.get("identity") or row["file"]) for row in rows]
    return tuple(file for file, _ in pairs), tuple(identity for _, identity in pairs)


def _shared(entries: list[Entry], config: DataConfig) -> list[Entry]:
    """The entries that training will show or judge: all, or of those to learn from the share that is asked for, so that
    no others are decoded."""
    if config.share == 1:
        return entries
    names, identities = _named(entry.row for entry in entries)
    learning, judged = split_validation(identities, config.validation_images)
    kept = np.concatenate([keep_share(names, learning, config.share), judged])
    return [entries[place] for place in sorted(kept)]


def split_validation(identities: Sequence[str], count: int) -> tuple[Places, Places]:
    """Places of (learning, validation) faces: at least `count` for validation, whole identities in the order of the
    SHA-256 of "validation/identity", so that another machine or a grown dataset chooses alike."""
    people: dict[str, list[int]] = {}
    for index, identity in enumerate(identities):
        people.setdefault(identity, []).append(index)
    kept: list[int] = []
    for person in sorted(people, key=lambda name: hashlib.sha256(f"validation/{name}".encode()).digest()):
        if len(kept) >= count:
            break
        kept += people[person]
    return np.setdiff1d(np.arange(len(identities)), kept), np.array(sorted(kept), np.int64)


def keep_share(names: Sequence[str], places: Places, share: float) -> Places:
    """That share of the places, at least one, in the order of the SHA-256 of "share/name"."""
    order = sorted(places, key=lambda place: hashlib.sha256(f"share/{names[place]}".encode()).digest())
    return np.array(sorted(order[: max(1, round(share * len(places)))]), np.int64)


class Holes(Dataset[dict[str, Any]]):
    """Item `place, side_px` is the place-th picture that training sees, with its hole."""

    def __init__(
        self, faces: Faces, config: DataConfig, seed: int, *, chosen: Places | None = None, frozen: bool = False
    ) -> None:
        """chosen: places of the faces to draw from, None for all. frozen: every face once, in order, not mirrored."""
        holes = config.holes
        for name in holes:
            pick({**MASKS, "worn": None, "cover": None, "real": None, "none": None}, name, "hole")
        if "real" in holes and config.covers is None:
            raise InputError("data.covers, which the hole real needs", "none", "name the folder of real covers")
        calm = dict.fromkeys(("jitter", "colour", "grow", "grey"), 0.0) if frozen else {}
        self._config = config.model_copy(update=calm)
        self._faces, self._seed, self._frozen = faces, seed, frozen
        self._chosen = np.arange(len(faces.names)) if chosen is None else chosen
        self._outlines = read_outlines(config.covers) if "real" in holes and config.covers else None
        self._names = tuple(holes)
        self._shares = np.array(list(holes.values())) / sum(holes.values())

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        (place, side_px), config = item, self._config
        nth = place if self._frozen else picture_at(place, len(self._chosen), self._seed)
        index = int(self._chosen[nth])
        rng = np.random.default_rng([self._seed, place])
        face, landmarks = self._faces.pixels[index], self._faces.landmarks[index]
        if not self._frozen and rng.random() < 0.5:
            face = face[:, ::-1]
            landmarks = mirror_points(landmarks, face.shape[0])
        if side_px != face.shape[0]:
            landmarks = (landmarks + 0.5) * (side_px / face.shape[0]) - 0.5
            face = cv2.resize(face, (side_px, side_px), interpolation=cv2.INTER_AREA)
        if rng.random() < config.jitter:
            face, landmarks = moved(face, landmarks, rng)
        face = np.ascontiguousarray(face)
        name = self._names[int(rng.choice(len(self._names), p=self._shares))]
        if name == "real" and self._outlines:
            mask = draw_outline(self._outlines, landmarks, side_px, rng)
            worn = np.where(mask[..., None], np.uint8(128), face)
        else:
            worn, mask = draw_hole(name, face, landmarks, rng)
        if name in ("worn", "cover", "real") and config.grow:
            grown = dilate(mask, rng.uniform(0, config.grow * side_px))
            mask = mask if grown.all() else grown
        if config.colour:
            levels = tint(config.colour, rng)
            face, worn = cv2.LUT(face, levels), cv2.LUT(worn, levels)
        if config.grey and rng.random() < config.grey:
            face, worn = (np.dstack([cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)] * 3) for shown in (face, worn))
        item_of = {"truth": face, "worn": worn, "mask": mask, "landmarks": landmarks.astype(np.float32)}
        item_of |= {"seed": int(rng.integers(2**62)), "index": index}
        if config.edges:
            cut = rng.random() < config.edges and not self._frozen
            outside = draw_edges(side_px, rng) if cut else np.zeros_like(mask)
            item_of |= {"outside": outside, "mask": mask | outside}
        return item_of

    def __len__(self) -> int:
        return len(self._chosen) if self._frozen else 2**62


@dataclass(frozen=True)
class Source:
    learning: Callable[[int], Any]
    """From a seed an endless dataset; item `place, side_px` is the place-th picture that training sees, of that size.
    """
    validation: Dataset[dict[str, Any]]
    """Items as above; the first `validation_images` judge."""
    validation_images: int
    digest: str
    """SHA-256 of what the pictures are."""
    names: tuple[str, ...]
    """Names of the pictures by index, for messages."""


def open_faces(config: DataConfig, finder: Callable[[], Finds] = open_finder) -> Source:
    """Aligned faces of a dataset, with holes: to learn from those that validation does not use, mirrored, moved and
    tinted as the settings say; to judge the others as they are, with frozen holes. finder: see `read_faces`."""
    faces = read_faces(config, finder)
    learning, chosen = split_validation(faces.identities, config.validation_images)
    if config.without:
        worn = read_names(config.without)
        learning = np.array([place for place in learning if faces.names[place] not in worn], np.int64)
    turned = np.array([turn_of(points) > TURNED for points in faces.landmarks[learning]], bool)
    native_px = np.array(faces.native_px)[learning]
    times = np.where(turned, config.turned, 1) * np.where(native_px >= SHARP * config.side_px, config.sharp, 1)
    shown = np.repeat(learning, times)
    judged = Holes(faces, config, 0, chosen=chosen, frozen=True)
    return Source(lambda seed: Holes(faces, config, seed, chosen=shown), judged, len(chosen), faces.digest, faces.names)


def draw_hole(name: str, face: U8, landmarks: F32, rng: np.random.Generator) -> tuple[U8, Bool]:
    """The covered face and its mask; a hole that is no cover is grey, so that nobody sees what it hides. A full mask is
    drawn again."""
    if name == "none":
        return face, np.zeros(face.shape[:2], bool)
    if name in ("worn", "cover"):
        worn = wear(face, landmarks, rng, kinds=COVERS if name == "cover" else KINDS)
        return worn.face, worn.mask
    while True:
        mask = MASKS[name](face.shape[0], rng)
        if not mask.all():
            return np.where(mask[..., None], np.uint8(128), face), mask


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> Places:
    return np.random.default_rng([seed, 1, epoch]).permutation(count)


def picture_at(place: int, count: int, seed: int) -> int:
    """Which of `count` pictures is the place-th to be seen: every epoch is a permutation of its own."""
    epoch, within = divmod(place, count)
    return int(_order(count, seed, epoch)[within])


class Step(NamedTuple):
    begin: int
    end: int
    """Places in the run's order: the first, and the one behind the last."""
    side_px: int


def plan_steps(start: int, stop: int, batch: int, sides_px: Sequence[int], origin: int = 0) -> Iterator[Step]:
    """Batches of the pictures `start` to `stop`. Of several sides they take turns, beginning at the place `origin`."""
    for begin in range(start, stop, batch):
        yield Step(begin, min(begin + batch, stop), sides_px[(begin - origin) // batch % len(sides_px)])


def batches(
    pictures: Dataset[dict[str, Any]], steps: Iterable[Step], workers: int, world: World | None = None
) -> DataLoader[Any]:
    """The batches, as `to_batch` takes them.

    world: of each only this process's share; its first picture where there is nothing to share any more.
    """
    share = world.share if world else range
    items = ([(place, step.side_px) for place in share(step.begin, step.end) or [step.begin]] for step in steps)
    beside: Any = {"multiprocessing_context": "spawn", "prefetch_factor": 4} if workers else {}
    return DataLoader(pictures, batch_sampler=items, num_workers=workers, collate_fn=_collate, **beside)


def _collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}


def to_batch(raw: dict[str, Tensor], method: Any, device: torch.device) -> dict[str, Tensor]:
    """What the losses get (of a method see `methods.base.Batch`), from what the data loader stacked: pictures (N, H, W,
    3) uint8 become (N, 3, H, W) float32 in [-1, 1]."""
    batch = {name: values.to(device, non_blocking=True) for name, values in raw.items()}
    for name in {"truth", "worn", "image"} & set(batch):
        values = batch[name].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
        batch[name] = values.div_(127.5).sub_(1)
    for name in {"mask", "outside"} & set(batch):
        batch[name] = batch[name][:, None].float()
    if "mask" in batch:
        batch["image"] = torch.where(batch["mask"] > 0.5, method.hole_value, batch["worn"])
    return batch
