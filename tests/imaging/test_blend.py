"""Known pixels come back bit for bit, seams go, leftovers do not bleed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facefill.errors import InputError
from facefill.imaging.blend import BLENDS, composite, membrane, windows
from facefill.imaging.masks import MASKS
from tests.faces import draw_face
from tests.imaging.test_poisson import solve_exactly


def noisy_scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 200, (5, 6, 3)).astype(np.float32)
    scene = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 3, (height, width, 3))
    return np.clip(np.rint(scene), 0, 255).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(MASKS)), st.sampled_from(sorted(BLENDS)), st.integers(5, 70), st.integers(0, 999))
def test_known_pixels_come_back_bit_for_bit(name: str, blend: str, size: int, seed: int) -> None:
    image, filled = noisy_scene(size, size, seed), noisy_scene(size, size, seed + 1)
    mask = MASKS[name](size, np.random.default_rng(seed))
    kept = image.copy(), filled.copy(), mask.copy()
    completed = composite(image, filled, mask, blend=blend)
    assert completed.dtype == np.uint8
    assert np.array_equal(completed[~mask], image[~mask])
    for before, after in zip(kept, (image, filled, mask), strict=True):
        assert np.array_equal(before, after)


def test_pasting_takes_the_hole_as_it_is() -> None:
    image, filled = noisy_scene(40, 50), noisy_scene(40, 50, 1)
    mask = MASKS["centre"](40, np.random.default_rng(0))
    mask = np.pad(mask, ((0, 0), (0, 10)))
    assert np.array_equal(composite(image, filled, mask, blend="paste")[mask], filled[mask])


@pytest.mark.parametrize("name", ["centre", "lower", "half-left", "freeform40", "text", "random60", "scratches"])
def test_blending_agrees_with_the_poisson_equation_solved_exactly(name: str) -> None:
    """Equation 3 of Perez et al.: the Laplacian of the result is that of `filled`, its border that of the image."""
    image, filled = noisy_scene(96, 96, 2), noisy_scene(96, 96, 3)
    mask = MASKS[name](96, np.random.default_rng(4))
    completed = composite(image, filled, mask, limit=None)
    for channel in range(3):
        difference = image[..., channel].astype(float) - filled[..., channel]
        exact = filled[..., channel] + solve_exactly(difference, mask)
        assert np.abs(completed[..., channel] - np.clip(exact, 0, 255))[mask].max() <= 1.0


def test_a_shift_of_colour_disappears() -> None:
    face = draw_face(128, seed=1)[0] // 2 + 60
    filled = np.add(face, (20, -12, 8)).astype(np.uint8)
    mask = MASKS["eyes"](128, np.random.default_rng(0))
    assert np.abs(composite(face, filled, mask)[mask].astype(int) - face[mask]).max() <= 2


def test_a_fading_correction_mends_the_border_and_leaves_the_middle() -> None:
    filled = np.full((160, 160, 3), 90, np.uint8)
    image = np.full_like(filled, 130)
    mask = np.zeros((160, 160), bool)
    mask[20:140, 20:140] = True
    faded = composite(image, filled, mask, blend="fade")
    assert (faded[20:140, 20] >= 129).all()
    assert (faded[70:90, 70:90] == 90).all()
    assert (np.diff(faded[80, 20:80, 0].astype(int)) <= 0).all()
    thin = np.zeros_like(mask)
    thin[:, 60:63] = True
    assert np.abs(composite(image, filled, thin, blend="fade").astype(int) - 130).max() <= 1


def test_scratches_over_a_large_photo_are_blended_in_tiles_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy_scene(700, 1500, 5)
    filled = np.clip(image.astype(int) // 2 + 40, 0, 255).astype(np.uint8)
    mask = cv2.resize(MASKS["scratches"](300, np.random.default_rng(1)).astype(np.uint8), (1500, 700)) > 0
    whole = composite(image, filled, mask, limit=None)
    monkeypatch.setattr("facefill.imaging.blend.LARGE_PX", 900_000)
    monkeypatch.setattr("facefill.imaging.blend.THIN_PX", 39)
    assert np.abs(composite(image, filled, mask, limit=None).astype(int) - whole).max() <= 1


def test_what_already_fits_is_left_alone() -> None:
    image = noisy_scene(60, 60)
    mask = MASKS["centre"](60, np.random.default_rng(0))
    filled = image.copy()
    filled[mask] = 9
    assert (composite(image, filled, mask)[mask] == 9).all()


def test_a_leftover_of_the_cover_does_not_bleed_over_the_face() -> None:
    filled = np.full((100, 100, 3), 120, np.uint8)
    image = filled + np.uint8(5)
    mask = MASKS["centre"](100, np.random.default_rng(0))
    image[20:25, 30:70] = 255
    trusted, robust = membrane(image, filled, mask, limit=None), membrane(image, filled, mask)
    assert trusted[0][mask].max() > 80
    assert robust[0][mask].max() <= 5 + 8 + 1
    assert np.abs(robust[0][60:75, 30:70] - 5).max() < 1


def test_two_faces_in_two_corners_cost_two_windows() -> None:
    mask = np.zeros((600, 900), bool)
    mask[10:150, 20:140] = True
    mask[400:590, 700:899] = True
    assert sorted(windows(mask, 1)) == [(19, 9, 141, 151), (699, 399, 900, 591)]
    assert list(windows(np.zeros((5, 5), bool), 1)) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40))
def test_windows_hold_every_missing_pixel_once(seed: int, margin: int) -> None:
    rng = np.random.default_rng(seed)
    mask = cv2.resize((rng.random((9, 12)) < 0.15).astype(np.uint8), (480, 360), interpolation=cv2.INTER_NEAREST) > 0
    count = np.zeros(mask.shape, int)
    for x0, y0, x1, y1 in windows(mask, 0):
        count[y0:y1, x0:x1] += 1
    assert (count[mask] == 1).all()
    for x0, y0, x1, y1 in windows(mask, margin):
        assert mask[max(y0, 0) : y1, x0:x1].any()


def test_an_unknown_blend_is_refused_with_the_nearest_name() -> None:
    image = noisy_scene(8, 8)
    with pytest.raises(InputError, match="did you mean 'poisson'"):
        composite(image, image, np.ones((8, 8), bool), blend="poison")
