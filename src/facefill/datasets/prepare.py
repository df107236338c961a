"""From photos to a dataset: look at each, keep what one can learn from, split it, and write down why."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import lock_descriptor

from facefill.arrays import U8
from facefill.datasets.against import COLUMNS as AUDIT
from facefill.datasets.against import TOO_NEAR, Embed, find_nearest
from facefill.datasets.cache import list_entries
from facefill.datasets.duplicates import HASH, likeness, thumb_of
from facefill.datasets.looking import Look, Rules
from facefill.datasets.manifest import COLUMNS, Entry, Row, format_manifest, read_manifest
from facefill.datasets.selection import choose, read_identities
from facefill.errors import InputError, explained
from facefill.files.photo import read_photo
from facefill.files.whole import write_whole

LOG = "prepare.jsonl"
"""Rules in the first line, then one for each photo that has been looked at, and for each pair that was compared."""


@dataclass(frozen=True)
class Against:
    """Another dataset, none of whose faces may be in this one."""

    other: Path
    embed: Embed | None = None
    too_near: float = TOO_NEAR
    """Cosine above which a face is too near to one of the other dataset."""


@dataclass(frozen=True)
class Report:
    kept: dict[str, int]
    """Faces by split."""
    dropped: dict[str, int]
    """Faces, or photos without any, by reason."""
    photos: int
    unreadable: tuple[str, ...]
    """Photos that could not be read, and why."""
    sha256: str
    """Hash of manifest.csv, which holds the hashes of the pictures."""


def prepare(
    photos: Iterable[Path],
    dataset: Path,
    look: Callable[[Path], Look],
    rules: Rules,
    *,
    identities: Path | None = None,
    against: Against | None = None,
    each: Callable[[Callable[[Path], Look], Iterable[Path]], Iterable[Look]] = map,
) -> Report:
    """Look at photos and write the dataset. A photo that its log knows, and that could be read, is not looked at again.

    look: `look_at` with finder and rules bound. identities: a CSV of photo,identity. against: faces that are copies
    of another dataset's, or too near to one, are dropped, and against.csv says what each is nearest to. each: how looks
    are run: `map`, or a pool's `imap_unordered`, or a cluster's; the order does not matter.
    Killed at any moment, the same command goes on: pictures appear whole, the log grows by whole lines, and the
    manifest is written at the end. Raises InputError where the dataset has other rules, is in use by another process,
    cannot be written, or where no face stays.
    """
    people = read_identities(identities) if identities else {}
    with closing(Log(dataset, rules)) as log:
        done = {name for name, record in log.photos.items() if not record["error"]}
        for found in each(look, (photo for photo in photos if str(photo) not in done)):
            done.add(found.photo)
            for file, data in found.pictures.items():
                write_whole(dataset / file, data)
            record = {key: value for key, value in asdict(found).items() if key != "pictures"}
            log.add(record)
            log.photos[found.photo] = record
        return _finish(dataset, rules, log, people, against)


class Log:
    """What has been done, in a file that only grows: the rules, then a record for each photo, and each pair compared.

    Raises InputError where it is in use by another process, has other rules, is damaged, or cannot be written.
    """

    def __init__(self, dataset: Path, rules: Rules) -> None:
        self._path = dataset / LOG
        with explained("a folder for the dataset", dataset, "choose another"):
            dataset.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b")
        if not lock_descriptor(self._file.fileno(), blocking=False):  # held until its process ends, however that ends
            raise InputError(f"{dataset} for itself", "another process that writes it", "wait for it to end")
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        self._file.truncate(whole)  # what a killed process left of its last line
        try:
            lines = [json.loads(line) for line in data[:whole].splitlines()]
        except ValueError as error:
            raise InputError(f"whole lines in {self._path}", str(error), "remove those that are damaged") from None
        said = rules.model_dump(mode="json")
        if not lines:
            self.add({"rules": said, "hash": HASH})
        elif (hashed := lines[0].get("hash")) != HASH:
            fix = "make the dataset anew in another folder"
            raise InputError(f"faces hashed by {HASH} in {dataset}", hashed or "those of an earlier version", fix)
        elif (before := lines[0].get("rules") or {}) != said:
            other = next(key for key in {**said, **before} if before.get(key) != said.get(key))
            fix = "give the same options or choose another folder"
            raise InputError(f"{other} = {before.get(other)}, as {dataset} was begun", str(said.get(other)), fix)
        self.photos: dict[str, dict[str, Any]] = {line["photo"]: line for line in lines[1:] if "photo" in line}
        self.alike: dict[tuple[Any, ...], float] = {
            tuple(line["pair"]): line["alike"] for line in lines[1:] if "pair" in line
        }

    def add(self, record: dict[str, Any]) -> None:
        """Write a line. It is out of this process when this returns."""
        with explained("room for the log", self._path, "free some, run again"):
            self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def _compare(dataset: Path, log: Log) -> Callable[[str, str, bool], float]:
    """The likeness of two files' faces, from the log or else from the pictures."""
    thumbs: dict[str, U8] = {}  # 4 kB for each face that has a near hash

    def thumb(file: str) -> U8:
        if file not in thumbs:
            thumbs[file] = thumb_of(read_photo(dataset / file).pixels)
        return thumbs[file]

    def alike(first: str, second: str, mirrored: bool) -> float:
        first, second = sorted((first, second))
        key = (first, second, mirrored)
        if key not in log.alike:
            one, other = thumb(first), thumb(second)
            log.alike[key] = round(likeness(one, np.ascontiguousarray(other[:, ::-1]) if mirrored else other), 4)
            log.add({"pair": key, "alike": log.alike[key]})
        return log.alike[key]

    return alike


def _finish(dataset: Path, rules: Rules, log: Log, people: dict[str, str], against: Against | None) -> Report:
    """Choose, split, and write manifest.csv, dropped.csv and dataset.json."""
    records = list(log.photos.values())
    there = read_manifest(dataset) if (dataset / "manifest.csv").is_file() else []
    before = {entry.row["file"]: entry.row.get("split") or "" for entry in there}
    kept, dropped = choose(records, rules, people, before, _compare(dataset, log))
    if against and kept:
        kept, leaks = _leave_out(dataset, kept, against)
        dropped = sorted(dropped + leaks, key=lambda row: (row["file"], row["reason"]))
    if not kept:
        said = ", ".join(f"{n} {reason}" for reason, n in Counter(row["reason"] for row in dropped).items())
        fix = "give other photos or loosen the rules"
        raise InputError("faces to keep", f"none in {len(records)} photos ({said or 'no photo'})", fix)
    columns = (*COLUMNS[:-1], "reason", "detail")
    write_whole(dataset / "dropped.csv", format_manifest(dropped, columns))
    manifest = format_manifest(kept)
    write_whole(dataset / "manifest.csv", manifest)
    report = Report(
        dict(sorted(Counter(row["split"] for row in kept).items())),
        dict(sorted(Counter(row["reason"] for row in dropped).items())),
        len(records),
        tuple(f"{record['photo']}: {record['error']}" for record in records if record["error"]),
        hashlib.sha256(manifest).hexdigest(),
    )
    about = {**asdict(report), "hash_is": "SHA-256 of manifest.csv", "rules": rules.model_dump(mode="json")}
    write_whole(dataset / "dataset.json", json.dumps(about, indent=1, ensure_ascii=False).encode())
    return report


def _leave_out(dataset: Path, kept: list[Row], against: Against) -> tuple[list[Row], list[Row]]:
    """What may stay, and what the other dataset has already; against.csv has a line for each."""
    entries = [Entry(row, dataset / row["file"]) for row in kept]
    found = find_nearest(entries, list_entries(against.other, None), against.embed)
    write_whole(dataset / "against.csv", format_manifest([one.row() for one in found], AUDIT))
    why = [one.leaks(against.too_near) for one in found]
    leaks = [{**row, "reason": "known", "detail": detail} for row, detail in zip(kept, why, strict=True) if detail]
    return [row for row, detail in zip(kept, why, strict=True) if not detail], leaks
