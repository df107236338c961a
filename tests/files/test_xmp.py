"""XMP: properties are kept, and nothing that stands where no property can."""

from __future__ import annotations

import numpy as np
import pytest

from facefill.files.jpeg import LONGEST_XMP, Segment, parse_jpeg
from facefill.files.metadata import Found, is_harmless, keep
from facefill.files.photo import encode_photo, read_photo
from facefill.files.xmp import keep_xmp
from tests.files.test_metadata import FACEFILL, OLD, SWIFT, TEXT, properties, xmp_of

from . import photo_files as files

ENCODED = TEXT.decode()
PIECES = [ENCODED[at : at + 100] for at in range(0, len(ENCODED), 100)]
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"


def packet(properties: str = "", *, attributes: str = "", root: str = "", behind: str = "") -> bytes:
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
        f"xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:tiff='http://ns.adobe.com/tiff/1.0/' {root}>"
        f"<rdf:Description dc:format='image/jpeg' {attributes}>{properties}</rdf:Description>{behind}"
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def listed(items: list[str]) -> str:
    return f"<dc:subject><rdf:Bag>{''.join(f'<rdf:li>{item}</rdf:li>' for item in items)}</rdf:Bag></dc:subject>"


@pytest.mark.parametrize(
    "hidden",
    [
        packet(root=f"dc:x='{ENCODED}'"),
        packet(root=f"x='{ENCODED}'"),
        packet(ENCODED),
        packet(behind=ENCODED),
        packet(behind=f"<q:Face xmlns:q='http://q/'>{ENCODED}</q:Face>"),
        packet(behind=f"<q:Face xmlns:q='http://q/' dc:title='{ENCODED[:200]}'/>"),
        packet(listed(PIECES)),
        packet(listed([OLD.hex()[at : at + 150] for at in range(0, len(OLD), 75)])),
        packet(attributes=" ".join(f"dc:x{number}='{piece}'" for number, piece in enumerate(PIECES))),
    ],
    ids=range(9),
)
def test_nothing_hides_between_properties_or_in_pieces(hidden: bytes) -> None:
    kept = keep(Found(xmp=(hidden,)))
    assert kept.xmp is not None
    assert kept.dropped
    assert not any(piece.encode() in kept.xmp for piece in (*PIECES[:-1], OLD.hex()[75:150]))
    assert properties(kept.xmp)["{http://purl.org/dc/elements/1.1/}format"] == ["image/jpeg"]


def test_many_words_are_no_pieces() -> None:
    words = [f"People|Portraits|{name}" for name in ("smiling", "by the sea", "2024", "a-long-name-of-a-place")] * 40
    kept, dropped = keep_xmp(packet(listed(words)), is_harmless)
    assert dropped == []
    found = keep(Found(xmp=(packet(listed(words), attributes="dc:source='urn:uuid:0b5b7e0e-7b5d-4c0c'"),)))
    assert found.dropped == ()
    assert found.xmp is not None
    assert found.xmp.count(b"<rdf:li>") == 160 == kept.count(b"<rdf:li>")


def test_what_is_encoded_by_itself_takes_no_long_word_with_it() -> None:
    address = "https://example.org/rights/of/the/photos/that-were-taken-by-the-sea"
    kept = keep(Found(xmp=(packet(f"<dc:title>{ENCODED}</dc:title>", attributes=f"dc:rights='{address}'"),)))
    assert kept.dropped == ("XMP title (purl.org/dc/elements/1.1)",)
    assert address.encode() in (kept.xmp or b"")


ORIENTED = {
    "another prefix": b"<r:Description xmlns:t='http://ns.adobe.com/tiff/1.0/' t:Orientation='6'/>",
    "a reference": b"<r:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation='&#54;'/>",
    "a namespace that is none": b"<r:Description xmlns:tiff='http://example.com/' tiff:Orientation='3'/>",
    "a comment": b"<!-- tiff:Orientation='3' --><r:Description/>",
    "no orientation": b"<r:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation='60'/>",
}


@pytest.mark.parametrize("way", ORIENTED)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-32", "utf-32-be"])
def test_the_orientation_is_the_property_and_nothing_that_looks_like_it(way: str, coding: str) -> None:
    said = b"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>" + ORIENTED[way] + b"</r:RDF>"
    kept = keep(Found(xmp=(said.decode().encode(coding),)))
    assert kept.orientation == (6 if way in ("another prefix", "a reference") else 1)
    assert kept.exif is None


@pytest.mark.parametrize("element", [False, True])
@pytest.mark.parametrize("target", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_where_exif_and_xmp_differ_they_agree_afterwards(target: str, element: bool) -> None:
    if target == "HEIF":
        pytest.importorskip("pillow_heif")
    said = packet("<tiff:Orientation>6</tiff:Orientation>") if element else packet(attributes="tiff:Orientation='6'")
    for orientation in (1, 8):
        block = Segment(0xE1, b"Exif\0\0" + files.exif(orientation=orientation))
        photo = read_photo(
            parse_jpeg(files.coded(files.image("RGB", 40, 56), "JPEG")).coded([block, Segment(0xE1, XMP_HEADER + said)])
        )
        assert photo.orientation == orientation
        mask = np.zeros(photo.pixels.shape[:2], bool)
        mask[:8, :16] = True
        result, _ = encode_photo(photo, photo.pixels, mask, format=target, provenance=SWIFT)
        again = read_photo(result)
        assert again.pixels.shape == photo.pixels.shape
        assert np.abs(again.pixels.astype(int) - photo.pixels)[~mask].mean() < 6
        assert not [line for line in (b"Orientation>6", b'Orientation="6"') if line in result]


def test_xmp_that_fills_a_segment_makes_room_for_who_invented_a_part() -> None:
    title = "words " * 5000
    said = packet("".join(f"<dc:{name}>{title}</dc:{name}>" for name in ("title", "description")))
    assert LONGEST_XMP - 5500 < len(said) < LONGEST_XMP
    said = said.replace(b"image/jpeg", b"words " * ((LONGEST_XMP - len(said)) // 6))
    source = parse_jpeg(files.coded(files.image("RGB", 40, 48), "JPEG")).coded([Segment(0xE1, XMP_HEADER + said)])
    photo = read_photo(source)
    result, notes = encode_photo(photo, photo.pixels, np.eye(40, 48, dtype=bool), provenance=SWIFT)
    assert "its XMP is too long for a JPEG segment and is left out" in notes
    assert properties(xmp_of(result))[FACEFILL + "method"] == ["swift"]
