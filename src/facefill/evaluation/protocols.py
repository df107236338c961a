"""Frozen holes: a name, a size, and for each file one hole that never changes; and what old papers meant by a number.

The hole of a file comes from a generator seeded with the first 8 bytes (big endian) of SHA-256("protocol/file"), so
that every method sees the same holes, here and elsewhere. A protocol that changes gets a new name.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefill.arrays import F64, U8, Bool
from facefill.choices import pick
from facefill.config import read_toml
from facefill.covers.wear import wear
from facefill.errors import InputError
from facefill.imaging.crop import Crop
from facefill.imaging.masks import MASKS
from facefill.runtime.cover import Cover
from facefill.runtime.finder import Face

COVERS = ("worn", "worn-auto")
"""Holes that are drawn as a cover on the face, and so need landmarks."""
FACE_MASKS = {
    "surgical": 0.34, "respirator": 0.14, "cup": 0.09, "half-mask": 0.03, "cloth": 0.28, "bandana": 0.04,
    "gaiter": 0.04, "scarf": 0.04,
}  # fmt: skip
"""Kinds of cover that these holes are drawn with, over mouth and nose, and how often."""
_NAMES = {
    **dict.fromkeys(("centre", "half-left", "half-right", "lower", "upper", "eyes", *COVERS), 256),
    **{f"freeform{percent}": 256 for percent in range(10, 70, 10)},
    **{f"random{percent}": 64 for percent in (20, 40, 60, 80)},
}


@dataclass(frozen=True)
class Protocol:
    name: str
    hole: str
    size_px: int

    @property
    def covers(self) -> bool:
        """Whether a cover is drawn on the face."""
        return self.hole in (*COVERS, "photo-worn")

    @property
    def whole(self) -> bool:
        """Whether whole photos are completed, see `evaluation.photos`."""
        return self.name in PHOTOS


PROTOCOLS: dict[str, Protocol] = {
    f"{hole}@{size}": Protocol(f"{hole}@{size}", hole, size) for hole, size in (*_NAMES.items(), ("centre", 128))
}


PHOTOS: dict[str, Protocol] = {name: Protocol(name, name, 256) for name in ("photo-worn", "photo-scratch")}
"""Protocols of whole photos, `size_px` the side of what is measured of each."""


@dataclass(frozen=True)
class Case:
    """One face with its hole.

    truth: (S, S, 3). shown: what a method gets, the covered face for covers, else the truth. mask: the pixels it shall
    complete. hole: the pixels that metrics of the hole look at; all that is covered, also where `mask` misses it.
    """

    file: str
    truth: U8
    shown: U8
    mask: Bool
    hole: Bool
    photo: U8 | None = None
    """(H, W, 3), the whole photo to complete, for `PHOTOS`; the pictures above are what `crop` takes of it."""
    drawn: Bool | None = None
    """(H, W), the hole that somebody marked in the photo; None: what covers its faces is to be found."""
    crop: Crop | None = None


def read_protocols(names: Sequence[str]) -> list[Protocol]:
    """The protocols of these names, each once. Raises InputError for an unknown one."""
    return [pick(PROTOCOLS | PHOTOS, name, "protocol") for name in dict.fromkeys(names)]


def hole_rng(protocol: str, file: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{protocol}/{file}".encode()).digest()[:8], "big"))


def seed_of(protocol: Protocol, file: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{protocol.name}/{file}".encode()).digest()[8:12])


def draw_case(protocol: Protocol, face: U8, landmarks: F64, file: str, cover: Cover | None) -> Case:
    """The face with this file's hole.

    face: (S, S, 3) of the protocol's side. landmarks: (5, 2) pixels, used for covers only. cover: finds what
    `worn-auto` completes; the cover itself is drawn as in `worn`, so that both show the same picture.
    Raises InputError for a face that no cover can be drawn on.
    """
    if not protocol.covers:
        mask = MASKS[protocol.hole](protocol.size_px, hole_rng(protocol.name, file))
        return Case(file, face, face, mask, mask)
    rng = hole_rng(f"worn@{protocol.size_px}", file)
    kind = str(rng.choice(list(FACE_MASKS), p=list(FACE_MASKS.values())))
    try:
        worn = wear(face, landmarks, rng, kind, coverage="full")
    except InputError as error:
        raise InputError(error.expected, f"{error.got} in {file}", error.fix) from None
    if protocol.hole == "worn-auto" and cover is not None:
        side = float(protocol.size_px)
        found = cover.find(worn.face, [Face((0.0, 0.0, side, side), landmarks, 1.0)])[0]
        return Case(file, face, worn.face, found.mask(face.shape), worn.mask)
    return Case(file, face, worn.face, worn.mask, worn.mask)


def mask_hash(mask: Bool) -> str:
    """SHA-256 of a hole: its shape and its bits, row by row, the first pixel the highest bit."""
    return hashlib.sha256(f"{mask.shape[0]}x{mask.shape[1]}\n".encode() + np.packbits(mask).tobytes()).hexdigest()


# --- What papers printed ------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """One way to compute PSNR and SSIM of the same two pictures, all with values of 0 to 255."""

    name: str
    psnr: str
    """The column of per-picture values."""
    ssim: str


VARIANTS = (
    Variant("RGB, Gaussian 11", "psnr", "ssim"),
    Variant("RGB, uniform 7", "psnr", "ssim_rgb_uniform7"),
    Variant("grey, Gaussian 11", "psnr_grey", "ssim_grey_gaussian11"),
    Variant("grey, uniform 7", "psnr_grey", "ssim_grey_uniform7"),
)


@dataclass(frozen=True)
class Printed:
    method: str
    hole: str
    psnr: float
    ssim: float
    comparable: str
    """Whether it compares with a value of this report, and if not, why."""


@dataclass(frozen=True)
class Paper:
    title: str
    holes: tuple[str, ...]
    """Protocols that come nearest to what it did."""
    size: str
    """Side of its pictures in pixels."""
    data: str
    n: str
    colour: str = "not stated"
    values: str = "not stated"
    window: str = "not stated"
    printed: tuple[Printed, ...] = ()
    remark: str = ""


PAPERS: dict[str, Paper] = {
    name: Paper(
        **table | {"holes": tuple(table["holes"]), "printed": tuple(Printed(*row) for row in table.get("printed", ()))}
    )
    for name, table in read_toml(Path(__file__).with_name("papers.toml")).items()
}
