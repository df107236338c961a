"""TIFF files: every channel outside the hole as stored, the picture and not its thumbnail, no raw files."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from facefill.errors import InputError
from facefill.files.jpeg import join_resources
from facefill.files.photo import Photo, encode_photo, read_photo

from . import photo_files as files


def completed(photo: Photo) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], bytes]:
    """The samples of the result as tifffile reads them, the mask, the notes, the file."""
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[5:15, 8:30] = True
    result, notes = encode_photo(photo, 255 - photo.pixels, mask)
    with tifffile.TiffFile(io.BytesIO(result)) as written:
        return written.pages[0].asarray(), mask, notes, result


def extra_of(data: bytes) -> tuple[int, ...]:
    with tifffile.TiffFile(io.BytesIO(data)) as written:
        return tuple(written.pages[0].extrasamples)


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_further_channel_of_any_kind_stays_as_it_is(extra: int, channels: int, compression: str | None) -> None:
    samples = files.picture(30, 41, channels)
    if extra == 1:
        samples[..., :-1] = samples[..., :-1].astype(int) * samples[..., -1:] // 255
    options = {"photometric": "minisblack", "planarconfig": "contig"} if channels == 2 else {}
    source = files.tiff(samples, extrasamples=[extra], compression=compression, **options)
    photo = read_photo(source)
    after, mask, _, result = completed(photo)
    assert np.array_equal(after[~mask], samples[~mask])
    assert np.array_equal(after[..., -1], samples[..., -1])
    assert extra_of(result) == (extra,)
    if extra == 1:  # the view is straight, and what is new is multiplied by alpha
        expected = samples[..., :-1] / np.maximum(samples[..., -1:], 1) * 255
        assert np.abs(photo.pixels[..., : channels - 1] - expected.clip(0, 255)).max() <= 1
        assert (after[mask][:, :-1] <= after[mask][:, -1:]).all()


def test_premultiplied_colours_become_straight_in_other_formats() -> None:
    samples = files.picture(30, 41, 4)
    samples[..., :-1] = samples[..., :-1].astype(int) * samples[..., -1:] // 255
    photo = read_photo(files.tiff(samples, extrasamples=[1]))
    result, _ = encode_photo(photo, photo.pixels, np.eye(30, 41, dtype=bool), format="PNG")
    assert np.array_equal(files.samples_of(result)[..., 3], samples[..., 3])
    assert np.array_equal(files.samples_of(result)[..., :3], photo.pixels)


def test_colours_under_no_alpha_are_black_in_the_view_and_stay_in_the_file() -> None:
    samples = files.picture(30, 41, 4)
    samples[20:, :, 3] = 0
    photo = read_photo(files.tiff(samples, extrasamples=[1]))
    assert not photo.pixels[20:].any()
    after, mask, _, _ = completed(photo)
    assert np.array_equal(after[~mask], samples[~mask])


def test_a_channel_that_may_be_anything_stays_behind_and_that_is_said() -> None:
    photo = read_photo(files.tiff(files.picture(30, 41, 4), extrasamples=[0]))
    result, notes = encode_photo(photo, photo.pixels, np.eye(30, 41, dtype=bool), format="PNG")
    assert "its further channel is left out" in notes
    assert files.opened(result).mode == "RGB"


def test_16_bits_in_planes_or_of_inks_are_one_line() -> None:
    planes = np.moveaxis(files.picture(30, 41, bits=16), -1, 0)
    for source in (
        files.tiff(planes, planarconfig="separate"),
        files.tiff(files.picture(30, 41, 4, bits=16), photometric="separated"),
    ):
        with pytest.raises(InputError, match="16-bit grey or RGB"):
            read_photo(source)


def test_iptc_and_photoshops_blocks_of_a_tiff_keep_their_texts_alone() -> None:
    iptc, picture = b"\x1c\2\x05\0\5title", b"\xff\xd8\xff\xe0old" * 100
    blocks = join_resources(iptc) + b"8BIM" + struct.pack(">HHI", 0x0409, 0, len(picture)) + picture
    photo = read_photo(
        files.tiff(
            files.picture(30, 41),
            extratags=[(34377, 7, len(blocks), blocks, True), (37724, 7, len(picture), picture, True)],
        )
    )
    _, _, notes, result = completed(photo)
    assert iptc in result
    assert b"old" not in result
    assert "Photoshop's layers" in notes[0]
    assert "Photoshop's thumbnail" in notes[0]


def test_more_channels_than_can_be_kept_are_one_line() -> None:
    with pytest.raises(InputError, match="at most 1 channels beside 3 of colour, got 2"):
        read_photo(files.tiff(files.picture(30, 41, 5), extrasamples=[0, 0]))
    with pytest.raises(InputError, match="at most 0 channels beside 4 of colour, got 1"):
        read_photo(files.tiff(files.picture(30, 41, 5), photometric="separated", extrasamples=[2]))


@pytest.mark.parametrize("format", ["PNG", "BMP", "JPEG"])
def test_16_bits_that_are_multiplied_by_alpha_become_straight_before_they_are_rounded(format: str) -> None:
    samples = files.picture(30, 41, 4, bits=16)
    samples[..., 3] = np.linspace(300, 65535, 41)
    samples[..., :3] = samples[..., :3].astype(np.uint32) * samples[..., 3:] // 65535
    photo = read_photo(files.tiff(samples, extrasamples=[1]))
    result, _ = encode_photo(photo, photo.pixels, np.eye(30, 41, dtype=bool), format=format)
    difference = np.abs(read_photo(result).pixels.astype(int) - photo.pixels)
    assert difference.mean() < 3 if format == "JPEG" else difference.max() == 0


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_or_upside_down_is_said(bits: int) -> None:
    few = Image.fromarray(files.picture(30, 41, 1)[..., 0] >> (8 - bits))
    source = bytearray(files.coded(few, "TIFF"))
    rows = np.packbits(np.unpackbits(np.asarray(few)[..., None], axis=2)[..., 8 - bits :].reshape(30, -1), axis=1)
    start = struct.unpack_from("<I", source, source.index(struct.pack("<HHI", 273, 4, 1)) + 8)[0]
    source[start : start + rows.size] = rows.tobytes()
    struct.pack_into("<H", source, source.index(struct.pack("<HHI", 258, 3, 1)) + 8, bits)
    photo = read_photo(bytes(source))
    assert photo.notes == (f"its {bits}-bit grey becomes 8-bit",)
    assert np.array_equal(photo.pixels[..., 0], np.asarray(few) * (255 // (2**bits - 1)))
    negative = read_photo(files.tiff(files.picture(30, 41, 1)[..., 0], photometric="miniswhite"))
    assert "0 is black" in negative.notes[0]
    assert np.array_equal(negative.pixels[..., 0], 255 - files.picture(30, 41, 1)[..., 0])


def test_of_several_pictures_the_largest_is_taken_and_written_alone() -> None:
    small, large = files.picture(10, 14), files.picture(40, 56)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(small, photometric="rgb", subfiletype=1, metadata=None)
        writer.write(large, photometric="rgb", metadata=None)
    photo = read_photo(stream.getvalue())
    assert photo.notes == ("it holds 2 pictures: only the largest is used",)
    after, mask, notes, result = completed(photo)
    assert np.array_equal(after[~mask], large[~mask])
    assert "further pictures" in notes[0]
    with tifffile.TiffFile(io.BytesIO(result)) as written:
        assert len(written.pages) == 1


def test_16_bits_of_a_later_page_keep_their_bits() -> None:
    small, large = files.picture(10, 14, bits=16), files.picture(40, 56, bits=16)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for page in (small, large):
            writer.write(page, photometric="rgb", metadata=None)
    after, mask, _, _ = completed(read_photo(stream.getvalue()))
    assert after.dtype == np.uint16
    assert np.array_equal(after[~mask], large[~mask])


@pytest.mark.parametrize(
    ("pages", "chosen"),
    [
        ([(48, {"subfiletype": 4, "photometric": "minisblack"}), (40, {})], 1),
        ([(40, {"subfiletype": 1}), (40, {}), (10, {})], 1),
        ([(44, {"subfiletype": 1}), (40, {"subfiletype": 2})], 1),
        ([(10, {"subfiletype": 1}), (40, {"subfiletype": 1})], 1),
    ],
    ids=["a mask", "reduced and as large", "reduced and larger", "all are reduced"],
)
def test_reduced_pictures_and_masks_come_last(pages: list[Any], chosen: int) -> None:
    stream, written = io.BytesIO(), []
    with tifffile.TiffWriter(stream, byteorder=">") as writer:
        for seed, (side, options) in enumerate(pages):
            samples = files.picture(side, side, seed=seed)
            written.append(samples[..., 0] > 128 if "photometric" in options else samples)
            writer.write(written[-1], metadata=None, **({"photometric": "rgb"} | options))
    assert np.array_equal(read_photo(stream.getvalue()).pixels, written[chosen])


@pytest.mark.parametrize("options", [{}, {"photometric": 32803}, {"byteorder": ">"}, {"bigtiff": True}])
def test_a_picture_that_hides_a_larger_one_or_a_raw_one_is_one_line(options: dict[str, Any]) -> None:
    layout = {key: options[key] for key in ("byteorder", "bigtiff") if key in options}
    for first, second in ((12, 40), (40, 12)):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream, **layout) as writer:
            writer.write(files.picture(first, first), photometric="rgb", metadata=None, subifds=1)
            within = files.picture(second, second, 1)[..., 0]
            writer.write(within, photometric=options.get("photometric", "minisblack"), metadata=None)
        if second > first or "photometric" in options:
            with pytest.raises(InputError, match="raw file"):
                read_photo(stream.getvalue())
        else:
            assert np.array_equal(read_photo(stream.getvalue()).pixels, files.picture(first, first))


@pytest.mark.parametrize("within", [0, 8, 600, 2**31 - 1])
def test_a_directory_within_that_is_none_costs_nothing(within: int) -> None:
    source = files.tiff(files.picture(30, 41), extratags=[(60000, 4, 1, within, True)])
    photo = read_photo(source.replace(struct.pack("<HHI", 60000, 4, 1), struct.pack("<HHI", 330, 4, 1)))
    assert np.array_equal(photo.pixels, files.picture(30, 41))


@pytest.mark.parametrize(
    ("name", "extratags"),
    [("DNG", [(50706, 1, 4, b"\1\4\0\0", True)]), ("a pattern of colours", [(33422, 1, 4, b"\0\1\1\2", True)])],
)
def test_a_cameras_raw_file_is_one_line(name: str, extratags: list[Any]) -> None:
    with pytest.raises(InputError, match="raw file"):
        read_photo(files.tiff(files.picture(30, 41), extratags=extratags))


def test_a_thumbnail_that_points_to_the_rest_is_a_raw_file() -> None:
    source = files.tiff(files.picture(30, 41), subfiletype=1, extratags=[(60000, 4, 1, 8, True)])
    with pytest.raises(InputError, match="raw file"):
        read_photo(source.replace(struct.pack("<HHI", 60000, 4, 1), struct.pack("<HHI", 330, 4, 1)))
    with pytest.raises(InputError, match="raw file"):
        read_photo(source[:8] + b"CR\2\0" + source[12:])


@pytest.mark.parametrize("density", [(1, 0), (0, 0), (0, 1)])
def test_a_resolution_that_is_no_number_is_no_resolution(density: tuple[int, int]) -> None:
    source = bytearray(files.tiff(files.picture(30, 41), resolution=((72, 1), (72, 1)), resolutionunit=2))
    at = source.index(struct.pack("<II", 72, 1))
    source[at : at + 8] = struct.pack("<II", *density)
    after, mask, _, _ = completed(read_photo(bytes(source)))
    assert np.array_equal(after[~mask], files.picture(30, 41)[~mask])


def test_a_resolution_of_an_unknown_unit_becomes_one_of_none() -> None:
    exif = Image.Exif()
    exif[282] = exif[283] = 72.0
    exif[296] = 9
    photo = read_photo(files.coded(files.image("RGB"), "JPEG", exif=exif))
    result, _ = encode_photo(photo, photo.pixels, np.eye(37, 53, dtype=bool), format="TIFF")
    with tifffile.TiffFile(io.BytesIO(result)) as written:
        assert written.pages[0].tags[296].value == 1
        assert written.pages[0].tags[282].value == (72, 1)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "options", [{}, {"rowsperstrip": 8}, {"tile": (16, 16)}, {"compression": "zlib"}, {"bigtiff": True}]
)
def test_a_picture_of_which_strips_or_tiles_are_missing_is_one_line(options: dict[str, Any], bits: int) -> None:
    source = files.tiff(files.picture(48, 64, bits=bits), **options)
    assert read_photo(source).pixels.shape == (48, 64, 3)
    with tifffile.TiffFile(io.BytesIO(source)) as whole:
        tags = whole.pages[0].tags
        starts, height = tags[324 if "tile" in options else 273], tags[257]
    taller, nowhere = bytearray(source), bytearray(source)
    struct.pack_into("<H", taller, height.valueoffset, 96)
    wide = starts.dtype == 16
    struct.pack_into("<Q" if wide else "<I", nowhere, starts.valueoffset + (8 if wide else 4) * (starts.count - 1), 0)
    for broken in (taller, nowhere):
        with pytest.raises(InputError, match="cut off"):
            read_photo(bytes(broken))


def test_directories_that_share_bytes_or_point_outside_are_one_line() -> None:
    source = files.tiff(files.picture(30, 41))
    (at,) = struct.unpack_from("<I", source, 4)
    (count,) = struct.unpack_from("<H", source, at)
    shared = b"".join(struct.pack("<HHII", 60000 + number, 7, len(source), 0) for number in range(2000))
    directory = struct.pack("<H", count + 2000) + source[at + 2 : at + 2 + 12 * count] + shared + bytes(4)
    fat = source[:4] + struct.pack("<I", len(source)) + source[8:] + directory
    for broken in (fat, source[:4] + b"\xff\xff\xff\x7f" + source[8:], b"II*\0\x08\0\0\0"):
        with pytest.raises(InputError):
            read_photo(broken)


def test_tiles_far_larger_than_the_picture_are_one_line() -> None:
    source = bytearray(files.tiff(files.picture(64, 64), tile=(64, 64)))
    for number in (322, 323):
        at = source.index(struct.pack("<H", number))
        struct.pack_into("<HII", source, at + 2, 4, 1, 60_000)
    with pytest.raises(InputError, match="damaged"):
        read_photo(bytes(source))


def test_numbers_that_are_no_counts_are_one_line() -> None:
    samples = (files.picture(30, 41)[..., 0] / 255).astype(np.float32)
    for odd in (samples, samples.astype(np.int16), samples.astype(np.uint32)):
        with pytest.raises(InputError):
            read_photo(files.tiff(odd))


def with_tag(source: bytes, number: int, kind: int, value: bytes, *, first: bool = True) -> bytes:
    """A little-endian TIFF with one more entry of at most four bytes, before or behind all others."""
    (at,) = struct.unpack_from("<I", source, 4)
    (count,) = struct.unpack_from("<H", source, at)
    entries = [source[at + 2 : at + 2 + 12 * count]]
    entries.insert(0 if first else 1, struct.pack("<HHI4s", number, kind, 1, value))
    head = source[:4] + struct.pack("<I", len(source)) + source[8:]
    return head + struct.pack("<H", count + 1) + b"".join(entries) + bytes(4)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("kind", "value"),
    [(kind, struct.pack("<I", 6)) for kind in (1, 3, 4, 6, 8, 9, 13)] + [(11, struct.pack("<f", 6)), (2, b"6\0\0\0")],
)
def test_an_orientation_of_any_kind_of_number_turns_no_sample(kind: int, value: bytes, first: bool) -> None:
    samples = files.picture(30, 41)
    photo = read_photo(with_tag(files.tiff(samples), 274, kind, value, first=first))
    assert photo.orientation == (6 if kind in (3, 4, 6, 8, 9) else 1)
    assert photo.pixels.shape == ((41, 30, 3) if photo.orientation == 6 else (30, 41, 3))
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[20:, 20:] = True
    result, _ = encode_photo(photo, 255 - photo.pixels, mask)
    after = tifffile.imread(io.BytesIO(result))
    assert after.shape == samples.shape
    assert np.array_equal(after[:8, :18], samples[:8, :18])
    assert not np.array_equal(after, samples)


@pytest.mark.parametrize("kind", [1, 2, 7])
def test_xmp_of_any_kind_of_value_is_read(kind: int) -> None:
    said = b"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:t='http://ns.adobe.com/tiff/1.0/'>"
    said += b"<r:Description t:Orientation='3'/></r:RDF>"
    source = files.tiff(files.picture(30, 41), extratags=[(60000, 7, len(said), said, True)])
    entry = source.index(struct.pack("<HH", 60000, 7))
    source = source[:entry] + struct.pack("<HH", 700, kind) + source[entry + 4 :]
    photo = read_photo(source)
    assert photo.orientation == 3
    after, mask, _, _ = completed(photo)
    assert np.array_equal(after[::-1, ::-1][~mask], files.picture(30, 41)[::-1, ::-1][~mask])


@pytest.mark.parametrize("kind", [1, 3, 4, 8])
def test_what_a_further_channel_is_may_be_any_kind_of_number(kind: int) -> None:
    samples = files.picture(30, 41, 4)
    source = bytearray(files.tiff(samples, extrasamples=[1]))
    struct.pack_into("<H", source, source.index(struct.pack("<HHI", 338, 3, 1)) + 2, kind)
    after, mask, _, _ = completed(read_photo(bytes(source)))
    assert np.array_equal(after[~mask], samples[~mask])
