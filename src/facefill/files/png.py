"""PNG files: chunks, decoding and writing.

Private to the reader and writer of photos. A decoder is given nothing but the chunks that make the picture. Sources:
PNG 3rd edition (14.2: chunks that are unknown and unsafe to copy go when samples change).
"""

import io
import re
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from facefill.errors import InputError
from facefill.files.colour import Native, Samples
from facefill.files.metadata import CREDENTIALS, Found, Kept, keep, trailing
from facefill.files.samples import CLEAR, image_of, samples_of, wide_colours

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = "XML:com.adobe.xmp"
_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_COLOURS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"mDCV": 24, b"cLLI": 8}  # bytes, at most
_CODING = {b"hIST": 512, b"bKGD": 6, b"sBIT": 4, b"pHYs": 9, b"tIME": 7}  # of the samples, or when they were changed
_NAMES = {b"caBX": CREDENTIALS, b"acTL": "further frames", b"fcTL": "further frames", b"fdAT": "further frames"}
_WORDS = re.compile("Title|Author|Description|Copyright|Creation Time|Software|Disclaimer|Warning|Source|Comment")
_LEVEL = 4  # of zlib: half the time of 6, for 2 % more bytes
_MOST_UNPACKED, _MOST_CHUNKS, _PIECE = 16_000_000, 200_000, 1 << 14


class Chunk(NamedTuple):
    """One PNG chunk."""

    name: bytes
    payload: bytes

    def coded(self) -> bytes:
        crc = zlib.crc32(self.payload, zlib.crc32(self.name))
        return struct.pack(">I", len(self.payload)) + self.name + self.payload + struct.pack(">I", crc)


def parse_png(data: bytes) -> tuple[list[Chunk], bytes]:
    """All chunks up to IEND, in order, and what lies behind it. A missing IEND is no damage."""
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    while at + 12 <= len(data) and len(chunks) < _MOST_CHUNKS:
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            raise ValueError("a PNG chunk is cut off")
        chunk = Chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        critical = not chunk.name[0] & 0x20
        if critical and data[at + 8 + length : at + 12 + length] != chunk.coded()[-4:]:
            raise ValueError(f"its {chunk.name.decode('latin-1')} is damaged")
        if critical and (chunk.name not in _PICTURE or (chunk.name == b"IHDR" and chunks)):
            raise ValueError("it needs a chunk that nobody knows, or has two headers")
        chunks.append(chunk)
        at += 12 + length
        if chunk.name == b"IEND":
            break
    if len(chunks) >= _MOST_CHUNKS:
        raise ValueError("it has too many chunks")
    if not chunks or chunks[0].name != b"IHDR" or len(chunks[0].payload) != 13:
        raise ValueError("its header is damaged")
    if chunks[-1].name != b"IEND":
        return [*chunks, Chunk(b"IEND", b"")], b""
    return chunks, data[at:]


def size_of(chunks: list[Chunk]) -> tuple[int, int, int, int]:
    """Width, height, channels and bytes per sample as they will be held, by the header alone."""
    width, height, bits, kind = struct.unpack_from(">IIBB", chunks[0].payload)
    keyed = any(chunk.name == b"tRNS" for chunk in chunks)
    return width, height, {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(kind, 4) + keyed, 2 if bits == 16 else 1


def decode_png(chunks: list[Chunk], trailer: bytes) -> tuple[Native, list[str]]:
    """The samples of a PNG, and notes on them."""
    frames = [struct.unpack_from(">I", payload)[0] for name, payload in chunks if name == b"acTL" and len(payload) == 8]
    notes = [f"it holds {count} pictures: only the first is used" for count in frames[:1] if count > 1]
    data = SIGNATURE + b"".join(chunk.coded() for chunk in chunks if chunk.name in _PICTURE)
    kept = keep(_found_in(chunks, trailer))
    for payload in (payload for name, payload in chunks if name == b"cICP" and len(payload) == 4 and not kept.icc):
        notes += wide_colours(payload[0], payload[1])
    colours = tuple(chunk for chunk in chunks if len(chunk.payload) <= _COLOURS.get(chunk.name, -1))
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
        image.load()
        _check_rows(chunks, image)
        if data[24] == 16:
            return _decode_deep(data, image, kept, colours, notes)
        if image.mode == "L" and data[24] < 8:
            notes.append(f"its {data[24]}-bit grey becomes 8-bit")
        samples, kind, extra, bits, more = samples_of(image)
    return Native(samples, kind, extra, bits, kept, colours), notes + more


def _check_rows(chunks: list[Chunk], image: Image.Image) -> None:
    """Raises ValueError where the samples end before the last row, which Pillow leaves black without a word."""
    if np.asarray(image.crop((0, image.height - 1, *image.size))).any():
        return
    bits, kind = chunks[0].payload[8:10]
    row = 1 + (image.width * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind] + 7) // 8
    packed, inflate = b"".join(payload for name, payload in chunks if name == b"IDAT"), zlib.decompressobj()
    found = at = 0
    while found < image.height * row and at < len(packed) and not inflate.eof:
        found += len(inflate.decompress(packed[at : at + _PIECE]))
        at += _PIECE
    if found < image.height * row:
        raise ValueError("its samples are cut off")


def _decode_deep(
    data: bytes, image: Image.Image, kept: Kept, colours: tuple[Chunk, ...], notes: list[str]
) -> tuple[Native, list[str]]:
    """16-bit samples. Pillow would cut colour down to 8 bits; it alone keeps grey as grey."""
    clear = image.info.get("transparency")
    notes += [CLEAR] * (clear is not None)
    if data[25] == 0:
        grey = np.asarray(image).astype(np.uint16)
        if clear is not None:
            grey = np.dstack([grey, np.where(grey == clear, 0, 65535).astype(np.uint16)])
        return Native(np.atleast_3d(grey), "grey", None if clear is None else 2, 16, kept, colours), notes
    image.close()  # it holds as many samples of 8 bits
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if samples is None or samples.dtype != np.uint16:
        raise ValueError("its samples are cut off")
    if data[25] == 4:
        return Native(samples[..., [0, 3]], "grey", 2, 16, kept, colours), notes
    order = [2, 1, 0, 3][: samples.shape[2]]
    return Native(samples[..., order], "rgb", 2 if len(order) == 4 else None, 16, kept, colours), notes


def _found_in(chunks: list[Chunk], trailer: bytes) -> Found:
    exif, xmp, icc, texts, dropped = [], [], b"", [], []
    dpi, room = None, [_MOST_UNPACKED]
    for name, payload in chunks:
        if name == b"eXIf":
            exif.append(payload.removeprefix(b"Exif\0\0"))
        elif name == b"iCCP":
            icc = _unpack(payload.partition(b"\0")[2][1:], room) or b"?"
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            word, text = _text_of(name, payload, room)
            if word == _XMP_KEYWORD:
                xmp.append(text or b"")
            elif word in ("Raw profile type exif", "Raw profile type APP1"):
                exif.append(_raw_exif(text or b""))
            elif _WORDS.fullmatch(word) and text is not None:
                texts.append((word, text.decode("utf-8" if name == b"iTXt" else "latin-1", "replace")))
            else:
                dropped.append(f"the text {word[:40]}")
        elif name == b"pHYs" and len(payload) == 9:
            across, down, unit = struct.unpack(">IIB", payload)
            dpi = (across * 0.0254, down * 0.0254) if across and down and unit == 1 else None
        elif name not in _PICTURE and len(payload) > (_COLOURS | _CODING).get(name, -1):
            dropped.append(_NAMES.get(name, f"the chunk {name.decode('latin-1')}"))
    dropped += trailing(trailer)
    return Found(tuple(exif), tuple(xmp), b"", icc, tuple(texts), dpi, tuple(dropped))


def _text_of(name: bytes, payload: bytes, room: list[int]) -> tuple[str, bytes | None]:
    """Keyword and text of a chunk; None where that cannot be unpacked."""
    head, _, text = payload.partition(b"\0")
    packed, word = name == b"zTXt", head.decode("latin-1")
    if name == b"iTXt":
        packed, text = text[:1] == b"\1", b"\0" + text[2:].partition(b"\0")[2].partition(b"\0")[2]
    if packed:
        return word, _unpack(text[1:], room)
    return word, text[name == b"iTXt" :]


def _raw_exif(text: bytes) -> bytes:
    """EXIF in ImageMagick's hexadecimal text: a line with its name, one with its length, and digits."""
    digits = b"".join(text.split(b"\n", 3)[3:]).replace(b"\n", b"")
    try:
        block = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""
    return block.removeprefix(b"Exif\0\0")


def _unpack(packed: bytes, room: list[int]) -> bytes | None:
    """What was deflated; None where it is damaged or, with all others of the file, too long."""
    try:
        text = zlib.decompressobj().decompress(packed, room[0] + 1)
    except zlib.error:
        return None
    room[0] -= min(len(text), room[0])
    return text if room[0] else None


def encode_png(native: Native) -> tuple[bytes, list[str]]:
    """A PNG of the samples and what is kept beside them."""
    notes: list[str] = []
    if native.bits == 16:
        samples: Samples = native.samples
        if native.kind == "grey" and native.extra is not None:
            notes.append("its grey with alpha becomes RGB with alpha: nobody writes the one with 16 bits")
            samples = samples[..., [0, 0, 0, 1]]
        order = [2, 1, 0, 3][: samples.shape[2]] if samples.shape[2] > 1 else [0]
        done, packed = cv2.imencode(".png", samples[..., order], [cv2.IMWRITE_PNG_COMPRESSION, _LEVEL])
        if not done:
            got = f"{samples.shape[1]} x {samples.shape[0]}"
            raise InputError("sides of at most 1,000,000 pixels for a PNG of 16 bits", got, "write a TIFF instead")
        coded = packed.tobytes()
    else:
        stream = io.BytesIO()
        image_of(native).save(stream, "PNG", compress_level=_LEVEL)
        coded = stream.getvalue()
    own, _ = parse_png(coded)
    picture = [chunk for chunk in own if chunk.name in _PICTURE]
    ordered = [picture[0], *_chunks_of(native), *picture[1:]]
    return SIGNATURE + b"".join(chunk.coded() for chunk in ordered), notes


def _chunks_of(native: Native) -> list[Chunk]:
    kept, chunks = native.kept, [Chunk(*chunk) for chunk in native.colour_chunks]
    if kept.icc:
        chunks.append(Chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(kept.icc)))
    if kept.dpi:
        across, down = (max(round(value / 0.0254), 1) for value in kept.dpi)
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if kept.xmp:
        chunks.append(Chunk(b"iTXt", _XMP_KEYWORD.encode() + bytes(5) + kept.xmp))
    if kept.exif:
        chunks.append(Chunk(b"eXIf", kept.exif))
    for word, text in kept.texts:
        chunks.append(Chunk(b"iTXt", word.encode("latin-1") + bytes(5) + text.encode()))
    return chunks
