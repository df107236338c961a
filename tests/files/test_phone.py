"""What phones put beside a photo: it is said that it goes, and what pointed at it goes as well."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest

from facefill.files.jpeg import Segment, parse_jpeg
from facefill.files.photo import encode_photo, read_photo
from facefill.files.samples import use_heif

from . import photo_files as files

MOTION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"
 GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="4000" hdrgm:Version="1.0" GDepth:Data="/9j/4AAQ"
 dc:format="image/jpeg">
<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource">
<Container:Item Item:Mime="video/mp4" Item:Length="4000"/>
</rdf:li></rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""
GAIN_MAP = files.coded(files.image("L", 20, 24, seed=5), "JPEG")
MARKS = (b"MotionPhoto", b"MicroVideo", b"hdrgm", b"Container", b"GDepth", b"21496", b"MPF\0", b"ftyp", b"SEFT")


def completed(source: bytes) -> tuple[bytes, str]:
    photo = read_photo(source)
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[8:16, 8:16] = True
    result, notes = encode_photo(photo, 255 - photo.pixels, mask)
    again = read_photo(result).pixels[32:].astype(int)
    assert np.abs(again - photo.pixels[32:]).max() <= (0 if photo.format == "JPEG" else 16)
    return result, " ".join(notes)


@pytest.mark.parametrize(
    ("metadata", "trailer", "said"),
    [
        ([], files.VIDEO, "the video of a motion photo"),
        ([], b"\0\0SEFHMotionPhoto_Data" + bytes(200) + b"SEFT", "the video of a motion photo"),
        ([], GAIN_MAP, "further pictures"),
        ([Segment(0xE2, b"MPF\0II*\0" + bytes(60))], GAIN_MAP, "further pictures"),
        ([Segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4))], GAIN_MAP, "a gain map's marks"),
        ([], b"\0\0SEFHImage_UTC_Data" + bytes(20) + b"SEFT", "data behind the picture"),
        ([Segment(0xE4, b"Google Makernote")], b"", "an APP4 block (Google Makernote)"),
    ],
)
def test_what_lies_beside_the_photo_goes_with_its_marks(metadata: list[Segment], trailer: bytes, said: str) -> None:
    xmp = Segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + MOTION)
    source = parse_jpeg(files.coded(files.image("RGB", 64, 80), "JPEG")).coded([xmp, *metadata]) + trailer
    result, notes = completed(source)
    assert said in notes
    assert "XMP MotionPhoto" in notes
    assert not [mark for mark in MARKS if mark in result]
    assert b"image/jpeg" in result


ALPHA = {"AVIF": b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", "HEIF": b"urn:mpeg:hevc:2015:auxid:1"}


@pytest.mark.parametrize("name", ALPHA)
@pytest.mark.parametrize("kind", [b"urn:mpeg:hevc:2015:auxid:2", b"urn:x:gainmap", b""])
def test_what_is_no_alpha_of_an_avif_or_heic_goes_and_that_is_said(name: str, kind: bytes) -> None:
    if name == "HEIF":
        pytest.importorskip("pillow_heif")
        use_heif()
    source = files.coded(files.image("RGBA", 64, 80), name)
    assert source.count(ALPHA[name]) == 1
    assert read_photo(source).kept.dropped == ()
    result, notes = completed(source.replace(ALPHA[name], kind.ljust(len(ALPHA[name]), b"\0")) if kind else source)
    assert ("further pictures (depth, gain map, thumbnails)" in notes) == bool(kind)
    assert kind not in result or not kind


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_avif_of_more_than_8_bits_says_what_it_loses(depth: int) -> None:
    samples = files.picture(48, 64, 3, bits=16) >> (16 - depth)
    samples = samples.astype(np.uint8) if depth == 8 else samples
    done, source = cv2.imencode(".avif", samples, [cv2.IMWRITE_AVIF_DEPTH, depth])
    assert done
    assert ("its 10 or 12 bits become 8" in read_photo(source.tobytes()).notes) == (depth > 8)


def test_heic_of_more_than_8_bits_says_what_it_loses() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    samples = files.picture(48, 64, 3, bits=16)
    stream = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(64, 48), data=samples.tobytes()).save(stream, quality=90)
    assert "its 10 or 12 bits become 8" in read_photo(stream.getvalue()).notes
    eight = io.BytesIO()
    pillow_heif.from_pillow(files.image("RGB", 48, 64)).save(eight, quality=90)
    assert read_photo(eight.getvalue()).notes == ()


@pytest.mark.parametrize("described", [False, True])
def test_a_burst_in_heic_is_one_picture_and_that_is_said(described: bool) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    burst = pillow_heif.from_pillow(files.image("RGB", 48, 64))
    for seed in (1, 2):
        burst.add_from_pillow(files.image("RGB", 48, 64, seed=seed))
    stream = io.BytesIO()
    burst.save(stream, quality=90, exif=b"Exif\0\0" + files.exif(orientation=1) if described else None)
    photo = read_photo(stream.getvalue())
    assert photo.notes == ("it holds 3 pictures: only the first is used",)
    assert "further pictures" in photo.kept.dropped
