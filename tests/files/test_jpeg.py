"""Promise 1 of the design for JPEG: own tables, own subsampling, and untouched blocks keep their coefficients."""

from __future__ import annotations

import io
import os
import resource
import struct
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

from facefill.errors import InputError
from facefill.files import coefficients as coding
from facefill.files import orientation as turning
from facefill.files.jpeg import Segment, parse_jpeg
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


def frame_at(data: bytes) -> int:
    return data.index(b"\xff\xc0")


def test_what_libjpeg_skips_between_segments_sizes_nothing() -> None:
    """FF 00 is no marker: a parser that took it for a segment read another frame than libjpeg."""
    for side in (8, 4000):
        source = source_of("RGB", 128, 128)
        at = frame_at(source)
        frame = bytearray(source[at : at + 19])
        frame[5:9] = struct.pack(">HH", side, side)
        hidden = b"\xff\x00" + struct.pack(">H", 2 + len(frame)) + bytes(frame)
        with pytest.raises(InputError, match="several frames"):
            read_photo(source[:at] + hidden + source[at:])
        photo = read_photo(source[:at] + hidden.replace(b"\xff\xc0", b"\xfe\xc0") + source[at:])
        result, _ = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape), provenance=SWIFT)
        assert files.opened(result).size == (128, 128)


def test_the_sides_of_a_frame_are_never_believed_beyond_the_samples() -> None:
    source = bytearray(source_of("RGB", 128, 128))
    at = frame_at(bytes(source))
    source[at + 5 : at + 9] = struct.pack(">HH", 4000, 4000)
    with pytest.raises(InputError, match="cut off"):
        read_photo(bytes(source))


def test_scans_and_segments_without_end_are_refused() -> None:
    source = source_of("RGB", 64, 64, progressive=True)
    scan = next(s for s in parse_jpeg(source).segments if s.marker == 0xDA)
    huge = bytearray(source)
    at = huge.index(b"\xff\xc2")
    huge[at + 5 : at + 9] = struct.pack(">HH", 9000, 9000)
    with pytest.raises(InputError, match="scans would take too long"):
        read_photo(bytes(huge[:-2]) + 60 * scan.coded() + b"\xff\xd9")
    with pytest.raises(InputError, match="too many segments"):
        read_photo(source[:2] + 20_000 * Segment(0xFE, b"").coded() + source[2:])


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_jpeg_of_which_a_part_is_missing_is_refused_even_if_its_end_is_marked(share: float) -> None:
    source = source_of("RGB", 160, 200)
    with pytest.raises(InputError, match="cut off"):
        read_photo(source[: int(len(source) * share)] + b"\xff\xd9")


def test_a_progressive_jpeg_that_lacks_scans_is_refused() -> None:
    whole = parse_jpeg(source_of("RGB", 64, 64, progressive=True)).segments
    scans = [number for number, segment in enumerate(whole) if segment.marker == 0xDA]
    left = [whole[: scans[len(scans) // 2]], whole[: scans[-1]], whole[: scans[0]] + whole[scans[0] + 1 :]]
    for segments in left:
        data = b"".join([b"\xff\xd8", *(s.coded() for s in segments), b"\xff\xd9"])
        with pytest.raises(InputError, match="cut off"):
            read_photo(data)


def sampled(factors: tuple[int, ...]) -> bytes:
    """A picture of 32 x 48 pixels whose channels have these sampling factors, from the bits of another."""
    source = bytearray(source_of("RGB", 128, 192, subsampling=0))
    at = frame_at(bytes(source))
    source[at + 5 : at + 9] = struct.pack(">HH", 32, 48)
    source[at + 11 : at + 20 : 3] = bytes(factors)
    return bytes(source)


@pytest.mark.parametrize("factors", [(0x22, 0x12, 0x11), (0x41, 0x11, 0x11), (0x12, 0x11, 0x11), (0x22, 0x21, 0x12)])
def test_channels_of_odd_sides_keep_their_blocks(factors: tuple[int, ...]) -> None:
    photo = read_photo(sampled(factors))
    mask = np.zeros((32, 48), bool)
    mask[:8, :8] = True
    result, notes = encode_photo(photo, 255 - photo.pixels, mask)
    assert notes == ()
    assert parse_jpeg(result).frame == parse_jpeg(sampled(factors)).frame
    assert np.array_equal(read_photo(result).pixels[:, 40:], photo.pixels[:, 40:])
    assert not np.array_equal(read_photo(result).pixels[:8, :8], photo.pixels[:8, :8])


def test_channels_whose_sides_are_no_multiples_are_one_line() -> None:
    with pytest.raises(InputError, match="cannot be decoded"):
        read_photo(sampled((0x31, 0x21, 0x11)))


@pytest.mark.parametrize(("at", "value", "said"), [(4, 12, "12 bits"), (9, 2, "2 channels"), (5, 0, "no picture")])
def test_frames_of_other_kinds_are_one_line(at: int, value: int, said: str) -> None:
    source = bytearray(source_of("L" if at == 4 else "RGB", 64, 64))
    start = frame_at(bytes(source))
    if at == 5:
        source[start + 5 : start + 7] = b"\0\0"
    else:
        source[start + at] = value
    with pytest.raises(InputError, match=f"{said}|cut off"):
        read_photo(bytes(source))


def test_tables_that_change_between_scans_are_not_written_again() -> None:
    whole = parse_jpeg(source_of("RGB", 64, 64, progressive=True)).segments
    table = next(segment for segment in whole if segment.marker == 0xDB)
    source = b"".join([b"\xff\xd8", *(s.coded() for s in (*whole[:-1], table, whole[-1])), b"\xff\xd9"])
    photo = read_photo(source)
    _, notes = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape))
    assert "blocks could not be kept" in notes[0]


def test_a_baseline_scan_that_does_not_say_what_it_brings_is_whole() -> None:
    source = bytearray(source_of("RGB", 64, 64))
    at = source.index(b"\xff\xda")
    assert source[at + 11 : at + 14] == bytes([0, 63, 0])
    source[at + 12] = 0
    assert read_photo(bytes(source)).pixels.shape == (64, 64, 3)


def test_arithmetic_coding_stays(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(source_of("RGB", 64, 64))
    picture = jpegio.read(str(tmp_path / "photo.jpg"))
    picture.arith_code = 1
    picture.write(str(tmp_path / "photo.jpg"))
    source = (tmp_path / "photo.jpg").read_bytes()
    photo = read_photo(source)
    result, notes = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape), provenance=SWIFT)
    assert notes == ()
    assert parse_jpeg(result).frame.marker == parse_jpeg(source).frame.marker == 0xC9
    for before, after in zip(coefficients(source), coefficients(result), strict=True):
        assert np.array_equal(after[:1], before[:1])
    assert read_photo(result).pixels.shape == (64, 64, 3)


def test_fill_bytes_are_read_over_in_linear_time() -> None:
    source = source_of("RGB", 64, 64)
    for filled in (
        source[:2] + 300_000 * b"\xff" + source[2:],
        source[:-2] + 300_000 * b"\xff" + source[-2:],
        source[:2] + 300_000 * b"\xff" + b"\0" + source[2:],
    ):
        assert np.array_equal(read_photo(filled).pixels, read_photo(source).pixels)


def test_what_is_odd_in_the_samples_is_said() -> None:
    source = source_of("RGB", 64, 64)
    photo = read_photo(source[:-2] + bytes(20) + source[-2:])
    assert "extraneous bytes" in photo.notes[0]


@pytest.mark.parametrize(("marker", "said"), [(0xC3, "neither baseline"), (0xC5, "neither baseline")])
def test_kinds_of_jpeg_that_nobody_can_write_again_are_one_line(marker: int, said: str) -> None:
    source = bytearray(source_of("RGB", 64, 64))
    source[frame_at(bytes(source)) + 1] = marker
    with pytest.raises(InputError, match=said):
        read_photo(bytes(source))


def test_four_channels_need_adobes_marker() -> None:
    source = source_of("CMYK", 64, 64)
    bare = b"".join([source[:2], *(s.coded() for s in parse_jpeg(source).segments if s.marker != 0xEE), b"\xff\xd9"])
    with pytest.raises(InputError, match="Adobe's marker"):
        read_photo(bare)


def test_coefficients_beyond_what_8_bits_can_be_are_not_written_again_in_silence() -> None:
    source = source_of("L", 64, 64, quality=100)
    tables = bytearray(source)
    at = tables.index(b"\xff\xdb")
    tables[at + 5 : at + 69] = bytes([255]) * 64  # the same coefficients, now of far more levels
    photo = read_photo(bytes(tables))
    mask = np.zeros((64, 64), bool)
    mask[20:30, 20:30] = True
    result, notes = encode_photo(photo, photo.pixels, mask)
    away = np.ones((64, 64), bool)
    away[16:32, 16:32] = False
    same = np.array_equal(read_photo(result).pixels[away], photo.pixels[away])
    assert same or any("largest difference" in note for note in notes)


def test_no_memory_is_lost_on_damaged_files() -> None:
    source = bytearray(source_of("RGB", 400, 400))
    at = source.index(b"\xff\xc4") + 5
    source[at : at + 16] = b"\xff" * 16
    before = 0
    for count in range(200):
        with pytest.raises(InputError):
            read_photo(bytes(source))
        if count == 50:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # KiB


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
