"""A crop shows the face as FFHQ would, goes back where it came from, and touches nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facefill.imaging.crop import Crop, chain, inverse, put_all
from tests.faces import draw_face, draw_photo


def waves(height: int, width: int, period_px: float) -> np.ndarray:
    """A smooth picture, so that interpolation has a right answer."""
    y, x = np.mgrid[:height, :width]
    layers = [127 + 100 * np.sin((x + 0.5) / period_px + k) * np.cos((y + 0.5) / period_px * 0.7) for k in range(3)]
    return np.rint(np.dstack(layers)).astype(np.uint8)


def any_crop(x: float, y: float, side: float, angle: float, size: int = 64) -> Crop:
    axis = np.array([np.cos(angle), np.sin(angle)])
    return Crop._square(np.array([x, y]), axis, side / 2, size)


def difference(first: np.ndarray, second: np.ndarray | int) -> np.ndarray:
    return np.abs(np.asarray(first, int) - np.asarray(second, int))


# Landmarks of a face in FFHQ alignment, worked by hand: the eyes' midpoint (128, 120), the mouth's (128, 190), so that
# 2.0 x 64 = 128 > 1.8 x 70 = 126 and the middle is at 120 + 7 = 127.
ALIGNED = np.array([[96.0, 120], [160, 120], [128, 156], [100, 190], [156, 190]])


def test_the_alignment_of_a_face_worked_by_hand() -> None:
    crop = Crop.around_face(ALIGNED, 256)
    assert crop.scale == pytest.approx(1.0)
    assert crop.matrix == pytest.approx(np.array([[1, 0, 0], [0, 1, -1]]))


def test_a_long_face_is_scaled_by_its_mouth() -> None:
    long = ALIGNED.copy()
    long[3:, 1] += 10
    assert Crop.around_face(long, 256).scale == pytest.approx(2 * 1.8 * 80 / 256)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(0.1, 20), st.floats(-500, 500), st.sampled_from([64, 256, 512]))
def test_alignment_follows_the_face_wherever_it_goes(angle: float, scale: float, shift: float, size: int) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Landmarks count from the first pixel's corner (see around_face), half a pixel before its centre.
    moved = ALIGNED @ turn.T + shift
    crop = Crop.around_face(moved, size)
    assert (crop.to_crop(moved - 0.5) + 0.5) * 256 / size == pytest.approx(np.add(ALIGNED, (0, 1)), abs=1e-6)
    assert crop.scale == pytest.approx(scale * 256 / size)
    assert crop.to_photo(crop.to_crop(moved)) == pytest.approx(moved, abs=1e-6)


def test_landmarks_that_fall_together_have_no_crop() -> None:
    with pytest.raises(ValueError, match="no direction"):
        Crop.around_face(np.zeros((5, 2)))


def upright(left: float, top: float, side: float, size: int) -> Crop:
    """The crop of an upright square, from its first pixel's corner."""
    scale = side / size
    return Crop(size, np.array([[scale, 0, left + scale / 2 - 0.5], [0, scale, top + scale / 2 - 0.5]]))


def test_the_share_inside_the_photo_worked_by_hand() -> None:
    assert upright(0, 0, 10, 8).inside((10, 10)) == pytest.approx(1)
    assert upright(-5, -5, 10, 8).inside((10, 10)) == pytest.approx(0.25)
    assert upright(40, 0, 10, 8).inside((10, 10)) == 0


def test_a_crop_follows_what_it_shows() -> None:
    landmarks = draw_photo(200, 160, faces=1, seed=1)[1][0]
    motion = np.array([[0.9, -0.3, 14.0], [0.3, 0.9, -5.0]])
    moved = landmarks @ motion[:, :2].T + motion[:, 2]
    followed, aligned = Crop.around_face(landmarks).after(motion), Crop.around_face(moved)
    assert followed.matrix == pytest.approx(aligned.matrix, abs=0.25), "half a pixel of FFHQ's does not turn"
    assert followed.after(inverse(motion)).matrix == pytest.approx(Crop.around_face(landmarks).matrix)
    assert chain(motion, inverse(motion)) == pytest.approx(np.eye(2, 3))
    assert aligned.at_size(32).corners() == pytest.approx(aligned.corners())


def test_whole_pixel_crops_copy_pixels() -> None:
    photo = waves(90, 120, 3)
    crop = upright(20, 10, 64, 64)
    assert np.array_equal(crop.take(photo), photo[10:74, 20:84])
    mask = np.zeros((90, 120), bool)
    mask[30:50, 40:60] = True
    assert np.array_equal(crop.take_mask(mask), mask[10:74, 20:84])
    assert np.array_equal(crop.put_mask(crop.take_mask(mask), photo.shape), mask)


@pytest.mark.parametrize("side", [20, 64, 90, 150, 190, 330, 700])
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.5])
def test_taking_samples_where_the_matrix_says(side: int, angle: float) -> None:
    period = max(side / 12, 6)
    photo = waves(1000, 1000, period)
    crop = any_crop(500.3, 490.8, side, angle)
    places = crop.to_photo(np.stack(np.meshgrid(np.arange(64), np.arange(64)), axis=-1).astype(float)) + 0.5
    wave = np.sin(places[..., 0] / period) * np.cos(places[..., 1] / period * 0.7)
    assert difference(crop.take(photo)[..., 0], np.rint(127 + 100 * wave)).max() <= 3


def test_shrinking_averages_instead_of_aliasing() -> None:
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    for side in (130.0, 200.0, 330.0, 640.0, 900.0):
        small = any_crop(600, 600, side, 0.3).take(stripes)
        assert abs(float(small.mean()) - 127.5) < 1.5
        assert small.std() < 10


def test_a_crop_beyond_the_photo_is_mirrored() -> None:
    photo = waves(64, 64, 5)
    taken = upright(-16, -16, 64, 64).take(photo)
    whole = cv2.copyMakeBorder(photo, 16, 0, 16, 0, cv2.BORDER_REFLECT)[:64, :64]
    assert np.array_equal(taken, whole)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (40, 3)])
@pytest.mark.parametrize("side", [0.5, 30.0, 2000.0])
def test_any_photo_gives_a_crop_and_takes_it_back(shape: tuple[int, int], side: float) -> None:
    photo = np.full((*shape, 3), 77, np.uint8)
    for x, y in ((0.0, 0.0), (300.0, -50.0)):
        crop = any_crop(x, y, side, 0.7, 32)
        assert difference(crop.take(photo), 77).max() == 0
        everything = np.ones(shape, bool)
        assert np.array_equal(crop.put(photo, crop.take(photo), everything), photo)
        assert crop.take_mask(everything).all()


@settings(max_examples=40, deadline=None)
@given(st.floats(-40, 200), st.floats(-40, 150), st.floats(5, 300), st.floats(-3, 3), st.integers(0, 99))
def test_putting_back_changes_missing_pixels_inside_the_crop_only(
    x: float, y: float, side: float, angle: float, seed: int
) -> None:
    photo = waves(110, 160, 9)
    mask = cv2.resize((np.random.default_rng(seed).random((6, 8)) < 0.4).astype(np.uint8), (160, 110)) > 0
    crop = any_crop(x, y, side, angle)
    before, before_mask = photo.copy(), mask.copy()
    completed = crop.put(photo, np.full((64, 64, 3), 1, np.uint8), mask)
    places = crop.to_crop(np.stack(np.meshgrid(np.arange(160), np.arange(110)), axis=-1).astype(float))
    depth = np.minimum(places + 0.5, 63.5 - places).min(axis=-1)
    assert np.array_equal(completed[~mask | (depth < -0.01)], photo[~mask | (depth < -0.01)])
    assert (completed[mask & (depth > 0.01)] == 1).all()
    assert np.array_equal(photo, before)
    assert np.array_equal(mask, before_mask)


@pytest.mark.parametrize("side", [60, 100, 250, 400])
def test_what_is_taken_and_put_back_stays_the_same_on_a_smooth_photo(side: int) -> None:
    photo = waves(500, 500, max(side / 10, 8))
    crop = any_crop(250.2, 251.7, side, 0.5)
    mask = np.zeros((500, 500), bool)
    reach = int(side * 0.3)
    mask[250 - reach : 250 + reach, 250 - reach : 250 + reach] = True
    assert difference(crop.put(photo, crop.take(photo), mask), photo).max() <= 4


def test_no_missing_pixel_hides_from_the_mask_of_a_shrunk_crop() -> None:
    mask = np.zeros((900, 900), bool)
    mask[450, 300:600] = True
    crop = any_crop(450, 450, 800, 0.2)
    line = crop.take_mask(mask)
    ends = np.rint(crop.to_crop(np.array([[305.0, 450], [450, 450], [595, 450]]))).astype(int)
    assert line[ends[:, 1], ends[:, 0]].all()
    assert 20 < line.sum() < 80


def test_a_mask_goes_to_the_photo_with_its_size() -> None:
    photo, faces = draw_photo(640, 480, 1, seed=5)
    crop = Crop.around_face(faces[0], 128)
    mask = np.zeros((128, 128), bool)
    mask[40:100, 30:90] = True
    placed = crop.put_mask(mask, photo.shape)
    assert placed.sum() == pytest.approx(3600 * crop.scale**2, rel=0.02)
    assert (crop.take_mask(placed) != mask).mean() < 0.06


def test_a_drawn_face_is_aligned_already() -> None:
    face, landmarks = draw_face(256, seed=2)
    crop = Crop.around_face(landmarks, 256)
    assert crop.scale == pytest.approx(1, abs=0.06)
    assert crop.inside(face.shape) > 0.9


def sharing(left: slice, right: slice) -> tuple[np.ndarray, list[np.ndarray]]:
    """A grey photo and two masks beside each other."""
    masks = [np.zeros((200, 300), bool) for _ in range(2)]
    masks[0][80:120, left] = masks[1][80:120, right] = True
    return np.full((200, 300, 3), 30, np.uint8), masks


FLAT = [np.full((64, 64, 3), value, np.uint8) for value in (80, 180)]


def test_two_crops_that_share_a_hole_fade_into_each_other() -> None:
    photo, masks = sharing(slice(60, 150), slice(150, 240))
    shown = put_all(photo, [any_crop(110, 100, 160, 0.0), any_crop(190, 100, 160, 0.2)], FLAT, masks)
    inner = shown[85:115, 61:239]
    assert difference(inner[:, 1:], inner[:, :-1]).max() <= 8, "no edge between them"
    assert (shown[80:120, 60:130] == 80).all(), "each its own further away"
    assert (shown[80:120, 170:240] == 180).all()
    assert (shown[~(masks[0] | masks[1])] == 30).all()


def test_the_fade_ends_where_a_crop_does() -> None:
    photo, masks = sharing(slice(80, 140), slice(140, 200))
    row = put_all(photo, [any_crop(100, 100, 80, 0.0), any_crop(150, 100, 200, 0.0)], FLAT, masks)[100, 80:200, 0]
    steps = np.diff(row.astype(int))
    assert (steps.min(), row[0], row[-1]) == (0, 80, 180)
    assert steps.max() <= 25
    assert (row[60:] == 180).all(), "beyond the first crop there is only the second"


def test_crops_whose_holes_do_not_meet_are_put_one_by_one() -> None:
    photo, masks = sharing(slice(60, 120), slice(122, 240))
    crops = [any_crop(90, 100, 120, 0.1), any_crop(200, 100, 120, 0.3)]
    one_by_one = crops[1].put(crops[0].put(photo, FLAT[0], masks[0]), FLAT[1], masks[1])
    assert (put_all(photo, crops, FLAT, masks) == one_by_one).all()


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.7])
def test_what_is_hidden_leaves_no_hem_around_its_hole(scale: float) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)
    hidden = np.zeros((160, 200), bool)
    hidden[60:110, 70:140] = True
    other = photo.copy()
    other[hidden] = 255 - other[hidden]
    crop = Crop(48, np.array([[scale, 0.1, 60.0], [-0.1, scale, 50.0]]))
    assert not np.array_equal(crop.take(photo), crop.take(other))
    assert np.array_equal(crop.take_known(photo, hidden), crop.take_known(other, hidden))
    nothing = np.zeros_like(hidden)
    assert np.array_equal(crop.take_known(photo, nothing), crop.take(photo))
    assert (crop.take_known(photo, ~nothing) == 128).all()


def test_what_of_a_crop_lies_outside_is_what_has_its_centre_there() -> None:
    rng = np.random.default_rng(3)
    shape, seen = (60, 90), set()
    for _ in range(300):
        angle, scale = rng.uniform(-3, 3), rng.uniform(0.3, 2.5)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        crop = Crop(16, np.column_stack([turn, rng.uniform(0, 80, 2)]))
        places = crop.to_photo(np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).astype(float))
        wanted = ((places < -0.5) | (places > np.array([89.5, 59.5]))).any(-1)
        assert (crop.outside(shape) == wanted).all()
        seen.add((bool(wanted.any()), bool(wanted.all())))
    assert len(seen) == 3
    assert not Crop(60, np.eye(2, 3)).outside((60, 60)).any()
