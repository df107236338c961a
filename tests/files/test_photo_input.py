"""What is refused on the way in, each in one line that says what to do, and what is taken with a note."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefill.errors import InputError
from facefill.files.photo import encode_photo, read_photo
from facefill.files.png import SIGNATURE, parse_png
from facefill.files.samples import use_heif

from . import photo_files as files

PNG = files.coded(files.image("RGB"), "PNG")
JPEG = files.coded(files.image("RGB", 120, 160), "JPEG")
BOMB = files.png(np.zeros((1, 1, 3), np.uint8), 2, 8, size=(60000, 60000))


def refusal(source: object, **limits: int) -> InputError:
    with pytest.raises(InputError) as caught:
        read_photo(source, **limits)
    assert "\n" not in str(caught.value)
    assert caught.value.expected
    assert caught.value.got
    assert caught.value.fix
    return caught.value


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.png").got


def test_a_folder_is_no_photo(tmp_path: Path) -> None:
    assert "a folder" in refusal(str(tmp_path)).got


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"Dear Sir,\n", "text"),
        ("Größe".encode(), "text"),
        (b"GIF89a\1\0\1\0", "GIF"),
        (b"\0\1\2", "else"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    error = refusal(tmp_path / "photo.jpg")
    assert said in error.got
    assert "photo.jpg" in error.got


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"])
def test_a_file_that_is_cut_off_is_refused(name: str) -> None:
    source = files.coded(files.image("RGB", 120, 160), name)
    for share in (0.1, 0.5, 0.9):
        assert name in refusal(source[: int(len(source) * share)]).expected


@pytest.mark.parametrize("name", ["WEBP", "AVIF", "HEIF"])
def test_a_file_whose_end_was_never_written_is_said_to_be_damaged(name: str) -> None:
    if name == "HEIF":
        pytest.importorskip("pillow_heif")
        use_heif()
    source = files.coded(files.image("RGB", 120, 160), name)
    assert read_photo(source).notes == ()
    half = source[:-150].ljust(len(source), b"\0")
    assert "zeros: a part of it may be missing" in " ".join(read_photo(half).notes)


def test_a_16_bit_png_that_is_cut_off_is_refused() -> None:
    source = files.png(files.picture(60, 80, 3, bits=16), 2, 16)
    assert "cut off" in refusal(source[: len(source) // 2]).got


@pytest.mark.parametrize("missing", [4, 6, 11, 12])
@pytest.mark.parametrize("mode", ["1", "P", "RGB", "I;16", "16 bits of colour"])
def test_a_png_without_its_end_is_taken_when_all_its_pixels_are_there(mode: str, missing: int) -> None:
    deep = files.png(files.picture(60, 80, 3, bits=16), 2, 16)
    source = deep if mode.startswith("16") else files.coded(files.image(mode, 60, 80), "PNG")
    photo, mask = read_photo(source[:-missing]), np.eye(60, 80, dtype=bool)
    assert np.array_equal(photo.pixels, read_photo(source).pixels)
    assert encode_photo(photo, photo.pixels, mask) == encode_photo(read_photo(source), photo.pixels, mask)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_a_png_that_holds_half_its_rows_is_refused_even_if_each_chunk_is_whole(mode: str) -> None:
    chunks, _ = parse_png(files.coded(files.image(mode, 60, 80), "PNG"))
    packed = next(chunk.payload for chunk in chunks if chunk.name == b"IDAT")
    for rows in (zlib.decompress(packed)[: len(zlib.decompress(packed)) // 2], b""):
        half = [chunk._replace(payload=zlib.compress(rows)) if chunk.name == b"IDAT" else chunk for chunk in chunks]
        assert "cut off" in refusal(SIGNATURE + b"".join(chunk.coded() for chunk in half)).got
    for ending in ([], chunks[-1:]):
        cut = [chunk._replace(payload=packed[:-60]) if chunk.name == b"IDAT" else chunk for chunk in chunks[:-1]]
        refusal(SIGNATURE + b"".join(chunk.coded() for chunk in (*cut, *ending)))


def test_a_png_whose_last_row_is_black_is_whole() -> None:
    samples = files.picture(60, 80)
    samples[-1] = 0
    assert np.array_equal(read_photo(files.png(samples, 2, 8)).pixels, samples)


def test_a_picture_too_wide_for_the_library_that_decodes_it_is_refused() -> None:
    assert "PNG" in refusal(files.png(np.zeros((1, 2**20 + 1, 3), np.uint16), 2, 16)).expected


def test_a_damaged_png_is_refused() -> None:
    broken = bytearray(PNG)
    at = PNG.index(b"IDAT") + 40
    broken[at : at + 20] = bytes(20)
    assert "PNG" in refusal(bytes(broken)).expected


def test_a_jpeg_without_its_end_is_taken_when_all_its_pixels_are_there() -> None:
    assert np.array_equal(read_photo(JPEG[:-2]).pixels, files.samples_of(JPEG))


def test_a_bomb_is_refused_from_its_header_alone() -> None:
    error = refusal(BOMB)
    assert "60000 x 60000" in error.got
    assert "100,000,000 pixels" in error.expected


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"])
def test_the_limits_can_be_set(name: str, tmp_path: Path) -> None:
    source = files.coded(files.image("RGB"), name)
    assert "37" in refusal(source, max_pixels=37 * 53 - 1).got
    read_photo(source, max_pixels=37 * 53, max_bytes=len(source))
    assert "bytes" in refusal(source, max_bytes=len(source) - 1).expected
    (tmp_path / "photo").write_bytes(source)
    assert "bytes" in refusal(tmp_path / "photo", max_bytes=len(source) - 1).expected


def test_the_limits_hold_for_arrays_and_images_as_well() -> None:
    refusal(np.zeros((10, 10, 3), np.uint8), max_pixels=99)
    refusal(files.image("RGB"), max_pixels=99)


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(JPEG)
    photo = read_photo(tmp_path / "photo.png")
    assert photo.format == "JPEG"
    assert photo.notes == ("photo.png is a JPEG file, whatever its name says",)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_taken_and_that_is_said(name: str) -> None:
    frames = [files.image("RGB", 40, 48, seed=seed) for seed in range(3)]
    source = files.coded(
        frames[0], name, save_all=True, append_images=frames[1:], **({"lossless": True} if name == "WEBP" else {})
    )
    photo = read_photo(source)
    largest = "largest" if name == "TIFF" else "first"
    assert photo.notes == (() if name == "MPO" else (f"it holds 3 pictures: only the {largest} is used",))
    mask = np.zeros((40, 48), bool)
    mask[8:16, 8:16] = True
    result, notes = encode_photo(photo, np.zeros_like(photo.pixels), mask)
    assert getattr(files.opened(result), "n_frames", 1) == 1
    assert "left out" in notes[0]
    assert "further" in notes[0]
    again = read_photo(result)
    assert not again.notes
    if name == "MPO":
        assert b"MPF\0" not in result
    else:
        assert np.array_equal(again.pixels[~mask], np.asarray(frames[0])[~mask])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((5, 5, 3), bool),
        np.zeros((0, 5, 3), np.uint8),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
def test_an_array_of_another_kind_is_refused(array: np.ndarray) -> None:
    assert str(array.dtype) in refusal(array).got


def test_an_image_without_pixels_is_refused() -> None:
    assert "0 x 5" in refusal(Image.new("RGB", (0, 5))).got


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_samples_that_cannot_be_kept_are_refused(mode: str) -> None:
    refusal(Image.new(mode, (4, 4)))
    refusal(files.coded(Image.new(mode, (4, 4)), "TIFF"))


def test_heic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install facefill[heic]" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").fix


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000)])
def test_tiny_and_thin_photos_are_photos(height: int, width: int) -> None:
    assert read_photo(files.coded(files.picture(height, width), "PNG")).pixels.shape == (height, width, 3)
