"""The mask that a user gives: every kind of file and array is read by one rule, or refused in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefill.errors import InputError
from facefill.files import photo as photo_module
from facefill.files.mask import read_mask
from facefill.imaging.masks import dilate

from .photo_files import picture, png


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


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
    said = {"text": "text in", "empty": "an empty file", "cut": "cut off", "none": "does not exist"}
    for name, words in said.items():
        with pytest.raises(InputError, match=words) as caught:
            read_mask(tmp_path / f"{name}.png", (40, 60))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="folder"):
        read_mask(tmp_path, (40, 60))


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP", "AVIF", "BMP", "JPEG"])
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


def feathered(share: float) -> np.ndarray:
    """A mask of which that share is middle grey."""
    grey = hole(100, 100).astype(np.uint8) * 255
    grey[-int(100 * share) :] = 128
    return grey


def test_a_photo_given_as_its_mask_is_refused(tmp_path: Path) -> None:
    photo = picture(100, 100)
    for source in (photo, feathered(0.25), np.dstack([feathered(0.25)] * 3)):
        Image.fromarray(source).save(tmp_path / "mask.png")
        for given in (tmp_path / "mask.png", (tmp_path / "mask.png").read_bytes(), source):
            with pytest.raises(InputError, match="neither dark nor bright"):
                read_mask(given, (100, 100))
    assert read_mask(feathered(0.15), (100, 100)).any()


def test_an_image_that_cannot_be_decoded_is_one_line() -> None:
    stream = io.BytesIO()
    Image.fromarray(rng().integers(0, 255, (40, 60), dtype=np.uint8)).save(stream, "PNG")
    cut = Image.open(io.BytesIO(stream.getvalue()[:300]))
    with pytest.raises(InputError, match="a whole image"):
        read_mask(cut, (40, 60))


def test_soft_alpha_is_no_photo() -> None:
    alpha = np.linspace(0, 255, 100).astype(np.uint8)
    drawn = np.dstack([*[np.zeros((100, 100), np.uint8)] * 3, np.tile(alpha, (100, 1))])
    assert read_mask(drawn, (100, 100)).mean() == pytest.approx(0.5, abs=0.02)


def test_masks_come_in_the_formats_of_photos_only(tmp_path: Path) -> None:
    drawn = Image.fromarray(hole().astype(np.uint8) * 255)
    for suffix in ("gif", "eps", "ico", "ppm"):
        drawn.convert("RGB" if suffix == "eps" else "L").save(tmp_path / f"mask.{suffix}")
        with pytest.raises(InputError, match="a mask picture"):
            read_mask(tmp_path / f"mask.{suffix}", (40, 60))
    for suffix in ("png", "tif", "bmp", "webp", "avif", "jpg"):
        drawn.save(tmp_path / f"mask.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
        assert (read_mask(tmp_path / f"mask.{suffix}", (40, 60)) != hole()).mean() < 0.02


@pytest.mark.parametrize("file", [b"", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 40])
def test_files_that_are_traps_are_one_line(file: bytes) -> None:
    with pytest.raises(InputError):
        read_mask(file, (40, 60))


def test_a_mask_has_the_limits_of_a_photo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    header_only = png(np.zeros((1, 1, 4), np.uint16), 6, 16, size=(10_000, 10_000))
    with pytest.raises(InputError, match="at most 400,000,000 bytes of samples, got 800,000,000"):
        read_mask(header_only, (10_000, 10_000))
    monkeypatch.setattr(photo_module, "_MOST_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1,000 bytes"):
        read_mask(b"\x89PNG" + bytes(1000), (40, 60))
