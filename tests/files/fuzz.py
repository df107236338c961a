"""Thousands of damaged files: each is completed and keeps the promises when another library reads it, or one line.

Runs in processes of its own (`python -m tests.files.fuzz FIRST LAST`), so that a crash or an endless file is seen. The
mutations know segments, chunks, boxes and directories: bytes at random rarely reach behind the first check.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin

from facefill.arrays import U8
from facefill.errors import InputError
from facefill.files.photo import Provenance, encode_photo, read_photo
from facefill.files.samples import use_heif

from . import photo_files as files

INPUTS, SLICE = 3000, 250
MOST_SECONDS, MOST_KIB = 3.0, 400_000
OTHERS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "AVIF")
MADE = Provenance("swift", "ab" * 32, 7)
Random = np.random.Generator


@cache
def seeds() -> list[tuple[str, bytes]]:
    """Small files of every format, with metadata of every kind."""
    face, block = files.picture(48, 64), b"Exif\0\0" + files.exif(files.picture(48, 64))
    xmp = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        b"<r:Description xmlns:d='http://purl.org/dc/elements/1.1/' d:format='a' "
        b"xmlns:t='http://ns.adobe.com/tiff/1.0/' t:Orientation='8'/></r:RDF></x:xmpmeta>"
    )
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    info.add_text("Comment", "long " * 50, zip=True)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[700] = "a photo", xmp
    icc = files.rgb_profile()
    codings: list[dict[str, Any]] = [{}, {"progressive": True}, {"restart_marker_rows": 1}]
    found = [
        ("JPEG", files.coded(files.image(mode, 48, 64), "JPEG", exif=block, xmp=xmp, **options))
        for mode in ("L", "RGB", "CMYK")
        for options in codings
    ]
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P", "I;16"):
        found.append(("PNG", files.coded(files.image(mode, 48, 64), "PNG", exif=block, pnginfo=info)))
        found += [
            ("TIFF", files.coded(files.image(mode, 48, 64), "TIFF", tiffinfo=tags, compression=compression))
            for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate")
        ]
    found.append(("PNG", files.png(files.picture(48, 64, 4, bits=16), 6, 16, (b"iCCP", b"a\0\0" + zlib.compress(icc)))))
    found += [("BMP", files.coded(files.image(mode, 48, 64), "BMP")) for mode in ("L", "RGB", "P")]
    found += [
        ("WEBP", files.coded(Image.fromarray(face), "WEBP", exif=block, xmp=xmp, lossless=lossless))
        for lossless in (False, True)
    ]
    found.append(("AVIF", files.coded(Image.fromarray(face), "AVIF", exif=block, xmp=xmp)))
    layouts: list[dict[str, Any]] = [{"bigtiff": True}, {"byteorder": ">"}, {}]
    for layout, coding in zip(layouts, ({}, {"compression": "zlib"}, {"tile": (16, 16)}), strict=True):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream, **layout) as tiff:
            tiff.write(face[:16, :16], photometric="rgb", subfiletype=1)
            tiff.write(files.picture(48, 64, 4), photometric="rgb", extrasamples=[1], subifds=1, **coding)
            tiff.write(face[:16, :16], photometric="rgb", subfiletype=1)
        found.append(("TIFF", stream.getvalue()))
    if find_spec("pillow_heif"):
        use_heif()
        found.append(("HEIF", files.coded(Image.fromarray(face), "HEIF", exif=block, xmp=xmp)))
    return found


def scramble(rng: Random, data: bytes) -> bytes:
    """Some bytes changed, taken out, put in or repeated."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at, length = int(rng.integers(0, len(changed) + 1)), int(rng.integers(1, 24))
        kind = int(rng.integers(5))
        if kind == 0:
            changed[at : at + length] = rng.bytes(len(changed[at : at + length]))
        elif kind == 1:
            del changed[at : at + length]
        elif kind == 2:
            changed[at:at] = rng.bytes(length)
        elif kind == 3:
            changed[at:at] = changed[max(0, at - length) : at]
        elif at + 4 <= len(changed):
            number = int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 8, 0xFFFE, len(data)]))
            struct.pack_into(str(rng.choice(["<", ">"])) + "I", changed, at, number)
    return bytes(changed)


def shuffle(rng: Random, parts: list[bytes], change: Callable[[Random, bytes], bytes]) -> bytes:
    """Parts of a file dropped, repeated, moved and changed."""
    parts = list(parts)
    for _ in range(int(rng.integers(1, 4))):
        at, other = (int(rng.integers(0, len(parts))) for _ in range(2))
        kind = int(rng.integers(5))
        if kind == 0 and len(parts) > 2:
            del parts[at]
        elif kind == 1:
            parts.insert(other, parts[at])
        elif kind == 2:
            parts[at], parts[other] = parts[other], parts[at]
        else:
            parts[at] = change(rng, parts[at])
    return b"".join(parts)


def split_jpeg(data: bytes) -> list[bytes]:
    parts, at = [data[:2]], 2
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        parts.append(data[at : at + 2 + length])
        at += 2 + length
    return [*parts, data[at:]]


def change_segment(rng: Random, part: bytes) -> bytes:
    kind = int(rng.integers(5))
    if kind == 0 or len(part) < 5:
        return scramble(rng, part)
    if kind == 1:
        return b"\xff" + rng.bytes(1) + part[2:]
    if kind == 2:
        return part[:2] + rng.bytes(2) + part[4:]
    if kind == 3:
        return b"\xff\0" + part[2:] + part
    inside = scramble(rng, part[4:])[:65533]
    return part[:2] + struct.pack(">H", len(inside) + 2) + inside


def split_png(data: bytes) -> list[bytes]:
    parts, at = [data[:8]], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append(data[at : at + 12 + length])
        at += 12 + length
    return parts


def change_chunk(rng: Random, part: bytes) -> bytes:
    """Mostly with the right checksum, so that what is inside is looked at."""
    if len(part) < 12 or rng.random() < 0.2:
        return scramble(rng, part)
    name = part[4:8] if rng.random() < 0.8 else bytes(rng.choice(list(b"abcABCxyz"), 4).astype(np.uint8))
    inside = scramble(rng, part[8:-4])
    return struct.pack(">I", len(inside)) + name + inside + struct.pack(">I", zlib.crc32(name + inside))


def change_directory(rng: Random, data: bytes) -> bytes:
    """A TIFF, or whatever holds one, with entries of its first directory changed."""
    changed, order = bytearray(data), ">" if b"MM\0*" in data else "<"
    at = data.find(b"MM\0*" if order == ">" else b"II*\0")
    if at < 0 or at + 8 > len(data):
        return scramble(rng, data)
    (start,) = struct.unpack_from(order + "I", data, at + 4)
    if at + start + 2 > len(data):
        return scramble(rng, data)
    (count,) = struct.unpack_from(order + "H", data, at + start)
    for _ in range(int(rng.integers(1, 5))):
        entry = at + start + 2 + 12 * int(rng.integers(0, max(count, 1)))
        if entry + 12 > len(changed):
            break
        field = int(rng.integers(4))
        if field == 0:
            number = int(rng.choice([0x8769, 0x8825, 330, 700, 34675, 258, 262, 273, 277, 279, 338, 339, 254]))
            struct.pack_into(order + "H", changed, entry, number)
        elif field == 1:
            struct.pack_into(order + "H", changed, entry + 2, int(rng.integers(0, 20)))
        elif field == 2:
            struct.pack_into(order + "I", changed, entry + 4, int(rng.choice([0, 1, 2, 1000, 0x7FFFFFFF, 0xFFFFFFFF])))
        else:
            value = int(rng.choice([0, 1, 8, start, len(data), 0xFFFFFFFF, int(rng.integers(0, 99999))]))
            struct.pack_into(order + "I", changed, entry + 8, value)
    return bytes(changed)


def mutant(index: int) -> tuple[str, bytes]:
    """The input of that number: its format before, and its bytes."""
    rng = np.random.default_rng(index)
    name, data = seeds()[int(rng.integers(len(seeds())))]
    way = rng.random()
    if way < 0.1:
        return name, data[: int(rng.integers(len(data)))]
    if way < 0.3:
        return name, change_directory(rng, data)
    if name == "JPEG":
        return name, shuffle(rng, split_jpeg(data), change_segment)
    if name == "PNG":
        return name, shuffle(rng, split_png(data), change_chunk)
    return name, scramble(rng, data)


def outcome(data: bytes) -> str:
    """What became of a file: "kept", or the refusal. Raises what is neither."""
    try:
        photo = read_photo(data, max_pixels=1_000_000)
    except InputError as error:
        return f"refused: {error}"
    height, width = photo.pixels.shape[:2]
    mask = np.zeros((height, width), bool)
    mask[: max(1, height // 4), : max(1, width // 4)] = True
    try:
        result, notes = encode_photo(photo, 255 - photo.pixels, mask, provenance=MADE)
        other = OTHERS[sum(data[-4:]) % len(OTHERS)]
        again = read_photo(encode_photo(photo, 255 - photo.pixels, mask, format=other, provenance=MADE)[0])
        assert again.pixels.shape == photo.pixels.shape
    except InputError as error:
        return f"refused: {error}"
    check(result, photo.pixels, mask, lossy=any("codes with loss" in note for note in notes))
    return "kept"


def check(result: bytes, before: U8, mask: np.ndarray, *, lossy: bool) -> None:
    """Outside the hole the result is what was read, as Pillow and OpenCV see it."""
    with Image.open(io.BytesIO(result)) as image:
        name, profile, deep = image.format, image.info.get("icc_profile"), image.mode.startswith("I;16")
        # Pillow cuts 16-bit colour down, and rounds colours that alpha is multiplied into in its own way
        rounded = deep or (name == "PNG" and result[24] == 16) or (name == "TIFF" and image.tag_v2.get(338) == (1,))  # type: ignore[attr-defined]
        image.load()
        seen = image if name == "TIFF" else ImageOps.exif_transpose(image)
        assert seen.size == before.shape[1::-1]
        if profile or lossy:
            return
        pixels = np.asarray(seen) >> 8 if deep else np.asarray(seen.convert("RGB"))
    if deep:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif cv2.imdecode(np.frombuffer(result, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION) is None:
        assert name not in ("JPEG", "PNG")
    away = cv2.dilate(mask.astype(np.uint8), np.ones((65, 65), np.uint8)) == 0 if name == "JPEG" else ~mask
    difference = np.abs(pixels.astype(int) - before)[away]
    assert not difference.size or difference.max() <= int(rounded), f"{name} differs by {difference.max()}"


def run(first: int, last: int) -> None:
    """Prints a line of JSON for each input."""
    read_photo(seeds()[0][1])
    held = files.memory("VmHWM")
    for index in range(first, last):
        name, data = mutant(index)
        start = time.process_time()
        try:
            said = outcome(data)
        except Exception as error:  # a finding, which the parent reports
            said = f"BUG {type(error).__name__}: {error}"
        seconds = time.process_time() - start
        grown = files.memory("VmHWM") - held
        print(json.dumps([index, name, said, round(seconds, 2), grown]), flush=True)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, INPUTS, SLICE))
def test_every_damaged_file_is_completed_or_refused(first: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.files.fuzz", str(first), str(first + SLICE)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} after input {lines[-1] if lines else first}"
    assert len(lines) == SLICE
    assert [line for line in lines if line[2].startswith("BUG")] == []
    assert not [line for line in lines if "\n" in line[2]]
    assert [line for line in lines if line[3] > MOST_SECONDS or line[4] > MOST_KIB] == []
    assert sum(line[2] == "kept" for line in lines) > SLICE // 10


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
