"""What the finder learns from: the same for all who ask, labelled where the faces are, and trained by the loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from facefill.arrays import U8
from facefill.config import build
from facefill.errors import InputError
from facefill.nets.finder import FinderNet
from facefill.training import train as loop
from facefill.training.checkpoint import load_weights
from facefill.training.data import Source, batches, plan_steps, to_batch
from facefill.training.lessons import LessonConfig, cut_portrait, cut_scene, open_lessons
from facefill.training.recipe import Recipe, build_method, read_recipe
from facefill.training.teacher import label_photo
from facefill.training.train import train
from tests.faces import draw_face
from tests.toy_datasets import write_dataset

FINDER = Path(__file__).parents[2] / "configs" / "finder.toml"
FACE = (0.24, 0.18, 0.76, 0.9)
"""The box of a drawn face in its square."""
PLACE = (150, 90)
"""Where the drawn face lies in the photo."""
SMALL = {"widths": [8, 8, 8, 8], "dilations": [[1], [1], [1]], "neck": 8}


class Knows:
    """A teacher that is told where the faces are: in the only picture it gets, seen whole in any size."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def look(self, picture: U8, threshold: float) -> NDArray[np.float32]:
        side = picture.shape[0]
        points = draw_face(256, 0)[1].ravel() / 256
        return np.array([[*FACE, *points, 0]], np.float32) * side + np.eye(15, dtype=np.float32)[14] * 0.9


class InAPhoto(Knows):
    """Knows a face of 128 pixels at `PLACE` in a photo of 400x320, whatever size and grey border it is shown with."""

    def look(self, picture: U8, threshold: float) -> NDArray[np.float32]:
        rows = picture[..., 0] != 128
        left, top = np.flatnonzero(rows.any(0))[0], np.flatnonzero(rows.any(1))[0]
        scale = (np.flatnonzero(rows.any(0))[-1] + 1 - left) / 400
        points = np.concatenate([np.reshape(FACE, (2, 2)) * 128, draw_face(128, 0)[1]]) + PLACE
        moved = points * scale + (left, top)
        return np.array([[*moved.ravel(), 0.9]], np.float32)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> LessonConfig:
    folder = tmp_path_factory.mktemp("lessons")
    write_dataset(folder / "faces")
    photos = folder / "photos"
    photos.mkdir()
    for name in ("one.png", "judged.png"):
        photo = np.random.default_rng(0).integers(0, 120, (320, 400, 3), np.uint8)
        photo[PLACE[1] : PLACE[1] + 128, PLACE[0] : PLACE[0] + 128] = draw_face(128, 0)[0]
        Image.fromarray(photo).save(photos / name)
    (folder / "teacher.onnx").write_bytes(b"")
    (folder / "judging.json").write_text(json.dumps({"files": {"judged.png": {}}}))
    return LessonConfig(
        folder=folder / "faces",
        teacher=folder / "teacher.onnx",
        photos=photos,
        without=folder / "judging.json",
        validation_images=2,
        cache=folder / "cache",
        workers=0,
    )


class Both(Knows):
    """Labels aligned faces and the photo."""

    def look(self, picture: U8, threshold: float) -> NDArray[np.float32]:
        square = picture.shape[0] == picture.shape[1]
        return (Knows if square else InAPhoto).look(self, picture, threshold)


@pytest.fixture(scope="module")
def source(config: LessonConfig) -> Source:
    return open_lessons(config, Both)


def test_a_place_is_always_the_same_lesson(source: Source) -> None:
    one, other = source.learning(3), source.learning(3)
    for item in ((7, 96), (7, 160), (8, 160)):
        for name, value in one[item].items():
            np.testing.assert_array_equal(value, other[item][name])
    assert (one[8, 96]["image"] != one[7, 96]["image"]).any()
    assert (source.learning(4)[7, 96]["image"] != one[7, 96]["image"]).any()


def test_what_was_made_once_is_read_the_second_time(config: LessonConfig, source: Source) -> None:
    class Never(Both):
        def look(self, picture: U8, threshold: float) -> NDArray[np.float32]:
            assert picture.shape[0] != picture.shape[1]
            return super().look(picture, threshold)

    again = open_lessons(config, Never).learning(3)
    np.testing.assert_array_equal(again[5, 160]["image"], source.learning(3)[5, 160]["image"])


def test_photos_that_judge_are_left_out_and_the_others_labelled(source: Source) -> None:
    (photo,) = source.learning(3)._photos
    np.testing.assert_allclose(photo.boxes[0], np.reshape(FACE, (2, 2)).ravel() * 128 + PLACE * 2, atol=0.6)
    np.testing.assert_allclose(photo.landmarks[0], draw_face(128, 0)[1] + PLACE, atol=0.6)
    assert photo.counts == [1]


def test_labels_go_with_the_photo_that_is_cut(source: Source) -> None:
    rng, lessons = np.random.default_rng(0), source.learning(3)
    seen = 0
    for _ in range(40):
        for scene in (cut_scene(lessons._photos, lessons._faces, rng, 160), cut_portrait(lessons._photos, rng, 128)):
            assert scene is not None
            for box, points in zip(scene.boxes, scene.landmarks, strict=True):
                assert (points > box[:2] - 0.25 * (box[2:] - box[:2])).all()
                assert (points < box[2:] + 0.25 * (box[2:] - box[:2])).all()
                assert points[0, 0] < points[1, 0]
            seen += sum(scene.counts)
    assert seen > 40


def test_the_same_face_in_several_sizes_is_one_and_overlapping_ones_count_neither_way() -> None:
    class Doubles(Knows):
        def look(self, picture: U8, threshold: float) -> NDArray[np.float32]:
            row = InAPhoto.look(self, picture, threshold)[0]
            beside = row.copy()
            beside[:14:2] += 0.6 * (row[2] - row[0])
            beside[14] = 0.8
            return np.stack([row, beside])

    photo = np.full((320, 400, 3), 7, np.uint8)
    boxes, landmarks, counts = label_photo(photo, Doubles(Path()))
    assert boxes.shape == (2, 4)
    assert landmarks.shape == (2, 5, 2)
    assert counts == [1, 0]


def test_batches_mix_sizes_and_fit_the_losses(source: Source) -> None:
    method = build_method("finder", SMALL)
    assert isinstance(method, FinderNet)
    for raw in batches(source.learning(0), plan_steps(0, 6, 3, [64, 128]), 0):
        batch = to_batch(raw, method, torch.device("cpu"))
        assert float(batch["image"].abs().max()) <= 1
        assert all(torch.isfinite(term) for term in method.losses("generator", batch).values())
        assert [picture.shape for picture in method.show(batch)] == [batch["image"].shape] * 2


def test_the_loop_trains_the_finder(config: LessonConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "open_source", lambda recipe: open_lessons(recipe.lessons, Both))
    values: dict[str, Any] = {
        "method": "finder",
        "model": SMALL,
        "lessons": config.model_dump(mode="json"),
        "train": {"stages": [{"side_px": [64, 128], "images": 12, "batch": 3}], "eval_images": 12, "bf16": False},
    }
    weights = train(build(Recipe, values, "test"), tmp_path / "run")
    (line,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["score"] == pytest.approx(load_weights(weights)[1]["score"], abs=1e-5)
    assert "face" in json.loads(line)
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 1


def test_a_missing_teacher_and_unknown_settings_are_one_line(config: LessonConfig) -> None:
    with pytest.raises(InputError, match=r"lessons\.teacher"):
        open_lessons(config.model_copy(update={"teacher": None}))
    with pytest.raises(InputError, match="did you mean 'teacher'"):
        read_recipe(FINDER, ["lessons.teecher=y"])
    with pytest.raises(InputError, match=r"\[lessons\] and nothing else for finder, got \[data\] and \[lessons\]"):
        read_recipe(FINDER, ["data.folder=x", "data.holes={none=1}"])
    with pytest.raises(InputError, match="and nothing else for cover, got"):
        read_recipe(FINDER, ["method=cover", "model={}"])
