"""What a file holds beside its samples survives; thumbnails show the new face; the file says who invented it."""

from __future__ import annotations

import io
import re
import struct
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from facefill.files import metadata, tiff
from facefill.files.jpeg import Segment, join_jpeg, jpeg_segments
from facefill.files.metadata import Provenance, png_chunks, stamp_xmp
from facefill.files.photo import encode_photo, read_photo

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
        assert b"<!-- kept -->" in xmp_of(result)


@pytest.mark.parametrize("packet", [b"<no", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_xmp_that_cannot_be_read_is_replaced_and_that_is_said(packet: bytes) -> None:
    with pytest.raises(ValueError):
        stamp_xmp(packet, SWIFT)
    result, notes = completed(files.coded(files.image("RGB", 40, 48), "WEBP", lossless=True, xmp=packet))
    assert "its XMP is replaced" in notes[0]
    assert properties(xmp_of(result))[FACEFILL + "method"] == ["swift"]


def test_xmp_in_elements_and_other_prefixes_is_understood() -> None:
    packet = f"""<r:RDF xmlns:r="{RDF[1:-1]}"><r:Description xmlns:e="{IPTC[1:-1]}">
    <e:DigitalSourceType>x</e:DigitalSourceType><e:Event>ball</e:Event></r:Description></r:RDF>"""
    said = properties(stamp_xmp(packet.encode(), SWIFT))
    assert said[IPTC + "DigitalSourceType"] == [SOURCE_TYPE]
    assert said[IPTC + "Event"] == ["ball"]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_stays_and_its_thumbnail_shows_the_new_face(name: str, order: str) -> None:
    face = files.picture(80, 120)
    block = files.exif(face, orientation=1, order=order)
    options = {"lossless": True} if name == "WEBP" else {}
    source = files.coded(Image.fromarray(face), name, exif=b"Exif\0\0" + block, **options)
    photo = read_photo(source)
    mask = np.zeros((80, 120), bool)
    mask[20:60, 30:90] = True
    new = np.where(mask[..., None], (10, 200, 90), photo.pixels).astype(np.uint8)
    result, _ = encode_photo(photo, new, mask, provenance=SWIFT)
    assert files.opened(result).getexif()[0x010F] == "Camera 12"
    after = files.opened(result).info["exif"].removeprefix(b"Exif\0\0")
    assert len(after) == len(block)
    assert after[:300] == block[:300]
    shown, before = files.thumbnail_of(after).astype(int), files.thumbnail_of(block).astype(int)
    assert shown.shape == before.shape == (43, 64, 3)
    assert np.abs(shown[16:28, 22:42] - (10, 200, 90)).mean() < 12
    assert np.abs(shown[:8] - before[:8]).mean() < 12


def test_a_thumbnail_that_cannot_be_made_anew_is_cut_off() -> None:
    block = bytearray(files.exif(files.picture(80, 120)))
    block[400:] = bytes(len(block) - 400)
    renewed = tiff.renew_thumbnail(bytes(block), files.picture(80, 120, seed=1))
    assert len(renewed) == len(block)
    assert struct.unpack_from("<I", renewed, 8 + 2 + 3 * 12) == (0,)
    assert tiff.orientation_of(renewed) == 6


@pytest.mark.parametrize("block", [b"", b"no EXIF", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_is_kept_and_tells_nothing(block: bytes) -> None:
    assert tiff.orientation_of(block) == 1
    assert tiff.renew_thumbnail(block, files.picture(8, 8)) == block
    result, _ = completed(files.coded(files.image("RGB", 40, 48), "JPEG", exif=b"Exif\0\0" + block))
    assert (b"Exif\0\0" + block) in result


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


def test_a_jpegs_segments_stay_byte_for_byte() -> None:
    source = files.coded(
        files.image("RGB", 40, 48),
        "JPEG",
        exif=b"Exif\0\0" + files.exif(),
        icc_profile=files.rgb_profile(),
        comment=b"hello",
        dpi=(72, 96),
    )
    segments, _ = jpeg_segments(source)
    unknown = Segment(0xEC, b"Ducky\0\1\2\3")
    source = join_jpeg(source, [*(s for s in segments if s.is_metadata), unknown])
    result, _ = completed(source)
    before = [s for s in jpeg_segments(source)[0] if s.is_metadata]
    after = [s for s in jpeg_segments(result)[0] if s.is_metadata]
    added = [s for s in after if s not in before]
    assert [s for s in after if s in before] == before
    assert len(added) == 1
    assert added[0].payload.startswith(b"http://ns.adobe.com/xap/1.0/\0")
    assert files.opened(result).info["dpi"] == (72, 96)


def test_small_pictures_in_jpeg_segments_are_left_out() -> None:
    def resource(number: int, data: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HBxI", number, 0, len(data)) + data + bytes(len(data) % 2)

    jfif = Segment(0xE0, b"JFIF\0\1\2" + struct.pack(">BHHBB", 1, 72, 72, 2, 1) + b"oldold")
    irb = Segment(
        0xED, b"Photoshop 3.0\0" + resource(0x0404, b"iptc") + resource(0x040C, b"old") + resource(0x03ED, b"xyz")
    )
    source = join_jpeg(files.coded(files.image("RGB", 40, 48), "JPEG"), [jfif, Segment(0xE0, b"JFXX\0\x10old"), irb])
    result, _ = completed(source)
    kept = [s.payload for s in jpeg_segments(result)[0] if s.marker in (0xE0, 0xED)]
    assert kept == [
        jfif.payload[:12] + b"\0\0",
        b"Photoshop 3.0\0" + resource(0x0404, b"iptc") + resource(0x03ED, b"xyz"),
    ]
    assert files.opened(result).info["dpi"] == (72, 72)


def test_xmp_too_long_for_a_jpeg_is_said() -> None:
    note = XMP.replace(b"old face", b"x" * 10)
    long = note.replace(b"J\xc3\xbcrgen", b"x" * 65100)
    source = join_jpeg(
        files.coded(files.image("RGB", 40, 48), "JPEG"),
        [Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + long[:65000])],
    )
    _, notes = completed(source)
    assert any("XMP" in entry for entry in notes)


def test_png_chunks_stay() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "J\u00fcrgen")
    info.add_text("Comment", "long " * 100, zip=True)
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add(b"prVt", b"private", after_idat=True)
    source = files.coded(
        files.image("RGB", 40, 48), "PNG", pnginfo=info, dpi=(300, 300), icc_profile=files.rgb_profile()
    )
    result, _ = completed(source)
    coding = {b"IDAT", b"IHDR", b"IEND"}
    before = [chunk for chunk in png_chunks(source) if chunk.name not in coding]
    after = [chunk for chunk in png_chunks(result) if chunk.name not in coding]
    assert [chunk for chunk in after if chunk in before] == before
    assert [chunk.name for chunk in after if chunk not in before] == [b"iTXt"]
    assert files.opened(result).text["Title"] == "J\u00fcrgen"
    names = [chunk.name for chunk in png_chunks(result)]
    assert names.index(b"prVt") > names.index(b"IDAT") > names.index(b"gAMA")


def test_chunks_about_a_palette_go_with_it() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"bKGD", b"\1")
    info.add(b"sBIT", b"\5\6\5")
    source = files.coded(files.image("P", 40, 48), "PNG", pnginfo=info, transparency=1)
    result, _ = completed(source)
    assert {chunk.name for chunk in png_chunks(result)} == {b"IHDR", b"iTXt", b"IDAT", b"IEND"}


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_tiff_tags_stay(compression: str) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "a photo"
    tags[65000] = 12.5
    tags.tagtype[65000] = 12
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
    result, _ = completed(source)
    before, after = files.opened(source), files.opened(result)
    for number in (270, 65000, 65001, 282, 283, 296, 34675):
        assert after.tag_v2[number] == before.tag_v2[number]
    assert (after.tag_v2[259] == 1) == (compression == "raw")
    hole = np.zeros((40, 48), bool)
    hole[10:30, 10:30] = True
    assert np.array_equal(np.asarray(after)[~hole], np.asarray(before)[~hole])


def test_a_tiff_written_by_us_is_read_by_others() -> None:
    tifffile = pytest.importorskip("tifffile")
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


def test_the_default_packet_is_small_and_whole() -> None:
    packet = stamp_xmp(None, SWIFT)
    assert len(packet) < 1000
    assert properties(packet)[IPTC + "DigitalSourceType"] == [SOURCE_TYPE]
    assert metadata.stamp_xmp(packet, SWIFT).count(b"compositeWithTrained") == 1
