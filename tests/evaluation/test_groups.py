"""Groups of faces: what the picture tells, what the manifest tells, what somebody named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facefill.datasets.faces import ALIGNED, read_dataset
from facefill.errors import InputError
from facefill.evaluation.groups import group_faces, read_groups, skin_tone
from tests.toy_datasets import write_dataset

LIGHT_TO_DARK = np.array([5.0, 1, 2, 3, 4, np.nan])


def test_lighter_skin_has_a_larger_angle() -> None:
    landmarks = ALIGNED * 64 - 0.5
    tones = [
        skin_tone(np.full((64, 64, 3), colour, np.uint8), landmarks)
        for colour in ((90, 60, 45), (160, 110, 80), (232, 190, 165))
    ]
    assert tones == sorted(tones)
    assert tones[0] < 10 < 50 < tones[2]


def test_groups_are_terciles_and_bands(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path, 6))
    groups = group_faces(dataset, LIGHT_TO_DARK)
    assert groups["skin tone"] == [
        "lightest third",
        "darkest third",
        "darkest third",
        "middle third",
        "lightest third",
        "",
    ]
    assert set(groups) <= {"skin tone", "view"}, "one source and one resolution are no groups"


@pytest.mark.parametrize(
    ("moved", "view"),
    [
        (0.0, "frontal"),
        (0.02, "frontal"),
        (-0.04, "turned"),
        (0.06, "half profile and more"),
        (-0.2, "half profile and more"),
    ],
)
def test_a_nose_beside_the_middle_tells_a_turned_head_however_the_picture_leans(
    moved: float, view: str, tmp_path: Path
) -> None:
    dataset = read_dataset(write_dataset(tmp_path, 2))
    angle = 0.4
    lean = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = ALIGNED + np.array([[0, 0], [0, 0], [moved, 0], [0, 0], [0, 0]])
    other = "frontal" if view != "frontal" else "turned"
    beside = ALIGNED + np.array([[0, 0], [0, 0], [0.0 if other == "frontal" else 0.04, 0], [0, 0], [0, 0]])
    faces = tuple(
        replace(face, landmarks=points @ lean) for face, points in zip(dataset.faces, (turned, beside), strict=True)
    )
    assert group_faces(replace(dataset, faces=faces), LIGHT_TO_DARK[:2])["view"] == [view, other]


def test_groups_that_somebody_named(tmp_path: Path) -> None:
    dataset = read_dataset(write_dataset(tmp_path, 3))
    first, _, third = (face.file for face in dataset.faces)
    (tmp_path / "groups.csv").write_text(f"file,glasses,age\n{first},glasses,\n{third},none,\nother.png,none,7\n")
    groups = group_faces(dataset, LIGHT_TO_DARK[:3], read_groups(tmp_path / "groups.csv"))
    assert groups["glasses"] == ["glasses", "", "none"]
    assert "age" not in groups, "of these faces it says nothing"


@pytest.mark.parametrize("text", ["", "glasses,age\na,b\n", "file\na.png\n", "file,age\na.png,3,4\n"])
def test_a_csv_that_names_no_groups_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(InputError, match="file,glasses,age"):
        read_groups(tmp_path / "groups.csv")


def test_a_csv_of_groups_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a CSV of groups"):
        read_groups(tmp_path / "groups.csv")
