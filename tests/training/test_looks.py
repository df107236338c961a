"""What the second look learns from: dolls, toys and statues are no faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facefill.runtime.cover import SIDE_PX
from facefill.runtime.second_look import SIDE_PX as LOOK_PX
from facefill.training import looks
from facefill.training.dolls import EYES, MATERIALS, draw_doll
from facefill.training.looks import OTHERS, Looks
from tests.faces import draw_face

FACE, POINTS = draw_face(SIDE_PX, 1)
BEHIND = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8), (0, 0), 9)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Nothing but toys, each before the same photo."""
    monkeypatch.setattr(looks, "NEGATIVE", 1.0)
    monkeypatch.setattr(looks, "OTHERS", {"toy": 1.0})
    pool = np.dstack([FACE, np.zeros(FACE.shape[:2], np.uint8)])[None]
    return Looks(pool, POINTS[None].astype(np.float32), [], [], [np.asarray(BEHIND)], [], 3)


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
