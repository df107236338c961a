"""From a photo to a completed photo: plan what to complete, run the model on crops, finish in the photo."""

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import TextIOBase
from os import PathLike
from typing import Any, BinaryIO

import numpy as np

from facefill.arrays import U8, Bool
from facefill.errors import InputError
from facefill.files.mask import read_mask
from facefill.files.photo import Photo, Provenance, encode_photo, read_photo, write_photo
from facefill.files.provenance import Signature
from facefill.files.whole import path_of
from facefill.runtime.cover import KINDS, Cover, read_kinds
from facefill.runtime.detector import Detects
from facefill.runtime.draw import Drawn, draw
from facefill.runtime.face_warnings import why_untouched
from facefill.runtime.helpers import Finds, open_camera, open_cover, open_finder
from facefill.runtime.model import Model, load
from facefill.runtime.plan import FoundFace, Plan, assign, assign_aligned, place_of, too_small
from facefill.threads import once

HONEST = "What was hidden is invented: it shows what could be there, and is no evidence of anyone's identity."


@dataclass(frozen=True, repr=False)
class Result:
    """A completed photo."""

    photo: U8
    """(H, W, 3) RGB, upright."""
    mask: Bool
    """(H, W), True at every completed pixel."""
    faces: tuple[FoundFace, ...]
    warnings: tuple[str, ...]
    source: Photo
    provenance: Provenance

    def __repr__(self) -> str:
        height, width = self.mask.shape
        done = sum(bool(face.missing.any()) for face in self.faces)
        return (
            f"Result({width}x{height}, {int(self.mask.sum()):,} pixels and {done} of {len(self.faces)} faces "
            f"completed by {self.provenance.method}, {len(self.warnings)} warnings)"
        )

    def save(
        self, path: str | PathLike[str] | BinaryIO, *, overwrite: bool = False, sign: Signature | None = None
    ) -> tuple[str, ...]:
        """Write the photo in the format of the path's suffix; pixels outside the mask keep the source's samples.

        path: or a file open for writing bytes, which gets the photo's own format. sign: what
        `files.provenance.read_signature` reads of a PEM file; signs a C2PA manifest of the completion.
        Returns notes on what the format could not hold. Raises InputError for an existing file without
        `overwrite`, the source itself, an unknown suffix, a folder that cannot be written, a full disk, a key that
        cannot sign.
        """
        done = self.source, self.photo, self.mask
        if not isinstance(path, str | PathLike) and hasattr(path, "write") and not isinstance(path, TextIOBase):
            data, notes = encode_photo(*done, provenance=self.provenance, signature=sign)
            path.write(data)
            return notes
        target = path_of(path, "a path, or a file open for writing bytes")
        return write_photo(*done, target, overwrite=overwrite, provenance=self.provenance, signature=sign)


class Inpainter:
    """Completes photos with one model; keeps nothing between calls but the loaded networks.

    finder, cover: functions that load the helpers; they are called when a photo first needs them, and give the same
    ones ever after. camera: likewise a faster model for a camera's frames; None: there is none.
    """

    def __init__(
        self,
        model: Model,
        finder: Callable[[], Finds],
        cover: Callable[[], Cover],
        camera: Callable[[], Model] | None = None,
    ) -> None:
        self.model = model
        self.finder = once(finder)
        self.cover = once(cover)
        self.camera = once(camera or (lambda: model))

    # ---- plan

    def plan_unmask(self, photo: Photo, *, covers: Collection[str] = KINDS, large_hole: bool = False) -> Plan:
        """Find the faces and what covers each. covers: the kinds to take off; others stay on.

        Raises InputError when there is no face, none is large enough, none is covered, or all holes are too large.
        """
        found = self.finder().find(photo.pixels)
        if not found:
            fix = "mark the hole yourself: facefill complete PHOTO --mask MASK -o OUT"
            raise InputError("a photo with a face", "none in it", fix)
        warnings = [small and f"{small}: left as it is" for small in map(too_small, found)]
        hidden = self.cover().find(photo.pixels, found, covers)
        for index, cover in enumerate(hidden):
            if not warnings[index] and not cover.missing.any():
                warnings[index] = f"{place_of(found[index])}: {why_untouched(cover.left_on)}"
        missing = np.zeros(photo.pixels.shape[:2], bool)
        for cover, warning in zip(hidden, warnings, strict=True):
            if not warning:
                missing[cover.window] |= cover.missing
        plan = assign(photo, missing, found, self.model, warnings, hidden, large_hole=large_hole)
        faces = tuple(
            replace(face, covers=cover.kinds, cut=cover.cut, left_on=cover.left_on)
            for face, cover in zip(plan.faces, hidden, strict=True)
        )
        return replace(plan, faces=faces, covered=True)

    def plan_complete(
        self, photo: Photo, mask: Bool, *, aligned: bool = False, large_hole: bool = False, covered: bool = False
    ) -> Plan:
        """Share a mask that the user gave among the faces and what is around them.

        mask: (H, W) bool. aligned: the photo is an aligned square face already. covered: what is missing is a cover, at
        which a method may look.
        A face that is too small to align counts as none. Raises InputError when aligned and not square, or when every
        hole is too large.
        """
        height, width = mask.shape
        if aligned:
            if height != width:
                raise InputError("a square picture with aligned", f"{width}x{height}", "leave --aligned out")
            return replace(assign_aligned(photo, mask, self.model), covered=covered)
        found = self.finder().find(photo.pixels)
        faces = [face for face in found if not too_small(face)]
        plan = assign(photo, mask, faces, self.model, [""] * len(faces), large_hole=large_hole)
        said = []
        for face in found:
            x0, y0, x1, y1 = (max(round(edge), 0) for edge in face.box)
            if (small := too_small(face)) and mask[y0 : y1 + 1, x0 : x1 + 1].any():
                said.append(f"{small}: its hole is completed from its surroundings")
        return replace(plan, warnings=(*said, *plan.warnings), covered=covered)

    # ---- run

    def run(
        self,
        plans: Sequence[Plan],
        *,
        seed: int | Sequence[int] = 0,
        samples: int = 1,
        first: int = 0,
        tell: bool = False,
    ) -> list[Drawn]:
        """Complete many photos side by side.

        seed: source of all randomness; one for all, or one per plan. samples: completed photos per plan. first: the
        number of the first one, see `Model.complete`. tell: see `method_warnings.collect_warnings`. Raises InputError
        for a seed below 0, and for samples of a method that has only one.
        """
        given = list(seed) if isinstance(seed, Sequence) else [seed] * len(plans)
        seeds = [operator.index(one) if hasattr(one, "__index__") else -1 for one in given]
        if min(seeds, default=0) < 0:
            raise InputError("a whole number of 0 or more as the seed", repr(seed)[:80], "choose another")
        self.model.check_samples(first + samples)
        return draw(self.model, plans, seeds, range(first, first + samples), tell=tell)

    # ---- finish

    def finish(self, plan: Plan, drawn: Drawn, *, seed: int = 0, sample: int = 0) -> Result:
        """What became of one photo. seed: as in `run`."""
        provenance = Provenance(self.model.name, self.model.sha256 or "", operator.index(seed))
        warnings = (*plan.photo.notes, *plan.warnings, *drawn.warnings)
        return Result(drawn.photos[sample], plan.mask, plan.faces, warnings, plan.photo, provenance)

    def complete(self, plan: Plan, *, seed: int = 0, tell: bool = False) -> Result:
        """Run and finish one photo. tell: see `method_warnings.collect_warnings`."""
        return self.finish(plan, self.run([plan], seed=seed, tell=tell)[0], seed=seed)


# ---- the two functions that most people need


def open_inpainter(
    method: str = "swift",
    *,
    device: str = "cpu",
    threads: int | None = None,
    exact: bool = False,
    settings: Sequence[str] = (),
    adapter: str | None = None,
    finder: str | PathLike[str] | Detects | None = None,
) -> Inpainter:
    """An `Inpainter` with a shipped or exported model and the shipped helpers. Options as in `facefill.load`.

    finder: a YuNet file, or what has a `find` like `runtime.detector.Detects`, in place of the shipped one; what it
    finds is checked and aligned as the shipped one's faces are.
    """
    options: dict[str, Any] = {"device": device, "threads": threads, "exact": exact}
    model = load(method, **options, settings=settings, adapter=adapter)
    yours = None if finder is None else open_finder(finder, **options)
    find = (lambda: yours) if yours else partial(open_finder, **options)
    camera = partial(open_camera, **options) if method == "swift" else None
    return Inpainter(model, find, partial(open_cover, **options), camera)


_open_once = once(open_inpainter)


def unmask(
    photo: Any,
    *,
    method: str = "swift",
    seed: int = 0,
    large_hole: bool = False,
    covers: Collection[str] = KINDS,
    finder: str | PathLike[str] | Detects | None = None,
) -> Result:
    """Find the faces of a photo and what covers each, and complete what is covered.

    photo: a path, an open file, its bytes, a Pillow image or (H, W, 3) uint8 RGB. method: see `facefill.METHODS`.
    seed: the same one gives the same picture. large_hole: also complete a face of which more
    than 60 % is missing. covers: the kinds to take off, of "mask", "sunglasses", "hand" and "other" (a microphone
    ...); others stay on. finder: see `open_inpainter`.
    Raises InputError when no face could be completed; faces that could not, while others could, are warned about.
    """
    inpainter = _open_once(method, finder=finder)
    kinds = read_kinds(covers if isinstance(covers, str) else ",".join(covers))
    plan = inpainter.plan_unmask(read_photo(photo), covers=kinds, large_hole=large_hole)
    return inpainter.complete(plan, seed=seed)


def complete(
    photo: Any,
    mask: Any,
    *,
    method: str = "swift",
    seed: int = 0,
    aligned: bool = False,
    large_hole: bool = False,
    covered: bool = False,
    finder: str | PathLike[str] | Detects | None = None,
) -> Result:
    """Complete the missing pixels of a photo.

    photo: as for `unmask`. mask: the same kinds, of the photo's size, True or above 127 = missing.
    aligned: the photo is an aligned square face already: no finder, no crop, no limit on the hole. covered: what is
    missing is a cover that the photo shows, at which a method may look. finder: see `open_inpainter`.
    Raises InputError for a mask that does not fit, is empty or full, or leaves no face that can be completed.
    """
    inpainter = _open_once(method, finder=finder)
    source = read_photo(photo)
    height, width = source.pixels.shape[:2]
    plan = inpainter.plan_complete(
        source, read_mask(mask, (height, width)), aligned=aligned, large_hole=large_hole, covered=covered
    )
    return inpainter.complete(plan, seed=seed)
