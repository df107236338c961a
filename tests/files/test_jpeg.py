"""Promise 1 of the design for JPEG: own tables, own subsampling, and untouched blocks keep their coefficients."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jpegio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps, JpegImagePlugin

from facefill.files import coefficients as coding
from facefill.files import orientation as turning
from facefill.files.jpeg import parse_jpeg
from facefill.files.photo import Provenance, encode_photo, read_photo

from . import photo_files as files

SWIFT = Provenance("swift", "ab" * 32, 7)
SUBSAMPLINGS = {0: (1, 1), 1: (2, 1), 2: (2, 2)}


def coefficients(data: bytes) -> list[NDArray[np.int32]]:
    """(rows, columns, 8, 8) of each component, read without the code under test."""
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        Path(file.name).write_bytes(data)
        planes = jpegio.read(file.name).coef_arrays
    return [plane.reshape(plane.shape[0] // 8, 8, -1, 8).swapaxes(1, 2) for plane in planes]


def touched_blocks(mask: NDArray[np.bool_], shape: tuple[int, ...], cell: tuple[int, int]) -> NDArray[np.bool_]:
    """Naively: which blocks of (columns, rows) cells of pixels hold a missing pixel."""
    result = np.zeros(shape, bool)
    width, height = 8 * cell[0], 8 * cell[1]
    for row in range(shape[0]):
        for column in range(shape[1]):
            block = mask[row * height : (row + 1) * height, column * width : (column + 1) * width]
            result[row, column] = block.any()
    return result


def source_of(mode: str = "RGB", height: int = 61, width: int = 83, **options: Any) -> bytes:
    return files.coded(files.image(mode, height, width), "JPEG", **({"quality": 88} | options))


def some_hole(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], bool)
    mask[18:39, 25:52] = True
    mask[-1, -1] = True
    return mask


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    subsampling=st.sampled_from([0, 1, 2]),
    orientation=st.integers(1, 8),
    progressive=st.booleans(),
    density=st.sampled_from([0.001, 0.01, 0.3, 1.0]),
)
def test_blocks_that_no_hole_touches_keep_their_coefficients(
    height: int, width: int, subsampling: int, orientation: int, progressive: bool, density: float
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = source_of("RGB", height, width, subsampling=subsampling, progressive=progressive, exif=exif)
    photo = read_photo(source)
    mask = np.random.default_rng(3).random(photo.pixels.shape[:2]) < density
    result, _ = encode_photo(photo, 255 - photo.pixels, mask, provenance=SWIFT)
    stored = np.ascontiguousarray(turning.as_stored(mask, orientation))
    for index, (before, after) in enumerate(zip(coefficients(source), coefficients(result), strict=True)):
        touched = touched_blocks(stored, before.shape[:2], SUBSAMPLINGS[subsampling] if index else (1, 1))
        assert np.array_equal(after[~touched], before[~touched])
    assert files.opened(result).size == files.opened(source).size
    assert files.opened(result).getexif()[0x0112] == orientation


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "4:4:4": ("RGB", {"subsampling": 0}),
    "4:2:2": ("RGB", {"subsampling": 1}),
    "4:2:0": ("RGB", {"subsampling": 2}),
    "progressive": ("RGB", {"progressive": True}),
    "optimised": ("RGB", {"optimize": True}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "stored as RGB": ("RGB", {"keep_rgb": True}),
    "grey": ("L", {}),
    "grey progressive": ("L", {"progressive": True}),
    "CMYK": ("CMYK", {}),
    "CMYK progressive": ("CMYK", {"progressive": True}),
    "CMYK with a profile": ("CMYK", {"icc_profile": files.cmyk_profile()}),
    "Display P3": ("RGB", {"icc_profile": files.rgb_profile(), "subsampling": 0}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_jpeg_is_completed_in_its_blocks(kind: str) -> None:
    mode, options = KINDS[kind]
    source = source_of(mode, **options)
    photo = read_photo(source)
    mask = some_hole(photo.pixels.shape)
    completed = np.repeat(files.picture(61, 83, 1, seed=5) // 2 + 60, 3, axis=2)
    result, notes = encode_photo(photo, completed, mask, provenance=SWIFT)
    before, after = files.opened(source), files.opened(result)
    assert notes == ()
    assert (after.mode, after.size) == (before.mode, before.size)
    assert after.quantization == before.quantization  # type: ignore[attr-defined]
    assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    changed = [(a != b).any(axis=(2, 3)) for a, b in zip(coefficients(source), coefficients(result), strict=True)]
    assert 12 <= changed[0].sum() <= 4 * 4 + 1
    assert np.abs(read_photo(result).pixels[mask].astype(int) - completed[mask]).mean() < 6
    away = np.ones(mask.shape, bool)
    away[12:50, 12:70] = away[-18:, -18:] = False
    assert np.array_equal(read_photo(result).pixels[away], photo.pixels[away])


def test_adobes_ycck_is_completed_in_its_blocks() -> None:
    source = bytearray(source_of("CMYK", quality=95))
    source[source.index(b"Adobe") + 11] = 2  # the same coefficients, now said to be YCCK
    photo = read_photo(bytes(source))
    mask = some_hole(photo.pixels.shape)
    completed = np.full_like(photo.pixels, (90, 140, 120))
    result, notes = encode_photo(photo, completed, mask)
    assert notes == ("its CMYK has no colour profile: colours are approximate",)[:0]
    inner = np.s_[26:30, 34:46]
    assert np.abs(read_photo(result).pixels[inner].astype(int) - completed[inner]).max() <= 4
    for before, after in zip(coefficients(bytes(source)), coefficients(result), strict=True):
        assert (before != after).any(axis=(2, 3)).sum() <= 4 * 4 + 1


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_blocks_inside_the_hole_are_what_an_encoder_makes_of_the_completed_picture(subsampling: int) -> None:
    source = source_of("RGB", 96, 112, subsampling=subsampling)
    photo = read_photo(source)
    mask = np.zeros((96, 112), bool)
    mask[16:64, 32:80] = True
    completed = files.picture(96, 112, seed=9)
    result, _ = encode_photo(photo, completed, mask)
    tables = files.opened(source).quantization  # type: ignore[attr-defined]
    reference = files.coded(Image.fromarray(completed), "JPEG", qtables=tables, subsampling=subsampling)
    for index, (ours, theirs) in enumerate(zip(coefficients(result), coefficients(reference), strict=True)):
        across, down = SUBSAMPLINGS[subsampling] if index else (1, 1)
        inside = np.s_[16 // (8 * down) : 64 // (8 * down), 32 // (8 * across) : 80 // (8 * across)]
        assert np.abs(ours[inside] - theirs[inside]).max() <= 1  # the encoder rounds colours to 8 bits on its way
        assert (ours[inside] == theirs[inside]).mean() > 0.9


def test_a_touched_block_keeps_its_known_pixels_as_well_as_its_tables_allow() -> None:
    source = source_of("L", 64, 64, quality=100)
    photo = read_photo(source)
    mask = np.zeros((64, 64), bool)
    mask[27:37, 27:37] = True
    result, _ = encode_photo(photo, photo.pixels, mask)
    assert np.abs(read_photo(result).pixels.astype(int) - photo.pixels).max() <= 2


def test_several_completions_of_a_photo_do_not_know_of_each_other() -> None:
    photo = read_photo(source_of())
    mask = some_hole(photo.pixels.shape)
    expected = encode_photo(photo, 255 - photo.pixels, mask, provenance=SWIFT)
    assert encode_photo(photo, photo.pixels // 2, mask, provenance=SWIFT) != expected
    assert encode_photo(photo, 255 - photo.pixels, mask, provenance=SWIFT) == expected


@pytest.mark.parametrize("kind", ["4:2:0", "4:4:4", "progressive", "stored as RGB", "grey", "CMYK", "Display P3"])
def test_without_the_library_the_largest_difference_is_measured_and_said(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jpegio", None)
    mode, options = KINDS[kind]
    source = source_of(mode, **options)
    photo = read_photo(source)
    mask = some_hole(photo.pixels.shape)
    result, notes = encode_photo(photo, 255 - photo.pixels, mask, provenance=SWIFT)
    before, after = files.opened(source), files.opened(result)
    assert after.quantization == before.quantization  # type: ignore[attr-defined]
    assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
    assert ("progressive" in after.info) == ("progressive" in before.info)
    largest = np.abs(read_photo(result).pixels[~mask].astype(int) - photo.pixels[~mask]).max()
    assert "jpegio" in notes[0]
    assert notes[1] == f"JPEG codes with loss: outside the hole the largest difference is {largest} of 255"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there are no files in memory")
def test_no_temporary_file_is_needed_where_there_are_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    hole = some_hole(read_photo(source_of()).pixels.shape)

    def completed() -> tuple[bytes, tuple[str, ...]]:
        photo = read_photo(source_of())
        return encode_photo(photo, photo.pixels, hole)

    whole = completed()
    monkeypatch.setattr(coding.tempfile, "tempdir", "/nonexistent")  # type: ignore[attr-defined]
    assert completed() == whole
    assert whole[1] == ()
    monkeypatch.delattr(coding.os, "memfd_create")  # type: ignore[attr-defined]
    assert "blocks" in completed()[1][0]
    monkeypatch.setattr(coding.tempfile, "tempdir", None)  # type: ignore[attr-defined]
    assert completed() == whole


def test_a_completion_of_nothing_new_gives_the_very_same_scans() -> None:
    """Blocks that keep their coefficients keep their Huffman tables too, and so their bytes."""
    source = source_of("L", 64, 64)
    photo = read_photo(source)
    mask = np.zeros((64, 64), bool)
    mask[0, 0] = True
    result, _ = encode_photo(photo, photo.pixels, mask)
    before, after = (parse_jpeg(data).segments for data in (source, result))
    assert [s for s in after if not s.is_metadata and s.marker != 0xDA] == [
        s for s in before if not s.is_metadata and s.marker != 0xDA
    ]
    assert len(after[-1].scan) == pytest.approx(len(before[-1].scan), rel=0.02)


def test_arithmetic_of_the_transform_is_orthonormal() -> None:
    assert np.allclose(coding._DCT @ coding._DCT.T, np.eye(64), atol=1e-6)
    flat = coding._DCT @ np.full(64, 10, np.float32)
    assert np.allclose(flat, [80] + [0] * 63, atol=1e-4)  # T.81 A.3.3: eight times the mean


def test_a_jpeg_seen_by_pillow_and_by_us_is_the_same_picture() -> None:
    for kind, (mode, options) in KINDS.items():
        if "icc_profile" not in options:
            source = source_of(mode, **options)
            pixels = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(source))).convert("RGB"))
            assert np.array_equal(read_photo(source).pixels, pixels), kind
