"""What a picture file holds beside its samples and tags: PNG chunks, and XMP with the provenance of what was completed.

Private to the reader and writer of photos. What cannot be parsed raises ValueError, LookupError or struct.error, which
the reader of photos turns into an InputError.

Sources: PNG 3rd edition; XMP ISO 16684-1; IPTC Photo Metadata 2023.2 (Digital Source Type).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray

from facefill.files.tiff import Dpi, renew_thumbnail

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_STALE_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"hIST", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_FACEFILL = "https://ns.facefill/provenance/1.0/"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_EMPTY_XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"/></x:xmpmeta>'.encode()


@dataclass(frozen=True)
class Provenance:
    """Who invented the completed pixels; written into every file that can hold XMP.

    method: the method's name. weights_sha256: hash of its weights, empty for a method without any. seed: of this
    run.
    """

    method: str
    weights_sha256: str
    seed: int


class Chunk(NamedTuple):
    """One PNG chunk."""

    name: bytes
    payload: bytes

    def coded(self) -> bytes:
        crc = zlib.crc32(self.payload, zlib.crc32(self.name))
        return struct.pack(">I", len(self.payload)) + self.name + self.payload + struct.pack(">I", crc)


def png_chunks(data: bytes) -> list[Chunk]:
    """All chunks up to IEND, in order."""
    chunks, at = [], len(PNG_SIGNATURE)
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            raise ValueError("a PNG chunk is cut off")
        chunks.append(Chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
        if chunks[-1].name == b"IEND":
            return chunks


def join_png(encoded: bytes, source: Sequence[Chunk]) -> bytes:
    """The coded samples of `encoded` among the ancillary chunks of `source`, each on its own side of the samples.

    Chunks that describe the old coding (palette, keyed transparency, significant bits) or further frames stay behind.
    """
    own = png_chunks(encoded)
    stale = set(_STALE_CHUNKS)
    if [chunk.payload[8:10] for chunk in source if chunk.name == b"IHDR"] != [own[0].payload[8:10]]:
        stale |= {b"sBIT", b"bKGD"}
    names = [chunk.name for chunk in source]
    first = names.index(b"IDAT") if b"IDAT" in names else len(names)
    before = [chunk for chunk in source[:first] if chunk.name not in stale]
    after = [chunk for chunk in source[first:] if chunk.name not in stale]
    samples = [chunk for chunk in own if chunk.name == b"IDAT"]
    ordered = [own[0], *before, *samples, *after, Chunk(b"IEND", b"")]
    return b"".join([PNG_SIGNATURE, *(chunk.coded() for chunk in ordered)])


def renew_png_metadata(chunks: Sequence[Chunk], xmp: bytes | None, picture: NDArray[np.uint8]) -> list[Chunk]:
    """A source's chunks for its completed picture: EXIF thumbnail made anew, XMP replaced where some is given."""
    renewed = []
    for name, payload in chunks:
        if name == b"eXIf":
            payload = renew_thumbnail(payload, picture)
        elif name == b"iTXt" and payload.startswith(PNG_XMP_KEYWORD) and xmp is not None:
            continue
        renewed.append(Chunk(name, payload))
    if xmp is not None:
        renewed.insert(1, _xmp_chunk(xmp))
    return renewed


def new_png_metadata(exif: bytes | None, xmp: bytes | None, icc: bytes | None, dpi: Dpi | None) -> list[Chunk]:
    """Ancillary chunks for a picture that was no PNG before."""
    chunks = []
    if icc:
        chunks.append(Chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if dpi:
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", round(dpi[0] / 0.0254), round(dpi[1] / 0.0254), 1)))
    if xmp:
        chunks.append(_xmp_chunk(xmp))
    if exif:
        chunks.append(Chunk(b"eXIf", exif))
    return chunks


def _xmp_chunk(xmp: bytes) -> Chunk:
    return Chunk(b"iTXt", PNG_XMP_KEYWORD + b"\0\0\0\0" + xmp)


def stamp_xmp(xmp: bytes | None, provenance: Provenance) -> bytes:
    """The XMP packet with the provenance in it, and everything that was there before.

    Replaced are a digital source type, earlier provenance and thumbnails, which would show the old face.
    Raises ValueError where the packet cannot be parsed.
    """
    if xmp and (b"<!DOCTYPE" in xmp or b"<!ENTITY" in xmp):
        raise ValueError("the XMP declares entities")
    try:
        document: Any = minidom.parseString((xmp or _EMPTY_XMP).strip(b"\0 \t\r\n"))
    except ExpatError as error:
        raise ValueError(f"it is not XML: {error}") from error
    roots = document.getElementsByTagNameNS(_RDF, "RDF")
    if not roots:
        raise ValueError("it holds no RDF")
    about = ""
    for description in roots[0].childNodes:
        if description.nodeType == Node.ELEMENT_NODE:
            about = description.getAttributeNS(_RDF, "about") or about
            for space, name in ((_IPTC, "DigitalSourceType"), (_XMP, "Thumbnails"), (_FACEFILL, None)):
                _remove(description, space, name)
    prefix = roots[0].prefix + ":" if roots[0].prefix else ""
    added = document.createElementNS(_RDF, prefix + "Description")
    added.setAttribute("xmlns:Iptc4xmpExt", _IPTC)
    added.setAttribute("xmlns:facefill", _FACEFILL)
    added.setAttribute(prefix + "about", about)  # all descriptions of one packet speak of the same thing
    added.setAttribute("Iptc4xmpExt:DigitalSourceType", COMPOSITE)
    for field in ("method", "weights_sha256", "seed"):
        added.setAttribute(f"facefill:{field}", str(getattr(provenance, field)))
    roots[0].appendChild(added)
    packet = document.documentElement.toxml()
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{packet}<?xpacket end="w"?>'.encode()


def _remove(description: Any, space: str, name: str | None) -> None:
    """Takes the properties of a namespace, or the one of that name, out of a description, whichever way written."""
    for attribute in [description.attributes.item(index) for index in range(description.attributes.length)]:
        if attribute.namespaceURI == space and name in (None, attribute.localName):
            description.removeAttributeNode(attribute)
    for child in list(description.childNodes):
        if child.nodeType == Node.ELEMENT_NODE and child.namespaceURI == space and name in (None, child.localName):
            description.removeChild(child)
