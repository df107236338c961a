"""One orientation for photo and mask, wherever the file says it; nothing outside the hole is turned or changed."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from facefill.files.jpeg import Segment, parse_jpeg
from facefill.files.mask import read_mask
from facefill.files.orientation import as_stored, orientation_of
from facefill.files.photo import encode_photo, read_photo
from facefill.files.png import Chunk
from facefill.files.tags import Tag, build_block, tag_of

from . import photo_files as files


def block(orientation: int) -> bytes:
    return build_block("<", [tag_of("<", 0x0112, 3, orientation)])


def packet(orientation: int, *, element: bool = False) -> bytes:
    inside = (
        f"><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>"
        if element
        else (f" tiff:Orientation='{orientation}'/>")
    )
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/'{inside}</rdf:RDF></x:xmpmeta>"
    ).encode()


def png_with(samples: np.ndarray, *chunks: Chunk, behind: bool = False) -> bytes:
    source = files.coded(samples, "PNG")
    at = source.index(b"IEND") - 4 if behind else 33
    return source[:at] + b"".join(chunk.coded() for chunk in chunks) + source[at:]


XMP_CHUNK = b"XML:com.adobe.xmp\0\0\0\0\0"


def hexadecimal(exif: bytes) -> bytes:
    data = b"Exif\0\0" + exif
    return b"Raw profile type exif\0\nexif\n" + f"{len(data):8}".encode() + b"\n" + data.hex().encode() + b"\n"


def said_in_png(way: str, orientation: int) -> tuple[Chunk, bool]:
    return {
        "eXIf": (Chunk(b"eXIf", block(orientation)), False),
        "eXIf behind": (Chunk(b"eXIf", block(orientation)), True),
        "XMP": (Chunk(b"iTXt", XMP_CHUNK + packet(orientation)), False),
        "XMP behind": (Chunk(b"iTXt", XMP_CHUNK + packet(orientation, element=True)), True),
        "hexadecimal": (Chunk(b"tEXt", hexadecimal(block(orientation))), False),
    }[way]


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("way", ["eXIf", "eXIf behind", "XMP", "XMP behind", "hexadecimal"])
def test_a_png_may_say_it_anywhere_and_its_mask_is_turned_alike(way: str, orientation: int) -> None:
    samples = files.picture(40, 56)
    chunk, behind = said_in_png(way, orientation)
    photo = read_photo(png_with(samples, chunk, behind=behind))
    assert photo.orientation == orientation
    drawn = np.zeros((40, 56), np.uint8)
    drawn[6:16, 10:14] = 255
    mask = read_mask(png_with(drawn, chunk, behind=behind), photo.pixels.shape)
    assert np.array_equal(as_stored(mask, orientation), drawn > 0)
    result, _ = encode_photo(photo, 255 - photo.pixels, mask)
    after = files.samples_of(result)
    assert np.array_equal(after[drawn == 0], samples[drawn == 0])
    assert (after[drawn > 0] != samples[drawn > 0]).any()
    assert read_photo(result).orientation == orientation


def test_a_jpeg_may_say_it_in_its_second_segment_or_in_xmp() -> None:
    source = parse_jpeg(files.coded(files.picture(40, 56), "JPEG"))
    first, empty = (Segment(0xE1, b"Exif\0\0" + data) for data in (block(6), build_block("<", [])))
    xmp = Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(8))
    for metadata, expected in (([empty, first], 6), ([xmp], 8), ([xmp, first], 6), ([first, xmp], 6), ([empty], 1)):
        photo = read_photo(source.coded(metadata))
        assert photo.orientation == expected
        mask = np.zeros(photo.pixels.shape[:2], bool)
        mask[:8, :8] = True
        result, _ = encode_photo(photo, photo.pixels, mask)
        assert read_photo(result).orientation == expected
        assert files.opened(result).size == (56, 40)


@pytest.mark.parametrize(("tag", "xmp", "expected"), [(None, 6, 6), (1, 6, 1), (8, 6, 8), (3, None, 3)])
@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (8, 3), (16, 1), (16, 3)])
def test_a_tiff_keeps_its_samples_as_they_are_stored(
    bits: int, channels: int, tag: int | None, xmp: int | None, expected: int
) -> None:
    samples = files.picture(40, 56, channels, bits=bits)
    samples = samples[..., 0] if channels == 1 else samples
    extratags: list[Any] = [(274, 3, 1, tag, True)] if tag else []
    extratags += [(700, 1, len(packet(xmp)), packet(xmp), True)] if xmp else []
    stream = io.BytesIO()
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(stream, samples, photometric=photometric, extratags=extratags, metadata=None)
    photo = read_photo(stream.getvalue())
    assert photo.orientation == expected
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[5:9, 7:20] = True
    result, _ = encode_photo(photo, 255 - photo.pixels, mask)
    with tifffile.TiffFile(io.BytesIO(result)) as written:
        after, tags = written.pages[0].asarray(), written.pages[0].tags
        assert (tags[274].value if 274 in tags else None) == tag
    assert after.shape == samples.shape
    hole = as_stored(mask, expected)
    assert np.array_equal(after[~hole], samples[~hole])
    assert (after[hole] != samples[hole]).any()


def test_webp_says_it_in_exif_or_xmp() -> None:
    face = Image.fromarray(files.picture(40, 56))
    for options, expected in (({"exif": b"Exif\0\0" + block(6)}, 6), ({"xmp": packet(8)}, 8)):
        photo = read_photo(files.coded(face, "WEBP", lossless=True, **options))
        assert photo.orientation == expected
        result, _ = encode_photo(photo, photo.pixels, np.eye(56, 40, dtype=bool))
        assert read_photo(result).orientation == expected


@pytest.mark.parametrize(
    ("kind", "length", "value", "expected"),
    [(3, 1, 6, 6), (4, 1, 6, 6), (3, 1, 0, 1), (3, 1, 9, 1), (3, 0, 6, 1), (2, 2, 6, 1), (3, 2, 6, 6)],
)
def test_what_is_no_orientation_is_none(kind: int, length: int, value: int, expected: int) -> None:
    size = {2: 1, 3: 2, 4: 4}[kind] * length
    exif = build_block("<", [Tag(0x0112, kind, length, struct.pack("<II", value, 0)[:size])])
    assert orientation_of([exif]) == expected


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_image_that_is_opened_and_not_yet_decoded_is_turned_once(name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = files.coded(files.picture(40, 56), name, exif=exif, **({"lossless": True} if name == "WEBP" else {}))
    photo = read_photo(files.opened(source))
    assert np.array_equal(photo.pixels, read_photo(source).pixels)
    result, _ = encode_photo(photo, photo.pixels, np.eye(56, 40, dtype=bool), format="PNG")
    assert np.array_equal(read_photo(result).pixels, photo.pixels)


def test_a_mask_of_a_turned_photo_that_is_drawn_upright_fits_too() -> None:
    photo = read_photo(png_with(files.picture(40, 56), Chunk(b"eXIf", block(6))))
    drawn = np.zeros((56, 40), np.uint8)
    drawn[:10, :10] = 255
    assert np.array_equal(read_mask(files.coded(drawn, "PNG"), photo.pixels.shape), drawn > 0)
    assert cv2.countNonZero(drawn) == 100
