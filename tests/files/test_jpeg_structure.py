"""What a JPEG says of itself is read with suspicion: segments, frames, scans, sampling, memory."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import jpegio
import numpy as np
import pytest

from facefill.errors import InputError
from facefill.files.jpeg import Segment, parse_jpeg
from facefill.files.photo import encode_photo, read_photo
from tests.files.test_jpeg import SWIFT, coefficients, some_hole, source_of

from . import photo_files as files


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


def test_a_jpeg_that_ends_where_a_restart_should_be_is_refused() -> None:
    source = source_of("RGB", 160, 200, restart_marker_rows=1)
    ends = [at for at in range(len(source) - 1) if source[at] == 0xFF and source[at + 1] in range(0xD0, 0xD8)]
    assert len(ends) == 9
    for at in ends:
        for cut in (at, at + 2):
            with pytest.raises(InputError, match="cut off"):
                read_photo(source[:cut] + b"\xff\xd9")


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


def test_a_table_with_a_step_of_0_is_not_written_again() -> None:
    source = bytearray(source_of("RGB", 64, 64))
    source[source.index(b"\xff\xdb") + 5 + 63] = 0
    photo = read_photo(bytes(source))
    result, notes = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape))
    assert "blocks could not be kept" in notes[0]
    assert read_photo(result).pixels.shape == photo.pixels.shape


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


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("value", [1023, 1024, 1500, -1400])
def test_coefficients_beyond_what_huffman_codes_hold_are_coded_anew_and_that_is_said(
    mode: str, value: int, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(source_of(mode, 96, 96, subsampling=0))
    picture = jpegio.read(str(tmp_path / "photo.jpg"))
    picture.coef_arrays[0][80, 80] = value
    picture.write(str(tmp_path / "photo.jpg"))
    source = (tmp_path / "photo.jpg").read_bytes()
    photo = read_photo(source)
    result, notes = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape))
    away = np.ones((96, 96), bool)
    away[16:40, 24:56] = away[-8:, -8:] = False
    seen = [np.asarray(files.opened(data).convert("RGB")).astype(int) for data in (source, result)]
    largest = np.abs(seen[0] - seen[1])[away].max()
    assert any("blocks could not be kept" in note for note in notes) == (abs(value) > 1023)
    assert largest == 0 or int(notes[-1].split("difference is ")[1].split()[0]) >= largest


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read in /proc")
def test_no_memory_is_lost_on_damaged_files() -> None:
    source = bytearray(source_of("RGB", 400, 400))
    at = source.index(b"\xff\xc4") + 5
    source[at : at + 16] = b"\xff" * 16
    before = 0
    for count in range(200):
        with pytest.raises(InputError):
            read_photo(bytes(source))
        if count == 50:
            before = files.memory("VmRSS")
    assert files.memory("VmRSS") - before < 10_000


def test_of_several_marks_of_adobe_the_last_one_before_the_samples_counts_as_for_libjpeg() -> None:
    source = parse_jpeg(source_of("RGB", 64, 64, subsampling=0))
    marks = [Segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) for transform in (0, 1)]
    for metadata in (marks, marks[::-1]):
        data = source.coded(metadata)
        photo = read_photo(data)
        assert np.array_equal(photo.pixels, files.samples_of(data))
        result, _ = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape))
        assert np.array_equal(files.samples_of(result)[48:, :48], files.samples_of(data)[48:, :48])
    behind = source.coded([])[:-2] + marks[0].coded() + b"\xff\xd9"
    assert np.array_equal(read_photo(behind).pixels, read_photo(source.coded([])).pixels)


@pytest.mark.parametrize("marker", [0x02, 0xBF, 0xDC, 0xF0, 0xFD])
def test_a_segment_that_nobody_knows_goes_and_that_is_said(marker: int) -> None:
    source = parse_jpeg(source_of("RGB", 64, 64))
    photo = read_photo(source.coded([Segment(marker, b"old face")]))
    result, notes = encode_photo(photo, 255 - photo.pixels, some_hole(photo.pixels.shape))
    assert f"a block of kind {marker:02X}" in notes[0]
    assert b"old face" not in result


def in_scans_of_one_channel(factors: tuple[int, ...], adobe: int | None, **options: bool) -> bytes:
    """A JPEG of 80 x 64 pixels whose channels have these sampling factors, each of a grey JPEG's scans."""
    most = max(factor >> 4 for factor in factors), max(factor & 15 for factor in factors)
    parts = []
    for number, factor in enumerate(factors):
        height, width = 64 * (factor & 15) // most[1], 80 * (factor >> 4) // most[0]
        grey = files.picture(height, width, 1, seed=number)[..., 0]
        parts.append(parse_jpeg(files.coded(grey, "JPEG", quality=92, **options)).segments)
    kinds = b"".join(bytes([number + 1, factor, 0]) for number, factor in enumerate(factors))
    frame = next(s for s in parts[0] if s.marker in (0xC0, 0xC2))
    head = [Segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))] if adobe is not None else []
    head += [s for s in parts[0] if s.marker == 0xDB]
    head.append(Segment(frame.marker, frame.payload[:5] + bytes([len(factors)]) + kinds))
    scans = [
        s._replace(payload=bytes([1, number + 1]) + s.payload[2:]) if s.marker == 0xDA else s
        for number, segments in enumerate(parts)
        for s in segments
        if s.marker in (0xDA, 0xC4)
    ]
    return b"".join([b"\xff\xd8", *(s.coded() for s in (*head, *scans)), b"\xff\xd9"])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    ("factors", "adobe"),
    [
        ((0x11, 0x11, 0x11), None),
        ((0x22, 0x11, 0x11), None),
        ((0x42, 0x11, 0x11), None),
        ((0x22, 0x11, 0x11, 0x22), 2),
        ((0x22, 0x11, 0x11, 0x22), 0),
    ],
    ids=["4:4:4", "4:2:0", "4:1:0", "YCCK", "CMYK"],
)
def test_channels_in_scans_of_their_own_keep_their_blocks_each_time(
    factors: tuple[int, ...], adobe: int | None, progressive: bool
) -> None:
    source = in_scans_of_one_channel(factors, adobe, progressive=progressive)
    photo = read_photo(source)
    assert np.array_equal(photo.pixels, np.asarray(files.opened(source).convert("RGB")))
    mask = np.zeros((64, 80), bool)
    mask[32:, 32:] = True
    results = [encode_photo(photo, 255 - photo.pixels, mask, provenance=SWIFT) for _ in range(8)]
    assert {notes for _, notes in results} == {()}
    assert len({data for data, _ in results}) == 1
    for before, after in zip(coefficients(source), coefficients(results[0][0]), strict=True):
        rows, columns = before.shape[0] // 2, before.shape[1] * 2 // 5
        assert np.array_equal(after[:rows], before[:rows])
        assert np.array_equal(after[:, :columns], before[:, :columns])
