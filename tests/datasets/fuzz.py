"""Damaged files of runs, models and datasets: each is read, passed over, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facefill import load
from facefill.batch.folder import LocalFolder
from facefill.batch.manifest import Manifest, Outcome
from facefill.datasets.faces import read_dataset
from facefill.datasets.shards import INDEX, read_shards, write_shards
from facefill.errors import InputError
from tests.files.fuzz import scramble
from tests.networks import write_inpainting
from tests.toy_datasets import write_dataset

INPUTS = 300
Read = Callable[[Path], object]


def complete(path: Path) -> None:
    load(path, threads=1).complete(np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 64, 64), bool))


def state(folder: Path) -> tuple[Path, Read]:
    checkpoint = pytest.importorskip("facefill.training.checkpoint")
    checkpoint.save_state(folder, 8, {"shown": 8, "lr": 0.1, "name": "a run"})
    return folder / "state-0000000008.pt", lambda path: checkpoint.load_newest(path.parent)


def weights(folder: Path) -> tuple[Path, Read]:
    pytest.importorskip("torch")
    from tests.runtime.test_threads import write_search

    return write_search(folder / "w.safetensors", "latent_search"), load


def network(folder: Path) -> tuple[Path, Read]:
    return write_inpainting(folder / "n.onnx"), complete


def dataset(folder: Path) -> tuple[Path, Read]:
    return write_dataset(folder, 3) / "manifest.csv", lambda path: read_dataset(path.parent)


def shard(folder: Path) -> tuple[Path, Read]:
    return write_shards(write_dataset(folder / "set", 3), folder / "shards", 9)[0], lambda path: read_shards(
        path.parent
    )


def index(folder: Path) -> tuple[Path, Read]:
    path, read = shard(folder)
    return path.with_name(INDEX), read


def manifest(folder: Path) -> tuple[Path, Read]:
    line = Outcome("a.jpg", "completed", stamp="5-1-2", source_sha256="ab" * 32, recipe="r").encode()
    (folder / "manifest.jsonl").write_bytes(line * 20)
    return folder / "manifest.jsonl", lambda path: Manifest(LocalFolder(path.parent), "r").close()


@pytest.mark.soak
@pytest.mark.parametrize("kind", [state, weights, network, dataset, shard, index, manifest])
def test_a_damaged_file_is_read_or_refused_in_one_line(
    tmp_path: Path, kind: Callable[[Path], tuple[Path, Read]]
) -> None:
    path, read = kind(tmp_path)
    whole = path.read_bytes()
    read(path)
    refusals = []
    for seed in range(INPUTS):
        rng = np.random.default_rng(seed)
        path.write_bytes(scramble(rng, whole) if seed % 5 else whole[: int(rng.integers(len(whole)))])
        try:
            read(path)
        except InputError as error:
            refusals.append(str(error))
    assert [said for said in refusals if "\n" in said] == []
    assert refusals or kind in (state, manifest), "no damage was found"
