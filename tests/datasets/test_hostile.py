"""Datasets of somebody else: no name leads out of their folder, and whatever is damaged takes one line."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from facefill.datasets.cache import list_entries
from facefill.datasets.faces import read_dataset
from facefill.datasets.shards import INDEX, read_shards, write_shards
from facefill.errors import InputError
from facefill.evaluation.benchmark import EvaluationSettings
from facefill.evaluation.evaluate import evaluate
from facefill.files.photo import encode_picture
from tests.faces import draw_face

PICTURE = encode_picture(draw_face(64, 1)[0])
OUT = ["/{root}/victim.png", "../victim.png", "a/../../victim.png", "a\0b.png", "a" * 300 + ".png"]


def write_manifest(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(PICTURE)
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    return folder


def write_shard(folder: Path, row: object, name: str = "0.png") -> Path:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "s.tar", "w") as tar:
        for member, data in ((name, PICTURE), ("0.json", row if isinstance(row, bytes) else json.dumps(row).encode())):
            about = tarfile.TarInfo(member)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return folder


@pytest.mark.parametrize("name", OUT)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    name = name.replace("/{root}", str(tmp_path))
    (tmp_path / "victim.png").write_bytes(PICTURE)
    for text in (f"file\n{name}\n", f"split,file\n{name},a.png\n"):
        for read in (lambda folder: list_entries(folder, None), read_dataset):
            with pytest.raises(InputError, match="names inside the dataset"):
                read(write_manifest(tmp_path / "set", text))
    for row in ({"file": name}, {"file": "a.png", "split": name}):
        with pytest.raises(InputError, match="names inside the dataset"):
            read_shards(write_shard(tmp_path / "shards", row))
    with pytest.raises(InputError, match="names inside the dataset"):
        write_shards(write_manifest(tmp_path / "set", f"split,file\n{name},a.png\n"), tmp_path / "new", 10)


def test_pictures_of_an_evaluation_stay_in_its_report(tmp_path: Path) -> None:
    victim = tmp_path / "victim.png"
    victim.write_bytes(PICTURE)
    folder = write_manifest(tmp_path / "set", f"file\n{tmp_path}/victim.png\n")
    settings = EvaluationSettings(
        folder=folder,
        report=tmp_path / "report",
        methods=("telea",),
        holes=("centre@256",),
        per_picture=True,
        timings=False,
    )
    with pytest.raises(InputError, match="names inside the dataset"):
        list(evaluate(settings))
    assert victim.read_bytes() == PICTURE
    assert not (tmp_path / "report" / "per-picture").exists()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\0", b"file\n" + b"a" * 200_000, b"split,file\nt\n"])
def test_a_damaged_manifest_takes_one_line(tmp_path: Path, data: bytes) -> None:
    folder = write_manifest(tmp_path / "set", "")
    (folder / "manifest.csv").write_bytes(data)
    for read in (lambda folder: list_entries(folder, None), read_dataset):
        with pytest.raises(InputError) as error:
            read(folder)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("row", [b"{", b"[" * 100_000, b"\xff", b""])
def test_a_damaged_shard_takes_one_line(tmp_path: Path, row: bytes) -> None:
    with pytest.raises(InputError, match="a whole tar shard"):
        read_shards(write_shard(tmp_path, row))


@pytest.mark.parametrize("index", [b"{", b"[]", b"\xff\xfe\0", b'{"s.tar": 3}', b'{"s.tar": {}}', b"[" * 100_000])
def test_a_damaged_index_of_shards_takes_one_line(tmp_path: Path, index: bytes) -> None:
    write_shard(tmp_path, {"file": "a.png"})
    (tmp_path / INDEX).write_bytes(index)
    with pytest.raises(InputError, match=f"a whole {INDEX}"):
        read_shards(tmp_path)


@pytest.mark.parametrize(
    "header",
    [None, "{", "[]", "{}", '{"method": "latent_search"}', "[" * 100_000, '{"method": "latent_search", "config": {}}'],
)
def test_weights_with_a_damaged_header_take_one_line(tmp_path: Path, header: str | None) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    import numpy as np

    from facefill import load

    path = tmp_path / "w.safetensors"
    path.write_bytes(numpy.save({"a": np.zeros(3, np.float32)}, None if header is None else {"facefill": header}))
    with pytest.raises(InputError) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert os.fspath(path.name) in str(error.value)
