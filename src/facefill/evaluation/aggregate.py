"""From values per picture to a summary: means with intervals, differences of methods, groups, distances of sets."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F64, Bool
from facefill.config import read_toml
from facefill.datasets.faces import Dataset
from facefill.evaluation.benchmark import PLAIN, TRUTH, Bench
from facefill.evaluation.features import RATES, accept_from, partners, verify
from facefill.evaluation.groups import group_faces
from facefill.evaluation.intervals import Estimate, Statistic, bootstrap, frechet_distance, jackknife
from facefill.evaluation.protocols import VARIANTS, Paper, Protocol
from facefill.evaluation.records import Measurements


@dataclass(frozen=True)
class Metric:
    name: str
    title: str
    better: str
    """higher, lower or nearer 1."""
    definition: str
    unit: str = ""
    digits: int = 3
    statistic: Statistic = "mean"
    grouped: bool = False
    """Whether it is also told by group."""
    compared: bool = False
    """Whether pages show differences between methods."""


Names = NDArray[np.str_]
Place = tuple[str, str, str, str, str, str]
"""The first six fields of a `ReportRow`."""
Groups = dict[str, list[str]]
"""The group of each face, by the kind of group."""
Tables = dict[str, Measurements]
"""What was measured of each method."""
_TABLES = read_toml(Path(__file__).with_name("metrics.toml"))


def _metric(name: str, **said: Any) -> Metric:
    """A column of metrics.toml, with what stands in braces there."""
    table: dict[str, Any] = {"name": name, **_TABLES[name]}
    table |= {key: text.format(**said) for key, text in table.items() if isinstance(text, str)}
    return Metric(**table)


@dataclass
class ReportRow:
    """One estimate. kind, group: empty for all faces. identical: pictures that came back identical, left out of n."""

    dataset: str
    protocol: str
    method: str
    metric: str
    kind: str
    group: str
    n: int
    identical: int
    value: float
    low: float
    high: float


@dataclass
class Difference:
    """first minus second, paired over the same pictures."""

    dataset: str
    protocol: str
    metric: str
    first: str
    second: str
    n: int
    value: float
    low: float
    high: float


@dataclass
class Summary:
    """Everything that the reports show; the same for the same values."""

    about: dict[str, Any]
    metrics: list[Metric]
    rows: list[ReportRow] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    cases: list[dict[str, str]] = field(default_factory=list)
    """Which pictures are shown: dataset, protocol, rank (best, median, worst), file."""
    _by_name: dict[tuple[str, ...], ReportRow] = field(default_factory=dict)

    def find(
        self, dataset: str, protocol: str, method: str, metric: str, kind: str = "", group: str = ""
    ) -> ReportRow | None:
        if len(self._by_name) != len(self.rows):
            self._by_name = {
                (row.dataset, row.protocol, row.method, row.metric, row.kind, row.group): row for row in self.rows
            }
        return self._by_name.get((dataset, protocol, method, metric, kind, group))


def summarise(bench: Bench, about: dict[str, Any]) -> Summary:
    """Read all values of an evaluation and summarise them. about: what else the report says of itself."""
    summary = Summary(about, _metrics(bench))
    for dataset in bench.datasets:
        groups = group_faces(dataset, bench.tones[dataset.name], bench.groups)
        for protocol in bench.protocols:
            records = {label: bench.records(dataset, protocol, label) for label in bench.labels}
            tables = {label: found.table(bench.count(label, dataset)) for label, found in records.items()}
            _add_cell(summary, bench, dataset, protocol, tables, groups)
            holes = tables[bench.entries[0].label]
            text = "".join(f"{file}\n{hole}\n" for file, hole in zip(holes.files, holes.holes, strict=True))
            about["datasets"][dataset.name]["holes"][protocol.name] = hashlib.sha256(text.encode()).hexdigest()
    return summary


def _metrics(bench: Bench) -> list[Metric]:
    found = [_metric(name) for name in PLAIN]
    found += [_metric("lpips_{feature.name}", feature=one) for one in bench.features if one.perceptual]
    for one in bench.features:
        found.append(_metric("frechet_{feature.name}", feature=one, fitted=_fitted(bench, one.width)))
    if bench.embedder:
        found.append(_metric("cosine", embedder=bench.embedder))
        found += [_metric("accepted_{rate:g}", rate=rate) for rate in RATES]
        found.append(_metric("frechet_embedder", fitted=_fitted(bench, bench.embedder.width)))
    if bench.papers:
        found.append(_metric("psnr_grey"))
        found += [_metric("{variant.ssim}", variant=variant) for variant in VARIANTS[1:]]
    return found


def _fitted(bench: Bench, width: int) -> str:
    """What to bear in mind of a Gaussian in so many dimensions."""
    fewest = min(bench.count(entry.label, dataset) for entry in bench.entries for dataset in bench.datasets)
    few = f"; with {fewest} pictures, no more than dimensions, covariances are singular" if fewest <= width else ""
    return f"{width} dimensions; interval by jackknife; grows as n shrinks, compare rows of the same n{few}"


def _add_cell(
    summary: Summary, bench: Bench, dataset: Dataset, protocol: Protocol, tables: Tables, groups: Groups
) -> None:
    people = np.array(dataset.people)
    values = {label: dict(table.values) for label, table in tables.items()}
    if bench.embedder:
        for label, found in _identity(dataset, tables).items():
            values[label] |= found
    for label, columns in values.items():
        for metric in summary.metrics:
            if metric.name not in columns:
                continue
            place, column = (dataset.name, protocol.name, label, metric.name), columns[metric.name]
            everybody = np.ones(len(column), bool)
            summary.rows.append(_row((*place, "", ""), column, everybody, people, metric.statistic))
            for kind, names in groups.items() if metric.grouped else ():
                group_of = np.array(names[: len(column)])
                for group in sorted(set(group_of) - {""}):
                    summary.rows.append(
                        _row((*place, kind, group), column, group_of == group, people, metric.statistic)
                    )
    for metric in summary.metrics:
        for first, second in combinations([entry.label for entry in bench.entries], 2):
            if metric.name in values[first]:
                pair = [values[label][metric.name] for label in (first, second)]
                estimate = _paired(pair, people, metric.statistic)
                compared = dataset.name, protocol.name, metric.name, first, second
                summary.differences.append(Difference(*compared, **asdict(estimate)))
    _add_distances(summary, dataset, protocol, tables, people)
    reference = bench.entries[0].label
    _add_cases(summary, dataset, protocol, tables[reference].files, values[reference]["hole_psnr"])


def _row(place: Place, column: F64, inside: Bool, people: Names, statistic: Statistic) -> ReportRow:
    there = inside & np.isfinite(column)
    found = bootstrap(column[there], statistic, people[: len(column)][there]).estimate()
    return ReportRow(*place, identical=int(np.isposinf(column[inside]).sum()), **asdict(found))


def _paired(columns: Sequence[F64], people: Names, statistic: Statistic) -> Estimate:
    """The difference over pictures that both have a value for."""
    pair = np.array([column[: min(map(len, columns))] for column in columns])
    both = np.isfinite(pair).all(axis=0)
    first, second = (bootstrap(column[both], statistic, people[: len(both)][both]) for column in pair)
    return first.minus(second)


def _identity(dataset: Dataset, tables: Tables) -> dict[str, dict[str, F64]]:
    """Cosines to the truth, and who is accepted at which rate; the same partners and thresholds for all."""
    truths = tables[TRUTH].vectors["embedder"]
    identities, files = zip(*((face.identity, face.file) for face in dataset.faces), strict=True)
    partner = partners(identities, files)
    rates = {rate: accept_from(truths, identities, rate) for rate in RATES if (partner >= 0).any()}
    found: dict[str, dict[str, F64]] = {}
    for label, table in tables.items():
        vectors = table.vectors["embedder"]
        cosine = (vectors * truths[: len(vectors)]).sum(axis=1).astype(np.float64)
        found[label] = {"cosine": cosine} if label != TRUTH else {}
        for rate, threshold in rates.items():
            found[label][f"accepted_{rate:g}"] = verify(vectors, truths, partner, threshold)
    return found


def _add_distances(summary: Summary, dataset: Dataset, protocol: Protocol, tables: Tables, people: Names) -> None:
    for label, table in tables.items():
        for name, ours in table.vectors.items() if label != TRUTH else ():
            true = tables[TRUTH].vectors[name][: len(ours)]
            found = jackknife(frechet_distance, ours.astype(np.float64), true.astype(np.float64), people[: len(ours)])
            if math.isfinite(found.value):
                place = (dataset.name, protocol.name, label, f"frechet_{name}", "", "")
                summary.rows.append(ReportRow(*place, identical=0, **asdict(found)))


def _add_cases(summary: Summary, dataset: Dataset, protocol: Protocol, files: list[str], scores: F64) -> None:
    """Best, median and worst picture by the first method's hole PSNR; equal ones by name."""
    finite = np.nan_to_num(scores, nan=-1, posinf=1e9)
    order = sorted(range(len(files)), key=lambda index: (-finite[index], files[index]))
    ranks = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    for rank, index in ranks.items():
        summary.cases.append({"dataset": dataset.name, "protocol": protocol.name, "rank": rank, "file": files[index]})


@dataclass(frozen=True)
class PaperLine:
    """One method on a paper's holes. values: (PSNR, SSIM) by the name of each definition."""

    dataset: str
    protocol: str
    method: str
    n: int
    values: dict[str, tuple[float, float]]


def paper_lines(bench: Bench, summary: Summary, paper: Paper) -> list[PaperLine]:
    """The same completions by every definition that a paper may have meant."""
    found = []
    for place in product([one.name for one in bench.datasets], paper.holes, [one.label for one in bench.entries]):
        n, values = 0, {}
        for variant in VARIANTS:
            pair = [summary.find(*place, name) for name in (variant.psnr, variant.ssim)]
            n = max(n, *(one.n + one.identical for one in pair if one), 0)
            psnr, ssim = (one.value if one else math.nan for one in pair)
            values[variant.name] = psnr, ssim
        found.append(PaperLine(*place, n, values))
    return found
