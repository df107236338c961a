"""What is harmless in a file survives, what may show the old face goes, and the file says who invented a part of it."""

from __future__ import annotations

import base64
import re
import struct
import tracemalloc
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from facefill.errors import InputError
from facefill.files.jpeg import Segment, join_resources, parse_jpeg
from facefill.files.metadata import Found, is_harmless, keep
from facefill.files.orientation import orientation_of
from facefill.files.photo import encode_photo, read_photo
from facefill.files.png import Chunk
from facefill.files.tags import Directories, Tag, build_block, tag_of
from facefill.files.xmp import Provenance, keep_xmp, stamp_xmp

from . import photo_files as files

SWIFT = Provenance("swift", "ab" * 32, 7)
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
FACEFILL = "{https://ns.facefill/provenance/1.0/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
XMP = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><!-- kept --><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:Rating="5"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">
<dc:creator><rdf:Seq><rdf:li>J\xc3\xbcrgen &amp; Co</rdf:li></rdf:Seq></dc:creator>
<xmp:Thumbnails><rdf:Alt><rdf:li>old face</rdf:li></rdf:Alt></xmp:Thumbnails>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def completed(source: bytes, target: str | None = None) -> tuple[bytes, tuple[str, ...]]:
    photo = read_photo(source)
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[10:30, 10:30] = True
    picture = np.where(mask[..., None], 255 - photo.pixels, photo.pixels)
    return encode_photo(photo, picture, mask, format=target, provenance=SWIFT)


def xmp_of(data: bytes) -> bytes:
    info = files.opened(data).info
    found = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    return found if isinstance(found, bytes) else found.encode()


def properties(packet: bytes) -> dict[str, list[str]]:
    """All properties of the packet's descriptions, attributes and elements alike."""
    found: dict[str, list[str]] = {}
    root = ElementTree.fromstring(re.sub(rb"<\?xpacket.*?\?>", b"", packet))
    for description in root.iter(RDF + "Description"):
        for name, value in [*description.attrib.items(), *((c.tag, "".join(c.itertext())) for c in description)]:
            found.setdefault(name, []).append(value.strip())
    return found


@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"])
def test_every_file_that_can_says_that_it_is_a_composite_and_by_whom(name: str, target: str) -> None:
    result, _ = completed(files.coded(files.image("RGB", 40, 48), name), target)
    said = properties(xmp_of(result))
    assert said[IPTC + "DigitalSourceType"] == [SOURCE_TYPE]
    assert said[FACEFILL + "method"] == ["swift"]
    assert said[FACEFILL + "weights_sha256"] == ["ab" * 32]
    assert said[FACEFILL + "seed"] == ["7"]


def test_a_bmp_says_that_it_cannot_say_it() -> None:
    _, notes = completed(files.coded(files.image("RGB", 40, 48), "BMP"))
    assert notes == ("BMP holds no XMP: the file does not say that part of it is invented",)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_xmp_that_was_there_stays(name: str) -> None:
    options: dict[str, Any] = {"xmp": XMP}
    if name == "PNG":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    if name == "TIFF":
        options = {"tiffinfo": TiffImagePlugin.ImageFileDirectory_v2()}
        options["tiffinfo"][700] = XMP
        options["tiffinfo"].tagtype[700] = 1
    once, _ = completed(files.coded(files.image("RGB", 40, 48), name, **options))
    twice, _ = completed(once)
    for result in (once, twice):
        said = properties(xmp_of(result))
        assert said["{http://purl.org/dc/elements/1.1/}creator"] == ["J\u00fcrgen & Co"]
        assert said["{http://ns.adobe.com/xap/1.0/}Rating"] == ["5"]
        assert said[IPTC + "DigitalSourceType"] == [SOURCE_TYPE]
        assert said[FACEFILL + "seed"] == ["7"]
        assert set(said[RDF + "about"]) == {"uuid:1"}
        assert b"old face" not in xmp_of(result)


DEEP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + 3000 * b"<a>" + 3000 * b"</a>" + b"</x:xmpmeta>"
ENTITIES = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"


@pytest.mark.parametrize(
    "packet",
    [
        b"<no",
        b"<a/>",
        ENTITIES.encode(),
        ENTITIES.encode("utf-16"),
        DEEP,
        b"<?xml version='1.0' encoding='foo'?><a/>",
        b"<?xml version='1.0' encoding='big5'?><a/>",
        b"<a>" + 30_000 * b"<b/>" + b"</a>",
        b"<a " + b" ".join(b"b%d='c'" % number for number in range(30_000)) + b"/>",
        b"\0" * 50,
        b"\xff\xfe\0",
    ],
    ids=range(11),
)
def test_xmp_that_cannot_be_read_is_replaced_and_that_is_said(packet: bytes) -> None:
    assert keep_xmp(packet, is_harmless)[0] is None
    result, notes = completed(files.coded(files.image("RGB", 40, 48), "WEBP", lossless=True, xmp=packet))
    assert "XMP that cannot be read" in notes[0]
    assert properties(xmp_of(result))[FACEFILL + "method"] == ["swift"]


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le"])
def test_xmp_in_any_encoding_is_kept(coding: str) -> None:
    kept, dropped = keep_xmp(XMP.decode().replace("\ufeff", "").encode(coding), is_harmless)
    assert kept is not None
    assert properties(kept)["{http://purl.org/dc/elements/1.1/}creator"] == ["J\u00fcrgen & Co"]
    assert dropped == ["XMP Thumbnails (adobe.com/xap/1.0)"]


def test_xmp_in_elements_and_other_prefixes_is_understood() -> None:
    packet = f"""<r:RDF xmlns:r="{RDF[1:-1]}"><r:Description xmlns:e="{IPTC[1:-1]}">
    <e:DigitalSourceType>x</e:DigitalSourceType><e:Event>ball</e:Event></r:Description></r:RDF>"""
    kept, _ = keep_xmp(packet.encode(), is_harmless)
    said = properties(stamp_xmp(kept, SWIFT))
    assert said[IPTC + "DigitalSourceType"] == [SOURCE_TYPE]
    assert said[IPTC + "Event"] == ["ball"]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_stays_without_its_thumbnail_and_its_makers_note(name: str, order: str) -> None:
    face = files.picture(80, 120)
    block = files.exif(face, orientation=3, order=order)
    options = {"lossless": True} if name == "WEBP" else {}
    source = files.coded(Image.fromarray(face), name, exif=b"Exif\0\0" + block, **options)
    result, notes = completed(source)
    exif = files.opened(result).getexif()
    assert (exif[0x010F], exif[0x0112]) == ("Camera 12", 3)
    assert exif.get_ifd(0x8769) == {}
    after = files.opened(result).info["exif"].removeprefix(b"Exif\0\0")
    assert after[:2] == block[:2]
    assert len(after) < 100
    assert "the EXIF thumbnail, the maker's notes" in notes[0]


CAMERA = {
    33434: TiffImagePlugin.IFDRational(1, 60),
    33437: TiffImagePlugin.IFDRational(28, 10),
    34855: 200,
    36867: "2024:05:01 10:00:00",
    37500: b"note",
    42036: "Lens 35",
}
GPS = {0: b"\2\3\0\0", 1: "N", 2: (51.0, 30.0, 26.5), 27: b"ASCII\0\0\0GPS", 29: "2024:05:01"}


@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_what_camera_place_and_date_were_survives(target: str) -> None:
    exif = Image.Exif()
    exif[271], exif[315], exif[40091] = "Maker", "J. Doe", "Titel".encode("utf-16-le")
    exif.get_ifd(0x8769).update(CAMERA)
    exif.get_ifd(0x8825).update(GPS)
    result, notes = completed(files.coded(files.image("RGB", 40, 48), "JPEG", exif=exif), target)
    again = files.opened(result).getexif()
    assert (again[271], again[315], again[40091]) == ("Maker", "J. Doe", "Titel".encode("utf-16-le"))
    inside, place = again.get_ifd(0x8769), again.get_ifd(0x8825)
    assert (inside[34855], inside[36867], inside[42036]) == (200, CAMERA[36867], "Lens 35")
    assert [float(inside[number]) for number in (33434, 33437)] == pytest.approx([1 / 60, 2.8])
    assert ([float(part) for part in place[2]], place[1], place[29]) == ([51.0, 30.0, 26.5], "N", "2024:05:01")
    assert 37500 not in inside
    assert any("the maker's notes" in note for note in notes)


@pytest.mark.parametrize("block", [b"", b"no EXIF", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_goes_and_tells_nothing(block: bytes) -> None:
    assert orientation_of([block]) == 1
    result, notes = completed(files.coded(files.image("RGB", 40, 48), "JPEG", exif=b"Exif\0\0" + block))
    assert "exif" not in files.opened(result).info
    assert "damaged EXIF" in notes[0]


def test_every_byte_of_exif_counts_once() -> None:
    """Directories that point at themselves, and values that share bytes, cost no more than the block's length."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    itself = b"II*\0\x08\0\0\0" + struct.pack("<H", 300) + 300 * entry + struct.pack("<I", 8)
    assert set(Directories(itself).first) == {0x8769}
    assert not Directories(itself).exhausted
    shared = [struct.pack("<HHII", 50000 + number, 7, 60_000, 8) for number in range(4000)]
    fat = Directories(b"II*\0\x08\0\0\0" + struct.pack("<H", 4000) + b"".join(shared) + bytes(60_000))
    assert fat.exhausted
    assert sum(len(tag.value) for tag in fat.first.values()) <= 108_010
    chain = b"".join(struct.pack("<HI", 0, 8 + 6 * (number + 1)) for number in range(5000))
    endless = Directories(b"II*\0\x08\0\0\0" + chain)
    endless.pages()
    assert len(endless._seen) == 1000


def test_memory_for_metadata_is_linear() -> None:
    """400 values that share all bytes of a block of 60 kB, and of a megabyte."""
    peaks = []
    for length in (60_000, 1_000_000):
        shared = [struct.pack("<HHII", 50000 + number, 7, length, 8) for number in range(400)]
        block = b"II*\0\x08\0\0\0" + struct.pack("<H", 400) + b"".join(shared) + bytes(length)
        plain = files.coded(files.image("RGB", 40, 48), "PNG")
        source = plain[:33] + Chunk(b"eXIf", block).coded() + plain[33:]
        tracemalloc.start()
        completed(source)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 5_000_000
    assert peaks[1] - peaks[0] < 12 * 940_000


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_goes_along_to_other_formats(order: str) -> None:
    source = files.coded(files.image("RGB", 40, 48), "JPEG", exif=b"Exif\0\0" + files.exif(orientation=6, order=order))
    for target in ("PNG", "WEBP", "TIFF", "AVIF", "JPEG"):
        result, _ = completed(source, target)
        exif = files.opened(result).getexif()
        assert exif[0x010F] == "Camera 12", target
        assert exif[0x0112] == 6
        assert read_photo(result).pixels.shape == (48, 40, 3)
        back, _ = completed(result, "JPEG")
        assert files.opened(back).getexif()[0x010F] == "Camera 12"


def old_face(side: int = 48) -> bytes:
    """What the photo showed before, as a small JPEG."""
    return files.coded(files.picture(side, side, seed=77), "JPEG", quality=95)


OLD = old_face()
TEXT = base64.b64encode(OLD)
THUMBNAIL = files.exif(files.picture(48, 48, seed=77))
TRACES = THUMBNAIL[1150:1180], OLD[740:770], TEXT[1000:1040], base64.encodebytes(OLD)[1000:1040]


def gimage(data: bytes) -> bytes:
    return XMP.replace(
        b"<xmp:Thumbnails>",
        b"<xmp:Thumbnails xmlns:GImage='http://ns.google.com/photos/1.0/image/' GImage:Data='" + data + b"'>",
    )


def hidden_in_exif(number: int, kind: int, inside: int = 0) -> bytes:
    hidden = Tag(number, kind, len(OLD), OLD)
    tags = [Tag(inside, 4, 1, (hidden,))] if inside else [hidden]
    return build_block("<", [tag_of("<", 0x0112, 3, 1), *tags])


PLACES: dict[str, list[Segment]] = {
    "a maker's note": [Segment(0xE1, b"Exif\0\0" + hidden_in_exif(37500, 7, 0x8769))],
    "an unknown tag": [Segment(0xE1, b"Exif\0\0" + hidden_in_exif(50000, 7))],
    "a picture's description": [Segment(0xE1, b"Exif\0\0" + build_block("<", [Tag(270, 2, len(TEXT), TEXT)]))],
    "a comment of the user": [Segment(0xE1, b"Exif\0\0" + hidden_in_exif(37510, 7, 0x8769))],
    "a title of Windows": [Segment(0xE1, b"Exif\0\0" + hidden_in_exif(40091, 1))],
    "GPS": [Segment(0xE1, b"Exif\0\0" + hidden_in_exif(28, 7, 0x8825))],
    "a second EXIF segment": [Segment(0xE1, b"Exif\0\0" + files.exif()), Segment(0xE1, b"Exif\0\0" + THUMBNAIL)],
    "the first EXIF's thumbnail": [Segment(0xE1, b"Exif\0\0" + THUMBNAIL)],
    "XMP": [Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + gimage(TEXT))],
    "an XMP text": [Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.replace(b"J\xc3\xbcrgen", TEXT))],
    "an XMP text in lines": [
        Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.replace(b"J\xc3\xbcrgen", base64.encodebytes(OLD)))
    ],
    "a second XMP packet": 2 * [Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + gimage(TEXT))],
    "extended XMP": [Segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + 32 * b"0" + bytes(8) + TEXT)],
    "IPTC's preview": [
        Segment(
            0xED,
            b"Photoshop 3.0\0" + join_resources(b"\x1c\2\x05\0\3abc\x1c\2\xca" + struct.pack(">H", len(OLD)) + OLD),
        )
    ],
    "IPTC's caption": [
        Segment(
            0xED,
            b"Photoshop 3.0\0" + join_resources(b"\x1c\2\x05\0\3abc\x1c\2\x78" + struct.pack(">H", len(TEXT)) + TEXT),
        )
    ],
    "Photoshop's thumbnail": [
        Segment(
            0xED, b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", 0x040C, 0, len(OLD)) + OLD + bytes(len(OLD) % 2)
        )
    ],
    "the JFIF thumbnail": [Segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1" + bytes([20, 20]) + OLD[:1200])],
    "the JFXX thumbnail": [Segment(0xE0, b"JFXX\0\x10" + OLD)],
    "FPXR": [Segment(0xE2, b"FPXR\0" + OLD)],
    "MPF": [Segment(0xE2, b"MPF\0" + OLD)],
    "APP4": [Segment(0xE4, OLD)],
    "APP15": [Segment(0xEF, b"Mine\0" + OLD)],
    "Adobe's segment": [Segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + OLD)],
    "a comment": [Segment(0xFE, OLD)],
    "the profile": [Segment(0xE2, b"ICC_PROFILE\0\1\1" + files.rgb_profile() + OLD)],
}


@pytest.mark.parametrize("place", PLACES)
def test_no_copy_of_the_old_face_is_left_and_that_is_said(place: str) -> None:
    source = parse_jpeg(files.coded(files.image("RGB", 40, 48), "JPEG", subsampling=0)).coded(PLACES[place])
    assert any(trace in source for trace in TRACES)
    for target in ("JPEG", "PNG", "TIFF"):
        result, notes = completed(source, target)
        assert not any(trace in result for trace in TRACES)
        assert "left out" in notes[0]
        read_photo(result)


def test_what_is_harmless_in_a_jpeg_stays() -> None:
    iptc = b"\x1c\2\x05\0\5title\x1c\2\x78\0\7caption"
    metadata = [
        Segment(0xE0, b"JFIF\0\1\2" + struct.pack(">BHHBB", 1, 72, 96, 0, 0)),
        Segment(0xED, b"Photoshop 3.0\0" + join_resources(iptc)),
    ]
    profile = files.rgb_profile()
    metadata.append(Segment(0xE2, b"ICC_PROFILE\0\1\1" + profile))
    result, notes = completed(parse_jpeg(files.coded(files.image("RGB", 40, 48), "JPEG")).coded(metadata))
    assert notes == ()
    after = files.opened(result)
    assert after.info["dpi"] == (72, 96)
    assert after.info["icc_profile"] == profile
    assert join_resources(iptc) in result


def test_a_profile_with_something_in_it_keeps_its_colours_alone() -> None:
    profile = bytearray(files.rgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    at = len(profile) + 12
    table = struct.pack(">4sII", b"face", at, len(OLD))
    moved = bytearray(profile[: 132 + 12 * count] + table + profile[132 + 12 * count :] + OLD)
    for index in range(count):
        (start,) = struct.unpack_from(">I", moved, 136 + 12 * index)
        struct.pack_into(">I", moved, 136 + 12 * index, start + 12)
    struct.pack_into(">I", moved, 128, count + 1)
    struct.pack_into(">I", moved, 0, len(moved))
    kept = keep(Found(icc=bytes(moved))).icc
    assert kept is not None
    assert not any(trace in kept for trace in TRACES)
    picture = files.image("RGB", 40, 48)
    seen = [read_photo(files.coded(picture, "PNG", icc_profile=icc)).pixels for icc in (bytes(profile), kept)]
    assert np.array_equal(*seen)


def test_exif_of_an_avif_that_shares_bytes_is_refused_before_anybody_reads_it() -> None:
    for start in (8, 2000):
        shared = [struct.pack("<HHII", 50000 + number, 7, 60_000, 8) for number in range(400)]
        block = b"II*\0" + struct.pack("<I", start) + bytes(start - 8) + struct.pack("<H", 400) + b"".join(shared)
        exif = build_block("<", [Tag(50000, 7, 70_000, bytes(70_000))])
        source = files.coded(files.image("RGB", 40, 48), "AVIF", exif=b"Exif\0\0" + exif)
        at = source.index(exif)
        with pytest.raises(InputError, match="shares bytes"):
            read_photo(source[:at] + block + source[at + len(block) :])


def test_metadata_too_long_for_a_jpeg_is_said() -> None:
    words = "word " * 6000
    block = build_block("<", [Tag(number, 2, len(words), words.encode()) for number in (270, 315, 33432)])
    _, notes = completed(files.coded(files.image("RGB", 40, 48), "PNG", exif=block), "JPEG")
    assert "its EXIF is too long for a JPEG segment and is left out" in notes
