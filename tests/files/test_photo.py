"""Promise 1 of the design: outside the mask nothing changes, in any format, depth, colour space and orientation."""

from __future__ import annotations

import io
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from facefill.arrays import U8
from facefill.files import orientation as turning
from facefill.files.photo import FORMATS, Photo, Provenance, encode_photo, read_photo

from . import photo_files as files

SWIFT = Provenance("swift", "ab" * 32, 7)
LOSSLESS = {
    "PNG": ("1", "L", "LA", "RGB", "RGBA", "P", "I;16"),
    "TIFF": ("1", "L", "LA", "RGB", "RGBA", "CMYK", "P", "I;16"),
    "BMP": ("1", "L", "RGB", "P"),
    "WEBP": ("RGB", "RGBA"),
}
OPTIONS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True, "exact": True}}


def hole_in(photo: Photo, seed: int = 0) -> NDArray[np.bool_]:
    """An irregular hole of about a tenth of the photo, single pixels and the corners among it."""
    rng = np.random.default_rng(seed)
    mask = rng.random(photo.pixels.shape[:2]) < 0.05
    height, width = mask.shape
    mask[height // 3 : height // 2, width // 4 : width // 2] = True
    mask[0, 0] = mask[-1, -1] = True
    return mask


def completed_of(photo: Photo, mask: NDArray[np.bool_]) -> U8:
    """New content in the hole, and garbage outside it, which nobody may look at in a file without thumbnail."""
    new = np.random.default_rng(1).integers(0, 256, photo.pixels.shape, dtype=np.uint8)
    assert (new != photo.pixels).any()
    return np.where(mask[..., None], new, 255 - photo.pixels)


def stored(array: NDArray[Any], way: int) -> NDArray[Any]:
    return np.ascontiguousarray(turning.as_stored(array, way))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from([(name, mode) for name, modes in LOSSLESS.items() for mode in modes]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    orientation=st.integers(1, 8),
    data=st.data(),
)
def test_a_lossless_file_keeps_every_sample_outside_the_mask(
    kind: tuple[str, str], height: int, width: int, orientation: int, data: st.DataObject
) -> None:
    name, mode = kind
    options = OPTIONS.get(name, {})
    if name != "BMP":
        options = options | {"exif": Image.Exif()}
        options["exif"][0x0112] = orientation
    source = files.coded(files.image(mode, height, width), name, **options)
    photo = read_photo(source)
    seed, density = data.draw(st.integers(0, 9)), data.draw(st.sampled_from([0.02, 0.4, 1.0]))
    mask = np.random.default_rng(seed).random(photo.pixels.shape[:2]) < density
    result, _ = encode_photo(photo, completed_of(photo, mask), mask, provenance=SWIFT)
    assert mask.any() or result == source
    before, after = files.samples_of(source), files.samples_of(result)
    if mode == "P" and mask.any():
        before = np.asarray(files.opened(source).convert("RGB"))
    # Pillow turns TIFF by itself, all others are as stored
    hole = mask if name == "TIFF" else stored(mask, photo.orientation)
    assert files.opened(result).format == name
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    assert np.array_equal(after[~hole], before[~hole])
    assert read_photo(result).orientation == photo.orientation == (1 if name == "BMP" else orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_all_eight_orientations_are_seen_upright_and_stay_as_stored(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = files.coded(files.image("RGB", 40, 56), name, exif=exif)
    photo = read_photo(source)
    assert np.array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(files.opened(source))))
    mask = hole_in(photo)
    result, _ = encode_photo(photo, completed_of(photo, mask), mask)
    assert files.opened(result).size == files.opened(source).size
    assert files.opened(result).getexif().get(0x0112) == files.opened(source).getexif().get(0x0112)
    if name in ("PNG", "TIFF"):
        again = read_photo(result).pixels
        assert np.array_equal(again, np.where(mask[..., None], completed_of(photo, mask), photo.pixels))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_16_bit_colour_keeps_all_its_bits(name: str, channels: int) -> None:
    samples = files.picture(30, 41, channels, bits=16)
    suffix = {"PNG": ".png", "TIFF": ".tiff"}[name]
    source = cv2.imencode(suffix, cv2.cvtColor(samples, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA))
    photo = read_photo(source[1].tobytes())
    assert np.array_equal(photo.pixels, np.rint(samples[..., :3] / 257).astype(np.uint8))
    mask = hole_in(photo)
    completed = completed_of(photo, mask)
    result, _ = encode_photo(photo, completed, mask)
    after = cv2.imdecode(np.frombuffer(result, np.uint8), cv2.IMREAD_UNCHANGED)[..., [2, 1, 0, 3][:channels]]
    assert after.dtype == np.uint16
    assert np.array_equal(after[~mask], samples[~mask])
    assert np.array_equal(after[mask][:, :3], completed[mask].astype(np.uint16) * 257)
    assert np.array_equal(after[mask][:, 3:], samples[mask][:, 3:])


def test_16_bit_grey_with_alpha_keeps_all_its_bits() -> None:
    samples = files.picture(20, 31, 2, bits=16)
    photo = read_photo(files.png(samples, colour_type=4, bits=16))
    mask = hole_in(photo)
    result, notes = encode_photo(photo, completed_of(photo, mask), mask)
    assert any("RGB with alpha" in note for note in notes)
    after = cv2.imdecode(np.frombuffer(result, np.uint8), cv2.IMREAD_UNCHANGED)[..., [0, 3]]
    assert np.array_equal(after[~mask], samples[~mask])
    assert np.array_equal(after[..., 1], samples[..., 1])
    as_tiff, _ = encode_photo(photo, completed_of(photo, mask), mask, format="TIFF")
    again = cv2.imdecode(np.frombuffer(as_tiff, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(again[~mask][:, [0, 3]], samples[~mask])


@pytest.mark.parametrize(("name", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("TIFF", "RGBA"), ("WEBP", "RGBA")])
def test_missing_pixels_keep_their_alpha(name: str, mode: str) -> None:
    source = files.coded(files.image(mode), name, **OPTIONS.get(name, {}))
    photo = read_photo(source)
    mask = hole_in(photo)
    result, _ = encode_photo(photo, completed_of(photo, mask), mask)
    assert np.array_equal(files.samples_of(result)[..., -1], files.samples_of(source)[..., -1])


def test_a_transparent_bmp_keeps_its_alpha() -> None:
    photo = read_photo(files.coded(files.image("RGBA"), "PNG"))
    mask = hole_in(photo)
    source, _ = encode_photo(photo, completed_of(photo, mask), mask, format="BMP")
    assert files.opened(source).mode == "RGBA"
    result, _ = encode_photo(read_photo(source), photo.pixels, mask)
    assert np.array_equal(files.samples_of(result), np.asarray(files.image("RGBA")))


def test_the_hole_of_a_1_bit_picture_is_black_or_white() -> None:
    photo = read_photo(files.coded(files.image("1"), "PNG"))
    mask = hole_in(photo)
    completed = completed_of(photo, mask)
    result, _ = encode_photo(photo, completed, mask)
    assert files.opened(result).mode == "1"
    grey = np.asarray(Image.fromarray(completed).convert("L"))
    assert np.array_equal(files.samples_of(result)[mask], grey[mask] >= 128)


@pytest.mark.parametrize("bits", [2, 4])
def test_2_and_4_bit_grey_becomes_8_bit_and_that_is_said(bits: int) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (9, 5), dtype=np.uint8)
    source = files.png(rows, colour_type=0, bits=bits)
    photo = read_photo(source)
    assert photo.notes == (f"its {bits}-bit grey becomes 8-bit",)
    mask = hole_in(photo)
    result, _ = encode_photo(photo, photo.pixels, mask)
    assert np.array_equal(files.samples_of(result), files.samples_of(source))


def test_a_palette_becomes_rgb_and_that_is_said() -> None:
    assert read_photo(files.coded(files.image("P"), "PNG")).notes == ("its palette becomes RGB",)
    clear = files.coded(files.image("P"), "PNG", transparency=3)
    photo = read_photo(clear)
    assert photo.notes == ("its palette becomes RGBA",)
    mask = hole_in(photo)
    result, _ = encode_photo(photo, photo.pixels, mask)
    assert np.array_equal(files.samples_of(result), np.asarray(files.opened(clear).convert("RGBA")))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_becomes_alpha_so_that_no_new_pixel_vanishes(channels: int, bits: int) -> None:
    samples = files.picture(12, 17, channels, bits=bits)
    key = samples[3, 4].astype(">u2").tobytes()
    source = files.png(samples, {1: 0, 3: 2}[channels], bits, (b"tRNS", key))
    photo = read_photo(source)
    assert photo.notes == ("its transparent colour becomes an alpha channel",)
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[6:9] = True
    completed = np.full_like(photo.pixels, photo.pixels[3, 4])
    result, _ = encode_photo(photo, completed, mask)
    after = cv2.imdecode(np.frombuffer(result, np.uint8), cv2.IMREAD_UNCHANGED)
    clear = (samples == samples[3, 4]).all(axis=2)
    assert clear[3, 4]
    assert np.array_equal(after[..., 3] == 0, clear)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(5, 7, 3), (6, 8, 1), (1, 1, 3), (1, 4, 4)])
def test_turning_upright_is_undone_by_as_stored(shape: tuple[int, int, int], orientation: int) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = array.copy()
    turned = turning.upright(array, orientation)
    assert np.array_equal(turning.as_stored(turned, orientation), array)
    assert np.array_equal(array, before)


def difference(first: NDArray[Any], second: NDArray[Any]) -> int:
    return int(np.abs(first.astype(int) - second.astype(int)).max())


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
def test_display_p3_is_seen_as_srgb_and_completed_in_its_own_colours(name: str) -> None:
    profile = files.rgb_profile()
    source = files.coded(files.image("RGB"), name, icc_profile=profile, **OPTIONS.get(name, {}))
    photo = read_photo(source)
    p3, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    seen = ImageCms.profileToProfile(files.opened(source), p3, srgb, renderingIntent=1)
    assert difference(photo.pixels, np.asarray(seen)) <= 1
    assert difference(photo.pixels, files.samples_of(source)) > 5
    mask = hole_in(photo)
    completed = completed_of(photo, mask)
    result, _ = encode_photo(photo, completed, mask)
    assert files.opened(result).info["icc_profile"] == profile
    assert np.array_equal(files.samples_of(result)[~mask], files.samples_of(source)[~mask])
    assert difference(read_photo(result).pixels[mask], completed[mask]) <= 8  # two roundings, steepest in the dark


def test_a_16_bit_display_p3_photo_keeps_all_its_bits() -> None:
    samples = files.picture(20, 31, 3, bits=16)
    profile = b"P3\0\0" + zlib.compress(files.rgb_profile())
    photo = read_photo(files.png(samples, 2, 16, (b"iCCP", profile)))
    assert difference(photo.pixels, np.rint(samples / 257)) > 5
    mask = hole_in(photo)
    completed = completed_of(photo, mask)
    result, _ = encode_photo(photo, completed, mask)
    after = cv2.imdecode(np.frombuffer(result, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert np.array_equal(after[~mask], samples[~mask])
    assert difference(read_photo(result).pixels[mask], completed[mask]) <= 8


def test_a_profile_that_is_srgb_costs_nothing_and_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = files.coded(files.image("RGB"), "PNG", icc_profile=profile)
    photo = read_photo(source)
    assert np.array_equal(photo.pixels, files.samples_of(source))
    mask = hole_in(photo)
    completed = completed_of(photo, mask)
    result, _ = encode_photo(photo, completed, mask)
    assert np.array_equal(files.samples_of(result)[mask], completed[mask])


def test_grey_with_a_profile_of_its_own_is_completed_in_it() -> None:
    source = files.coded(files.image("L"), "PNG", icc_profile=files.grey_profile())
    photo = read_photo(source)
    assert difference(photo.pixels[..., 0], files.samples_of(source)) > 5
    mask = hole_in(photo)
    completed = np.full_like(photo.pixels, 100)
    result, _ = encode_photo(photo, completed, mask)
    assert np.array_equal(files.samples_of(result)[~mask], files.samples_of(source)[~mask])
    assert difference(read_photo(result).pixels[mask], completed[mask]) <= 2


@pytest.mark.parametrize("profile", [None, files.cmyk_profile()], ids=["no profile", "profile"])
def test_inks_outside_the_hole_stay(profile: bytes | None) -> None:
    source = files.coded(files.image("CMYK"), "TIFF", icc_profile=profile)
    photo = read_photo(source)
    assert photo.notes == (() if profile else ("its CMYK has no colour profile: colours are approximate",))
    mask = hole_in(photo)
    completed = np.full_like(photo.pixels, (150, 130, 110))
    result, notes = encode_photo(photo, completed, mask)
    assert notes == ()
    assert files.opened(result).mode == "CMYK"
    assert np.array_equal(files.samples_of(result)[~mask], files.samples_of(source)[~mask])
    assert difference(read_photo(result).pixels[mask], completed[mask]) <= (3 if profile else 0)


@pytest.mark.parametrize("profile", [b"no profile at all", files.grey_profile()], ids=["broken", "of grey"])
def test_a_profile_that_cannot_be_used_is_left_out_and_said(profile: bytes) -> None:
    photo = read_photo(files.coded(files.image("RGB"), "PNG", icc_profile=profile))
    assert np.array_equal(photo.pixels, np.asarray(files.image("RGB")))
    result, notes = encode_photo(photo, photo.pixels, hole_in(photo))
    assert "icc_profile" not in files.opened(result).info
    assert "profile" in " ".join((*photo.notes, *notes))


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_what_a_lossy_format_changes_outside_is_measured_and_said(name: str) -> None:
    photo = read_photo(files.coded(files.image("RGB"), name, quality=80))
    mask = hole_in(photo)
    result, notes = encode_photo(photo, completed_of(photo, mask), mask)
    largest = difference(files.samples_of(result)[~mask], photo.pixels[~mask])
    assert notes == (f"{name} codes with loss: outside the hole the largest difference is {largest} of 255",)
    assert 0 < largest < 128


@pytest.mark.parametrize("target", [name for name in FORMATS if name != "HEIF"])
@pytest.mark.parametrize(("name", "mode"), [("JPEG", "RGB"), ("PNG", "LA"), ("PNG", "I;16"), ("TIFF", "CMYK")])
def test_every_format_can_become_every_other_and_says_what_it_lost(name: str, mode: str, target: str) -> None:
    photo = read_photo(files.coded(files.image(mode), name))
    mask = hole_in(photo)
    completed = np.repeat(files.picture(37, 53, 1, seed=3), 3, axis=2)  # grey can hold it too
    result, notes = encode_photo(photo, completed, mask, format=target, provenance=SWIFT)
    expected = np.where(mask[..., None], completed, photo.pixels)
    again = read_photo(result)
    assert again.pixels.shape == photo.pixels.shape
    lossy = target in ("JPEG", "AVIF", "WEBP")
    assert np.abs(again.pixels.astype(int) - expected).mean() <= (12 if lossy else 0)
    said = " ".join(notes)
    assert ("16 are rounded" in said) == (mode == "I;16" and target in ("JPEG", "WEBP", "AVIF", "BMP"))
    assert ("no alpha" in said) == (mode == "LA" and target == "JPEG")
    assert ("no CMYK" in said) == (mode == "CMYK" and target not in ("JPEG", "TIFF"))
    assert ("no XMP" in said) == (target == "BMP")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_bmp_is_written_upright_because_it_cannot_say_how_it_lies(mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = read_photo(files.coded(files.image(mode), "PNG", exif=exif))
    mask = hole_in(photo)
    completed = np.repeat(completed_of(photo, mask)[..., :1], 3, axis=2)
    result, notes = encode_photo(photo, completed, mask, format="BMP")
    assert np.array_equal(read_photo(result).pixels, np.where(mask[..., None], completed, photo.pixels))
    assert notes == ("BMP holds no EXIF and no XMP: left out",)


def test_a_turned_photo_becomes_heic() -> None:
    pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = read_photo(files.coded(files.image("RGB", 40, 56), "JPEG", exif=exif))
    mask = hole_in(photo)
    result, notes = encode_photo(photo, photo.pixels, mask, format="HEIF", provenance=SWIFT)
    again = read_photo(result)
    assert again.pixels.shape == photo.pixels.shape
    assert any("largest difference" in note for note in notes)
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 6


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"])
def test_without_a_hole_the_file_is_copied_byte_for_byte(name: str) -> None:
    source = files.coded(files.image("RGB"), name)
    photo = read_photo(source)
    mask = np.zeros(photo.pixels.shape[:2], bool)
    result, notes = encode_photo(photo, 255 - photo.pixels, mask, provenance=SWIFT)
    assert result == source
    assert notes == ("no pixel is missing: the file is copied as it is",)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "P", "I;16"])
def test_a_pillow_image_is_a_photo(mode: str) -> None:
    given = files.image(mode)
    given.getexif()[0x0112] = 8
    photo = read_photo(given)
    assert photo.pixels.shape == (53, 37, 3)
    mask = hole_in(photo)
    result, _ = encode_photo(photo, completed_of(photo, mask), mask, format="TIFF", provenance=SWIFT)
    turned = ImageOps.exif_transpose(given)
    before = np.asarray(turned.convert("RGB") if mode == "P" else turned)
    assert np.array_equal(files.samples_of(result)[~mask], before[~mask])


def test_an_array_is_a_photo_and_stays_as_it_was() -> None:
    array = files.picture(20, 30)
    before = array.copy()
    photo = read_photo(array)
    mask = hole_in(photo)
    result, _ = encode_photo(photo, completed_of(photo, mask), mask)
    assert np.array_equal(array, before)
    assert np.array_equal(files.samples_of(result)[~mask], before[~mask])


def test_the_same_work_gives_the_same_bytes() -> None:
    for name in ("JPEG", "PNG", "TIFF", "WEBP"):
        photo = read_photo(files.coded(files.image("RGB"), name))
        mask = hole_in(photo)
        first, second = (encode_photo(photo, photo.pixels, mask, provenance=SWIFT) for _ in range(2))
        assert first == second


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_photos_of_odd_sides_come_through(name: str, height: int, width: int) -> None:
    photo = read_photo(files.coded(files.picture(height, width), name, **OPTIONS.get(name, {})))
    mask = np.ones((height, width), bool)
    result, _ = encode_photo(photo, photo.pixels, mask)
    assert read_photo(result).pixels.shape == (height, width, 3)
