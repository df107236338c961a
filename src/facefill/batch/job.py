"""What a run does, in a form that goes to other processes and machines."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facefill.batch.bucket import Bucket, Folder
from facefill.batch.folder import LocalFolder
from facefill.batch.manifest import Outcome
from facefill.catalog import METHODS, file_hash, find_weights, shipped_weights
from facefill.choices import pick
from facefill.errors import InputError
from facefill.files.provenance import Signature
from facefill.runtime.cover import KINDS, read_kinds


@dataclass(frozen=True)
class BatchJob:
    """Everything a worker needs to know."""

    source: str
    """IN: a path or a URL."""
    target: str
    """OUT."""
    masks: str = ""
    """Folder or URL of the user's masks; empty: find what covers the faces."""
    method: str = "swift"
    seed: int = 0
    large_hole: bool = False
    device: str = "cpu"
    exact: bool = False
    covers: tuple[str, ...] = KINDS
    """The kinds to take off."""
    model_sha256: str = ""
    """Hash of the method's weights; empty where it has none."""
    recipe: str = ""
    """Hash of everything above except the places, and of the weights: results with another one differ."""
    signature: Signature | None = field(default=None, repr=False)
    """Signs a C2PA manifest of each result."""


@dataclass(frozen=True)
class Item:
    """A photo to be completed."""

    name: str
    stamp: str
    """Changes when the photo or its mask changes."""
    problem: str = ""
    """Why it cannot be completed, known before trying."""
    mask: str = ""
    """Its name among the masks."""
    sources: int | None = None
    """Hash of the sources that its result in OUT was made from, see `manifest.hash_sources`."""

    def failed(self, job: BatchJob, reason: str = "") -> Outcome:
        """Its outcome unless something better happens."""
        same: Any = {name: getattr(job, name) for name in ("method", "model_sha256", "seed", "recipe")}
        return Outcome(self.name, "failed", reason, self.stamp, **same)


def make_job(source: str, target: str, *, covers: str = "all", **options: Any) -> BatchJob:
    """A checked job. covers: see `read_kinds`. options: as `BatchJob` has them.

    Raises InputError for odd places, an unknown method or kind of cover, and for masks with a choice of covers.
    """
    if not source or not target:
        raise InputError("folders IN and OUT", "an empty name", "name both")
    asked = read_kinds(covers)
    job = BatchJob(source, target, covers=tuple(kind for kind in KINDS if kind in asked), **options)
    if job.masks and job.covers != KINDS:
        raise InputError("--covers or --mask-dir", "both", "leave one of them out: masks say themselves what comes off")
    for place in filter(None, (source, job.masks)):
        if not is_url(place) and not local_path(place).is_dir():
            fix = "check the path; for a single photo: facefill unmask"
            raise InputError(f"a folder of {'photos' if place == source else 'masks'}", f"nothing at {place}", fix)
    job = replace(job, source=_absolute(source), target=_absolute(target), masks=job.masks and _absolute(job.masks))
    one, other = Path(job.source), Path(job.target)
    if one == other or other in one.parents:
        fix = "choose another OUT: results would replace the photos"
        raise InputError("OUT apart from IN", f"{target}, which is or holds {source}", fix)
    sha256 = _hash_model(job.method)
    shipped = shipped_weights()
    helpers = sorted(shipped[name].sha256 for name in ("finder", "second_look", "cover"))
    signed_by = [hashlib.sha256(job.signature.certificates).hexdigest()] if job.signature else []
    chosen = [job.method, sha256, helpers, job.seed, job.large_hole, job.exact, job.device, bool(job.masks), *signed_by]
    chosen += [job.covers] if job.covers != KINDS else []  # all of them, as before there was a choice
    recipe = hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:16]
    return replace(job, model_sha256=sha256, recipe=recipe)


def open_places(job: BatchJob) -> tuple[Folder, Folder, Folder | None]:
    """IN, OUT and the masks. OUT may lie in IN: it is not listed then."""
    masks = open_folder(job.masks) if job.masks else None
    return open_folder(job.source, without=job.target), open_folder(job.target), masks


def _absolute(place: str) -> str:
    """An absolute path: workers may run in another folder."""
    return place if is_url(place) else str(local_path(place).resolve())


def _hash_model(method: str) -> str:
    path = Path(method)
    if path.suffix in (".onnx", ".safetensors"):
        if not path.is_file():
            raise InputError(f"a {path.suffix} file", f"nothing at {path}", "write one with: facefill export")
        return file_hash(path)
    record = pick(METHODS, method, "method")
    return "" if record.kind == "classical" else find_weights(record.weights or record.name)[1]


def is_url(place: str) -> bool:
    """Whether it names a place that fsspec opens, rather than a path: s3://bucket/photos."""
    scheme, colon, _ = place.partition("://")
    return bool(colon) and scheme != "file"


def local_path(place: str) -> Path:
    """The path that a place names, file:// or plain."""
    return Path(place.removeprefix("file://"))


def open_folder(place: str, without: str | None = None) -> Folder:
    """The folder at a path or a URL. without: a place in it that is not listed. Raises InputError without fsspec."""
    if is_url(place):
        return Bucket(place, without if without and is_url(without) else None)
    leave = local_path(without).resolve() if without and not is_url(without) else None
    return LocalFolder(local_path(place).resolve(), leave)
