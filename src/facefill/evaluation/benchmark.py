"""Every method on the same frozen holes: completes, measures beside, and keeps the values of every picture."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefill.evaluation.bench import COVERED, TRUTH, Bench
from facefill.evaluation.dataset import Dataset, Face, landmarks_of, read_face, skin_tone
from facefill.evaluation.identity import grey_hole
from facefill.evaluation.protocols import Case, Protocol, draw_case, mask_hash
from facefill.evaluation.records import Record, Records
from facefill.imaging import metrics
from facefill.imaging.blend import composite
from facefill.runtime.engine import thread_count

U8 = NDArray[np.uint8]

DIGITS = 16
"""Of hashes that rows hold."""


@dataclass(frozen=True)
class Progress:
    """done of total pictures of one protocol on one dataset."""

    what: str
    done: int
    total: int


def run(bench: Bench) -> Iterator[Progress]:
    """Complete and measure what is not there yet, and tell how far it is."""
    workers = thread_count(bench.settings.threads)
    with ThreadPoolExecutor(workers) as pool:
        for dataset in bench.datasets:
            for protocol in bench.protocols:
                yield from _Cell(bench, dataset, protocol, pool).run()
            bench.tones[dataset.name] = _read_tones(bench, dataset, pool)


def complete_case(bench: Bench, dataset: Dataset, protocol: Protocol, label: str, file: str) -> tuple[Case, U8]:
    """One completed picture again, for showing."""
    face = next(face for face in dataset.faces if face.file == file)
    case = _draw(bench, protocol, face)
    return case, _complete(bench, protocol, label, [case])[0]


@dataclass(frozen=True)
class _Waiting:
    """A completed picture whose values are being computed beside."""

    label: str
    case: Case
    vectors: dict[str, NDArray[np.float32]]
    scores: dict[str, float]
    work: Future[dict[str, float]]


class _Cell:
    """One protocol on one dataset, all methods side by side on each batch of faces."""

    def __init__(self, bench: Bench, dataset: Dataset, protocol: Protocol, pool: ThreadPoolExecutor) -> None:
        self._bench, self._dataset, self._protocol, self._pool = bench, dataset, protocol, pool
        self._records = {label: bench.records(dataset, protocol, label) for label in bench.labels(protocol)}
        self._counts = {label: bench.count(label, dataset) for label in self._records}
        self._pending: deque[_Waiting] = deque()

    def run(self) -> Iterator[Progress]:
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
            self._write(2 * size * len(self._records))
            yield Progress(what, start, len(faces))
        self._write(0)
        yield Progress(what, len(faces), len(faces))

    def _due(self, start: int, stop: int) -> list[str]:
        """Methods that still need some of these faces."""
        return [
            label for label, records in self._records.items()
            if start < self._counts[label] and len(records.rows) < min(stop, self._counts[label])
        ]

    def _draw(self, start: int, size: int) -> list[Future[Case]]:
        faces = self._dataset.faces[start : start + size]
        return [self._pool.submit(_draw, self._bench, self._protocol, face) for face in faces]

    def _drop_what_changed(self) -> None:
        """Keep the rows of the same pictures, if the first can be made again to the last digit; else start over."""
        first: Case | None = None
        for label, records in self._records.items():
            faces = self._dataset.faces
            same = 0
            while same < min(len(records.rows), len(faces)) and _row_of(faces[same]) == records.rows[same][:2]:
                same += 1
            if same:
                first = first or _draw(self._bench, self._protocol, faces[0])
                hole = mask_hash(first.mask)[:DIGITS]
                again = {}
                if records.rows[0][2] == hole and label not in (TRUTH, COVERED):
                    completed = _complete(self._bench, self._protocol, label, [first])[0]
                    again = _measure(completed, first, papers=bool(self._bench.papers))
                stored = records.table(1).values
                equal = all(repr(float(stored[name][0])) == repr(float(value)) for name, value in again.items())
                same = same if records.rows[0][2] == hole and equal else 0
            # Rows beyond the faces of this command are another command's, and stay.
            if same < min(len(records.rows), len(faces)):
                records.keep(same)

    def _batch(self, start: int, cases: list[Case]) -> None:
        due = self._due(start, start + len(cases))
        planned = {label: len(self._records[label].rows) + self._waiting(label) for label in due}
        parts = {label: (max(planned[label] - start, 0), min(len(cases), self._counts[label] - start)) for label in due}
        seen_truth = [features.look(np.stack([case.truth for case in cases]))[0] for features in self._bench.features]
        for label, (first, last) in parts.items():
            if first >= last:
                continue
            chosen = cases[first:last]
            completed = _complete(self._bench, self._protocol, label, chosen)
            vectors, values = self._look(completed, seen_truth, start + first, slice(first, last))
            for index, case in enumerate(chosen):
                work = self._measured(label, completed[index], case)
                mine = {name: array[index] for name, array in vectors.items()}
                scores = {name: float(array[index]) for name, array in values.items()}
                self._pending.append(_Waiting(label, case, mine, scores, work))

    def _measured(self, label: str, completed: U8, case: Case) -> Future[dict[str, float]]:
        if label in (TRUTH, COVERED):
            return self._pool.submit(dict)
        return self._pool.submit(_measure, completed, case, papers=bool(self._bench.papers))

    def _look(
        self, completed: U8, seen_truth: Sequence[Sequence[object]], start: int, part: slice
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float64]]]:
        """Vectors and perceptual distances by every network."""
        vectors: dict[str, NDArray[np.float32]] = {}
        values: dict[str, NDArray[np.float64]] = {}
        for features, truth in zip(self._bench.features, seen_truth, strict=True):
            seen, vectors[features.name] = features.look(completed)
            if features.perceptual:
                theirs = [layer[part] for layer in truth]  # type: ignore[index]
                values[f"lpips_{features.name}"] = features.compare(seen, theirs)
        if self._bench.embedder:
            faces = self._dataset.faces[start : start + len(completed)]
            landmarks = np.stack([landmarks_of(face, self._protocol.size_px) for face in faces])
            vectors["embedder"] = self._bench.embedder.look(completed, landmarks)
        return vectors, values

    def _waiting(self, label: str) -> int:
        return sum(waiting.label == label for waiting in self._pending)

    def _write(self, most: int) -> None:
        """Write records in order until at most so many wait for their values."""
        pictures = {face.file: _row_of(face)[1] for face in self._dataset.faces} if len(self._pending) > most else {}
        while len(self._pending) > most:
            one = self._pending.popleft()
            file, hole = one.case.file, mask_hash(one.case.mask)[:DIGITS]
            values = one.work.result() | one.scores
            self._records[one.label].append(Record(file, pictures[file], hole, values, one.vectors))


def _row_of(face: Face) -> tuple[str, str]:
    return face.file, face.sha256[:DIGITS]


def _draw(bench: Bench, protocol: Protocol, face: Face) -> Case:
    landmarks = landmarks_of(face, protocol.size_px)
    return draw_case(protocol, read_face(face, protocol.size_px), landmarks, face.file, bench.cover)


def _complete(bench: Bench, protocol: Protocol, label: str, cases: Sequence[Case]) -> U8:
    """(N, S, S, 3) completed pictures."""
    shown, masks = np.stack([case.shown for case in cases]), np.stack([case.mask for case in cases])
    if label == TRUTH:
        return np.stack([case.truth for case in cases])
    if label == COVERED:
        return shown if protocol.covers else np.stack([grey_hole(case.shown, case.mask) for case in cases])
    model = next(entry.model for entry in bench.entries if entry.label == label)
    seeds = [int.from_bytes(hashlib.sha256(f"{protocol.name}/{case.file}".encode()).digest()[8:12]) for case in cases]
    worn: dict[str, Any] = {"worn": shown} if "worn" in model.record.inputs else {}
    filled = model.complete(shown, masks, seeds=seeds, **worn)[:, 0]
    pairs = zip(cases, filled, strict=True)
    return np.stack([composite(case.shown, one, case.mask, blend="paste") for case, one in pairs])


def _measure(completed: U8, case: Case, *, papers: bool) -> dict[str, float]:
    values = metrics.measure(completed, case.truth, case.hole)
    return values | metrics.measure_as_papers(completed, case.truth) if papers else values


def _read_tones(bench: Bench, dataset: Dataset, pool: ThreadPoolExecutor) -> NDArray[np.float64]:
    """Skin tones of a dataset's faces, kept like other values."""
    path = bench.settings.report / "pictures" / dataset.name / "faces.csv"
    records = Records(path, {"measure": "skin_tone"}, ("skin_tone",))
    same = [row[:2] for row in records.rows[: len(dataset.faces)]] == [_row_of(face) for face in dataset.faces]
    if not same:
        records.keep(0)

        def tone(face: Face) -> float:
            return skin_tone(read_face(face, dataset.side_px), landmarks_of(face, dataset.side_px))

        for face, value in zip(dataset.faces, pool.map(tone, dataset.faces), strict=True):
            records.append(Record(*_row_of(face), "", {"skin_tone": value}))
    return records.table(len(dataset.faces)).values["skin_tone"]
