"""What the second look learns from: dolls, toys and statues are no faces; people in caps are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefill.runtime.cover import SIDE_PX
from facefill.runtime.second_look import SIDE_PX as LOOK_PX
from facefill.training import headwear, looks
from facefill.training.dolls import EYES, MATERIALS, draw_doll
from facefill.training.headwear import CUT_OUT, WEARS, dress
from facefill.training.looks import OTHERS, Looks
from tests.faces import draw_face

FACE, POINTS = draw_face(SIDE_PX, 1)
BEHIND = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8), (0, 0), 9)


def shown() -> Looks:
    """One face, one photo without a face."""
    pool = np.dstack([FACE, np.zeros(FACE.shape[:2], np.uint8)])[None]
    return Looks(pool, POINTS[None].astype(np.float32), [], [], [np.asarray(BEHIND)], [], 3)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Nothing but toys, each before the same photo."""
    monkeypatch.setattr(looks, "NEGATIVE", 1.0)
    monkeypatch.setattr(looks, "OTHERS", {"toy": 1.0})
    return shown()


def test_toys_are_no_faces_and_each_is_another(toys: Looks) -> None:
    seen = [toys[(place, LOOK_PX)] for place in range(8)]
    assert {float(look["faces"]) for look in seen} == {0.0}
    assert {look["image"].shape for look in seen} == {(LOOK_PX, LOOK_PX, 3)}
    for place, look in enumerate(seen):
        assert all(np.abs(look["image"].astype(int) - other["image"]).mean() > 4 for other in seen[:place])


def test_a_toy_is_the_same_at_the_same_place(toys: Looks) -> None:
    for place in range(3):
        assert (toys[(place, LOOK_PX)]["image"] == toys[(place, LOOK_PX)]["image"]).all()


def test_toys_are_among_what_is_no_face() -> None:
    assert 0 < OTHERS["toy"] < 0.2 * sum(OTHERS.values())


def test_a_doll_hides_what_is_behind_it_where_its_landmarks_are() -> None:
    for seed in range(6):
        image, points = draw_doll(np.asarray(BEHIND), FACE, np.random.default_rng(seed))
        assert image.shape == BEHIND.shape
        assert (points > 0).all()
        assert (points < len(BEHIND)).all()
        eyes, nose, mouth = points[:2].mean(0), points[2], points[3:].mean(0)
        assert eyes[1] < nose[1] < mouth[1]
        assert points[0, 0] < points[1, 0]
        assert points[3, 0] < points[4, 0]
        x, y = np.rint(nose).astype(int)
        part = np.s_[y - 8 : y + 9, x - 8 : x + 9]
        assert np.abs(image[part].astype(int) - BEHIND[part]).mean() > 5


def test_each_material_has_eyes() -> None:
    assert set(EYES) == set(MATERIALS)


@pytest.mark.parametrize("kind", WEARS)
def test_what_is_worn_over_hair_leaves_eyes_nose_and_mouth(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headwear, "photograph", lambda image, _: image)
    monkeypatch.setattr(headwear, "WEARS", {kind: 1.0})
    cloth = np.full(FACE.shape, (255, 0, 255), np.uint8)
    rows = np.arange(SIDE_PX)[:, None]
    forehead = np.broadcast_to(rows < POINTS[:2, 1].min() - 0.8 * (POINTS[1, 0] - POINTS[0, 0]), (SIDE_PX, SIDE_PX))
    for seed in range(8):
        image = dress(FACE, POINTS, cloth, cloth, np.random.default_rng(seed))
        assert image.shape == FACE.shape
        changed = np.abs(image.astype(int) - FACE).max(2) > 8
        for x, y in np.rint(POINTS).astype(int):
            assert changed[y - 3 : y + 4, x - 3 : x + 4].mean() < 0.1
        assert changed[forehead].mean() > 0.05


def test_each_head_is_cut_out_now_and_then() -> None:
    assert set(CUT_OUT) == set(WEARS)


def test_people_in_caps_are_faces_with_their_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "NEGATIVE", 0.0)
    bare = [shown()[(place, LOOK_PX)] for place in range(4)]
    monkeypatch.setattr(looks, "DRESSED", 1.0)
    for place, one in enumerate(bare):
        look = shown()[(place, LOOK_PX)]
        assert (look["image"] == shown()[(place, LOOK_PX)]["image"]).all()
        assert look["faces"] == 1
        assert np.abs(look["landmarks"]).max() < 0.5
        assert np.abs(look["image"].astype(int) - one["image"]).mean() > 2


def test_colours_fade_to_grey_and_grey_stays_grey() -> None:
    picture = np.array([[[200, 100, 50], [90, 90, 90]]], np.uint8)
    faded = looks.recolour(picture, 0.0)
    assert np.ptp(faded[0, 0]) == 0
    assert (looks.recolour(picture, 2.0)[0, 1] == 90).all()
    assert (looks.recolour(picture, 1.0) == picture).all()


def test_an_ear_or_an_eye_alone_is_no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "OTHERS", {"part": 1.0})
    monkeypatch.setattr(looks, "NEGATIVE", 1.0)
    look = shown()[(0, LOOK_PX)]
    assert look["faces"] == 0
    face = np.array([[97.0, 121], [159, 121], [128, 160], [103, 190], [153, 190]])
    parts = np.array([looks._part_of(face, np.random.default_rng(seed)) for seed in range(200)])
    apart = np.hypot(*(parts[:, 1] - parts[:, 0]).T)
    assert apart.max() < 0.3 * 62
    assert (np.abs(parts.mean(1)[:, 0] - 128) > 62).mean() > 0.4
