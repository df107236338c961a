"""Drawn glasses: dark ones hide the eyes, clear ones show them."""

from __future__ import annotations

import numpy as np

from facefill.covers.glasses import glasses
from facefill.covers.head import Head, estimate_light
from facefill.covers.sheet import Scene
from facefill.covers.wear import compose
from tests.faces import draw_face


def test_dark_lenses_hide_the_eyes_and_clear_ones_do_not() -> None:
    hidden = {}
    for clear in (False, True):
        changes = []
        for seed in range(8):
            face, points = draw_face(256, seed)
            rng = np.random.default_rng(seed)
            head = Head.from_landmarks(points, 256)
            light = estimate_light(face, head, rng)
            worn, mask = compose(face, head, light, glasses(Scene(face, head, light, False), rng, clear=clear), rng)
            eye = tuple(np.rint(points[0]).astype(int)[::-1])
            assert mask.any()
            part = np.s_[eye[0] - 4 : eye[0] + 5, eye[1] - 4 : eye[1] + 5]
            seen = np.corrcoef(worn[part].ravel().astype(float), face[part].ravel().astype(float))[0, 1]
            changes.append(seen)
        hidden[clear] = np.median(changes)
    assert hidden[True] > 0.9
    assert hidden[False] < hidden[True] - 0.2
