"""TIFF files: every channel outside the hole as stored, the picture and not its thumbnail, no raw files."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile

from facefill.errors import InputError
from facefill.files.jpeg import join_resources
from facefill.files.photo import Photo, encode_photo, read_photo

from . import photo_files as files


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    single = samples.ndim == 2
    defaults = {"photometric": "minisblack" if single else "rgb", "metadata": None}
    tifffile.imwrite(stream, samples, **(defaults | options))
    return stream.getvalue()


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
    source = tiff(samples, extrasamples=[extra], compression=compression, **options)
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
    photo = read_photo(tiff(samples, extrasamples=[1]))
    result, _ = encode_photo(photo, photo.pixels, np.eye(30, 41, dtype=bool), format="PNG")
    assert np.array_equal(files.samples_of(result)[..., 3], samples[..., 3])
    assert np.array_equal(files.samples_of(result)[..., :3], photo.pixels)


def test_a_channel_that_may_be_anything_stays_behind_and_that_is_said() -> None:
    photo = read_photo(tiff(files.picture(30, 41, 4), extrasamples=[0]))
    result, notes = encode_photo(photo, photo.pixels, np.eye(30, 41, dtype=bool), format="PNG")
    assert "its further channel is left out" in notes
    assert files.opened(result).mode == "RGB"


def test_16_bits_in_planes_or_of_inks_are_one_line() -> None:
    planes = np.moveaxis(files.picture(30, 41, bits=16), -1, 0)
    for source in (
        tiff(planes, planarconfig="separate"),
        tiff(files.picture(30, 41, 4, bits=16), photometric="separated"),
    ):
        with pytest.raises(InputError, match="16-bit grey or RGB"):
            read_photo(source)


def test_iptc_and_photoshops_blocks_of_a_tiff_keep_their_texts_alone() -> None:
    iptc, picture = b"\x1c\2\x05\0\5title", b"\xff\xd8\xff\xe0old" * 100
    blocks = join_resources(iptc) + b"8BIM" + struct.pack(">HHI", 0x0409, 0, len(picture)) + picture
    photo = read_photo(
        tiff(
            files.picture(30, 41),
            extratags=[(34377, 7, len(blocks), blocks, True), (37724, 7, len(picture), picture, True)],
        )
    )
    _, _, notes, result = completed(photo)
    assert iptc in result
    assert b"old" not in result
    assert "Photoshop's layers" in notes[0]
    assert "Photoshop's thumbnail" in notes[0]


def test_several_further_channels_are_one_line() -> None:
    with pytest.raises(InputError, match="one channel beside the colours"):
        read_photo(tiff(files.picture(30, 41, 5), extrasamples=[0, 0]))


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
    ("name", "extratags"),
    [("DNG", [(50706, 1, 4, b"\1\4\0\0", True)]), ("a pattern of colours", [(33422, 1, 4, b"\0\1\1\2", True)])],
)
def test_a_cameras_raw_file_is_one_line(name: str, extratags: list[Any]) -> None:
    with pytest.raises(InputError, match="raw file"):
        read_photo(tiff(files.picture(30, 41), extratags=extratags))


def test_a_thumbnail_that_points_to_the_rest_is_a_raw_file() -> None:
    source = tiff(files.picture(30, 41), subfiletype=1, extratags=[(60000, 4, 1, 8, True)])
    with pytest.raises(InputError, match="raw file"):
        read_photo(source.replace(struct.pack("<HHI", 60000, 4, 1), struct.pack("<HHI", 330, 4, 1)))
    with pytest.raises(InputError, match="raw file"):
        read_photo(source[:8] + b"CR\2\0" + source[12:])


@pytest.mark.parametrize("density", [(1, 0), (0, 0), (0, 1)])
def test_a_resolution_that_is_no_number_is_no_resolution(density: tuple[int, int]) -> None:
    source = bytearray(tiff(files.picture(30, 41), resolution=((72, 1), (72, 1)), resolutionunit=2))
    at = source.index(struct.pack("<II", 72, 1))
    source[at : at + 8] = struct.pack("<II", *density)
    after, mask, _, _ = completed(read_photo(bytes(source)))
    assert np.array_equal(after[~mask], files.picture(30, 41)[~mask])


def test_directories_that_share_bytes_or_point_outside_are_one_line() -> None:
    source = tiff(files.picture(30, 41))
    (at,) = struct.unpack_from("<I", source, 4)
    (count,) = struct.unpack_from("<H", source, at)
    shared = b"".join(struct.pack("<HHII", 60000 + number, 7, len(source), 0) for number in range(2000))
    directory = struct.pack("<H", count + 2000) + source[at + 2 : at + 2 + 12 * count] + shared + bytes(4)
    fat = source[:4] + struct.pack("<I", len(source)) + source[8:] + directory
    for broken in (fat, source[:4] + b"\xff\xff\xff\x7f" + source[8:], b"II*\0\x08\0\0\0"):
        with pytest.raises(InputError):
            read_photo(broken)


def test_tiles_far_larger_than_the_picture_are_one_line() -> None:
    source = bytearray(tiff(files.picture(64, 64), tile=(64, 64)))
    for number in (322, 323):
        at = source.index(struct.pack("<H", number))
        struct.pack_into("<HII", source, at + 2, 4, 1, 60_000)
    with pytest.raises(InputError, match="damaged"):
        read_photo(bytes(source))


def test_numbers_that_are_no_counts_are_one_line() -> None:
    samples = (files.picture(30, 41)[..., 0] / 255).astype(np.float32)
    for odd in (samples, samples.astype(np.int16), samples.astype(np.uint32)):
        with pytest.raises(InputError):
            read_photo(tiff(odd))
