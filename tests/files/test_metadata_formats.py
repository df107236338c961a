"""What the metadata of PNG and TIFF keeps, and the resolution that goes along."""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import PngImagePlugin, TiffImagePlugin

from facefill.errors import InputError
from facefill.files import xmp as packets
from facefill.files.jpeg import Segment, join_resources, parse_jpeg
from facefill.files.metadata import Found, is_harmless, keep
from facefill.files.photo import encode_photo, read_photo
from facefill.files.png import Chunk, parse_png
from facefill.files.xmp import stamp_xmp
from tests.files.test_metadata import (
    IPTC,
    OLD,
    SOURCE_TYPE,
    SWIFT,
    TEXT,
    TRACES,
    completed,
    gimage,
    hidden_in_exif,
    properties,
)

from . import photo_files as files


def png_with(*chunks: Chunk, behind: bool = False, trailer: bytes = b"") -> bytes:
    source = files.coded(files.image("RGB", 40, 48), "PNG")
    at = source.index(b"IEND") - 4 if behind else 33
    return source[:at] + b"".join(chunk.coded() for chunk in chunks) + source[at:] + trailer


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(b"prVt", OLD),
        Chunk(b"iDOT", OLD),
        Chunk(b"tEXt", b"Raw profile type 8bim\0" + TEXT),
        Chunk(b"tEXt", b"Comment\0" + TEXT),
        Chunk(b"zTXt", b"thumbnail\0\0" + zlib.compress(TEXT)),
        Chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + gimage(TEXT)),
        Chunk(b"eXIf", hidden_in_exif(50000, 7)),
        Chunk(b"caBX", OLD),
        Chunk(b"fdAT", OLD),
        Chunk(b"gAMA", OLD),
        Chunk(b"sPLT", OLD),
    ],
    ids=lambda value: value.name.decode() if isinstance(value, Chunk) else str(value),
)
def test_no_chunk_of_a_png_keeps_the_old_face(chunk: Chunk, behind: bool) -> None:
    result, notes = completed(png_with(chunk, behind=behind, trailer=OLD))
    assert "left out" in notes[0]
    assert "further pictures" in notes[0]
    for payload in (payload for _, payload in parse_png(result)[0]):
        assert not any(trace in payload for trace in TRACES)


def test_names_that_a_file_makes_up_are_made_plain() -> None:
    _, notes = completed(png_with(Chunk(b"tEXt", b"a\nb\x1b[31m\0text")))
    assert "the text a?b?[31m" in notes[0]


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("A holiday by the sea. " * 300, True),
        ("\u6d77" * 3000, True),
        ("x" * 200, True),
        ("word " * 7000, False),
        (base64.b64encode(bytes(3000)).decode(), False),
        (base64.encodebytes(bytes(3000)).decode(), False),
        (base64.b85encode(OLD).decode(), False),
        (OLD.hex(), False),
        (OLD.hex(" "), False),
        (OLD.hex(",", 2), False),
        ("\n".join(base64.b85encode(OLD[at : at + 60]).decode() for at in range(0, 900, 60)), False),
    ],
    ids=range(11),
)
def test_a_text_is_what_people_read(text: str, harmless: bool) -> None:
    assert is_harmless(text) == harmless


def test_harmless_chunks_of_a_png_stay() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "J\u00fcrgen")
    info.add_text("Comment", "long " * 100, zip=True)
    info.add(b"gAMA", struct.pack(">I", 45455))
    source = files.coded(
        files.image("RGB", 40, 48), "PNG", pnginfo=info, dpi=(300, 300), icc_profile=files.rgb_profile()
    )
    result, notes = completed(source)
    assert notes == ()
    after = files.opened(result)
    after.load()
    assert (after.text["Title"], after.text["Comment"]) == ("J\u00fcrgen", "long " * 100)  # type: ignore[attr-defined]
    assert after.info["gamma"] == pytest.approx(0.45455)
    assert after.info["icc_profile"] == files.rgb_profile()
    names = [chunk.name for chunk in parse_png(result)[0]]
    assert names.index(b"IDAT") > names.index(b"gAMA")


def test_large_texts_and_texts_that_are_called_like_settings_are_no_damage() -> None:
    large = Chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(5_000_000)))
    named = [Chunk(b"tEXt", word + b"\0text") for word in (b"dpi", b"icc_profile", b"exif", b"gamma", b"transparency")]
    photo = read_photo(png_with(large, *named))
    assert np.array_equal(photo.pixels, np.asarray(files.image("RGB", 40, 48)))


@pytest.mark.parametrize("word", ["dpi", "icc_profile", "exif", "xmp", "transparency", "bit_depth"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_texts_that_are_called_like_settings_are_none_of_a_pillow_image(word: str, mode: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(word, "text")
    given = files.opened(files.coded(files.image(mode, 40, 48), "PNG", pnginfo=info))
    given.load()
    before = dict(given.info)
    photo = read_photo(given)
    assert np.array_equal(photo.pixels, np.asarray(files.image(mode, 40, 48).convert("RGB")))
    assert encode_photo(photo, photo.pixels, np.eye(40, 48, dtype=bool))[0]
    assert given.info == before
    assert word in before


def test_texts_that_unpack_without_end_cost_no_memory() -> None:
    bombs = [Chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)) for _ in range(4)]
    source = png_with(*bombs)
    tracemalloc.start()
    read_photo(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000_000


@pytest.mark.parametrize(
    ("numbers", "wide"), [(b"\x09\x10\0\1", True), (b"\1\x0d\0\1", False), (b"\x0c\x0d\0\1", True)]
)
def test_colours_by_number_stay_and_what_they_mean_is_said(numbers: bytes, wide: bool) -> None:
    source = png_with(Chunk(b"cICP", numbers))
    assert any("high-dynamic-range" in note for note in read_photo(source).notes) == wide
    assert Chunk(b"cICP", numbers) in parse_png(completed(source)[0])[0]


def test_a_chunk_without_which_the_picture_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="nobody knows"):
        read_photo(png_with(Chunk(b"CgBI", bytes(4))))


OTHERS: dict[str, dict[str, bool]] = {"WEBP": {"lossless": True}, "AVIF": {}, "BMP": {}}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("behind", [OLD, b"old " * 100, files.VIDEO], ids=["a picture", "bytes", "a video"])
def test_what_lies_behind_a_picture_goes_and_that_is_said(name: str, behind: bytes) -> None:
    source = files.coded(files.image("RGB", 40, 48), name, **OTHERS[name])
    result, notes = completed(source + behind)
    said = {OLD: "further pictures", files.VIDEO: "the video of a motion photo"}.get(behind, "data behind the picture")
    assert said in notes[0]
    assert behind[:200] not in result
    assert completed(source)[1] == completed(source + bytes(50))[1]
    assert "left out" not in " ".join(completed(source)[1])


def test_unknown_parts_of_webp_and_avif_go_and_that_is_said() -> None:
    source = files.coded(files.image("RGB", 40, 48), "WEBP", lossless=True)
    part = b"prVt" + struct.pack("<I", len(OLD)) + OLD + bytes(len(OLD) % 2)
    larger = b"RIFF" + struct.pack("<I", len(source + part) - 8) + source[8:] + part
    boxes = files.coded(files.image("RGB", 40, 48), "AVIF") + struct.pack(">I", 8 + len(OLD)) + b"skip" + OLD
    for file, said in ((larger, "the part prVt"), (boxes, "the part skip")):
        result, notes = completed(file)
        assert said in notes[0]
        assert not any(trace in result for trace in TRACES)


def test_chunks_about_a_palette_go_with_it() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"bKGD", b"\1")
    info.add(b"sBIT", b"\5\6\5")
    source = files.coded(files.image("P", 40, 48), "PNG", pnginfo=info, transparency=1)
    result, _ = completed(source)
    assert {chunk.name for chunk in parse_png(result)[0]} == {b"IHDR", b"iTXt", b"IDAT", b"IEND"}


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_tiff_tags_that_are_known_stay(compression: str) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "a photo"
    tags[65001] = b"private bytes"
    tags.tagtype[65001] = 7
    source = files.coded(
        files.image("RGB", 40, 48),
        "TIFF",
        tiffinfo=tags,
        compression=compression,
        dpi=(300, 150),
        icc_profile=files.rgb_profile(),
    )
    result, notes = completed(source)
    before, after = files.opened(source), files.opened(result)
    for number in (270, 282, 283, 296, 34675):
        assert after.tag_v2[number] == before.tag_v2[number]  # type: ignore[attr-defined]
    assert 65001 not in after.tag_v2  # type: ignore[attr-defined]
    assert "unknown EXIF fields" in notes[0]
    assert (after.tag_v2[259] == 1) == (compression == "raw")  # type: ignore[attr-defined]
    hole = np.zeros((40, 48), bool)
    hole[10:30, 10:30] = True
    assert np.array_equal(np.asarray(after)[~hole], np.asarray(before)[~hole])


def test_a_tiff_written_by_us_is_read_by_others() -> None:
    for mode in ("1", "L", "RGB", "RGBA", "CMYK", "I;16"):
        source = files.coded(files.image(mode, 40, 48), "TIFF")
        result, _ = completed(source)
        seen = tifffile.imread(io.BytesIO(result))
        assert np.array_equal(seen, files.samples_of(result)), mode


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "BMP"])
def test_the_resolution_goes_along(name: str) -> None:
    source = files.coded(files.image("RGB", 40, 48), name, dpi=(240, 120))
    for target in ("JPEG", "PNG", "TIFF", "BMP"):
        result, _ = completed(source, target)
        assert np.allclose(files.opened(result).info["dpi"], (240, 120), atol=0.1), target


def test_iptc_without_end_costs_nothing() -> None:
    record = b"\x1c\2\x19\0\4word"
    assert keep(Found(iptc=1000 * record)).iptc == 1000 * record
    endless = keep(Found(iptc=200_000 * record))
    assert endless.iptc is None
    assert endless.dropped == ("IPTC of more than 1,000,000 bytes",)


def test_the_default_packet_is_small_and_whole() -> None:
    packet = stamp_xmp(None, SWIFT)
    assert len(packet) < 1000
    assert properties(packet)[IPTC + "DigitalSourceType"] == [SOURCE_TYPE]
    assert packets.stamp_xmp(packet, SWIFT).count(b"compositeWithTrained") == 1


def test_what_cannot_be_unpacked_goes_and_that_is_said() -> None:
    bomb = zlib.compress(b"word " * 4_000_000, 9)
    for chunk, said in (
        (Chunk(b"zTXt", b"Comment\0\0no zlib"), "the text Comment"),
        (Chunk(b"zTXt", b"Comment\0\0" + bomb), "the text Comment"),
        (Chunk(b"iTXt", b"Title\0\1\0\0\0no zlib"), "the text Title"),
        (Chunk(b"iCCP", b"P3\0\0no zlib"), "a colour profile that is none"),
        (Chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 4\nzzzz\n"), "damaged EXIF"),
        (Chunk(b"sPLT", b"name\0" + bytes(20)), "the chunk sPLT"),
        (Chunk(b"bKGD", OLD), "the chunk bKGD"),
    ):
        result, notes = completed(png_with(chunk))
        assert said in notes[0]
        assert chunk not in parse_png(result)[0]


@pytest.mark.parametrize("header", [b"", b"Exif\0\0"])
def test_exif_in_digits_needs_no_header(header: bytes) -> None:
    block = header + files.exif(orientation=6)
    text = b"Raw profile type exif\0\nexif\n" + f"{len(block):8}\n{block.hex()}\n".encode()
    photo = read_photo(png_with(Chunk(b"tEXt", text)))
    assert photo.orientation == 6


@pytest.mark.parametrize("sides", [(10, 10), (20_000, 20_000)])
def test_a_second_header_sizes_nothing(sides: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="two headers"):
        read_photo(png_with(Chunk(b"IHDR", struct.pack(">IIBBBBB", *sides, 8, 2, 0, 0, 0))))


@pytest.mark.parametrize("target", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "BMP"])
def test_what_another_format_cannot_hold_is_said(target: str) -> None:
    iptc = Segment(0xED, b"Photoshop 3.0\0" + join_resources(b"\x1c\2\x05\0\5title"))
    _, notes = completed(parse_jpeg(files.coded(files.image("RGB", 40, 48), "JPEG")).coded([iptc]), target)
    assert (f"{target} holds no IPTC: left out" in notes) == (target not in ("JPEG", "TIFF"))
    _, notes = completed(png_with(Chunk(b"tEXt", b"Title\0by the sea")), target)
    assert (f"{target} holds no texts of a PNG: left out" in notes) == (target != "PNG")


def test_a_second_block_of_a_webp_and_the_profile_of_a_bmp_go_and_that_is_said() -> None:
    source = files.coded(files.image("RGB", 40, 48), "WEBP", lossless=True, exif=b"Exif\0\0" + files.exif())
    part = b"EXIF" + struct.pack("<I", len(OLD)) + OLD + bytes(len(OLD) % 2)
    larger = b"RIFF" + struct.pack("<I", len(source + part) - 8) + source[8:] + part
    result, notes = completed(larger)
    assert "a further part EXIF" in notes[0]
    assert not any(trace in result for trace in TRACES)
    flagged = source.index(b"VP8X") + 8
    unread = source[:flagged] + b"\0" + source[flagged + 1 :]
    assert "a further part EXIF" in completed(unread)[1][0]
    assert "left out" not in " ".join(completed(files.coded(files.image("RGB", 40, 48), "WEBP", lossless=True))[1])
    plain, profile = files.coded(files.image("RGB", 40, 48), "BMP"), files.rgb_profile()
    head = struct.pack("<I", 124) + plain[18:54] + bytes(16) + b"DEBM" + bytes(48)
    head += struct.pack("<IIII", 4, 124 + len(plain) - 54, len(profile), 0)
    lengths = struct.pack("<IHHI", 14 + 124 + len(plain) - 54 + len(profile), 0, 0, 14 + 124)
    _, notes = completed(b"BM" + lengths + head + plain[54:] + profile)
    assert "its colour profile" in notes[0]
