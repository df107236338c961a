"""Faces are followed between the finder's looks, smoothly, and let go when they are gone."""

from __future__ import annotations

import cv2
import numpy as np

from facefill.runtime.finder import Face
from facefill.runtime.track import FOUND_EVERY, Tracker, movement
from tests.faces import draw_photo
from tests.runtime.test_inpainter import FindsAt

PHOTO, LANDMARKS = draw_photo(320, 240, faces=1, seed=3)


def moved(dx: float, dy: float, angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The photo and its landmarks after a movement."""
    matrix = cv2.getRotationMatrix2D((160, 120), angle, 1.0)
    matrix[:, 2] += dx, dy
    shown = cv2.warpAffine(PHOTO, matrix, (320, 240), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return shown, LANDMARKS[0] @ matrix[:, :2].T + matrix[:, 2]


class SeesOnce(FindsAt):
    """Sees the face at the first look only, and counts."""

    def __init__(self, landmarks: list[np.ndarray], times: int = 1) -> None:
        super().__init__(landmarks)
        self.times, self.looks = times, 0

    def find(self, photo: np.ndarray) -> list[Face]:
        self.looks += 1
        return super().find(photo) if self.looks <= self.times else []


def test_between_looks_a_face_moves_with_the_picture() -> None:
    finder = SeesOnce(LANDMARKS)
    tracker = Tracker(finder)
    for step in range(FOUND_EVERY):
        frame, truth = moved(2.0 * step, 1.0 * step, 0.5 * step)
        (track,) = tracker.follow(frame)
        assert np.abs(track.measured - truth).max() < 1.5
        followed = LANDMARKS[0] @ track.motion[:, :2].T + track.motion[:, 2]
        assert np.abs(followed - truth).max() < 1.5
        assert np.abs(track.face.landmarks - truth).max() < 6, "smoothing lags little"
    assert finder.looks == 1


def test_a_face_that_the_finder_no_longer_sees_is_let_go() -> None:
    tracker = Tracker(SeesOnce(LANDMARKS))
    counts = [len(tracker.follow(PHOTO)) for _ in range(3 * FOUND_EVERY)]
    assert counts[: 2 * FOUND_EVERY] == [1] * (2 * FOUND_EVERY), "one look that misses it is forgiven"
    assert counts[-1] == 0


def test_the_finder_s_unrest_does_not_move_a_still_face() -> None:
    rng = np.random.default_rng(0)

    class Restless(FindsAt):
        def find(self, photo: np.ndarray) -> list[Face]:
            self.landmarks = [LANDMARKS[0] + rng.normal(0, 1.5, (5, 2))]
            return super().find(photo)

    tracker = Tracker(Restless(LANDMARKS))
    places = [tracker.follow(PHOTO)[0].face.landmarks for _ in range(60)]
    steps = np.abs(np.diff(places, axis=0)).max((1, 2))
    assert steps.max() < 1.0
    assert len({track.number for track in tracker.follow(PHOTO)}) == 1


def test_where_the_finder_sees_the_face_elsewhere_it_has_moved_there() -> None:
    class Corrects(FindsAt):
        def find(self, photo: np.ndarray) -> list[Face]:
            found, self.landmarks = super().find(photo), [LANDMARKS[0] + 14.0]
            return found

    tracker = Tracker(Corrects(LANDMARKS))
    for _ in range(FOUND_EVERY + 1):
        (track,) = tracker.follow(PHOTO)
    assert np.abs(track.motion - np.array([[1, 0, 14], [0, 1, 14]])).max() < 0.2


def test_another_scene_is_looked_at_at_once() -> None:
    finder = SeesOnce(LANDMARKS, times=9)
    tracker = Tracker(finder)
    (first,) = tracker.follow(PHOTO)
    (second,) = tracker.follow(255 - PHOTO)
    assert finder.looks == 2
    assert second.number != first.number


def test_a_face_without_anything_to_hold_on_to_is_looked_at_in_every_frame() -> None:
    flat = np.full_like(PHOTO, 120)
    assert movement(flat[..., 0], flat[..., 0], np.array([50.0, 50, 150, 150])) is None
    finder = SeesOnce(LANDMARKS, times=9)
    tracker = Tracker(finder)
    for _ in range(3):
        tracker.follow(flat)
    assert finder.looks == 3
