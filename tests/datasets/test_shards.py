"""A dataset in shards gives the same batches as in a folder; what is damaged is listed, and stops where it is much."""

from __future__ import annotations

import json
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facefill.arrays import U8
from facefill.datasets import cache
from facefill.datasets.manifest import POINTS, read_manifest
from facefill.datasets.shards import INDEX, read_shards, write_shards
from facefill.errors import InputError
from facefill.files.photo import encode_picture
from facefill.runtime.finder import Face
from facefill.training.data import DataConfig, Holes, batches, plan_steps, read_faces
from tests.faces import ALIGNED, draw_face
from tests.toy_datasets import write_dataset


def config_of(folder: Path, **options: object) -> DataConfig:
    return DataConfig.model_validate(
        {
            "folder": folder,
            "cache": folder / "cache",
            "holes": {"centre": 1, "worn": 1},
            "side_px": 64,
            "workers": 0,
            **options,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def shards(folder: Path) -> Path:
    write_shards(folder, folder / "shards", 5)
    return folder / "shards"


def items(config: DataConfig) -> Iterator[dict[str, torch.Tensor]]:
    faces = read_faces(config)
    return iter(batches(Holes(faces, config, 7), plan_steps(3, 19, 4, [64]), 0))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_folder_and_shards_cached_or_streamed_give_the_same_batches(
    folder: Path, shards: Path, kind: str, stream: bool
) -> None:
    there = config_of(shards if kind == "shards" else folder, stream=stream)
    for a, b in zip(items(config_of(folder)), items(there), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    first, second = read_faces(config_of(folder)), read_faces(there)
    assert (first.names, first.identities, first.digest) == (second.names, second.identities, second.digest)
    chosen = np.array([7, 2])
    assert (first.pixels[chosen] == second.pixels[chosen]).all()


def test_a_shard_is_a_plain_tar_of_pictures_each_with_its_row(folder: Path, shards: Path) -> None:
    assert sorted(path.name for path in shards.glob("*.tar")) == [f"train-{n:06d}.tar" for n in range(3)]
    with tarfile.open(shards / "train-000001.tar") as tar:
        assert tar.getnames() == [f"{n:06d}.{kind}" for n in range(5, 10) for kind in ("png", "json")]
        stream = tar.extractfile("000006.json")
        assert stream
        row = json.load(stream)
    listed = read_manifest(folder)[6]
    assert row == listed.row
    assert read_shards(shards, "train")[6].read() == listed.read()


def test_the_same_dataset_gives_the_same_shards(folder: Path, shards: Path, tmp_path: Path) -> None:
    for path in write_shards(folder, tmp_path, 5):
        assert path.read_bytes() == (shards / path.name).read_bytes()
    with pytest.raises(InputError, match="another dataset"):
        write_shards(folder, tmp_path, 10)


def test_a_shard_that_is_missing_cut_or_short_stops(folder: Path, tmp_path: Path) -> None:
    paths = write_shards(folder, tmp_path, 4)
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=paths[1].name):
        read_shards(tmp_path)
    paths[1].unlink()
    with pytest.raises(InputError, match="copy it again"):
        read_shards(tmp_path)
    (tmp_path / INDEX).unlink()
    assert len(read_shards(tmp_path)) == 8
    with pytest.raises(InputError, match="split other"):
        read_shards(tmp_path, "other")


def test_shards_of_others_are_read_too(tmp_path: Path) -> None:
    for number in range(2):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            for place in range(2):
                path = tmp_path / f"{number}{place}.jpg"
                path.write_bytes(encode_picture(draw_face(32, place)[0], "JPEG"))
                tar.add(path, f"x/{place}.jpg")
                path.unlink()
    faces = read_faces(config_of(tmp_path, holes={"centre": 1}, side_px=32))
    assert faces.names == ("0/x/0.jpg", "0/x/1.jpg", "1/x/0.jpg", "1/x/1.jpg")
    assert np.isnan(faces.landmarks).all()


def many(folder: Path, count: int, damaged: dict[int, bytes], columns: str = "file") -> Path:
    """Small pictures with a manifest, some of them damaged."""
    folder.mkdir(parents=True)
    for place in range(count):
        grey = np.full((8, 8, 3), place, np.uint8)
        (folder / f"{place:03d}.png").write_bytes(damaged.get(place, encode_picture(grey)))
    (folder / "manifest.csv").write_text(columns + "\n" + "\n".join(f"{place:03d}.png" for place in range(count)))
    return folder


TALL = encode_picture(np.zeros((8, 4, 3), np.uint8))


@pytest.mark.parametrize("kind", ["folder", "shards", "streamed"])
def test_damaged_pictures_are_left_out_listed_and_counted(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = many(tmp_path / "set", 200, {17: b"\x89PNG\r\n\x1a\n", 90: TALL})
    if kind == "shards":
        write_shards(folder, tmp_path / "shards", 30)
        folder = tmp_path / "shards"
    config = config_of(folder, holes={"centre": 1}, side_px=8, cache=tmp_path / "cache", stream=kind == "streamed")
    for _ in range(2):
        faces = read_faces(config)
        assert len(faces.names) == 198
        assert "2 of 200 pictures left out" in capsys.readouterr().err
        for place, name in enumerate(faces.names):
            assert (faces.pixels[place] == int(name[:3])).all()
    assert len(list((tmp_path / "cache").glob("*.u8"))) == (kind != "streamed")
    (listed,) = (tmp_path / "cache").glob("*-skipped.txt")
    lines = listed.read_text().splitlines()
    assert lines[0].startswith("017.png: ")
    assert "4x8" in lines[1]


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_more_than_one_in_a_hundred_damaged_stops(tmp_path: Path, kind: str) -> None:
    folder = many(tmp_path / "set", 199, {17: b"", 90: TALL})
    if kind == "shards":
        write_shards(folder, tmp_path / "shards", 30)
        folder = tmp_path / "shards"
    config = config_of(folder, holes={"centre": 1}, side_px=8, cache=tmp_path / "cache")
    with pytest.raises(InputError, match=r"at most 1% damaged pictures, got 2 of 199, the first 017\.png"):
        read_faces(config)
    assert not list((tmp_path / "cache").glob("*.u8"))
    if kind == "folder":
        (folder / "017.png").unlink()
        with pytest.raises(InputError, match="017"):
            read_faces(config)


def test_a_picture_that_changed_is_decoded_again(tmp_path: Path) -> None:
    folder = many(tmp_path / "set", 3, {})
    config = config_of(folder, holes={"centre": 1}, side_px=8, cache=tmp_path / "cache")
    assert (read_faces(config).pixels[1] == 1).all()
    (folder / "001.png").write_bytes(encode_picture(np.full((8, 8, 3), 77, np.uint8), "PNG") + b" ")
    assert (read_faces(config).pixels[1] == 77).all()


class FindsAligned:
    """A finder that sees every face where alignment puts it."""

    asked = 0

    def find(self, photo: U8) -> list[Face]:
        self.asked += 1
        return [Face((0, 0, 1, 1), ALIGNED * photo.shape[0] - 0.5, 1.0)] if photo.any() else []


def test_landmarks_are_asked_for_only_where_a_hole_needs_them(folder: Path, tmp_path: Path) -> None:
    for place in range(3):
        (tmp_path / f"{place}.png").write_bytes(encode_picture(draw_face(64, place)[0]))
    drawn, opened = FindsAligned(), 0

    def finder() -> FindsAligned:
        nonlocal opened
        opened += 1
        return drawn

    config = config_of(tmp_path, cache=tmp_path / "cache", side_px=48)
    with pytest.raises(InputError, match="landmarks"):
        read_faces(config)
    read_faces(config.model_copy(update={"holes": {"centre": 1.0}}), finder)
    read_faces(config_of(folder), finder)
    assert (drawn.asked, opened) == (0, 0)
    faces = read_faces(config, finder)
    assert (drawn.asked, opened) == (3, 1)
    assert np.abs(faces.landmarks - (ALIGNED * 48 - 0.5)).max() < 0.01
    assert Holes(faces, config_of(tmp_path, holes={"worn": 1}), 0)[0, 48]["mask"].any()
    read_faces(config, finder)
    assert drawn.asked == 3
    (tmp_path / "3.png").write_bytes(encode_picture(np.zeros((64, 64, 3), np.uint8)))
    with pytest.raises(InputError, match=r"3\.png: expected a face"):
        read_faces(config, finder)


def test_a_worker_gets_a_path_and_no_pixels(folder: Path) -> None:
    faces = read_faces(config_of(folder))
    assert faces.pixels[3].shape == (64, 64, 3)
    data = pickle.dumps(faces.pixels)
    assert len(data) < 1000
    assert (pickle.loads(data)[3] == faces.pixels[3]).all()


def test_a_cache_that_was_cut_off_is_made_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(folder, cache=tmp_path)
    decode, count = cache.decode, 0

    def cut(*words: Any) -> Any:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt
        return decode(*words)

    monkeypatch.setattr(cache, "decode", cut)
    with pytest.raises(KeyboardInterrupt):
        read_faces(config)
    assert list(tmp_path.iterdir()) == []
    assert len(read_faces(config).names) == 12


def test_a_row_without_numbers_is_one_line(tmp_path: Path) -> None:
    columns = ",".join(["file", *(f"{point}_{axis}" for point in POINTS for axis in "xy")])
    (tmp_path / "manifest.csv").write_text(f"{columns}\na.png{',x' * 10}\n")
    with pytest.raises(InputError, match="numbers in the manifest"):
        read_faces(config_of(tmp_path))
