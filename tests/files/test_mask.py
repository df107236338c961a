"""Holes by name keep their promises; masks that somebody drew are read by one rule, or refused in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facefill.errors import InputError
from facefill.files.mask import read_mask
from facefill.imaging.masks import MASKS, bounding_box, dilate


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", MASKS)
def test_every_hole_has_the_right_shape_and_repeats_with_its_seed(name: str) -> None:
    for size in (7, 64, 256):
        mask = MASKS[name](size, rng(3))
        assert mask.shape == (size, size)
        assert mask.dtype == bool
        assert np.array_equal(mask, MASKS[name](size, rng(3)))
    assert mask.any()
    assert not mask.all()


def test_the_centre_hole_is_a_centred_square_of_half_the_side() -> None:
    mask = MASKS["centre"](256, rng())
    assert mask.sum() == 128 * 128
    assert bounding_box(mask) == (64, 64, 192, 192)


def test_halves_are_halves_and_lie_where_their_names_say() -> None:
    boxes = {
        "half-left": (0, 0, 32, 64),
        "half-right": (32, 0, 64, 64),
        "lower": (0, 32, 64, 64),
        "upper": (0, 0, 64, 32),
    }
    for name, box in boxes.items():
        mask = MASKS[name](64, rng())
        assert bounding_box(mask) == box
        assert mask.sum() == 64 * 32


@pytest.mark.parametrize("percent", [20, 40, 60, 80])
def test_random_pixels_drop_their_share(percent: int) -> None:
    assert MASKS[f"random{percent}"](256, rng()).mean() == pytest.approx(percent / 100, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(range(10, 70, 10)), st.integers(0, 2**32), st.sampled_from([32, 64, 256]))
def test_free_form_holes_lie_in_their_decile(percent: int, seed: int, size: int) -> None:
    share = MASKS[f"freeform{percent}"](size, rng(seed)).mean()
    assert max(percent - 10, 1) / 100 <= share <= percent / 100


def test_a_few_holes_never_change() -> None:
    """Protocols are frozen: whoever changes a hole gives it a new name."""
    names = ("centre", "box", "freeform", "freeform30", "random40", "eyes")
    together = b"".join(np.packbits(MASKS[name](128, rng(7))).tobytes() for name in names)
    assert hashlib.sha256(together).hexdigest()[:16] == "4e89b1e5a3ef386c"


def test_the_bounding_box_grows_by_its_margin_but_stays_inside() -> None:
    mask = np.zeros((20, 30), bool)
    assert bounding_box(mask) == (0, 0, 0, 0)
    mask[5:8, 28] = True
    assert bounding_box(mask) == (28, 5, 29, 8)
    assert bounding_box(mask, 4) == (24, 1, 30, 12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 600))
def test_dilation_is_a_disc_around_every_missing_pixel(seed: int, percent: int) -> None:
    px = percent / 100
    mask = rng(seed).random((17, 23)) < 0.03
    y, x = np.nonzero(mask)
    rows, columns = np.mgrid[:17, :23]
    squared = (rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2
    assert np.array_equal(dilate(mask, px), (squared <= px * px + 1e-6).any(axis=-1))


def hole(height: int = 40, width: int = 60) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[10:20, 15:40] = True
    return mask


def as_pictures() -> dict[str, Image.Image]:
    white = hole().astype(np.uint8) * 255
    noise = rng().integers(0, 60, (40, 60, 3), dtype=np.uint8)
    alpha_only = np.dstack([np.full((40, 60, 3), 30, np.uint8), white])
    constant_alpha = np.dstack([white, white, white, np.full_like(white, 255)])
    palette = Image.fromarray(white).convert("P")
    return {
        "grey": Image.fromarray(white),
        "bilevel": Image.fromarray(hole()),
        "rgb": Image.fromarray(np.where(hole()[..., None], np.uint8(255), noise)),
        "red on black is dark": Image.fromarray(np.dstack([white // 255 * 255, white, white // 2])),
        "rgba by its alpha": Image.fromarray(alpha_only),
        "rgba with constant alpha by its luma": Image.fromarray(constant_alpha),
        "grey and alpha": Image.fromarray(np.dstack([np.full_like(white, 200), white])),
        "palette": palette,
        "sixteen bits": Image.fromarray(white.astype(np.uint16) * 257),
    }


@pytest.mark.parametrize("kind", as_pictures())
def test_white_or_opaque_is_missing_in_every_kind_of_png(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    as_pictures()[kind].save(path)
    assert np.array_equal(read_mask(path, (40, 60, 3)), hole())
    assert np.array_equal(read_mask(as_pictures()[kind], (40, 60, 3)), hole())


def test_a_grey_jpeg_is_cut_at_the_threshold(tmp_path: Path) -> None:
    Image.fromarray(hole().astype(np.uint8) * 255).save(tmp_path / "mask.jpg", quality=60)
    found = read_mask(tmp_path / "mask.jpg", (40, 60))
    assert (found != hole()).mean() < 0.02


def test_a_mask_is_turned_upright_like_its_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(hole()[:, ::-1].T.astype(np.uint8) * 255).save(tmp_path / "mask.png", exif=exif)
    stored = hole()[:, ::-1].T
    assert np.array_equal(read_mask(tmp_path / "mask.png", (40, 60)), np.rot90(stored, -1))


def test_arrays_are_read_by_the_same_rule_and_left_alone() -> None:
    white = hole().astype(np.uint8) * 255
    for source in (hole(), white, white[..., None], np.dstack([white] * 3), hole()[..., None]):
        before = source.copy()
        found = read_mask(source, (40, 60, 3))
        assert np.array_equal(found, hole())
        found[:] = False
        assert np.array_equal(source, before)


def test_dilation_on_request() -> None:
    assert np.array_equal(read_mask(hole(), (40, 60), dilate_px=3), dilate(hole(), 3))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((40, 60), bool), "without any"),
        (np.ones((40, 60), bool), "missing everywhere"),
        (~hole()[:, ::-1] | (np.arange(60) > 40), "looks inverted"),
        (hole().T, "one of 40x60: draw it"),
        (hole().astype(np.float32), "float32"),
        (hole().astype(np.uint8), "multiply by 255"),
        (np.zeros((40, 60, 5), np.uint8), "1 to 4 channels"),
        (np.zeros(40, np.uint8), "1 to 4 channels"),
    ],
)
def test_a_useless_mask_is_refused_with_what_to_do(source: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_mask(source, (40, 60, 3))


def test_a_mask_that_grows_over_everything_is_refused() -> None:
    with pytest.raises(InputError, match="dilate less"):
        read_mask(hole(), (40, 60), dilate_px=100)
    with pytest.raises(InputError, match="not negative"):
        read_mask(hole(), (40, 60), dilate_px=-1)


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(rng().integers(0, 255, (40, 60), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:300])
    for name, words in {"text.png": "a mask", "empty.png": "a mask", "cut.png": "mask", "none.png": "no file"}.items():
        with pytest.raises(InputError, match=words) as caught:
            read_mask(tmp_path / name, (40, 60))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="folder"):
        read_mask(tmp_path, (40, 60))


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP", "AVIF", "BMP", "GIF", "JPEG"])
def test_a_damaged_mask_of_any_format_is_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    Image.fromarray(hole().astype(np.uint8) * 255).save(tmp_path / "mask", name)
    whole = (tmp_path / "mask").read_bytes()
    for seed in range(40):
        draw, damaged = rng(seed), bytearray(whole)
        for at in draw.integers(0, len(whole), 4):
            damaged[at] = int(draw.integers(256))
        (tmp_path / "mask").write_bytes(damaged if seed % 2 else damaged[: int(draw.integers(len(whole)))])
        try:
            found = read_mask(tmp_path / "mask", (40, 60))
        except InputError as error:
            said = str(error)
        else:
            said = "" if found.shape == (40, 60) and found.any() else "\n"
        assert "\n" not in said


def test_another_size_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")
    with pytest.raises(InputError, match="one of 9000x9000"):
        read_mask(tmp_path / "large.png", (40, 60))
