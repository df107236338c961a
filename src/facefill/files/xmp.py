"""XMP packets: reading the harmless part of one, and writing who invented a part of the photo into it.

Packets are bounded: no entities, no deep nesting, so many elements; any encoding that XML knows.

Sources: XMP ISO 16684-1; IPTC Photo Metadata 2023.2 (Digital Source Type).
"""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DESCRIPTION = f"{{{_RDF}}}Description"
_ORIENTATION = "{http://ns.adobe.com/tiff/1.0/}Orientation"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XML = "http://www.w3.org/XML/1998/namespace"
_FACEFILL = "https://ns.facefill/provenance/1.0/"
_PREFIXES = {
    "adobe:ns:meta/": "x",
    _RDF: "rdf",
    _IPTC: "Iptc4xmpExt",
    _FACEFILL: "facefill",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://ns.useplus.org/ldf/xmp/1.0/": "plus",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://creativecommons.org/ns#": "cc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.google.com/photos/1.0/panorama/": "GPano",
    "http://ns.microsoft.com/photo/1.0/": "MicrosoftPhoto",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://ns.adobe.com/xmp/sType/Area#": "stArea",
    "http://ns.adobe.com/xap/1.0/sType/Dimensions#": "stDim",
}
_PICTURES = {
    "{http://ns.adobe.com/xap/1.0/}Thumbnails",
    "{http://ns.adobe.com/xap/1.0/}PageInfo",
    "{http://ns.adobe.com/exif/1.0/}MakerNote",
}
_DEEPEST, _MOST_ELEMENTS, _LONGEST = 40, 20_000, 4_000_000
_WIDE = {  # by byte order mark, or by how "<" is coded
    **{b"\xff\xfe\0\0": "utf-32-le", b"\0\0\xfe\xff": "utf-32-be", b"<\0\0\0": "utf-32-le", b"\0\0\0<": "utf-32-be"},
    **{b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le", b"\0<": "utf-16-be"},
}
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@dataclass(frozen=True)
class Provenance:
    """Who invented the completed pixels; written into every file that can hold XMP.

    method: the method's name. weights_sha256: hash of its weights, empty for a method without any. seed: of this
    run.
    """

    method: str
    weights_sha256: str
    seed: int


class _Bounded(ElementTree.TreeBuilder):
    """Builds a tree of bounded depth and number of elements and attributes, without entities."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        self._depth += 1
        self._count += 1 + len(attrs)
        if self._depth > _DEEPEST or self._count > _MOST_ELEMENTS:
            raise ValueError("it is nested too deep, or too long")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, *_: object) -> None:
        raise ValueError("it declares entities")


def as_text(packet: bytes) -> str:
    """A packet as text, as far as that goes."""
    return packet.decode(_coding_of(packet), "replace").lstrip("\ufeff")


def _coding_of(packet: bytes) -> str:
    return next((coding for mark, coding in _WIDE.items() if packet.startswith(mark)), "utf-8")


def keep_xmp(packet: bytes, is_harmless: Callable[[str], bool]) -> tuple[bytes | None, list[str]]:
    """The packet's properties of known kinds whose text `is_harmless`; names of the others."""
    try:
        root = _parse(packet)
    except (ValueError, LookupError, SyntaxError) as error:
        return None, [f"XMP that cannot be read ({' '.join(str(error).split())[:80]})"]
    kept = ElementTree.Element(root.tag)
    loose = [root.text, *root.attrib.values(), *(text for part in root for text in (part.text, part.tail))]
    dropped = ["XMP outside of properties"] * any((text or "").strip() for text in loose)
    dropped += [_name_of(part.tag) for part in root if part.tag != _DESCRIPTION]
    for found in root.iterfind(_DESCRIPTION):
        description = ElementTree.SubElement(kept, _DESCRIPTION)
        for name, value in found.attrib.items():
            if _is_kept(name) and is_harmless(value):
                description.set(name, value)
            else:
                dropped.append(_name_of(name))
        for child in found:
            if _prune(child, is_harmless):
                description.append(child)
            else:
                dropped.append(_name_of(child.tag))
    return _packet(kept), dropped


def with_orientation(packet: bytes, orientation: int) -> bytes:
    """The packet, in which `tiff:Orientation` says that one wherever it is."""
    root = _parse(packet)
    for description in root:
        if _ORIENTATION in description.attrib:
            description.set(_ORIENTATION, str(orientation))
        for element in description.iterfind(_ORIENTATION):
            element.clear()
            element.text = str(orientation)
    return _packet(root)


def stamp_xmp(packet: bytes | None, provenance: Provenance) -> bytes:
    """A kept packet with the provenance in it; replaced are a digital source type and earlier provenance."""
    root = _parse(packet) if packet else ElementTree.Element(f"{{{_RDF}}}RDF")
    about = ""
    for description in root:
        about = description.get(f"{{{_RDF}}}about") or about
        for stale in [name for name in description.attrib if _is_stale(name)]:
            del description.attrib[stale]
        for child in [child for child in description if _is_stale(child.tag)]:
            description.remove(child)
    said = {f"{{{_FACEFILL}}}{field}": str(getattr(provenance, field)) for field in Provenance.__dataclass_fields__}
    # all descriptions of one packet speak of the same thing
    attributes = {f"{{{_RDF}}}about": about, f"{{{_IPTC}}}DigitalSourceType": COMPOSITE} | said
    ElementTree.SubElement(root, _DESCRIPTION, attributes)
    return _packet(root)


def _parse(packet: bytes) -> ElementTree.Element:
    if len(packet) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST:,} bytes")
    parser = ElementTree.XMLParser(target=_Bounded())
    wide = _coding_of(packet) != "utf-8"
    parser.feed(as_text(packet).strip("\0 \t\r\n") if wide else packet.strip(b"\0 \t\r\n"))
    root: ElementTree.Element = parser.close()
    found = next(root.iter(f"{{{_RDF}}}RDF"), None)
    if found is None:
        raise ValueError("it holds no RDF")
    return found


def _packet(root: ElementTree.Element) -> bytes:
    for space, prefix in _PREFIXES.items():
        ElementTree.register_namespace(prefix, space)
    whole = ElementTree.Element("{adobe:ns:meta/}xmpmeta")
    whole.append(root)
    body = ElementTree.tostring(whole, "unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{body}<?xpacket end="w"?>'.encode()


def _prune(element: ElementTree.Element, is_harmless: Callable[[str], bool]) -> bool:
    """Takes what is not known out of a property. Returns whether anything is left of it."""
    texts = [element.text or "", element.tail or "", *element.attrib.values()]
    if not _is_kept(element.tag) or not all(map(is_harmless, texts)):
        return False
    for name in [name for name in element.attrib if not _is_kept(name)]:
        del element.attrib[name]
    before = len(element)
    for child in list(element):
        if not _prune(child, is_harmless):
            element.remove(child)
    return not before or len(element) > 0


def _is_kept(name: str) -> bool:
    space = name[1:].partition("}")[0] if name.startswith("{") else ""
    return (space in _PREFIXES or space == _XML) and name not in _PICTURES


def _is_stale(name: str) -> bool:
    return name == f"{{{_IPTC}}}DigitalSourceType" or name.startswith(f"{{{_FACEFILL}}}")


def _name_of(name: str) -> str:
    """What a person knows a property by: its last name, and who made it up."""
    space, _, last = name.rpartition("}")
    maker = space.strip("{").rstrip("/#").removeprefix("http://ns.").removeprefix("http://")
    return f"XMP {last[:40]} ({maker[:40]})" if space else f"XMP {last[:40]}"
