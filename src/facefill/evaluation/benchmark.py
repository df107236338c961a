"""Every method on the same frozen holes: what an evaluation needs, checked before anything runs, and the run itself,
which completes, measures beside, and keeps the values of every picture."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from facefill.arrays import F32, F64, U8
from facefill.catalog import find_weights, usable
from facefill.choices import pick
from facefill.datasets import faces as reading
from facefill.datasets.faces import Dataset, DatasetFace, landmarks_of
from facefill.errors import InputError, explained
from facefill.evaluation.features import Embedder, Features, load_features
from facefill.evaluation.groups import read_groups, read_tones
from facefill.evaluation.photos import complete_cases, draw_photo_case, show_covered
from facefill.evaluation.protocols import PAPERS, Case, Paper, Protocol, draw_case, mask_hash, read_protocols
from facefill.evaluation.records import DIGITS, PictureRecord, Records, row_of
from facefill.imaging import metrics
from facefill.runtime.cover import Cover
from facefill.runtime.engine import load_engine, thread_count
from facefill.runtime.helpers import HELPERS
from facefill.runtime.inpainter import Inpainter, open_inpainter
from facefill.runtime.model import Model

TRUTH, COVERED = "truth", "covered"
"""What is measured like a method, where networks look: the original, and the picture with its hole."""
PLAIN = ("psnr", "hole_psnr", "ssim", "hole_ssim", "ms_ssim", "l1", "hole_l1", "sharpness", "seam")
AS_PAPERS = ("psnr_grey", "ssim_grey_gaussian11", "ssim_rgb_uniform7", "ssim_grey_uniform7")


@dataclass(frozen=True)
class EvaluationSettings:
    folder: Path
    """The dataset."""
    report: Path
    """Where values and reports go; the same settings go on from what is there."""
    splits: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("swift",)
    """Names of the catalog or .onnx files, each perhaps with :N for the first N faces only. The first is the one that
    the others are compared with."""
    holes: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    limit: int | None = None
    features: tuple[Path, ...] = ()
    heads: Path | None = None
    embedder: Path | None = None
    device: str = "cpu"
    threads: int | None = None
    exact: bool = False
    batch: int = 8
    timings: bool = True
    per_picture: bool = False
    """Also draw input, truth and prediction of every face."""
    groups: Path | None = None
    """A CSV of further groups, see `groups.read_groups`."""
    adapter: str | None = None
    """What .onnx files take that do not say so themselves, see `runtime.adapter`."""

    @property
    def opened(self) -> dict[str, Any]:
        return {"device": self.device, "threads": self.threads, "exact": self.exact, "adapter": self.adapter}


@dataclass(frozen=True)
class Competitor:
    """A method that takes part. limit: it sees the first so many faces, None for all."""

    label: str
    spec: str
    inpainter: Inpainter
    limit: int | None

    @property
    def model(self) -> Model:
        return self.inpainter.model


@dataclass
class Bench:
    settings: EvaluationSettings
    datasets: list[Dataset]
    protocols: list[Protocol]
    papers: dict[str, Paper]
    entries: list[Competitor]
    features: list[Features]
    embedder: Embedder | None
    cover: Cover | None
    cover_sha256: str | None
    groups: dict[str, dict[str, str]]
    """Which group a file belongs to, by the kind of group, where somebody named them."""
    tones: dict[str, F64] = field(default_factory=dict)
    """Skin tone of each dataset's faces."""

    @property
    def vectors(self) -> dict[str, int]:
        """Lengths of the vectors that are kept of every picture."""
        lengths = {one.name: one.width for one in self.features}
        return lengths | ({"embedder": self.embedder.width} if self.embedder else {})

    @property
    def labels(self) -> list[str]:
        """What is measured: the methods, and what networks look at beside them."""
        return [*(entry.label for entry in self.entries), *([TRUTH, COVERED] if self.vectors else [])]

    def count(self, label: str, dataset: Dataset) -> int:
        limits = [entry.limit for entry in self.entries if entry.label == label and entry.limit]
        return min([len(dataset.faces), *limits])

    def as_papers(self, protocol: Protocol) -> bool:
        """Whether a paper that was asked for has these holes, so that its definitions are measured too."""
        return any(protocol.name in paper.holes for paper in self.papers.values())

    def records(self, dataset: Dataset, protocol: Protocol, label: str) -> Records:
        entry = next((entry for entry in self.entries if entry.label == label), None)
        key: dict[str, Any] = {
            "method": label,
            "weights": entry.model.sha256 if entry else None,
            "protocol": protocol.name,
            "exact": self.settings.exact,
            "features": [features.sha256 for features in self.features],
            "embedder": self.embedder.sha256 if self.embedder else None,
        }
        if protocol.hole == "worn-auto":
            key["cover"] = self.cover_sha256
        if protocol.whole:
            key["helpers"] = {name: find_weights(name)[1] for name in HELPERS}
        perceptual = (f"lpips_{features.name}" for features in self.features if features.perceptual)
        columns = (*PLAIN, *perceptual, *(AS_PAPERS if self.as_papers(protocol) else ())) if entry else ()
        path = self.settings.report / "pictures" / dataset.name / protocol.name / f"{label}.csv"
        return Records(path, key, columns, self.vectors)


# --- Checking and loading -----------------------------------------------------------------------


def prepare(settings: EvaluationSettings) -> Bench:
    """Check and load everything, before anything is computed.

    Raises InputError for whatever is wrong: dataset, protocols, methods, their weights, networks, the report's folder.
    """
    if find_spec("matplotlib") is None:
        raise InputError("matplotlib for the report", "none installed", "pip install 'facefill[evaluate]'")
    papers = {name: pick(PAPERS, name, "paper's protocol") for name in dict.fromkeys(settings.papers)}
    holes = [*settings.holes, *(hole for paper in papers.values() for hole in paper.holes)]
    protocols = read_protocols(holes or ["centre@256"])
    if settings.batch < 1 or (settings.limit is not None and settings.limit < 1):
        raise InputError("--batch and --limit above 0", f"{settings.batch} and {settings.limit}", "choose larger ones")
    _check_folder(settings.report, make=False)
    whole = any(protocol.whole for protocol in protocols)
    splits = settings.splits or (None,)
    datasets = [reading.read_dataset(settings.folder, split, settings.limit, whole=whole) for split in splits]
    largest = max(protocols, key=lambda protocol: protocol.size_px)
    for dataset in datasets:
        if dataset.side_px < largest.size_px and not whole:
            fix = "choose other holes, or larger faces"
            raise InputError(f"faces of at least {largest.size_px} px for {largest.name}", f"{dataset.side_px} px", fix)
    groups = read_groups(settings.groups) if settings.groups else {}
    entries = _load_entries(settings)
    features = load_features(settings.features, settings.heads)
    embedder, cover, cover_sha256 = None, None, None
    if settings.embedder:
        embedder = Embedder(settings.embedder, device=settings.device, threads=settings.threads)
    if any(protocol.hole == "worn-auto" for protocol in protocols):
        path, cover_sha256 = find_weights("cover")
        cover = Cover(load_engine(path, device=settings.device, threads=settings.threads, exact=settings.exact))
    if embedder or whole or any(protocol.covers for protocol in protocols):
        datasets = [reading.locate(dataset, settings.device, settings.threads) for dataset in datasets]
    _check_folder(settings.report, make=True)
    return Bench(settings, datasets, protocols, papers, entries, features, embedder, cover, cover_sha256, groups)


def _check_folder(report: Path, *, make: bool) -> None:
    """A new or empty folder, or one that an evaluation made. make: create what is missing."""
    with explained("a folder to write to", report, "choose another with --report"):
        ours = not report.exists() or (report / "pictures").is_dir() or (report.is_dir() and not any(report.iterdir()))
        if not ours:
            got = f"{report}, which holds other things"
            fix = "choose another with --report"
            raise InputError("a new folder for the report, or one of an evaluation", got, fix)
        if make:
            (report / "pictures").mkdir(parents=True, exist_ok=True)


def _load_entries(settings: EvaluationSettings) -> list[Competitor]:
    specs = usable() if settings.methods == ("all",) else list(dict.fromkeys(settings.methods))
    entries = []
    for spec in specs:
        name, colon, count = spec.rpartition(":")
        numbered = bool(colon) and count.isdecimal() and int(count) > 0
        limit, name = (int(count), name) if numbered else (None, spec)
        path = Path(name)
        label = path.stem if path.suffix in (".onnx", ".safetensors") else name
        entries.append(Competitor(label, name, open_inpainter(name, **settings.opened), limit))
    labels = [entry.label for entry in entries]
    for label in labels:
        if labels.count(label) > 1 or label in (TRUTH, COVERED):
            raise InputError("methods of different names", f"{label} twice", "rename one of the files")
    return entries


# --- Running ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluationProgress:
    """done of total pictures of one protocol on one dataset."""

    what: str
    done: int
    total: int


def run(bench: Bench) -> Iterator[EvaluationProgress]:
    """Complete and measure what is not there yet, and tell how far it is."""
    with ThreadPoolExecutor(thread_count(bench.settings.threads)) as pool:
        for dataset in bench.datasets:
            for protocol in bench.protocols:
                yield from _Cell(bench, dataset, protocol, pool).run()
            kept = bench.settings.report / "pictures" / dataset.name / "faces.csv"
            bench.tones[dataset.name] = read_tones(dataset, kept, pool.map)


def complete_case(bench: Bench, dataset: Dataset, protocol: Protocol, label: str, file: str) -> tuple[Case, U8]:
    face = next(face for face in dataset.faces if face.file == file)
    case = _draw(bench, protocol, face)
    return case, _complete(bench, protocol, label, [case])[0]


class _Cell:
    """One protocol on one dataset, all methods side by side on each batch of faces."""

    def __init__(self, bench: Bench, dataset: Dataset, protocol: Protocol, pool: ThreadPoolExecutor) -> None:
        self._bench, self._dataset, self._protocol, self._pool = bench, dataset, protocol, pool
        self._records = {label: bench.records(dataset, protocol, label) for label in bench.labels}
        self._counts = {label: bench.count(label, dataset) for label in self._records}
        self._waiting: Any = ((), "", 0, {}, {})

    def run(self) -> Iterator[EvaluationProgress]:
        """Batch after batch; the next one is read and drawn while the methods complete this one."""
        faces, size = self._dataset.faces, self._bench.settings.batch
        what = f"{self._dataset.name} {self._protocol.name}"
        self._drop_what_changed()
        starts = [start for start in range(0, len(faces), size) if self._due(start, start + size)]
        coming = self._draw(starts[0], size) if starts else []
        for place, start in enumerate(starts):
            cases = [future.result() for future in coming]
            coming = self._draw(starts[place + 1], size) if place + 1 < len(starts) else []
            self._batch(start, cases)
            yield EvaluationProgress(what, start, len(faces))
        self._write()
        yield EvaluationProgress(what, len(faces), len(faces))

    def _due(self, start: int, stop: int) -> dict[str, tuple[int, int]]:
        """Methods that still need some of these faces, and from which to which."""
        due = {label: (max(len(records.rows), start), stop) for label, records in self._records.items()}
        due = {label: (first, min(last, self._counts[label])) for label, (first, last) in due.items()}
        return {label: (first, last) for label, (first, last) in due.items() if first < last}

    def _draw(self, start: int, size: int) -> list[Future[Case]]:
        faces = self._dataset.faces[start : start + size]
        return [self._pool.submit(_draw, self._bench, self._protocol, face) for face in faces]

    def _drop_what_changed(self) -> None:
        """Keep the rows of the same pictures, if the first can be made again to the last digit; else start over."""
        faces = self._dataset.faces
        drawn = cache(lambda place: _draw(self._bench, self._protocol, faces[place]))

        def is_row(place: int, row: tuple[str, str, str]) -> bool:
            if place == 0 or self._protocol.whole:  # what finds faces decides these holes, too
                return (*row_of(faces[place]), mask_hash(drawn(place).mask)[:DIGITS]) == row
            return row_of(faces[place]) == row[:2]

        for label, records in self._records.items():
            rows = records.rows[: len(faces)]  # those beyond the faces of this command are another command's, and stay
            same = next((place for place, row in enumerate(rows) if not is_row(place, row)), len(rows))
            if same and label not in (TRUTH, COVERED):
                stored = records.table(1).values
                again = self._measure(_complete(self._bench, self._protocol, label, [drawn(0)])[0], drawn(0))
                if any(repr(float(stored[name][0])) != repr(float(value)) for name, value in again.items()):
                    same = 0
            if same < len(rows):
                records.keep(same)

    def _batch(self, start: int, cases: list[Case]) -> None:
        truths = [features.look(np.stack([case.truth for case in cases])) for features in self._bench.features]
        for label, (first, last) in self._due(start, start + len(cases)).items():
            part = slice(first - start, last - start)
            completed = _complete(self._bench, self._protocol, label, cases[part])
            plain = label in (TRUTH, COVERED)
            measured = [{} for _ in completed] if plain else self._pool.map(self._measure, completed, cases[part])
            theirs = [([layer[part] for layer in seen], found[part]) for seen, found in truths]
            vectors, scores = self._look(label, completed, theirs, first)
            self._write()
            self._waiting = zip(cases[part], measured, strict=True), label, first, vectors, scores

    def _write(self) -> None:
        """Write what was measured while the next method completed."""
        done, label, first, vectors, scores = self._waiting
        for place, (case, values) in enumerate(done):
            values |= {name: float(array[place]) for name, array in scores.items()}
            mine = {name: array[place] for name, array in vectors.items()}
            row = *row_of(self._dataset.faces[first + place]), mask_hash(case.mask)[:DIGITS]
            self._records[label].append(PictureRecord(*row, values, mine))

    def _measure(self, completed: U8, case: Case) -> dict[str, float]:
        values = metrics.measure(completed, case.truth, case.hole)
        if self._bench.as_papers(self._protocol):
            values |= metrics.measure_as_papers(completed, case.truth)
        return values

    def _look(
        self, label: str, completed: U8, truths: Sequence[tuple[Any, F32]], start: int
    ) -> tuple[dict[str, F32], dict[str, F64]]:
        """Vectors and perceptual distances by every network. truths: what it saw in the originals."""
        vectors: dict[str, F32] = {}
        values: dict[str, F64] = {}
        for features, truth in zip(self._bench.features, truths, strict=True):
            seen, vectors[features.name] = truth if label == TRUTH else features.look(completed)
            if features.perceptual:
                values[f"lpips_{features.name}"] = features.compare(seen, truth[0])
        if self._bench.embedder:
            faces = self._dataset.faces[start : start + len(completed)]
            landmarks = np.stack([landmarks_of(face, self._protocol.size_px) for face in faces])
            vectors["embedder"] = self._bench.embedder.look(completed, landmarks)
        return vectors, values


def _draw(bench: Bench, protocol: Protocol, face: DatasetFace) -> Case:
    if protocol.whole:
        pixels = reading.read_pixels(face)
        return draw_photo_case(protocol, pixels, reading.landmarks_in(face, pixels.shape[0]), face.file)
    side = protocol.size_px
    return draw_case(protocol, reading.read_face(face, side), landmarks_of(face, side), face.file, bench.cover)


def _complete(bench: Bench, protocol: Protocol, label: str, cases: Sequence[Case]) -> U8:
    shown, masks = np.stack([case.shown for case in cases]), np.stack([case.mask for case in cases])
    if label == TRUTH:
        return np.stack([case.truth for case in cases])
    if label == COVERED:
        return show_covered(protocol, shown, masks)
    return complete_cases(next(entry.inpainter for entry in bench.entries if entry.label == label), protocol, cases)
