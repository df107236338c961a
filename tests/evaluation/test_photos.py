"""Whole photos: what is drawn on them is seeded, the truth is known, and they are completed as the public way does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facefill
from facefill.datasets import faces
from facefill.datasets.faces import Dataset, landmarks_in, read_dataset, read_face, read_pixels
from facefill.evaluation import benchmark
from facefill.evaluation.benchmark import Bench, EvaluationSettings, complete_case, prepare
from facefill.evaluation.photos import complete_cases, draw_photo_case
from facefill.evaluation.protocols import PHOTOS, mask_hash, read_protocols
from facefill.evaluation.report import speaks_of
from facefill.runtime.model import load
from tests.faces import draw_photo
from tests.runtime.test_inpainter import FindsAt, StandIn

PHOTO, (LANDMARKS,) = draw_photo(420, 360, faces=1, seed=1)


@pytest.mark.parametrize(("name", "area_px"), [("photo-worn", 12236), ("photo-scratch", 3155)])
def test_what_is_drawn_on_a_photo_has_not_changed(name: str, area_px: int) -> None:
    assert draw_photo_case(PHOTOS[name], PHOTO, LANDMARKS, "c.jpg").mask.sum() == area_px


@pytest.mark.parametrize("name", PHOTOS)
def test_a_case_is_the_same_again_and_its_truth_is_the_photos(name: str) -> None:
    one, again, other = (draw_photo_case(PHOTOS[name], PHOTO, LANDMARKS, file) for file in ("a.jpg", "a.jpg", "b.jpg"))
    assert one.crop is not None
    assert one.photo is not None
    assert mask_hash(one.mask) == mask_hash(again.mask) != mask_hash(other.mask)
    assert (one.photo == again.photo).all()
    assert (one.truth == one.crop.take(PHOTO)).all()
    assert one.truth.shape == (256, 256, 3)
    assert one.hole.sum() >= 100
    assert not one.hole[one.crop.outside(PHOTO.shape)].any()


def test_a_cover_is_drawn_on_the_photo_itself_and_changes_it_there_only() -> None:
    case = draw_photo_case(PHOTOS["photo-worn"], PHOTO, LANDMARKS, "c.jpg")
    assert case.photo is not None
    changed = (case.photo != PHOTO).any(-1)
    assert 0.01 < changed.mean() < 0.5
    assert case.drawn is None
    assert np.abs(case.shown.astype(int) - case.truth)[case.hole].mean() > 10


def test_damage_is_marked_and_hides_nothing_from_view_but_by_its_mask() -> None:
    case = draw_photo_case(PHOTOS["photo-scratch"], PHOTO, LANDMARKS, "c.jpg")
    assert case.drawn is not None
    assert case.drawn.shape == PHOTO.shape[:2]
    assert (case.shown == case.truth).all()


def test_a_photo_that_is_refused_keeps_its_cover() -> None:
    case = draw_photo_case(PHOTOS["photo-worn"], PHOTO, LANDMARKS, "a.jpg")
    assert (complete_cases(StandIn([]).inpainter(load("telea")), PHOTOS["photo-worn"], [case])[0] == case.shown).all()


def keys(bench: Bench) -> list[str]:
    """What makes the values of each protocol, as it is kept beside them."""
    for protocol in bench.protocols:
        bench.records(bench.datasets[0], protocol, "telea")
    folder = bench.settings.report / "pictures" / bench.datasets[0].name
    return [(folder / protocol.name / "telea.json").read_text() for protocol in bench.protocols]


def test_an_evaluation_takes_photos_of_any_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "photos" / "a.png")

    def known(dataset: Dataset, *others: object) -> Dataset:
        shares = (LANDMARKS + 0.5) / len(PHOTO)
        return replace(dataset, faces=tuple(replace(face, landmarks=shares) for face in dataset.faces))

    monkeypatch.setattr(faces, "locate", known)
    holes = ("photo-scratch", "centre@256")
    bench = prepare(
        EvaluationSettings(tmp_path / "photos", tmp_path / "report", methods=("telea",), holes=holes, threads=1)
    )
    assert read_protocols(holes) == bench.protocols
    (face,) = bench.datasets[0].faces
    assert landmarks_in(face, 360) == pytest.approx(LANDMARKS)
    assert (read_pixels(face) == PHOTO).all()
    for protocol in bench.protocols:
        monkeypatch.setattr(bench.entries[0].inpainter, "finder", lambda: FindsAt([LANDMARKS]))
        case, completed = complete_case(bench, bench.datasets[0], protocol, "telea", "a.png")
        assert (completed != case.truth).any()
    assert (case.truth == read_face(face, 256)).all()
    of = set(speaks_of(bench))
    assert {"cover", "finder", "second_look", "src/facefill/evaluation/photos.py"} <= of
    assert {"src/facefill/imaging/classical.py", "src/facefill/runtime/draw.py"} <= of
    assert "src/facefill/covers/*.py" not in of, "none is drawn"
    before = keys(bench)
    monkeypatch.setattr(benchmark, "find_weights", lambda name: (Path(), f"another {name}"))
    assert [one == other for one, other in zip(before, keys(bench), strict=True)] == [False, True]
    with pytest.raises(facefill.InputError, match="square faces"):
        read_dataset(tmp_path / "photos")


def test_rows_of_holes_that_other_code_drew_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(PHOTO).save(tmp_path / "photos" / name)
    places: dict[str, np.ndarray] = {}

    def known(dataset: Dataset, *others: object) -> Dataset:
        found = (places.get(face.file, LANDMARKS) for face in dataset.faces)
        shares = [(landmarks + 0.5) / len(PHOTO) for landmarks in found]
        faces = zip(dataset.faces, shares, strict=True)
        return replace(dataset, faces=tuple(replace(face, landmarks=share) for face, share in faces))

    monkeypatch.setattr(faces, "locate", known)
    settings = EvaluationSettings(
        tmp_path / "photos", tmp_path / "report", methods=("telea",), holes=("photo-scratch",), threads=1
    )
    rows = tmp_path / "report" / "pictures" / "photos" / "photo-scratch" / "telea.csv"
    written = []
    for moved in (0, 0, 40):
        places["a.png"] = LANDMARKS + np.float32(moved)  # the second in the order of hashes
        list(benchmark.run(prepare(settings)))
        written.append(rows.read_text().splitlines())
    once, again, other = written
    assert once == again
    assert len(once) == len(other) == 3
    assert [one == two for one, two in zip(once, other, strict=True)] == [True, True, False]
