"""Frames are completed where faces are covered, nowhere else, and without flicker."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import copy
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest

from facefill.runtime.cover import FoundCover
from facefill.runtime.finder import Face
from facefill.runtime.model import Model, load
from facefill.runtime.pace import Pace
from facefill.runtime.stream import Stream
from tests.networks import write_inpainting
from tests.runtime.test_inpainter import Covers, FindsAt
from tests.runtime.test_track import LANDMARKS, PHOTO, moved


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(write_inpainting(tmp_path_factory.mktemp("net") / "tiny.onnx"), threads=1, exact=True)


def stream(model: Model, cover: Covers | None = None, **options: Any) -> Stream:
    return Stream(FindsAt(LANDMARKS), cover or Covers(slice(120, 220)), model, **options)


class Counts(Covers):
    """Counts the frames that it looks at, and waits in each for `free`."""

    def __init__(self) -> None:
        super().__init__(slice(120, 220))
        self.frames = 0
        self.free = Event()
        self.free.set()

    def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
        self.frames += 1
        assert self.free.wait(60)
        return super().find(photo, faces)


def test_outside_the_mask_a_frame_stays_bit_for_bit(model: Model) -> None:
    film = stream(model)
    for step in range(4):
        frame, _ = moved(step, step)
        before = frame.copy()
        done = film.complete(frame)
        assert (frame == before).all()
        assert done.completed == done.faces == 1
        assert done.drawn == (step % 2 == 0), "in every second frame"
        assert (done.pixels[~done.mask] == frame[~done.mask]).all()
        assert (done.pixels != frame).any(-1)[done.mask].mean() > 0.5


def test_the_hole_of_a_still_face_hardly_changes_although_the_camera_is_noisy(model: Model) -> None:
    rng = np.random.default_rng(1)
    film = stream(model)
    shown = []
    for _ in range(12):
        noisy = np.clip(PHOTO + rng.normal(0, 3, PHOTO.shape), 0, 255).astype(np.uint8)
        shown.append(film.complete(noisy))
    still = np.logical_and.reduce([frame.mask for frame in shown])
    changes = [
        np.abs(one.pixels[still].astype(int) - other.pixels[still]).mean()
        for one, other in itertools.pairwise(shown[4:])
    ]
    assert still.sum() > 500
    assert max(changes) <= 1.5


def test_a_face_that_only_moves_is_drawn_in_every_fourth_frame_and_its_hole_goes_with_it(model: Model) -> None:
    cover = Counts()
    film = stream(model, cover, every=4)
    shown = [film.complete(moved(3.0 * step, 1.5 * step)[0]) for step in range(8)]
    assert cover.frames == 2
    places = np.array([np.argwhere(frame.mask).mean(0)[::-1] for frame in shown[:4]])
    assert np.abs(np.diff(places, axis=0) - (3.0, 1.5)).max() < 0.6
    for one, other in itertools.pairwise(shown[:4]):
        patch = np.roll(one.pixels, (1, 3), (0, 1))[130:200, 130:190].astype(int)
        assert np.abs(patch - other.pixels[130:200, 130:190]).mean() < 6, "what was drawn moves with the hole"


def test_a_face_that_changes_is_drawn_at_once(model: Model) -> None:
    cover = Counts()
    film = stream(model, cover)
    x, y = LANDMARKS[0][0].astype(int)
    winks = PHOTO.copy()
    winks[y - 8 : y + 8, x - 10 : x + 10] = 200
    for frame, drawn in ((PHOTO, 1), (PHOTO, 1), (winks, 2), (winks, 2), (PHOTO, 3)):
        film.complete(frame)
        assert cover.frames == drawn


def test_two_frames_of_a_film_are_completed_at_the_same_time(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    both, complete = Barrier(2), model.complete

    def meet(*given: Any, **inputs: Any) -> np.ndarray:
        both.wait(60)  # raises where the other frame's completion begins only after this one's
        return complete(*given, **inputs)

    monkeypatch.setattr(model, "complete", meet)
    film = stream(model, every=1)
    seen = [film.look(moved(step, 0)[0]) for step in range(4)]
    assert [film.fill(one).completed for one in seen] == [1] * 4


def test_a_live_camera_that_is_too_slow_waits_for_the_first_drawing_of_a_face_only(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    cover = Counts()
    pace = Pace()
    monkeypatch.setattr(Pace, "frame", lambda self, now_s: None)
    film = stream(model, cover, pace=pace)
    first = film.complete(PHOTO)
    pace.every = 2
    cover.free.clear()
    shown = [film.complete(moved(2.0 * step, 0)[0]) for step in range(1, 8)]  # networks stand still meanwhile
    assert cover.frames == 2
    assert all(frame.completed == 1 for frame in shown)
    steps = np.diff([np.argwhere(frame.mask).mean(0)[1] for frame in (first, *shown)])
    assert np.abs(steps - 2).max() < 0.6
    cover.free.set()
    assert film.complete(moved(16, 0)[0]).completed == 1


def test_a_camera_is_drawn_by_the_quick_model_once_the_other_is_seen_to_be_too_slow(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, pace = copy(model), Pace()
    drawn: list[str] = []

    def told(name: str, complete: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def work(*given: Any, **named: Any) -> np.ndarray:
            drawn.append(name)
            return complete(*given, **named)

        return work

    for name, one in (("slow", model), ("quick", quick)):
        monkeypatch.setattr(one, "complete", told(name, one.complete))
    monkeypatch.setattr(Pace, "frame", lambda self, now_s: None)  # however fast this machine is
    film = stream(model, pace=pace, quick=quick)
    monkeypatch.setattr("facefill.runtime.stream.WARM_FRAMES", 3)
    film.complete(PHOTO)
    pace.every = 2
    for step in range(1, 6):
        film.complete(moved(9.0 * step, 0)[0])
        film._ordered[0].drawn.result()
    assert set(drawn[:-3]) == {"slow"}, "in every second frame, and where the face seems to change"
    assert drawn[-3:] == ["quick"] * 3, "then in every one"


def test_what_fails_beside_a_camera_is_said(model: Model) -> None:
    class Fails(Covers):
        def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
            raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        stream(model, Fails(slice(0)), pace=Pace()).complete(PHOTO)


def test_a_cover_that_comes_and_goes_is_held(model: Model) -> None:
    class Blinks(Covers):
        frame = 0

        def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
            self.frame += 1
            if self.frame % 2:
                return super().find(photo, faces)
            return [FoundCover((slice(0), slice(0)), np.zeros((0, 0), bool)) for _ in faces]

    film = stream(model, Blinks(slice(120, 220)), every=1)
    masks = [film.complete(PHOTO).mask.sum() for _ in range(6)]
    assert min(masks) > 0.95 * max(masks) > 0


class Strap(Covers):
    """A cover that has a strap, until it has none any more."""

    def __init__(self) -> None:
        super().__init__(slice(120, 220))
        self.strap = True

    def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
        mask = np.logical_or.reduce([cover.mask(photo.shape) for cover in super().find(photo, faces)])
        mask[90:104, 100:200] |= self.strap
        return [FoundCover((slice(0, mask.shape[0]), slice(0, mask.shape[1])), mask) for _ in faces]


def test_what_is_no_longer_covered_fades_in_frames_and_not_at_a_drawing(model: Model) -> None:
    cover = Strap()
    film = stream(model, cover, every=4)
    with_strap = [film.complete(PHOTO) for _ in range(8)][-1]
    cover.strap = False
    shown = [film.complete(PHOTO) for _ in range(24)]
    sizes = np.array([frame.mask[80:114].sum() for frame in (with_strap, *shown)])
    assert sizes[0] > 1000
    assert sizes[-1] == 0
    assert (np.diff(sizes) <= 0).all()
    assert -np.diff(sizes).min() < 0.3 * sizes[0], "it does not vanish in one frame"
    assert (np.diff(sizes) < 0).sum() >= 5
    strap = np.s_[96:98, 120:180]
    away = [np.abs(frame.pixels[strap].astype(int) - PHOTO[strap]).mean() for frame in (with_strap, *shown)]
    assert away[0] > 20
    assert max(-np.diff(away)) < 0.5 * away[0]
    assert away[-1] == 0


def test_what_the_network_loses_for_some_frames_stays_covered_where_the_face_has_not_changed(model: Model) -> None:
    cover = Strap()
    film = stream(model, cover, every=2)
    masks = [film.complete(PHOTO).mask for _ in range(4)]
    for found in (False, True, False):
        cover.strap = found
        masks += [film.complete(PHOTO).mask for _ in range(8)]
    assert (masks[0] == masks[-1]).all()
    assert len({int(mask.sum()) for mask in masks}) == 1


def test_a_cover_that_is_taken_off_is_let_go_at_once(model: Model) -> None:
    cover = Strap()
    film = stream(model, cover, every=2)
    worn = PHOTO.copy()
    worn[90:104, 100:200] = (0, 255, 0)
    before = [film.complete(worn) for _ in range(6)][-1]
    cover.strap = False
    shown = [film.complete(PHOTO) for _ in range(9)]
    sizes = np.array([frame.mask[96:98, 120:180].sum() for frame in (before, *shown)])
    assert sizes[0] == 120
    assert sizes[-1] == 0
    assert all(frame.mask[180].any() for frame in shown), "the rest stays"


def test_what_is_newly_covered_comes_softly_on_a_face_that_has_not_changed(model: Model) -> None:
    cover = Strap()
    cover.strap = False
    film = stream(model, cover, every=4)
    before = [film.complete(PHOTO) for _ in range(8)][-1]
    cover.strap = True
    shown = [film.complete(PHOTO) for _ in range(8)]
    strap = np.s_[96:98, 120:180]
    away = [np.abs(frame.pixels[strap].astype(int) - PHOTO[strap]).mean() for frame in (before, *shown)]
    assert away[0] == 0
    assert away[3] == max(away) > 20
    assert max(np.diff(away)) < 0.5 * away[3]


def test_what_is_newly_covered_is_hidden_at_once_where_the_face_has_changed(model: Model) -> None:
    cover = Strap()
    cover.strap = False
    film = stream(model, cover, every=4)
    for _ in range(6):
        film.complete(PHOTO)
    cover.strap = True
    worn = PHOTO.copy()
    worn[90:104, 100:200] = (0, 255, 0)
    done = film.complete(worn)
    assert done.mask[96:98, 120:180].all()
    green = done.pixels[96:98, 120:180].astype(int) @ (-1, 2, -1) > 300
    assert not green.any()


def test_a_face_under_a_cover_that_hides_too_much_is_left_and_counted(model: Model) -> None:
    class Hidden(Covers):
        def find(self, photo: np.ndarray, faces: list[Face]) -> list[FoundCover]:
            return [FoundCover((slice(0, photo.shape[0]), slice(0, photo.shape[1])), np.ones(photo.shape[:2], bool))]

    done = stream(model, Hidden(slice(0))).complete(PHOTO)
    assert (done.faces, done.completed, done.too_covered) == (1, 0, 1)
    assert (done.pixels == PHOTO).all()


def test_the_same_frames_give_the_same_bytes(model: Model, tmp_path: Path) -> None:
    frames = [moved(2 * step, step)[0] for step in range(5)]
    one, other = stream(model), stream(model)
    for frame in frames:
        assert (one.complete(frame).pixels == other.complete(frame).pixels).all()
