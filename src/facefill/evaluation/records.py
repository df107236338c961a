"""Values per picture, kept in files while they are computed, so that the same command goes on where it stopped."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facefill.arrays import F32, F64
from facefill.datasets.faces import DatasetFace
from facefill.files.whole import write_whole

DIGITS = 16
"""How many digits of a hash a row keeps."""
HEAD = ("file", "picture", "hole")
"""Columns before the values: the file's name, and the first 16 digits of the SHA-256 of the picture and of its hole."""


def row_of(face: DatasetFace) -> tuple[str, str]:
    """What a row says of its picture: the file's name, and the first digits of its hash."""
    return face.file, face.sha256[:DIGITS]


@dataclass(frozen=True)
class PictureRecord:
    """One completed picture. vectors: what networks saw in it, by the network's name, (D,) each."""

    file: str
    picture: str
    hole: str
    values: dict[str, float]
    vectors: dict[str, F32] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurements:
    """The records of one method on one protocol, in the order of the dataset."""

    files: list[str]
    holes: list[str]
    values: dict[str, F64]
    vectors: dict[str, F32]


class Records:
    """A csv with a row per picture, raw float32 files with their vectors beside it, and a key: what made the values.

    A row that the end of a process cut off is computed again. Everything is dropped when the key is another.
    """

    def __init__(
        self, path: Path, key: Mapping[str, Any], columns: Sequence[str], vectors: Mapping[str, int] | None = None
    ) -> None:
        """vectors: the length of each kind of vector."""
        self._path, self._columns, self._widths = path, tuple(columns), dict(vectors or {})
        text = json.dumps({**key, "columns": list(columns), "vectors": self._widths}, indent=1, sort_keys=True) + "\n"
        key_path = path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not key_path.is_file() or key_path.read_text(encoding="utf-8") != text:
            self._remove()
            key_path.write_text(text, encoding="utf-8")
        self.rows: list[tuple[str, str, str]] = self._recover()
        """(file, picture, hole) of the records that are there."""

    def keep(self, count: int) -> None:
        if count == 0:
            self._remove()
        else:
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)[: count + 1]
            write_whole(self._path, "".join(lines).encode())
            for name, width in self._widths.items():
                os.truncate(self._vectors_at(name), 4 * width * count)
        self.rows = self.rows[:count]

    def append(self, record: PictureRecord) -> None:
        """Write one record at the end; its vectors first, so that a row is never without them."""
        for name in self._widths:
            with self._vectors_at(name).open("ab") as file:
                file.write(record.vectors[name].astype("<f4").tobytes())
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self.rows:
            writer.writerow([*HEAD, *self._columns])
        values = (repr(float(record.values[name])) for name in self._columns)
        writer.writerow([record.file, record.picture, record.hole, *values])
        with self._path.open("ab") as file:
            file.write(text.getvalue().encode())
        self.rows.append((record.file, record.picture, record.hole))

    def table(self, count: int) -> Measurements:
        rows = list(csv.reader(io.StringIO(self._path.read_text(encoding="utf-8"), newline="")))[1 : count + 1]
        numbers = enumerate(self._columns, len(HEAD))
        values = {name: np.array([float(row[place]) for row in rows]) for place, name in numbers}
        stored = {name: np.fromfile(self._vectors_at(name), "<f4") for name in self._widths}
        vectors = {name: stored[name].reshape(-1, width)[:count] for name, width in self._widths.items()}
        return Measurements([row[0] for row in rows], [row[2] for row in rows], values, vectors)

    def _recover(self) -> list[tuple[str, str, str]]:
        """Drop what is not whole, on either side; return what is left."""
        text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        rows = list(csv.reader(lines))
        if not rows or rows[0] != [*HEAD, *self._columns]:
            self._remove()
            return []
        whole = len(rows) - 1
        for name, width in self._widths.items():
            path = self._vectors_at(name)
            whole = min(whole, path.stat().st_size // (4 * width) if path.is_file() else 0)
        self.rows = [(row[0], row[1], row[2]) for row in rows[1:]]
        self.keep(whole)
        return self.rows

    def _vectors_at(self, name: str) -> Path:
        return self._path.with_suffix(f".{name}.f32")

    def _remove(self) -> None:
        for path in (self._path, *(self._vectors_at(name) for name in self._widths)):
            path.unlink(missing_ok=True)
