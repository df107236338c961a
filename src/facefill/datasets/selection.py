"""Which of all faces stay in a dataset, and in which split each is."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facefill.datasets.duplicates import group_pairs, near_pairs
from facefill.datasets.looking import Rules
from facefill.datasets.manifest import Points, Row, places_of
from facefill.datasets.progress import track
from facefill.errors import InputError


def choose(
    records: Sequence[dict[str, Any]], rules: Rules, people: dict[str, str], before: set[str],
    alike: Callable[[str, str, bool], float],
) -> tuple[list[Row], list[Row]]:
    """The manifest's rows, and those of what is dropped with reason and detail, both by file name.

    records: of the log, in any order. before: files that the dataset had already; they stay. alike: the likeness of two
    files' faces, the second mirrored or not. Of a group of near-duplicates, which includes what is one through others,
    the face with the most pixels stays, of equals the sharpest.
    """
    kept: list[Row] = []
    dropped: list[Row] = []
    good: list[tuple[dict[str, Any], Row]] = []
    files: set[str] = set()
    for record in sorted(records, key=lambda record: str(record["photo"])):
        source, identity = Path(record["photo"]).parent.name, identity_of(record["photo"], people)
        if not record["faces"]:
            reason, detail = ("unreadable", record["error"]) if record["error"] else ("no face", "")
            dropped.append({"file": record["photo"], "source": source, "reason": reason, "detail": detail})
        for face in record["faces"]:
            points: Points = np.array(face["landmarks"])
            row = {"file": face["file"], "source": source, "identity": identity,
                   "native_side_px": str(face["native_side_px"]), "sha256": face["sha256"],
                   **(places_of(points) if points.size else {})}
            if face["reason"]:
                dropped.append({**row, "reason": face["reason"], "detail": face["detail"]})
            elif face["file"] in files:
                dropped.append({**row, "reason": "duplicate", "detail": f"{face['file']}: the same photo"})
            else:
                files.add(face["file"])
                good.append((face, row))
    good.sort(key=lambda pair: (pair[0]["file"] not in before, -pair[0]["native_side_px"], pair[0]["blur"],
                                pair[0]["file"]))
    hashes = np.array([list(bytes.fromhex(face["hash"])) for face, _ in good], np.uint8).reshape(-1, 32)
    files_of = [row["file"] for _, row in good]
    same = [(i, j) for i, j, mirrored in track(near_pairs(hashes, rules.near_bits).tolist(), "comparing")
            if alike(files_of[i], files_of[j], bool(mirrored)) >= rules.alike]
    groups = group_pairs(len(good), np.array(same, np.int64).reshape(-1, 2))
    for place, (_, row) in enumerate(good):
        if place == groups[place] or row["file"] in before:
            kept.append({**row, "split": split_of(row["identity"] or row["file"], rules)})
        else:
            dropped.append({**row, "reason": "duplicate", "detail": good[int(groups[place])][1]["file"]})
    return sorted(kept, key=lambda row: row["file"]), sorted(dropped, key=lambda row: (row["file"], row["reason"]))


def split_of(group: str, rules: Rules) -> str:
    """train, validation or test, by the SHA-256 of "split/group": a grown dataset, or another machine, splits alike.

    group: the identity, or the file of the one face that stays of a group of near-duplicates.
    """
    share = int.from_bytes(hashlib.sha256(f"split/{group}".encode()).digest()[:8], "big") / 2**64
    return "test" if share < rules.test else "validation" if share < rules.test + rules.validation else "train"


def read_identities(path: Path) -> dict[str, str]:
    """Identity by photo, from a CSV with the columns photo and identity. Raises InputError where it is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("a CSV of photo,identity", f"{path} ({error})", "save it as UTF-8 text with commas") from None
    if not rows or not {"photo", "identity"} <= set(rows[0]):
        raise InputError("a CSV with the columns photo and identity", f"{path} without", "name its columns so")
    return {Path(row["photo"]).as_posix(): row["identity"] or "" for row in rows}


def identity_of(photo: str, people: dict[str, str]) -> str:
    """Of a photo whose path, or the end of it from the file's name on, is in the table; else empty."""
    parts = Path(photo).as_posix().split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((people[end] for end in ends if end in people), "")
