"""What an evaluation needs: its settings, and everything that they name, checked and loaded before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefill.catalog import find_weights, usable
from facefill.errors import InputError
from facefill.evaluation.dataset import Dataset, locate, read_dataset
from facefill.evaluation.features import Features, load_features
from facefill.evaluation.identity import Embedder
from facefill.evaluation.protocols import Paper, Protocol, read_papers, read_protocols
from facefill.evaluation.records import Records
from facefill.runtime.cover import Cover
from facefill.runtime.engine import load_engine
from facefill.runtime.model import Model, load

TRUTH, COVERED = "truth", "covered"
"""What is measured like a method, where networks look: the original, and the picture with its hole."""
PLAIN = ("psnr", "hole_psnr", "ssim", "hole_ssim", "ms_ssim", "l1", "hole_l1", "sharpness", "seam")
AS_PAPERS = ("psnr_grey", "ssim_grey_gaussian11", "ssim_rgb_uniform7", "ssim_grey_uniform7")


@dataclass(frozen=True)
class Settings:
    """One evaluation."""

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


@dataclass(frozen=True)
class Entry:
    """A method that takes part. limit: it sees the first so many faces, None for all."""

    label: str
    spec: str
    model: Model
    limit: int | None


@dataclass
class Bench:
    """All that an evaluation needs, checked and loaded."""

    settings: Settings
    datasets: list[Dataset]
    protocols: list[Protocol]
    papers: dict[str, Paper]
    entries: list[Entry]
    features: list[Features]
    embedder: Embedder | None
    cover: Cover | None
    columns: tuple[str, ...] = ()
    tones: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Skin tone of each dataset's faces."""

    @property
    def vectors(self) -> dict[str, int]:
        """Lengths of the vectors that are kept of every picture."""
        widths = {features.name: features.width for features in self.features}
        return widths | ({"embedder": self.embedder.width} if self.embedder else {})

    def labels(self, protocol: Protocol) -> list[str]:
        """What is measured on a protocol: the methods, and what networks look at beside them."""
        beside = [TRUTH, COVERED] if self.vectors else []
        return [*(entry.label for entry in self.entries), *beside]

    def count(self, label: str, dataset: Dataset) -> int:
        """How many faces of a dataset a method sees."""
        limits = {entry.label: entry.limit for entry in self.entries}
        return min(limits.get(label) or len(dataset.faces), len(dataset.faces))

    def records(self, dataset: Dataset, protocol: Protocol, label: str) -> Records:
        """The file of values of one method."""
        entry = next((entry for entry in self.entries if entry.label == label), None)
        key = {
            "method": label, "weights": entry.model.sha256 if entry else None, "protocol": protocol.name,
            "exact": self.settings.exact, "features": [features.sha256 for features in self.features],
            "embedder": self.embedder.sha256 if self.embedder else None,
        }
        columns = self.columns if entry else ()
        path = self.settings.report / "pictures" / dataset.name / protocol.name / f"{label}.csv"
        return Records(path, key, columns, self.vectors)


def prepare(settings: Settings) -> Bench:
    """Check and load everything, before anything is computed.

    Raises InputError for whatever is wrong: dataset, protocols, methods, their weights, networks, the report's folder.
    """
    if find_spec("matplotlib") is None:
        raise InputError("matplotlib for the report", "none installed", "pip install 'facefill[evaluate]'")
    papers = read_papers(settings.papers)
    holes = [*settings.holes, *(hole for paper in papers.values() for hole in paper.holes)]
    protocols = read_protocols(holes or ["centre@256"])
    if settings.batch < 1 or (settings.limit is not None and settings.limit < 1):
        raise InputError("--batch and --limit above 0", f"{settings.batch} and {settings.limit}", "choose larger ones")
    _check_folder(settings.report, make=False)
    datasets = [read_dataset(settings.folder, split, settings.limit) for split in settings.splits or (None,)]
    for dataset in datasets:
        largest = max(protocols, key=lambda protocol: protocol.size_px)
        if dataset.side_px < largest.size_px:
            raise InputError(f"faces of at least {largest.size_px} px for {largest.name}", f"{dataset.side_px} px",
                             "choose other holes, or larger faces")
    options = {"device": settings.device, "threads": settings.threads, "exact": settings.exact}
    entries = _load_entries(settings)
    features = load_features(settings.features, settings.heads)
    embedder, cover = None, None
    if settings.embedder:
        embedder = Embedder(settings.embedder, device=settings.device, threads=settings.threads)
    if any(protocol.hole == "worn-auto" for protocol in protocols):
        cover = Cover(load_engine(find_weights("cover")[0], **options))  # type: ignore[arg-type]
    if embedder or any(protocol.covers for protocol in protocols):
        datasets = [locate(dataset, settings.device, settings.threads) for dataset in datasets]
    perceptual = tuple(f"lpips_{one.name}" for one in features if one.perceptual)
    _check_folder(settings.report, make=True)
    columns = (*PLAIN, *perceptual, *(AS_PAPERS if papers else ()))
    return Bench(settings, datasets, protocols, papers, entries, features, embedder, cover, columns)


def _check_folder(report: Path, *, make: bool) -> None:
    """A new or empty folder, or one that an evaluation made. make: create what is missing."""
    try:
        ours = not report.exists() or (report / "pictures").is_dir() or (report.is_dir() and not any(report.iterdir()))
        if not ours:
            raise InputError("a new folder for the report, or one of an evaluation",
                             f"{report}, which holds other things", "choose another with --report")
        if make:
            (report / "pictures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("a folder to write to", f"{report}: {error.strerror}",
                         "choose another with --report") from None


def _load_entries(settings: Settings) -> list[Entry]:
    specs = usable() if settings.methods == ("all",) else list(dict.fromkeys(settings.methods))
    entries = []
    for spec in specs:
        name, colon, count = spec.rpartition(":")
        numbered = bool(colon) and count.isdecimal() and int(count) > 0
        limit, name = (int(count), name) if numbered else (None, spec)
        path = Path(name)
        label = path.stem if path.suffix == ".onnx" else name
        model = load(name, device=settings.device, threads=settings.threads, exact=settings.exact)
        entries.append(Entry(label, name, model, limit))
    labels = [entry.label for entry in entries]
    for label in labels:
        if labels.count(label) > 1 or label in (TRUTH, COVERED):
            raise InputError("methods of different names", f"{label} twice", "rename one of the files")
    return entries
