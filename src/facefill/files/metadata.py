"""What is kept of a file beside its samples when pixels change: what is known to be harmless, and nothing else.

A picture of what a photo showed before can hide in thumbnails, makers' notes, depth maps, previews, comments, private
blocks and text. So the tables here list what stays: EXIF's fields about camera, place and date, IPTC and XMP text,
colour profiles. Everything is written anew from its values; `Kept.dropped` names what is left out.

Sources: EXIF 2.32 (CIPA DC-008); IPTC-IIM 4.2; ICC.1:2022; XMP ISO 16684-1.
"""

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from facefill.files.orientation import ORIENTATION, orientation_of
from facefill.files.tags import Directories, Tag, build_block, number_of, tag_numbers, tag_of
from facefill.files.xmp import as_text, keep_xmp, with_orientation

Dpi = tuple[float, float]
CREDENTIALS = "Content Credentials of the photo before"

_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_DIRECTORIES = {
    # description, maker, model, orientation, resolution, software, date, artist, host, white, YCbCr, ratings,
    # copyright, titles of Windows
    0: tag_numbers("270-272 274 282 283 296 305 306 315 316 318 319 529 531 532 18246 18249 33432 40091-40095"),
    # exposure, lens, light, dates, versions, sizes, scene; no maker's note, no tables, no sound file
    _EXIF: tag_numbers(
        "33434 33437 34850 34852 34855 34864-34869 36864 36867 36868 36880-36882 37121 37377-37386 37396 37510 "
        "37520-37522 37888-37893 40960-40963 41483 41486-41488 41492 41493 41495 41728 41729 41985-41994 41996 42016 "
        "42032-42037 42080 42240"
    ),
    _GPS: tag_numbers("0-31"),
    _INTEROPERABILITY: tag_numbers("1 2 4096-4098"),
}
_WITHIN = {0: (_EXIF, _GPS), _EXIF: (_INTEROPERABILITY,)}
_TEXTS = tag_numbers(
    "270-272 305 306 315 316 33432 34852 36867 36868 36880-36882 37520-37522 42016 42032 42033 42035-42037 "
    "1 3 8-10 12 14 16 18 19 21 23 25 29 4096"
)
_LONGEST_NUMBERS = 64  # bytes of a field of numbers, as ReferenceBlackWhite's six fractions
_CODED_TEXTS = (37510, 27, 28)  # UserComment, and two of GPS: eight bytes say how the text is coded
_IPTC_FIELDS = {*range(3, 123), 130, 131, 135}
_LONGEST_TEXT, _LONGEST_IPTC = 32_000, 1_000_000
_BINARY = re.compile(r"[A-Za-z0-9+/=_-]{256}|(?:[0-9A-Fa-f]{2}[\s,]*+){200}")
_PIECE, _MOST_PIECES = re.compile(r"[A-Za-z0-9+/=_-]{40,}"), 1000  # characters of a block
_PROFILE_TAGS = set(
    b"A2B0 A2B1 A2B2 A2B3 B2A0 B2A1 B2A2 B2A3 B2D0 B2D1 B2D2 B2D3 D2B0 D2B1 D2B2 D2B3 rXYZ gXYZ bXYZ rTRC gTRC bTRC "
    b"kTRC wtpt bkpt lumi chad chrm cicp cprt desc dmnd dmdd view vued meas tech targ gamt calt pre0 pre1 pre2 rig0 "
    b"rig2 resp clro clrt clot ciis aarg aagg aabg vcgt ndin mmod".split()
)
_PROFILE_TEXTS, _LONGEST_PROFILE_TEXT = {b"cprt", b"desc", b"dmnd", b"dmdd", b"vued", b"targ", b"ciis"}, 16_000


@dataclass(frozen=True)
class Found:
    """The blocks of a file, as they are. exif: without header, the first one first. iptc: records of IPTC-IIM.

    texts: keywords and texts of a PNG. dropped: names of what can never stay.
    """

    exif: tuple[bytes, ...] = ()
    xmp: tuple[bytes, ...] = ()
    iptc: bytes = b""
    icc: bytes = b""
    texts: tuple[tuple[str, str], ...] = ()
    dpi: Dpi | None = None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """What may go into another file of the photo; `None` or empty where there is nothing.

    exif: a TIFF block. xmp: a packet. iptc: records of IPTC-IIM. dpi: dots per inch across and down. orientation: 1 to
    8, of the stored samples. dropped: names of what is left out.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = field(default=None, repr=False)
    texts: tuple[tuple[str, str], ...] = ()
    dpi: Dpi | None = None
    orientation: int = 1
    dropped: tuple[str, ...] = ()


def keep(found: Found) -> Kept:
    """What of a file's blocks is known to be harmless."""
    dropped = list(found.dropped)
    exif = None
    if found.exif:
        directories = Directories(found.exif[0])
        dropped += ["the EXIF thumbnail"] * bool(directories.next)
        exif = exif_of(directories, directories.first, dropped)
        dropped += ["damaged EXIF"] * directories.broken
    dropped += ["a second EXIF block"] * (len(found.exif) > 1)
    packets = [as_text(packet) for packet in found.xmp]
    xmp, more = keep_xmp(found.xmp[0], is_harmless) if packets else (None, [])
    if xmp and (harmless := _harmless_among([as_text(xmp)])) is not is_harmless:
        xmp, more = keep_xmp(found.xmp[0], harmless)
    dropped += more + ["a second XMP packet"] * (len(packets) > 1)
    harmless = _harmless_among(text for _, text in found.texts if is_harmless(text))
    texts = tuple((word, text) for word, text in found.texts if harmless(text))
    dropped += [f"the text {word[:40]}" for word, text in found.texts if (word, text) not in texts]
    # what is kept has plain prefixes, whatever they were
    orientation = orientation_of(found.exif, [as_text(xmp), *packets[1:]] if xmp else packets)
    xmp = with_orientation(xmp, orientation) if xmp else None
    exif = _with_orientation(exif, orientation, said=orientation == orientation_of((), [as_text(xmp)] if xmp else []))
    dpi = found.dpi if found.dpi and all(0.01 <= value <= 100_000 for value in found.dpi) else None
    iptc, icc = _keep_iptc(found.iptc, dropped) or None, _keep_profile(found.icc, dropped) or None
    return Kept(exif, xmp, iptc, icc, texts, dpi, orientation, tuple(dict.fromkeys(dropped)))


def is_harmless(text: str) -> bool:
    """Whether a text is one that people read: bounded, in words, and without long runs of hexadecimal digits."""
    worded = not text.isascii() or len(text) < 400 or 30 * len(text.split()) > len(text)
    return worded and len(text) <= _LONGEST_TEXT and not _BINARY.search(text)


def _harmless_among(texts: Iterable[str]) -> Callable[[str], bool]:
    """`is_harmless` for the texts of one block, of which none is a piece if many together are something encoded."""
    pieces = sum(len(piece) for text in texts for piece in _PIECE.findall(text))
    return is_harmless if pieces < _MOST_PIECES else lambda text: is_harmless(text) and not _PIECE.search(text)


def _with_orientation(exif: bytes | None, orientation: int, *, said: bool) -> bytes | None:
    """The EXIF block with that orientation in the plainest way. said: without EXIF, the file says so already."""
    tags, order = tags_of(exif)
    found = [tag for tag in tags if tag.number == ORIENTATION]
    plain = tag_of(order, ORIENTATION, 3, orientation)
    if [(tag.kind, tag.value) for tag in found] == [(plain.kind, plain.value)] or (not found and said):
        return exif
    return build_block(order, [*(tag for tag in tags if tag.number != ORIENTATION), plain])


def tags_of(exif: bytes | None) -> tuple[list[Tag], str]:
    """The tags of a kept EXIF block, its directories inside them, and its byte order: "<" or ">"."""
    if not exif:
        return [], "<"
    directories = Directories(exif)
    return _keep_tags(directories, 0, directories.first, []), directories.order


def exif_of(directories: Directories, tags: dict[int, Tag], dropped: list[str]) -> bytes | None:
    """The harmless tags of a directory as an EXIF block; None where there is none. Adds what is left out to dropped."""
    kept = _keep_tags(directories, 0, tags, dropped)
    return build_block(directories.order, kept) if kept else None


def _keep_tags(directories: Directories, name: int, tags: dict[int, Tag], dropped: list[str]) -> list[Tag]:
    kept = []
    for number, entry in tags.items():
        if number in _WITHIN.get(name, ()):
            pointer = number_of(directories.order, entry)
            inside = _keep_tags(directories, number, directories.read(pointer)[0], dropped)
            kept += [Tag(number, 4, 1, tuple(inside))] if inside else []
        elif number in _DIRECTORIES[name] and _is_harmless_tag(directories.order, entry):
            kept.append(entry)
        elif number == 37500:
            dropped.append("the maker's notes")
        else:
            dropped.append("unknown EXIF fields")
    return kept


def _is_harmless_tag(order: str, tag: Tag) -> bool:
    value = tag.value
    assert isinstance(value, bytes)
    if tag.kind == 2 or tag.number in _TEXTS:
        return tag.kind == 2 and tag.number in _TEXTS and _is_harmless_text(value, "utf-8")
    if tag.number in range(40091, 40096):
        return _is_harmless_text(value, "utf-16-le")
    if tag.number in _CODED_TEXTS and tag.kind == 7:
        wide = value[:8] == b"UNICODE\0"
        return _is_harmless_text(value[8:], ("utf-16-le" if order == "<" else "utf-16-be") if wide else "utf-8")
    return (3 <= tag.kind <= 12 and len(value) <= (4 if tag.kind == 7 else _LONGEST_NUMBERS)) or len(value) <= 4


def _is_harmless_text(value: bytes, coding: str, harmless: Callable[[str], bool] = is_harmless) -> bool:
    try:
        text = value.decode(coding)
    except UnicodeDecodeError:
        text = value.decode("cp1252" if coding == "utf-8" else coding, "replace")
    text = text.rstrip("\0 ")
    strange = sum((not sign.isprintable() and sign not in "\t\n\r") or sign == "\ufffd" for sign in text)
    return harmless(text) and 50 * strange <= len(text)


def _keep_iptc(records: bytes, dropped: list[str]) -> bytes:
    """Records of text (IPTC-IIM record 1, and 2 but for previews and drawn captions)."""
    if len(records) > _LONGEST_IPTC:
        dropped.append(f"IPTC of more than {_LONGEST_IPTC:,} bytes")
        return b""
    kept, at, harmless = [], 0, _harmless_among([records.decode("latin-1")])
    while at + 5 <= len(records) and records[at] == 0x1C:
        record, dataset, length = struct.unpack_from(">BBH", records, at + 1)
        end = at + 5 + length
        if length & 0x8000 or end > len(records):
            dropped.append("IPTC that is no text")
            break
        value = records[at + 5 : end]
        known = record == 1 or (record == 2 and (dataset == 0 or dataset in _IPTC_FIELDS))
        if known and (len(value) <= 4 or _is_harmless_text(value, "utf-8", harmless)):
            kept.append(records[at:end])
        else:
            dropped.append("IPTC that is no text")
        at = end
    return b"".join(kept)


def _keep_profile(icc: bytes, dropped: list[str]) -> bytes:
    """A colour profile (ICC.1:2022, 7.3) of the tags that describe colours; as it is where it holds no others."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        dropped += ["a colour profile that is none"] * bool(icc)
        return b""
    (count,) = struct.unpack_from(">I", icc, 128)
    end = min(132 + 12 * min(count, 100), len(icc) - 11)
    entries = [struct.unpack_from(">4sII", icc, at) for at in range(132, end, 12)]
    used = 132 + 12 * count + sum({start: size + 3 for _, start, size in entries}.values())
    longest = dict.fromkeys(_PROFILE_TEXTS, _LONGEST_PROFILE_TEXT)
    kept = [
        (name, start, size)
        for name, start, size in entries
        if name in _PROFILE_TAGS and start + size <= len(icc) and size <= longest.get(name, size)
    ]
    if len(kept) == count and len(icc) <= used:
        return icc
    table, body, placed = b"", b"", dict[int, int]()
    for name, start, size in kept:
        if start not in placed:
            placed[start] = 132 + 12 * len(kept) + len(body)
            body += icc[start : start + size] + bytes(-size % 4)
        table += struct.pack(">4sII", name, placed[start], size)
    dropped.append("unknown parts of the colour profile")
    head = struct.pack(">I", 132 + len(table) + len(body)) + icc[4:84] + bytes(16) + icc[100:128]
    return head + struct.pack(">I", len(kept)) + table + body


def trailing(data: bytes) -> list[str]:
    """What a person knows by name of what lies behind a picture; nothing where that is empty."""
    if not data.strip(b"\0"):
        return []
    if b"ftyp" in data[:4096] or b"MotionPhoto_Data" in data:
        return ["the video of a motion photo"]
    return ["further pictures (previews, gain map)" if data[:3] == b"\xff\xd8\xff" else "data behind the picture"]


def names_of(dropped: Iterable[str]) -> str:
    """A sentence on what was left out; empty where nothing was. Names that a file made up are made plain."""
    listed = list(dict.fromkeys("".join(c if c.isprintable() else "?" for c in name) for name in dropped))
    more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
    said = ", ".join(listed[:12]) + more
    return f"left out, because it could show the photo as it was or no longer holds: {said}" if listed else ""
