"""A film of the example portrait through the shipped networks: the cover goes, and nothing flickers."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from facefill.files.photo import read_photo
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.model import load
from facefill.runtime.stream import Stream, StreamFrame
from tests.server.browser import EXAMPLE

pytestmark = pytest.mark.soak


def film(count: int, speed: float) -> list[np.ndarray]:
    """(480, 640, 3) frames of the portrait under camera noise, moving by so many pixels a frame."""
    portrait = cv2.resize(read_photo(EXAMPLE).pixels, (1000, 1000), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    frames = []
    for index in range(count):
        matrix = np.array([[1.0, 0, -120 + speed * index], [0, 1, -60 + speed * index / 3]])
        view = cv2.warpAffine(portrait, matrix, (640, 480), flags=cv2.INTER_CUBIC)
        frames.append(np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8))
    return frames


def complete(frames: list[np.ndarray]) -> list[StreamFrame]:
    stream = Stream(open_finder(threads=1), open_cover(threads=1), load("swift", threads=1))
    return [stream.complete(frame) for frame in frames]


def test_a_still_face_flickers_by_less_than_the_camera_does() -> None:
    shown = complete(film(24, 0.0))
    assert all(frame.completed == 1 for frame in shown)
    still = np.logical_and.reduce([frame.mask for frame in shown])
    changes = [
        np.abs(one.pixels[still].astype(int) - other.pixels[still]).mean()
        for one, other in itertools.pairwise(shown[4:])
    ]
    assert max(changes) <= 1.5


def test_a_moving_face_is_completed_in_every_frame_and_the_hole_moves_with_it() -> None:
    shown = complete(film(24, 4.0))
    assert all(frame.completed == 1 for frame in shown)
    middles = np.array([np.argwhere(frame.mask).mean(0)[::-1] for frame in shown])
    steps = np.diff(middles, axis=0)
    assert np.abs(steps.mean(0) - (4.0, 4 / 3)).max() < 0.6
    away = np.abs(steps - (4.0, 4 / 3))
    assert (away.max(1) < 0.5).mean() >= 0.75, "carried along"
    assert np.abs(steps - steps.mean(0)).max() < 4, "drawn anew, with what the cover network sees then"
