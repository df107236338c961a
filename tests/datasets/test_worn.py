"""Covered faces as a dataset: the same whatever else is in it, and nothing drawn where no face is."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facefill.arrays import Points
from facefill.datasets.faces import read_dataset
from facefill.datasets.looking import Rules
from facefill.datasets.manifest import implausible
from facefill.datasets.worn import wear_faces
from facefill.errors import InputError
from facefill.files.photo import read_photo
from tests.faces import ALIGNED, draw_face
from tests.toy_datasets import KnownPhotos, rows_of, save, write_dataset

RULES = Rules(min_side_px=60)


def test_covers_depend_on_the_seed_and_the_file_name_only(tmp_path: Path) -> None:
    faces = write_dataset(tmp_path / "faces", 6)
    (faces / "val").mkdir()
    (faces / "train" / "face005.png").rename(faces / "val" / "face005.png")
    manifest = faces / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("train,face005", "val,face005"))
    done = wear_faces(faces, tmp_path / "a", 3)
    assert (done.faces, done.refused) == (6, ())
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], lines[4], lines[2], lines[6]]) + "\n")
    wear_faces(faces, tmp_path / "b", 3)
    rows, fewer = (rows_of(tmp_path / name / "manifest.csv") for name in "ab")
    assert [row for row in fewer if row not in rows] == []
    for row in rows:
        worn, mask, truth = (read_photo(tmp_path / "a" / row[name]).pixels for name in ("file", "mask", "truth"))
        assert set(np.unique(mask)) == {0, 255}
        assert np.abs(worn.astype(int) - truth)[mask == 0].max() <= 40
        assert (worn != truth)[mask > 0].mean() > 0.5
        assert row["kind"]
        original = faces / row["split"] / f"{Path(row['file']).stem}.png"
        assert (tmp_path / "a" / row["truth"]).read_bytes() == original.read_bytes()
    for row in fewer:
        assert (tmp_path / "a" / row["file"]).read_bytes() == (tmp_path / "b" / row["file"]).read_bytes()
    wear_faces(faces, tmp_path / "c", 4)
    assert (tmp_path / "c" / fewer[0]["file"]).read_bytes() != (tmp_path / "b" / fewer[0]["file"]).read_bytes()
    assert len(read_dataset(tmp_path / "a", "val").faces) == 1


def test_faces_whose_landmarks_no_face_has_are_refused_and_listed(tmp_path: Path) -> None:
    faces = write_dataset(tmp_path / "faces", 5)
    rows = rows_of(faces / "manifest.csv")
    rows[0]["eye_l_x"], rows[0]["eye_r_x"] = rows[0]["eye_r_x"], rows[0]["eye_l_x"]
    rows[1]["nose_y"] = "20"
    rows[2]["mouth_l_x"] = "left"
    (faces / "train" / rows[3]["file"]).write_bytes(b"no picture")
    with (faces / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = wear_faces(faces, tmp_path / "out")
    assert done.faces == 1
    assert [row["file"] for row in rows_of(tmp_path / "out" / "refused.csv")] == [row["file"] for row in rows[:4]]
    with pytest.raises(InputError, match="holds a dataset"):
        wear_faces(faces, tmp_path / "out")
    for row in rows:
        (faces / "train" / row["file"]).unlink()
    with pytest.raises(InputError, match="5 refused"):
        wear_faces(faces, tmp_path / "gone")


def test_faces_without_a_manifest_are_asked_for_their_landmarks(tmp_path: Path) -> None:
    known = KnownPhotos()
    for seed in range(2):
        face, points = draw_face(64, seed)
        save(known, tmp_path / "faces" / f"{seed}.png", face, [points])
    assert wear_faces(tmp_path / "faces", tmp_path / "out", finder=lambda: known).faces == 2
    assert known.asked == 2
    with pytest.raises(InputError, match="landmarks"):
        wear_faces(tmp_path / "faces", tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda points: points[[1, 0, 2, 4, 3]], "apart"),
        (lambda points: points * [1, -1] + np.array([0, 255]), "below"),
        (lambda points: points * 0.3, "aligned"),
        (lambda points: points + np.array([80, 0]), "aligned"),
        (lambda points: points * np.nan, "gaps"),
        (lambda points: points[[0, 1, 2, 4, 3]], "corners"),
    ],
)
def test_landmarks_that_no_aligned_face_has(change: Callable[[Points], Points], why: str) -> None:
    points = ALIGNED * 256 - 0.5
    assert implausible(points) == ""
    assert why in implausible(change(points))


# --- the command line
