"""Picture files made by hand for the tests of reading and writing: every kind that a photo can come in."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from facefill.arrays import U8

DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256)) * 8  # the beginning of one, and something
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def picture(height: int, width: int, channels: int = 3, *, seed: int = 0, bits: int = 8) -> NDArray[Any]:
    """(H, W, C) smooth waves with some noise, so that no two parts are alike and JPEG has something to do."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [128 + 80 * np.sin(x / 9 + k) + 30 * np.cos(y / 7 + 2 * k) for k in range(channels)]
    samples = np.clip(np.stack(waves, axis=-1) + rng.normal(0, 3, (height, width, channels)), 0, 255)
    return (samples * 257).astype(np.uint16) if bits == 16 else samples.astype(np.uint8)


def image(mode: str, height: int = 37, width: int = 53, seed: int = 0) -> Image.Image:
    """A Pillow image of one of the modes 1, L, LA, RGB, RGBA, CMYK, P, I;16."""
    if mode == "1":
        return Image.fromarray(picture(height, width, 1, seed=seed)[..., 0] > 128)
    if mode == "I;16":
        return Image.fromarray(picture(height, width, 1, seed=seed, bits=16)[..., 0])
    if mode == "P":
        return Image.fromarray(picture(height, width, seed=seed)).quantize(32)
    samples = picture(height, width, Image.getmodebands(mode), seed=seed)
    return Image.fromarray(samples[..., 0] if mode == "L" else samples, mode)


def coded(source: Image.Image | NDArray[Any], name: str, **options: Any) -> bytes:
    """A Pillow image, or an array, as the bytes of a file."""
    stream = io.BytesIO()
    (source if isinstance(source, Image.Image) else Image.fromarray(source)).save(stream, name, **options)
    return stream.getvalue()


def memory(name: str) -> int:
    """KiB of this process on Linux: "VmRSS" now, "VmHWM" at most. What getrusage counts is inherited from a parent."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0])


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def samples_of(data: bytes) -> NDArray[Any]:
    """The samples of a file as Pillow shows them, in stored orientation."""
    return np.asarray(opened(data))


def png(
    rows: NDArray[Any], colour_type: int, bits: int, *chunks: tuple[bytes, bytes], size: tuple[int, int] | None = None
) -> bytes:
    """A PNG of raw rows, (H, bytes) uint8 or (H, W, C), with more chunks before them; `size` is what it claims."""
    packed = rows.astype(">u2") if rows.dtype == np.uint16 else rows
    width, height = size or (rows.shape[1] if rows.ndim == 3 else rows.shape[1] * 8 // bits, len(rows))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def tiff(samples: NDArray[Any], **options: Any) -> bytes:
    """A TIFF of (H, W) or (H, W, 3) samples, unless the options of tifffile say otherwise."""
    stream = io.BytesIO()
    single = samples.ndim == 2
    defaults = {"photometric": "minisblack" if single else "rgb", "metadata": None}
    tifffile.imwrite(stream, samples, **(defaults | options))
    return stream.getvalue()


def exif(picture_of: U8 | None = None, orientation: int = 6, order: str = "<") -> bytes:
    """An EXIF block with a maker's note at a fixed place and, of a given picture, a thumbnail.

    The layout is fixed: IFD0 at 8, EXIF IFD at 100, the note at 200, IFD1 at 300, the thumbnail at 400.
    """
    block = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8))
    block += bytes(392)

    def directory(at: int, entries: list[tuple[int, int, int, int]], following: int) -> None:
        struct.pack_into(order + "H", block, at, len(entries))
        for place, (number, kind, count, value) in enumerate(entries):
            field = "H2x" if kind == 3 else "I"
            struct.pack_into(order + "HHI" + field, block, at + 2 + 12 * place, number, kind, count, value)
        struct.pack_into(order + "I", block, at + 2 + 12 * len(entries), following)

    block[60:70] = b"Camera 12\0"
    block[200:220] = b"MakerNote\0\1\2\3\4\5\6\7\7\7\7"
    entries = [(0x010F, 2, 10, 60), (0x0112, 3, 1, orientation), (0x8769, 4, 1, 100)]
    directory(8, entries, 0 if picture_of is None else 300)
    directory(100, [(0x927C, 7, 20, 200)], 0)
    if picture_of is not None:
        small = Image.fromarray(picture_of)
        small.thumbnail((64, 64))
        thumbnail = coded(small, "JPEG", quality=85)
        directory(300, [(0x0103, 3, 1, 6), (0x0201, 4, 1, 400), (0x0202, 4, 1, len(thumbnail))], 0)
        block += thumbnail
    return bytes(block)


def _profile(space: str, connection: str, kind: str, tags: list[tuple[bytes, bytes]]) -> bytes:
    """An ICC profile, version 2 for tables and 4 for curves (ICC.1:2022, 7.2 and 7.3)."""
    texts = [(b"desc", _text("Test")), (b"cprt", _text("none")), (b"wtpt", _xyz((0.9642, 1, 0.8249)))]
    tags = [(name, data + bytes(-len(data) % 4)) for name, data in texts + tags]
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4xI4s4s4s", 128 + len(table) + len(body), 0x04200000, kind.encode(), space.encode(), connection.encode()
    )
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz((0.9642, 1, 0.8249))[8:]
    return head + bytes(128 - len(head)) + table + body


def _text(text: str) -> bytes:
    return b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", 2 * len(text), 28) + text.encode("utf-16-be")


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def rgb_profile(colorants: tuple[tuple[float, ...], ...] = DISPLAY_P3) -> bytes:
    """A matrix profile with the curve of sRGB: Display P3 by default."""
    curve = b"para" + struct.pack(">4xHH", 3, 0) + b"".join(map(_fixed, SRGB_CURVE))
    tags = [(name, _xyz(values)) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)]
    return _profile("RGB ", "XYZ ", "mntr", [*tags, *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))])


def grey_profile(gamma: float = 1.8) -> bytes:
    """A grey profile that is not sRGB's curve."""
    return _profile("GRAY", "XYZ ", "mntr", [(b"kTRC", b"para" + struct.pack(">4xHH", 0, 0) + _fixed(gamma))])


def cmyk_profile() -> bytes:
    """A press of our own: ink c takes 0.9 c of its colour away, tables of CMYK to Lab and back (lut16Type)."""
    steps = 7
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, steps)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    light = (1 - 0.9 * inks[:, :3]) * (1 - 0.9 * inks[:, 3:])
    to_lab = _lut16(_lab_of(light), 4, 3, steps)
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 17)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    light = _light_of(grid)
    to_inks = _lut16(np.hstack([np.clip((1 - light) / 0.9, 0, 1), np.zeros((len(light), 1))]), 3, 4, 17)
    tags = [(name, to_lab) for name in (b"A2B0", b"A2B1", b"A2B2")]
    return _profile("CMYK", "Lab ", "prtr", tags + [(name, to_inks) for name in (b"B2A0", b"B2A1", b"B2A2")])


_TO_XYZ = np.array(DISPLAY_P3).T
_WHITE = np.array((0.9642, 1, 0.8249))


def _lab_of(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear RGB in 0..1 as Lab, scaled to 0..1 as lut16Type wants it: L / 100 and (a + 128) / 255, times 0xFF00."""
    ratio = np.maximum(light @ _TO_XYZ.T / _WHITE, 1e-9)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    return np.clip((lab + np.array((0, 128, 128))) / (100, 255, 255) * 0xFF00 / 0xFFFF, 0, 1)


def _light_of(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `_lab_of`, clipped to what the press can print."""
    lab = scaled * 0xFFFF / 0xFF00 * np.array((100, 255, 255)) - np.array((0, 128, 128))
    f = (lab[:, :1] + 16) / 116 + np.stack([lab[:, 1] / 500, 0 * lab[:, 1], -lab[:, 2] / 200], axis=1)
    ratio = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) * 27 / 24389)
    return np.clip(ratio * _WHITE @ np.linalg.inv(_TO_XYZ).T, 0, 1)


def _lut16(values: NDArray[np.float64], inputs: int, outputs: int, steps: int) -> bytes:
    head = b"mft2" + struct.pack(">4xBBBx", inputs, outputs, steps)
    identity = b"".join(map(_fixed, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    straight = struct.pack(">HH", 0, 65535)
    table = np.rint(values * 65535).astype(">u2").tobytes()
    return head + identity + struct.pack(">HH", 2, 2) + straight * inputs + table + straight * outputs
