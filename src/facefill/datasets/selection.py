"""Which of all faces stay in a dataset, and in which split each is."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facefill.arrays import Points
from facefill.datasets.duplicates import group_pairs, near_pairs
from facefill.datasets.looking import Rules
from facefill.datasets.manifest import Row, places_of, read_csv
from facefill.datasets.progress import track


def choose(
    records: Sequence[dict[str, Any]],
    rules: Rules,
    people: dict[str, str],
    before: dict[str, str],
    alike: Callable[[str, str, bool], float],
) -> tuple[list[Row], list[Row]]:
    """The manifest's rows, and those of what is dropped with reason and detail, both by file name.

    records: of the log, in any order. before: the split of each file that the dataset had already; they stay. alike:
    the likeness of two files' faces, the second mirrored or not. Of a group of near-duplicates, which includes what is
    one through others, the face with the most pixels stays, of equals the sharpest.
    """
    good, dropped = _sort_out(records, people)
    good.sort(key=lambda one: (-one[0]["native_side_px"], one[0]["blur"], one[0]["file"]))
    good.sort(key=lambda one: one[0]["file"] not in before)
    hashes = np.array([list(bytes.fromhex(face["hash"])) for face, _ in good], np.uint8).reshape(-1, 2, 32)
    files_of = [row["file"] for _, row in good]
    same = [
        (i, j)
        for i, j, mirrored in track(near_pairs(hashes, rules.near_bits).tolist(), "comparing")
        if alike(files_of[i], files_of[j], bool(mirrored)) >= rules.alike
    ]
    groups = group_pairs(len(good), np.array(same, np.int64).reshape(-1, 2))
    kept: list[Row] = []
    for place, (_, row) in enumerate(good):
        if place == groups[place] or row["file"] in before:
            kept.append(row)
        else:
            dropped.append({**row, "reason": "duplicate", "detail": good[int(groups[place])][1]["file"]})
    kept.sort(key=lambda row: row["file"])
    files = [row["file"] for row in kept]
    splits = split_groups([row["identity"] or row["file"] for row in kept], list(map(before.get, files)), rules)
    kept = [{**row, "split": split} for row, split in zip(kept, splits, strict=True)]
    return kept, sorted(dropped, key=lambda row: (row["file"], row["reason"]))


def _sort_out(
    records: Sequence[dict[str, Any]], people: dict[str, str]
) -> tuple[list[tuple[dict[str, Any], Row]], list[Row]]:
    """Every face that can be used, with its row, in the order of the photos; and the rows of what cannot."""
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
            row = {
                "file": face["file"],
                "source": source,
                "identity": identity,
                "native_side_px": str(face["native_side_px"]),
                "sha256": face["sha256"],
                **(places_of(points) if points.size else {}),
            }
            if face["reason"]:
                dropped.append({**row, "reason": face["reason"], "detail": face["detail"]})
            elif face["file"] in files:
                dropped.append({**row, "reason": "duplicate", "detail": f"{face['file']}: the same photo"})
            else:
                files.add(face["file"])
                good.append((face, row))
    return good, dropped


def split_groups(groups: Sequence[str], before: Sequence[str | None], rules: Rules) -> list[str]:
    """The split of each face: train, validation or test, by the SHA-256 of "split/group", so that a grown dataset, or
    another machine, splits alike.

    groups: the identity of each face, or the file of the one that stays of near-duplicates. before: the split that a
    face is in already; its group stays there. Where a split that is wanted would be empty, as in a set of a few faces,
    the group with the least hash of those in train goes there, as long as train keeps one.
    """
    settled = {group: split for group, split in zip(groups, before, strict=True) if split}
    digests = {group: hashlib.sha256(f"split/{group}".encode()).digest() for group in groups}
    shares = {group: int.from_bytes(digest[:8], "big") / 2**64 for group, digest in digests.items()}

    def drawn(share: float) -> str:
        return "test" if share < rules.test else "validation" if share < rules.test + rules.validation else "train"

    chosen = {group: settled.get(group) or drawn(share) for group, share in shares.items()}
    for split, share in (("test", rules.test), ("validation", rules.validation)):
        learning = (group for group, now in chosen.items() if now == "train" and group not in settled)
        free = sorted((shares[group], group) for group in learning)
        if share > 0 and split not in chosen.values() and len(free) > 1:
            chosen[free[0][1]] = split
    return [chosen[group] for group in groups]


def read_identities(path: Path) -> dict[str, str]:
    """Identity by photo, from a CSV with the columns photo and identity. Raises InputError where it is none."""
    rows = read_csv(path, "a CSV", "photo", "identity", fix="name its columns so")
    return {Path(row["photo"]).as_posix(): row["identity"] or "" for row in rows}


def identity_of(photo: str, people: dict[str, str]) -> str:
    """The identity of a photo whose path, or a trailing part of it, is in the table; else empty."""
    parts = Path(photo).as_posix().split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((people[end] for end in ends if end in people), "")
