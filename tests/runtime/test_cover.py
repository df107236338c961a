"""Covers: specks go, pinholes close, the edge grows by a known amount."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facefill.covers.head import check_landmarks
from facefill.imaging.crop import Crop
from facefill.runtime.cover import (
    FACE_PX,
    GROW_PX,
    HELD_PX,
    OUTSIDE,
    SIDE_PX,
    Cover,
    clean,
    follow,
    grow,
    outline,
    reaching,
    rest_beside,
    square_around,
    trust,
    view_of,
    with_straps,
)
from facefill.runtime.engine import Arrays, load_engine
from facefill.runtime.finder import Face
from tests.networks import write_cover

OFFSET = np.array([170.0, 100.0])


@pytest.fixture(scope="module")
def cover(tmp_path_factory: pytest.TempPathFactory) -> Cover:
    return Cover(load_engine(write_cover(tmp_path_factory.mktemp("net") / "cover.onnx"), threads=1, exact=True))


def drawn(blue: tuple[slice, slice] | None) -> tuple[np.ndarray, Face]:
    """A face of 256 px in the middle of a photo, and something blue at rows and columns of its aligned crop."""
    points = np.array([[97.0, 121], [159, 121], [128, 160], [103, 190], [153, 190]])
    photo = np.full((500, 600, 3), (200, 160, 140), np.uint8)
    crop = Crop.around_face(points + OFFSET, FACE_PX)
    if blue:
        mask = np.zeros((FACE_PX, FACE_PX), bool)
        mask[blue] = True
        photo[crop.put_mask(mask, photo.shape)] = (20, 60, 250)
    return photo, Face((220.0, 140, 380, 370), points + OFFSET, 0.9)


def test_a_blue_cover_is_found_and_grown(cover: Cover) -> None:
    photo, face = drawn((slice(150, 220), slice(80, 180)))
    before = photo.copy()
    found = cover.find(photo, [face])[0]
    blue = (photo == (20, 60, 250)).all(2)
    mask = found.mask(photo.shape)
    assert (photo == before).all()
    assert mask[blue].all()
    assert not mask[~grow(blue, GROW_PX + 4)].any()
    assert mask.sum() == found.missing.sum()
    assert found.missing.any(0).all()
    assert not found.cut


def test_a_quick_look_finds_what_the_browser_s_finds(cover: Cover) -> None:
    """`web/tests/cover.test.ts` expects the same of the page's quick look, on the same face."""
    photo, face = drawn((slice(150, 220), slice(80, 180)))
    found = Crop.around_face(face.landmarks, FACE_PX).take_mask(cover.find_quickly(photo, face).mask(photo.shape))
    rows, columns = np.nonzero(found)
    edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(edges - [74, 144, 186, 226]).max() <= 1
    assert found.sum() == pytest.approx(9071, rel=0.03)


def test_nothing_covers_a_plain_face_and_no_faces_are_no_work(cover: Cover) -> None:
    photo, face = drawn(None)
    found = cover.find(photo, [face])[0]
    assert found.missing.size == 0
    assert not found.mask(photo.shape).any()
    assert cover.find(photo, []) == []


BLUE, LESS_BLUE = (20, 60, 250), (86, 60, 250)
"""What the drawn network is sure of, and what it only takes for more likely covered than not."""


def below(scarf: np.ndarray, height: int = 700) -> tuple[np.ndarray, Face]:
    """A face in a blue mask on a higher photo, and the colours of a scarf from the mask's middle on downwards."""
    photo, face = drawn((slice(150, 230), slice(80, 180)))
    photo = np.concatenate([photo, np.full((height - len(photo), 600, 3), (200, 160, 140), np.uint8)])
    photo[300 : 300 + len(scarf), 300 - scarf.shape[1] // 2 :][: len(scarf), : scarf.shape[1]] = scarf
    return photo, face


class Counted:
    """A network that counts how often it looks."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.looks = engine, 0

    def run(self, inputs: Arrays) -> Arrays:
        self.looks += 1
        return dict(self.engine.run(inputs))


@pytest.mark.parametrize(("length", "width", "looks"), [(60, 90, 1), (150, 90, 2), (250, 60, 3)])
def test_a_scarf_is_taken_off_to_its_end_and_looked_at_again_only_where_it_goes_on(
    cover: Cover, length: int, width: int, looks: int
) -> None:
    photo, face = below(np.full((length, width, 3), BLUE, np.uint8))
    counted = Counted(cover._engine)
    found = Cover(counted).find(photo, [face])[0]
    mask, blue = found.mask(photo.shape), (photo == BLUE).all(2)
    assert mask[blue].all()
    assert not mask[~grow(blue, GROW_PX + 4)].any()
    assert not found.cut
    assert counted.looks == looks


def test_a_garment_that_the_network_takes_for_a_cover_stays_below_the_chin(cover: Cover) -> None:
    photo, face = below(np.full((400, 240, 3), LESS_BLUE, np.uint8))
    photo[250:330, 250:350] = BLUE
    found = cover.find(photo, [face])[0]
    mask = found.mask(photo.shape)
    assert mask[(photo == BLUE).all(2)].all()
    assert not mask[330 + HELD_PX + GROW_PX + 2 :].any()
    assert found.cut


def test_a_garment_ends_in_a_collar_and_not_at_the_edge_of_what_was_looked_at(cover: Cover) -> None:
    photo, face = below(np.full((400, 240, 3), BLUE, np.uint8))
    found = cover.find(photo, [face])[0]
    mask = square_around(face).take_mask(found.mask(photo.shape))
    assert found.cut
    assert not mask[-2:].any()
    assert not mask[200:, 0].any()
    ends = [int(np.flatnonzero(mask[:, column]).max()) for column in (100, 160, 220)]
    assert ends[1] > 290
    assert max(ends[0], ends[2]) < ends[1] - 5


class CoveredOnce(Counted):
    """A network that sees no cover from its second look on."""

    def run(self, inputs: Arrays) -> Arrays:
        seen = super().run(inputs)
        return seen if self.looks == 1 else {name: np.zeros_like(score) for name, score in seen.items()}


def test_what_wider_looks_do_not_carry_on_ends_in_a_collar_and_not_straight(cover: Cover) -> None:
    photo, face = below(np.full((400, 240, 3), BLUE, np.uint8))
    once = CoveredOnce(cover._engine)
    found = Cover(once).find(photo, [face])[0]
    assert once.looks > 1
    assert found.cut
    assert not square_around(face).take_mask(found.mask(photo.shape))[-2:].any()


def test_a_cover_is_cut_where_what_looks_like_it_is_left_below_and_not_where_other_cloth_is(cover: Cover) -> None:
    """The network sees neither of the hems."""
    cuts = []
    for rest in ((90, 60, 210), (200, 210, 90)):
        scarf = np.full((165, 90, 3), (60, 60, 240), np.uint8)
        scarf[150:] = rest
        photo, face = below(scarf)
        found = cover.find(photo, [face])[0]
        assert 450 < found.window[0].stop < 450 + 2 * GROW_PX
        cuts.append(found.cut)
    assert cuts == [True, False]


@pytest.mark.parametrize(("length", "cut"), [(150, False), (300, True)])
def test_a_cover_that_the_network_loses_below_the_first_look_is_cut(cover: Cover, length: int, cut: bool) -> None:
    class Losing:
        looks = 0

        def run(self, inputs: Arrays) -> Arrays:
            (seen,) = cover._engine.run(inputs).values()
            self.looks += 1
            if self.looks > 1:
                seen[..., 286:, :] = 0  # row 450 of the photo
            return {"filled": seen}

    photo, face = below(np.full((length, 90, 3), BLUE, np.uint8))
    found = Cover(Losing()).find(photo, [face])[0]
    assert 450 < found.window[0].stop < 450 + 2 * GROW_PX
    assert found.cut == cut


def test_a_rest_beside_a_hole_is_the_share_of_its_rim_that_is_nearer_to_the_cover_than_to_what_lies_beyond() -> None:
    view = np.full((120, 120, 3), (200, 160, 140), np.uint8)
    view[40:80, 20:68] = BLUE
    hole = np.zeros((120, 120), bool)
    hole[40:80, 20:60] = True
    cover, all_of_it = hole.copy(), np.ones_like(hole)
    right = np.zeros_like(hole)
    right[45:75, 60:] = True
    assert rest_beside(view, hole, cover, all_of_it, ~right) < 0.1
    assert rest_beside(view, hole, cover, right, all_of_it) > 0.9
    assert 0.1 < rest_beside(view, hole, cover, all_of_it, all_of_it) < 0.4
    assert rest_beside(view, hole, ~all_of_it, all_of_it, all_of_it) == 0
    view[40:80, 68:] = BLUE
    assert rest_beside(view, hole, cover, right, all_of_it) == 0
    assert rest_beside(view, hole, cover, right, all_of_it, alike=5.0) > 0.9


def test_a_cover_without_an_end_is_cut_and_one_at_the_photos_edge_is_not(cover: Cover) -> None:
    photo, face = below(np.full((400, 240, 3), BLUE, np.uint8))
    found = cover.find(photo, [face])[0]
    edge = round(square_around(face).to_photo(np.array([0.0, SIDE_PX - 1]))[1])
    assert found.cut
    assert edge - 2 * GROW_PX < found.window[0].stop < edge - 2
    assert not cover.find(photo[: edge - 100], [face])[0].cut


def test_a_wider_look_adds_what_the_first_one_rules_out_only_where_it_is_sure(cover: Cover) -> None:
    class Fickle:
        """Sees the mask and a scarf below, and once it looks again, something beside them, as sure as told."""

        def __init__(self, said: float) -> None:
            self.said = np.float32(said)

        def run(self, inputs: Arrays) -> Arrays:
            (seen,) = cover._engine.run(inputs).values()
            looked, self.looked = getattr(self, "looked", False), True
            if looked:
                seen[..., 200:240, 60:160] = self.said
            return {"filled": seen}

    photo, face = below(np.full((150, 90, 3), BLUE, np.uint8), height=500)
    beside = np.ones(photo.shape[:2], bool)
    beside[:, 230:370] = beside[410:] = False
    added = [Cover(Fickle(said)).find(photo, [face])[0].mask(photo.shape)[beside].any() for said in (0.9, 0.97)]
    assert added == [False, True]


def test_what_lies_outside_the_photo_is_shown_as_such() -> None:
    photo, face = drawn(None)
    near = Face(face.box, face.landmarks - OFFSET - 60, 0.9)
    square = square_around(near)
    inside = ~square.outside(photo.shape)
    view = view_of(photo, square)
    assert (view[~inside] == OUTSIDE).all()
    assert (~inside).any()
    y, x = np.nonzero(inside)
    at = square.to_photo(np.stack([x, y], 1).astype(float))
    assert at.min() >= -0.5


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
    mask = np.zeros((256, 256), bool)
    mask[20:160, 20:160] = True
    whole = mask.copy()
    mask[30:46, 30:46] = False
    mask[200:216, 200:216] = True
    before = mask.copy()
    assert (clean(mask) == whole).all()
    assert (mask == before).all()


def test_a_piece_of_which_the_network_is_sure_nowhere_is_no_cover() -> None:
    mask = np.zeros((64, 64), bool)
    mask[4:20, 4:20] = mask[40:60, 40:60] = True
    score = np.where(mask, 0.8, 0.1).astype(np.float32)
    score[40:44, 40:60] = 0.99
    kept = trust(mask, score)
    assert not kept[:32].any()
    assert (kept[32:] == mask[32:]).all()
    assert (trust(mask, np.where(mask, np.float32(0.99), np.float32(0.1))) == mask).all()


def test_a_mask_follows_the_colour_of_its_cover_as_far_as_the_network_allows() -> None:
    face = np.full((128, 128, 3), (200, 160, 140), np.uint8)
    face[60:110, 30:100] = (20, 60, 200)
    face[60:110, 104:110] = (20, 60, 200)  # as blue, but skin lies between
    found = np.zeros((128, 128), bool)
    found[60:110, 30:90] = True
    whole = found.copy()
    whole[60:110, 90:100] = True
    unsure = np.where(whole, 0.2, 0.0).astype(np.float32)
    kept = found.copy()
    got = follow(found, face, unsure)
    assert (found == kept).all()
    assert got[~grow(whole, 1)].sum() == 0
    assert (got & whole).sum() > 0.95 * whole.sum()
    assert (follow(found, face, np.zeros_like(unsure)) == found).all()
    everywhere = follow(found, face, np.ones_like(unsure))
    assert not everywhere[60:110, 105:].any()
    assert not follow(np.zeros_like(found), face, np.ones_like(unsure)).any()


def test_a_strap_that_leads_away_from_a_mask_belongs_to_it_and_a_rim_does_not() -> None:
    mask = np.zeros((128, 128), bool)
    mask[60:110, 30:90] = True
    strap, loose = np.zeros_like(mask), np.zeros_like(mask)
    strap[70:74, 90:120] = True
    loose[20:24, 10:50] = True
    rim = grow(mask, 5) & ~mask & ~grow(strap, 4)
    wide = np.zeros_like(mask)
    wide[64:104, :30] = True
    score = np.where(strap | loose | rim, np.float32(0.3), np.float32(0.05)) + mask
    assert (with_straps(mask, score) == mask | strap).all()
    touching = np.where(strap | (grow(mask, 2) & ~mask), np.float32(0.3), np.float32(0.05)) + mask
    found = with_straps(mask, touching)
    assert (found >= mask | strap).all()
    assert not (found & ~mask & ~grow(strap, 5)).any()
    assert (with_straps(mask, np.where(wide, np.float32(0.3), score * 0)) == mask).all()


def test_an_outline_is_the_same_whatever_the_network_does_not_rule_out_far_away() -> None:
    rng = np.random.default_rng(0)
    for corner in (slice(0, 110), slice(70, 180)):
        score = np.zeros((256, 256), np.float32)
        score[corner, corner] = cv2.GaussianBlur(rng.random((110, 110), np.float32), (0, 0), 7) * 60 - 29.5
        score = score.clip(0, 1)
        view = rng.integers(0, 256, (256, 256, 3), np.uint8)
        found = outline(score, view)
        assert found.any()
        assert not found.all()
        score[250, 5] = score[5, 250] = 0.15
        assert (outline(score, view) == found).all()
    assert not outline(np.zeros_like(score), view).any()


def test_only_the_pieces_in_which_a_seed_lies_are_kept() -> None:
    mask, seeds = np.zeros((2, 20, 20), bool)
    mask[2:6, 2:6] = mask[10:14, 10:14] = True
    seeds[3, 3] = seeds[18, 18] = True
    kept = reaching(mask, seeds)
    assert (kept[:8] == mask[:8]).all()
    assert not kept[8:].any()


def test_growing_is_a_disc() -> None:
    mask = np.zeros((100, 100), bool)
    mask[50, 50] = True
    grown = grow(mask, 5)
    ys, xs = np.nonzero(grown)
    assert np.hypot(ys - 50, xs - 50).max() <= 5.5
    assert grown[50, 45]
    assert grown[45, 50]
