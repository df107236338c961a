"""Batches depend on the seed and on how many pictures came before, and on nothing else."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facefill.datasets import cache
from facefill.errors import InputError
from facefill.imaging.masks import MASKS
from facefill.training import data
from facefill.training.augmentation import moved, tint
from facefill.training.data import (
    DataConfig,
    Faces,
    Holes,
    batches,
    keep_share,
    open_faces,
    picture_at,
    plan_steps,
    read_faces,
    split_validation,
    to_batch,
)
from facefill.training.outlines import draw_outline, read_outlines
from tests.faces import draw_face
from tests.toy_datasets import write_dataset
from tests.training.test_covering import write_covers

HOLES = {"centre": 1.0, "worn": 2.0, "random40": 1.0, "none": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def faces(folder: Path) -> Faces:
    return read_faces(config_of(folder))


def config_of(folder: Path, **options: object) -> DataConfig:
    return DataConfig.model_validate(
        {"folder": folder, "cache": folder / "cache", "holes": HOLES, "side_px": 64, "workers": 0, **options}
    )


@given(st.integers(1, 40), st.integers(0, 3), st.integers(0, 5))
def test_every_epoch_shows_every_picture_once(count: int, seed: int, epoch: int) -> None:
    shown = [picture_at(epoch * count + place, count, seed) for place in range(count)]
    assert sorted(shown) == list(range(count))


def test_a_picture_is_the_same_whoever_asks_for_it(faces: Faces, folder: Path) -> None:
    holes = Holes(faces, config_of(folder, jitter=0.5, colour=1.0), 7)
    straight = [item for raw in batches(holes, plan_steps(0, 24, 4, [64]), 0) for item in raw["truth"]]
    resumed = [item for raw in batches(holes, plan_steps(8, 24, 8, [64]), 0) for item in raw["truth"]]
    assert all(torch.equal(a, b) for a, b in zip(straight[8:], resumed, strict=True))


def test_workers_change_nothing(faces: Faces, folder: Path) -> None:
    holes = Holes(faces, config_of(folder), 7)
    here, there = (list(batches(holes, plan_steps(0, 8, 4, [48, 64]), workers)) for workers in (0, 1))
    for a, b in zip(here, there, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert [batch["truth"].shape[1] for batch in here] == [48, 64]


def test_what_a_method_gets(faces: Faces, folder: Path) -> None:
    holes = Holes(faces, config_of(folder, holes={"worn": 1}), 7)
    raw = next(iter(batches(holes, plan_steps(0, 4, 4, [64]), 0)))
    batch = to_batch(raw, SimpleNamespace(hole_value=1.0), torch.device("cpu"))
    missing = batch["mask"].expand_as(batch["truth"]) > 0.5
    assert batch["truth"].dtype == torch.float32
    assert (batch["truth"] * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1).equal(raw["truth"])
    assert (batch["image"][missing] == 1).all()
    assert torch.equal(batch["image"][~missing], batch["worn"][~missing])
    assert (batch["worn"] != batch["truth"])[missing].float().mean() > 0.5
    assert batch["landmarks"].shape == (4, 5, 2)


def test_nobody_sees_what_a_hole_without_a_cover_hides(faces: Faces, folder: Path) -> None:
    for name in ("centre", "random40"):
        item = Holes(faces, config_of(folder, holes={name: 1}), 7)[0, 64]
        assert (item["worn"][item["mask"]] == 128).all()
        assert (item["worn"][~item["mask"]] == item["truth"][~item["mask"]]).all()
        assert (item["truth"][item["mask"]] != 128).any()


def test_a_smaller_share_of_the_faces_is_part_of_a_larger_one(faces: Faces) -> None:
    places = np.arange(2, 12)
    some, more = keep_share(faces.names, places, 0.3), keep_share(faces.names, places, 0.7)
    assert (len(some), len(more)) == (3, 7)
    assert set(some) < set(more) < set(places)
    assert (keep_share(faces.names, places, 1.0) == places).all()
    assert len(keep_share(faces.names, places, 0.01)) == 1
    turned = Faces(faces.pixels, faces.landmarks, faces.names[::-1], faces.identities[::-1], faces.digest)
    again = keep_share(turned.names, 11 - places, 0.3)
    assert {faces.names[i] for i in some} == {turned.names[i] for i in again}


def test_a_share_decodes_no_other_faces(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    monkeypatch.setattr(cache, "decode", lambda data, side_px: decoded.append(1) or np.zeros((64, 64, 3), np.uint8))  # type: ignore[func-returns-value]
    whole = open_faces(config_of(folder, validation_images=4, cache=tmp_path))
    assert len(decoded) == 12
    part = open_faces(config_of(folder, validation_images=4, share=0.25, cache=tmp_path))
    assert len(decoded) == 12 + 6
    assert part.validation_images == whole.validation_images == 4
    shown = [{source.names[source.learning(0)[place, 64]["index"]] for place in range(40)} for source in (whole, part)]
    assert len(shown[1]) == 2
    assert shown[1] < shown[0]


def test_landmarks_follow_the_mirror(faces: Faces, folder: Path) -> None:
    holes = Holes(faces, config_of(folder), 1)
    for place in range(20):
        points = holes[place, 64]["landmarks"]
        assert points[0, 0] < points[1, 0]
        assert points[3, 0] < points[4, 0]


@pytest.mark.parametrize("name", sorted(MASKS))
def test_every_hole_can_be_drawn_at_training_sizes(faces: Faces, folder: Path, name: str) -> None:
    item = Holes(faces, config_of(folder, holes={name: 1}), 0)[0, 64]
    assert item["mask"].shape == (64, 64)
    assert not item["mask"].all()


def test_validation_takes_whole_identities_and_ignores_order(faces: Faces) -> None:
    learning, validation = split_validation(faces.identities, 3)
    assert len(validation) == 4
    assert {faces.identities[i] for i in learning}.isdisjoint(faces.identities[i] for i in validation)
    turned = Faces(faces.pixels, faces.landmarks, faces.names[::-1], faces.identities[::-1], faces.digest)
    again = split_validation(turned.identities, 3)[1]
    assert {faces.names[i] for i in validation} == {turned.names[i] for i in again}


def test_frozen_holes_are_the_same_every_time(faces: Faces, folder: Path) -> None:
    first, second = (Holes(faces, config_of(folder), 0, frozen=True) for _ in range(2))
    assert all((first[i, 64]["mask"] == second[i, 64]["mask"]).all() for i in range(len(first)))
    assert len(first) == len(faces.names)


def test_what_is_no_dataset_is_one_line(folder: Path, tmp_path: Path) -> None:
    empty = DataConfig(folder=tmp_path, holes={"centre": 1})
    with pytest.raises(InputError, match=r"manifest\.csv"):
        read_faces(empty)
    with pytest.raises(InputError, match="did you mean 'centre'"):
        Holes(
            Faces(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 5, 2), np.float32), ("a",), ("a",), ""),
            config_of(folder, holes={"center": 1}),
            0,
        )
    with pytest.raises(InputError, match="split"):
        read_faces(config_of(folder, split="test"))


def test_beyond_an_edge_all_is_missing_and_most_of_the_picture_stays(faces: Faces, folder: Path) -> None:
    config = config_of(folder, holes={"centre": 1}, edges=1.0)
    items = [Holes(faces, config, 0)[place, 64] for place in range(40)]
    assert all(item["mask"][item["outside"]].all() for item in items)
    shares = np.array([item["outside"].mean() for item in items])
    assert 0 < shares.mean() < 0.35
    assert shares.max() < 0.8
    assert not Holes(faces, config, 0, frozen=True)[0, 64]["outside"].any(), "validation shows whole pictures"
    assert "outside" not in Holes(faces, config.model_copy(update={"edges": 0.0}), 0)[0, 64]


def test_landmarks_move_with_the_face_by_as_much_as_is_said() -> None:
    points, rng = (
        np.array([[90, 100], [166, 104], [130, 140], [100, 170], [160, 172]], np.float32),
        np.random.default_rng(0),
    )
    face = np.zeros((256, 256, 3), np.uint8)
    for x, y in points.astype(int):
        face[y - 4 : y + 5, x - 4 : x + 5] = 255
    turns = []
    for _ in range(20):
        picture, landmarks = moved(face, points, rng)
        assert all(picture[y, x].min() > 200 for x, y in np.rint(landmarks).astype(int))
        (x, y), (before_x, before_y) = landmarks[1] - landmarks[0], points[1] - points[0]
        turns.append(np.degrees(np.arctan2(y, x) - np.arctan2(before_y, before_x)))
        assert 0.88 < np.hypot(x, y) / np.hypot(before_x, before_y) < 1.13
    assert -10.01 < min(turns) < -4
    assert 4 < max(turns) < 10.01


def test_a_tint_makes_pictures_darker_lighter_and_of_another_colour() -> None:
    middle = np.array([tint(1.0, np.random.default_rng(seed))[0, 128].astype(int) for seed in range(40)])
    assert middle.mean(1).min() < 100
    assert middle.mean(1).max() > 156
    assert np.ptp(middle, axis=1).max() > 10
    assert (tint(0.0, np.random.default_rng(0)) == np.arange(256)[:, None]).all()


def test_grey_pictures_have_no_colour_and_come_as_often_as_asked(faces: Faces, folder: Path) -> None:
    config = config_of(folder, grey=0.5, colour=0.5)
    chroma = [np.ptp(Holes(faces, config, 0)[place, 64]["truth"].astype(int), axis=-1).max() for place in range(60)]
    assert 15 < sum(value == 0 for value in chroma) < 45


def test_turned_faces_come_more_often(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(folder, validation_images=2, turned=3)
    lengths = []
    for limit in (-1.0, 9.0):
        monkeypatch.setattr(data, "TURNED", limit)
        chosen = open_faces(config).learning(0)._chosen
        lengths.append(len(chosen))
        assert len(set(chosen)) == lengths[-1] / (3 if limit < 0 else 1)
    assert lengths[0] == 3 * lengths[1]


def test_a_real_outline_moves_with_the_face_and_shows_nobody_the_truth(folder: Path, tmp_path: Path) -> None:
    covers = write_covers(tmp_path / "covers")
    points = draw_face(256, 1)[1]
    outlines, rng = read_outlines(covers), np.random.default_rng(0)
    lower = [draw_outline(outlines, points, 256, rng) for _ in range(30)]
    assert any(hole[230:].any() for hole in lower)  # a mask
    assert any(not hole[200:].any() and hole.any() for hole in lower)  # dark glasses
    moved = np.mean(
        [np.argwhere(draw_outline(outlines, points + np.array([30, 0]), 256, rng)).mean(0) for _ in range(30)], 0
    )
    assert moved[1] - np.mean([np.argwhere(hole).mean(0) for hole in lower], 0)[1] == pytest.approx(30, abs=8)
    source = open_faces(config_of(folder, holes={"real": 1}, covers=covers, validation_images=1, cache=tmp_path))
    item = source.learning(0)[0, 64]
    assert item["mask"].any()
    assert (item["worn"][item["mask"]] == 128).all()
    with pytest.raises(InputError, match=r"data\.covers"):
        open_faces(config_of(folder, holes={"real": 1}, validation_images=1, cache=tmp_path))
    with pytest.raises(InputError, match="outlines of face masks"):
        read_outlines(write_covers(tmp_path / "bare", kinds=("none",)))
    with pytest.raises(InputError, match="a name a line"):
        open_faces(config_of(folder, validation_images=1, without=tmp_path / "none.txt", cache=tmp_path))


def test_sharp_faces_are_shown_more_often_and_those_left_out_never(folder: Path, tmp_path: Path) -> None:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    copy = shutil.copytree(folder, tmp_path / "copy")
    for index, row in enumerate(rows):
        row["native_side_px"] = "60" if index % 2 else "40"
    with (copy / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "without.txt").write_text(f"{rows[1]['file']}\n{rows[2]['file']}\n", encoding="utf-8")
    config = config_of(copy, side_px=64, validation_images=1, sharp=3, without=tmp_path / "without.txt", cache=tmp_path)
    source = open_faces(config)
    learning = source.learning(0)
    shown = Counter(source.names[learning[place, 64]["index"]] for place in range(len(learning._chosen)))
    assert not {rows[1]["file"], rows[2]["file"]} & set(shown)
    assert {count for name, count in shown.items() if name in {row["file"] for row in rows[1::2]}} == {3}
    assert {count for name, count in shown.items() if name in {row["file"] for row in rows[::2]}} == {1}
