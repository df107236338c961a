"""Datasets as tar shards, in WebDataset's layout: of each face NNNNNN.webp (or .png, .jpg) and NNNNNN.json, its row of
the manifest, one after the other. A plain tar is read at any place, so pictures need not be unpacked."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facefill.datasets.manifest import SUFFIXES, Entry, Row, check_inside, read_manifest
from facefill.errors import InputError
from facefill.files.whole import write_whole

INDEX = "shards.json"
"""Lists the shards of a folder with their SHA-256 and number of faces, so that a missing one is noticed."""


def write_shards(dataset: Path, folder: Path, per_shard: int) -> list[Path]:
    """Copy a dataset with a manifest into shards split-NNNNNN.tar of `per_shard` faces each.

    Faces keep the manifest's order and files their bytes; the same dataset gives the same shards. Returns their paths.
    Raises InputError for a missing picture, a folder that holds other shards, or one that cannot be written.
    """
    if per_shard < 1:
        raise InputError("1 face per shard or more", str(per_shard), "raise --shards")
    splits: dict[str, list[Entry]] = {}
    for entry in read_manifest(dataset):
        splits.setdefault(entry.row.get("split") or "", []).append(entry)
    listed: dict[str, Any] = {}
    for split, entries in splits.items():
        for number, start in enumerate(range(0, len(entries), per_shard)):
            part = entries[start : start + per_shard]
            name = f"{split or 'all'}-{number:06d}.tar"
            data = _pack(part, start)
            write_whole(folder / name, data)
            listed[name] = {"split": split, "faces": len(part), "sha256": hashlib.sha256(data).hexdigest()}
    others = sorted(path.name for path in folder.glob("*.tar") if path.name not in listed)
    if others:
        fix = "choose another folder or remove it"
        raise InputError(f"a folder for {len(listed)} shards", f"{others[0]} of another dataset in {folder}", fix)
    write_whole(folder / INDEX, json.dumps(listed, indent=1).encode())
    return [folder / name for name in listed]


def _pack(entries: list[Entry], first: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, entry in enumerate(entries, first):
            row = {column: value for column, value in entry.row.items() if value}
            suffix = Path(entry.row["file"]).suffix.lower()
            for ending, data in ((suffix, entry.read()), (".json", json.dumps(row, ensure_ascii=False).encode())):
                # Without owner and time, which would make the same faces another file.
                member = tarfile.TarInfo(f"{number:06d}{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def read_shards(folder: Path, split: str | None = None) -> list[Entry]:
    """The faces of all shards of a folder, in the order of the shards' names and within them; of one split, or of all.

    Shards of others are read as well: without JSON a face has no row but its name, and belongs to every split.
    Raises InputError for a damaged shard, or where one that shards.json lists is missing or has another size.
    """
    paths = sorted(folder.glob("*.tar"))
    listed = _read_index(folder / INDEX)
    if missing := sorted(set(listed) - {path.name for path in paths}):
        raise InputError(f"the {len(listed)} shards of {INDEX}", f"no {missing[0]} in {folder}", "copy it again")
    entries: list[Entry] = []
    for path in paths:
        about = listed.get(path.name, {})
        if split is not None and about.get("split") not in (None, "", split):
            continue
        found = list(_unpack(path))
        if about and len(found) != about["faces"]:
            raise InputError(f"{about['faces']} faces in {path.name}", str(len(found)), "copy the shard again")
        entries += [entry for entry in found if split is None or entry.row.get("split") in (None, "", split)]
    if not entries:
        fix = "choose another data.split"
        raise InputError(f"faces of the split {split}" if split else "faces in the shards", f"none in {folder}", fix)
    return entries


def _read_index(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        listed: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(about["faces"], int) for about in listed.values()):
            raise ValueError("no number of faces")
    except (OSError, ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"a whole {INDEX}", f"{path} ({error})", "copy it again, or remove it") from None
    return listed


def _unpack(path: Path) -> Iterator[Entry]:
    """The faces of a shard, where their bytes lie in it."""
    pictures: dict[str, tarfile.TarInfo] = {}
    rows: dict[str, Row] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, suffix = str(Path(member.name).with_suffix("")), Path(member.name).suffix.lower()
                if suffix in SUFFIXES:
                    pictures[key] = member
                elif suffix == ".json" and (stream := tar.extractfile(member)):
                    said = json.load(stream)
                    rows[key] = {name: str(value) for name, value in said.items()} if isinstance(said, dict) else {}
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise InputError("a whole tar shard", f"{path} ({error})", "copy it again") from None
    for key, member in pictures.items():
        row = {"file": f"{path.stem}/{member.name}", **rows.get(key, {})}
        for column in ("file", "split"):
            check_inside(row.get(column) or ".", path.name)
        yield Entry(row, path, member.offset_data, member.size)
