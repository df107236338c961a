"""What benchmarks/find.py prints of few and of many, and which faces it takes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facefill.runtime.finder import Face

ROOT = Path(__file__).parents[2]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("find")


def test_a_mean_of_few_has_no_interval_and_says_of_how_many(find: Any) -> None:
    assert find.mean([0.5, 0.7]) == "0.600 (n 2, no interval)"
    assert find.mean([0.1, 0.2, 0.6], 100, 1, "median") == "20.0 (n 3, no interval)"
    assert find.mean([]) == "none"
    assert find.mean([0.5] * 20) == "0.500 [0.500, 0.500]"


def version_that_sees(find: Any, count: int) -> Any:
    """It finds so many faces in the corner of every photo, where there are none."""
    faces = [Face((0.0, 0, 9, 9), np.zeros((5, 2)), 0.9)] * count
    return SimpleNamespace(name="now", find=lambda photo: faces)


def test_false_alarms_are_counted_by_photo_with_an_interval(
    find: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"size": [64, 64], "faces": [[10, 10, 60, 60]], "ignore": []}
    files = {f"{index}.png": entry for index in range(20)}
    for name in files:
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"files": files}))
    find.judge_photos(tmp_path, boxes, [version_that_sees(find, 2)])
    assert (
        "n 20  recall 0.0 % [0.0, 16.1]  false alarms a photo 2.000 [2.000, 2.000] (40 in 20)"
        in capsys.readouterr().out
    )
    boxes.write_text(json.dumps({"files": dict(list(files.items())[:3])}))
    find.judge_photos(tmp_path, boxes, [version_that_sees(find, 1)])
    assert "false alarms a photo 1.000 (n 3, no interval) (3 in 3)" in capsys.readouterr().out


def test_it_is_said_which_of_the_uncovered_people_are_left_out(
    find: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(find, "read_photo", lambda path: SimpleNamespace(pixels=np.zeros((9, 9, 3), np.uint8)))
    find.judge_plain(Path("plain"), [version_that_sees(find, 0)])
    said = capsys.readouterr().out
    assert "111 of 120 photos, without those of a face with sunglasses or a microphone before it" in said


def test_faces_are_chosen_by_the_hash_of_their_names(find: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [SimpleNamespace(landmarks=True, row={"file": f"{index}.jpg"}) for index in range(50)]
    chosen = []
    for some in (entries, entries[::-1]):
        monkeypatch.setattr(find, "list_entries", lambda dataset, split, some=some: some)
        chosen.append([entry.row["file"] for entry in find.spread(Path("faces"), "test-celeba", 10)])
    assert (
        chosen[0]
        == chosen[1]
        == [entry.row["file"] for entry in find.by_hash(entries, lambda one: one.row["file"])][:10]
    )
    assert chosen[0] != [f"{index}.jpg" for index in range(10)]
