"""Datasets: with and without a manifest, and one clear line for each that cannot be judged on."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefill.datasets import faces as dataset_module
from facefill.datasets.faces import ALIGNED, landmarks_of, locate, read_dataset, read_face
from facefill.errors import InputError
from facefill.runtime.finder import Face
from tests.faces import draw_face
from tests.toy_datasets import write_dataset


def test_a_manifest_says_who_and_where(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path, 4, side=64), "train")
    assert (dataset.name, dataset.side_px, len(dataset.faces)) == ("train", 64, 4)
    faces = sorted(dataset.faces, key=lambda face: face.file)
    assert [face.identity for face in faces] == ["0", "0", "1", "1"]
    assert landmarks_of(faces[1], 64) == pytest.approx(draw_face(64, 1)[1], abs=0.05)
    assert (read_face(faces[2], 64) == draw_face(64, 2)[0]).all()
    assert read_face(faces[2], 32).shape == (32, 32, 3)


def test_the_first_faces_are_those_of_least_hash(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path, 8), "train")
    names = [face.file for face in dataset.faces]
    assert names == sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert [face.file for face in read_dataset(tmp_path, "train", 3).faces] == names[:3]


def test_pictures_without_a_manifest(tmp_path: Path) -> None:
    write_dataset(tmp_path, 3)
    (tmp_path / "manifest.csv").unlink()
    dataset = read_dataset(tmp_path)
    assert sorted(face.file for face in dataset.faces) == [f"train/face{index:03d}.png" for index in range(3)]
    assert landmarks_of(dataset.faces[0], 64) == pytest.approx(ALIGNED * 64 - 0.5)


def test_the_hash_follows_names_and_bytes(tmp_path: Path) -> None:
    write_dataset(tmp_path, 3)
    before = read_dataset(tmp_path).sha256
    assert read_dataset(tmp_path).sha256 == before
    Image.fromarray(draw_face(64, 9)[0]).save(tmp_path / "train" / "face001.png")
    assert read_dataset(tmp_path).sha256 != before


def test_faces_of_several_sizes_are_shrunk_to_the_smallest(tmp_path: Path) -> None:
    write_dataset(tmp_path, 3)
    Image.fromarray(draw_face(128, 1)[0]).save(tmp_path / "train" / "face001.png")
    dataset = read_dataset(tmp_path)
    assert (dataset.side_px, dataset.largest_px) == (64, 128)
    assert {read_face(face, dataset.side_px).shape for face in dataset.faces} == {(64, 64, 3)}


def spoil(folder: Path, how: str) -> None:
    picture, manifest = folder / "train" / "face001.png", folder / "manifest.csv"
    if how == "missing file":
        picture.unlink()
    elif how == "not square":
        for path in (folder / "train").iterdir():
            Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(path)
    elif how == "no picture":
        picture.write_text("not a picture\n" * 9)
    elif how == "not a number":
        Image.fromarray(np.full((64, 64), np.nan, np.float32)).save(picture, format="TIFF")
    elif how == "no rows":
        manifest.write_text("split,file\n")
    elif how == "no columns":
        manifest.write_text("a,b\n1,2\n")
    elif how == "bad number":
        manifest.write_text(manifest.read_text().replace("face000.png,drawn,0,64", "face000.png,drawn,0,large"))
    elif how == "twice":
        manifest.write_text(manifest.read_text().replace("face001.png", "face000.png"))
    elif how == "binary manifest":
        manifest.write_bytes(b"\xff\xfe\x00\x81")


@pytest.mark.parametrize(
    "how",
    [
        "missing file",
        "not square",
        "no picture",
        "not a number",
        "no rows",
        "no columns",
        "bad number",
        "twice",
        "binary manifest",
    ],
)
def test_what_cannot_be_judged_on_is_one_clear_line(tmp_path: Path, how: str) -> None:
    spoil(write_dataset(tmp_path, 3), how)

    def judge() -> None:
        for face in read_dataset(tmp_path, "train").faces:
            read_face(face, 64)

    with pytest.raises(InputError) as found:
        judge()
    assert "\n" not in str(found.value)


def test_folders_and_splits_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there"):
        read_dataset(tmp_path / "gone")
    with pytest.raises(InputError, match="pictures, got none"):
        read_dataset(tmp_path)
    (write_dataset(tmp_path / "bare", 2) / "manifest.csv").unlink()
    with pytest.raises(InputError, match="leave --split out"):
        read_dataset(tmp_path / "bare", "train")
    write_dataset(tmp_path, 2)
    with pytest.raises(InputError, match="did you mean 'train'"):
        read_dataset(tmp_path, "trian")
    rows = list(csv.reader((tmp_path / "manifest.csv").open()))
    rows[1][0] = "test"
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(InputError, match="add --split test"):
        read_dataset(tmp_path)


def test_the_finder_is_asked_where_the_manifest_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, 2)
    (tmp_path / "manifest.csv").unlink()
    points = draw_face(64, 0)[1]
    faces = [Face((0, 0, 8, 8), points + 5, 0.9), Face((0, 0, 60, 60), points, 0.8)]

    class FindsThese:
        def find(self, photo: np.ndarray) -> list[Face]:
            return faces

    monkeypatch.setattr(dataset_module, "open_finder", lambda **options: FindsThese())
    located = locate(read_dataset(tmp_path))
    assert landmarks_of(located.faces[1], 64) == pytest.approx(points)
    faces.clear()
    with pytest.raises(InputError, match=r"none found in train/face00\d.png"):
        locate(read_dataset(tmp_path))
