"""Covers: specks go, pinholes close, the edge grows by a known amount."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from facefill.covers.head import check_landmarks
from facefill.imaging.crop import Crop
from facefill.runtime.cover import GROW_SHARE, Cover, clean, follow, grow, nearest
from facefill.runtime.engine import load_engine
from tests.faces import draw_face
from tests.networks import write_cover


def test_a_blue_cover_is_found_and_grown(tmp_path: Path) -> None:
    cover = Cover(load_engine(write_cover(tmp_path / "cover.onnx"), threads=1, exact=True))
    plain = draw_face(256, 1)[0]
    covered = plain.copy()
    covered[150:220, 80:180] = (20, 60, 250)
    masks = cover.find(np.stack([plain, covered]))
    assert not masks[0].any()
    assert masks[1][150:220, 80:180].all()
    edge = int(np.ceil(GROW_SHARE * 256)) + 3
    far = np.ones((256, 256), bool)
    far[150 - edge : 220 + edge, 80 - edge : 180 + edge] = False
    assert not masks[1][far].any()


def test_no_faces_are_no_work(tmp_path: Path) -> None:
    cover = Cover(load_engine(write_cover(tmp_path / "cover.onnx"), threads=1))
    assert cover.find(np.zeros((0, 256, 256, 3), np.uint8)).shape == (0, 256, 256)


def test_probabilities_have_the_size_of_the_faces(tmp_path: Path) -> None:
    cover = Cover(load_engine(write_cover(tmp_path / "cover.onnx"), threads=1, exact=True))
    face = draw_face(200, 1)[0]
    face[100:150, 60:140] = (20, 60, 250)
    scores = cover.probabilities(face[None])
    assert scores.shape == (1, 200, 200)
    assert scores[0, 110:140, 70:130].min() > 0.9
    assert scores[0, :80].max() < 0.1


def test_labelled_covers_are_of_sixty_faces_and_hide_a_part_of_each() -> None:
    files = json.loads((Path(__file__).parents[1] / "data" / "worn_covers.json").read_text())["files"]
    assert len(files) == 60
    for name, face in files.items():
        landmarks = np.array(face["landmarks"])
        crop = Crop.around_face(landmarks, 256)
        check_landmarks(crop.to_crop(landmarks), 256)
        canvas = np.zeros((256, 256), np.uint8)
        cv2.fillPoly(canvas, [np.rint(crop.to_crop(np.array(outline))).astype(int) for outline in face["covers"]], 1)
        assert 0.05 < canvas.mean() < 0.75, name
        assert Path(name).name == name
        assert all(len(outline) > 2 for outline in face["covers"])


def test_specks_go_and_pinholes_close() -> None:
    mask = np.zeros((100, 100), bool)
    mask[20:60, 20:60] = True
    whole = mask.copy()
    mask[30:33, 30:33] = False
    mask[80:83, 80:83] = True
    before = mask.copy()
    assert (clean(mask) == whole).all()
    assert (mask == before).all()


def test_a_mask_follows_the_colour_of_its_cover_as_far_as_the_network_allows() -> None:
    face = np.full((128, 128, 3), (200, 160, 140), np.uint8)
    face[60:110, 30:100] = (20, 60, 200)
    face[60:110, 104:110] = (20, 60, 200)  # as blue, but skin lies between
    found = np.zeros((128, 128), bool)
    found[60:110, 30:90] = True
    whole = found.copy()
    whole[60:110, 90:100] = True
    unsure = np.where(whole, 0.1, 0.0).astype(np.float32)
    kept = found.copy()
    got = follow(found, face, unsure)
    assert (found == kept).all()
    assert got[~grow(whole, 1 / 128)].sum() == 0
    assert (got & whole).sum() > 0.98 * whole.sum()
    assert (follow(found, face, np.zeros_like(unsure)) == found).all()
    everywhere = follow(found, face, np.ones_like(unsure))
    assert not everywhere[60:110, 105:].any()
    assert not follow(np.zeros_like(found), face, np.ones_like(unsure)).any()


def test_the_nearest_colour_of_a_band() -> None:
    picture = np.zeros((8, 8, 3), np.float32)
    picture[:, 2], picture[:, 6] = (1, 2, 3), (4, 5, 6)
    band = np.zeros((8, 8), bool)
    band[:, [2, 6]] = True
    got = nearest(picture, band)
    assert (got[:, :4] == (1, 2, 3)).all()
    assert (got[:, 5:] == (4, 5, 6)).all()


def test_growing_is_a_disc() -> None:
    mask = np.zeros((100, 100), bool)
    mask[50, 50] = True
    grown = grow(mask, 0.05)
    ys, xs = np.nonzero(grown)
    assert np.hypot(ys - 50, xs - 50).max() <= 5.5
    assert grown[50, 45]
    assert grown[45, 50]
