"""Small photos with masks for tests of batches, and a stand-in that completes them without networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facefill.batch.bucket import Bucket
from facefill.batch.folder import Selection
from facefill.batch.job import BatchJob, Item, make_job, open_places
from facefill.batch.manifest import Outcome
from facefill.batch.progress import Tally
from facefill.batch.run import run

DAMAGED = b"\xff\xd8\xff\xe0 not much of a photo"


def write_photos(folder: Path, count: int, *, side: int = 64, damaged: int = 0) -> Path:
    """Photos in folder/in, in two folders, and a mask for each in folder/masks; the last `damaged` are none."""
    for index in range(count):
        name = f"{'ab'[index % 2]}/photo {index:04d}.png"
        photo, mask = folder / "in" / name, folder / "masks" / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        mask.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(index)
        small = Image.fromarray(rng.integers(40, 220, (4, 4, 3), np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(photo)
        hole = np.zeros((side, side), np.uint8)
        hole[side // 3 : side // 2, side // 4 : side // 2] = 255
        Image.fromarray(hole).save(mask)
        if index >= count - damaged:
            photo.write_bytes(DAMAGED)
    return folder


@dataclass
class Copies:
    """Completes by adding a word to the bytes. fails: names that cannot be; dies_after: so many, then a kill."""

    job: BatchJob
    fails: tuple[str, ...] = ()
    dies_after: int | None = None
    done: list[str] = field(default_factory=list)

    def complete(self, items: Iterator[Item]) -> Iterator[Outcome]:
        source, target, _ = open_places(self.job)
        for item in items:
            if len(self.done) == self.dies_after:
                raise KeyboardInterrupt
            self.done.append(item.name)
            if item.problem or item.name in self.fails:
                yield Outcome(item.name, "failed", item.problem or "it fails", item.stamp, recipe=self.job.recipe)
                continue
            data = source.read(item.name)
            target.write(item.name, data + b" completed")
            yield Outcome(
                item.name,
                "completed",
                "",
                item.stamp,
                hashlib.sha256(data).hexdigest(),
                faces_found=1,
                faces_completed=1,
                recipe=self.job.recipe,
                method=self.job.method,
                seed=self.job.seed,
            )


def copy_all(
    source: Path | str,
    target: Path | str,
    *,
    seed: int = 0,
    select: Selection | None = None,
    force: bool = False,
    max_errors: int | None = None,
    fails: tuple[str, ...] = (),
    dies_after: int | None = None,
) -> tuple[Tally, list[str]]:
    """A run with `Copies`: what became of it, and which photos were done, sorted."""
    copies = Copies(make_job(str(source), str(target), method="telea", seed=seed), fails, dies_after)
    tally = run(copies.job, copies.complete, select=select or Selection(), force=force, max_errors=max_errors)
    return tally, sorted(copies.done)


def lines_of(target: Path) -> dict[str, dict[str, Any]]:
    """The manifest, by photo; there must be one line for each."""
    said = [json.loads(line) for line in (target / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({line["photo"] for line in said}) == len(said)
    return {line["photo"]: line for line in said}


def tree_of(target: Path) -> dict[str, bytes]:
    """Every result of a folder by its name, and nothing of the run's own."""
    return {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and path.name not in ("manifest.jsonl", "lock")
    }


def upload(folder: Path, url: str) -> None:
    bucket = Bucket(url)
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.write(path.relative_to(folder).as_posix(), path.read_bytes())


def contents(url: str) -> dict[str, bytes]:
    """Every result in a bucket."""
    bucket = Bucket(url)
    return {entry.name: bucket.read(entry.name) for entry in bucket.entries(Selection(include=("*.png",)))}
