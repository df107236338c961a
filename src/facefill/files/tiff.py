"""TIFF files: the picture in them, decoding and writing.

Private to the reader and writer of photos. Decoders are given a copy with one directory that says what it holds in the
plainest way: upright, its further channel straight alpha. So no decoder turns or scales samples.

Sources: TIFF 6.0; BigTIFF; TIFF/EP and DNG 1.6 (tags of camera raw files); Photoshop TIFF notes.
"""

import io
import struct

import cv2
import numpy as np
import tifffile
from PIL import TiffImagePlugin

from facefill.errors import InputError
from facefill.files.colour import Native, Samples
from facefill.files.jpeg import split_resources
from facefill.files.metadata import CREDENTIALS, Dpi, Found, Kept, exif_of, keep, tags_of
from facefill.files.samples import samples_of
from facefill.files.tags import Directories, Tag, number_of, numbers, tag_numbers, write_directory

_XMP, _ICC, _IPTC, _PHOTOSHOP, _LAYERS, _CREDENTIALS = 700, 34675, 33723, 34377, 37724, 52545
_EXTRA, _ORIENTATION, _SUBFILE, _WITHIN = 338, 274, 254, 330
_CODING = tag_numbers("254-259 262 266 273 277-281 284 292 293 317 320-325 332 334 336 338-341 347 512-521 529-532")
# as decoders are shown them, kind and value: upright, straight alpha, and no XMP, of whose orientation they take heed
_PLAIN = {_ORIENTATION: (3, 1), _EXTRA: (3, 2), _XMP: (7, 0)}
Fraction = tuple[int, int]
_NAMES = {
    _LAYERS: "Photoshop's layers",
    _CREDENTIALS: CREDENTIALS,
    _WITHIN: "further pictures",
    37500: "the maker's notes",
}
_RAW = "a photo, not a camera's raw file"


class Tiff:
    """The largest whole picture of a TIFF file. tags: its directory. extra: its further channel, as in `Native`."""

    def __init__(self, data: bytes) -> None:
        self.directories = Directories(data)
        pages = self.directories.pages()
        self.count = len(pages)
        self.order, self._data = self.directories.order, data
        self.at, self.tags = max(pages, key=lambda page: self._rank(page[1]))
        further, area = Directories(data), self._area(self.tags)
        within = [further.read(at)[0] for _, tags in pages for at in numbers(self.order, tags.get(_WITHIN))]
        every = [*(tags for _, tags in pages), *within]
        raw = {50706, 33421, 33422} & set().union(*every) or data[8:10] == b"CR"
        reduced = (self.number(_SUBFILE, 0) & 1 and _WITHIN in self.tags) or any(
            self._area(tags) > area for tags in within
        )
        if raw or reduced or any(number_of(self.order, tags.get(262)) in (32803, 34892) for tags in every):
            raise InputError(_RAW, "one (DNG, NEF, CR2 or alike)", "develop it to JPEG or TIFF first")
        tile = self.number(322, 0) * self.number(323, 0)
        if self.directories.broken or area == 0 or tile > max(1 << 24, 4 * area):
            raise ValueError("its directories are damaged")
        self._check_parts()
        extras = self._numbers(_EXTRA)
        channels = self.number(277, 1)
        colours = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}.get(self.number(262, 1), channels)
        most = int(colours < 4)
        if channels - colours > most:
            expected = f"at most {most} channels beside {colours} of colour"
            raise InputError(expected, f"{channels - colours}", "save it without the others")
        self.extra = (extras[0] if extras and extras[0] in (1, 2) else 0) if channels > colours else None

    @property
    def size(self) -> tuple[int, int, int, int]:
        """Width, height, channels and bytes per sample, by the directory alone."""
        channels = max(self.number(277, 1), 3 * (self.number(262, 1) == 3))
        return self.number(256, 0), self.number(257, 0), channels, 2 if self.number(258, 1) > 8 else 1

    def _numbers(self, name: int) -> tuple[int, ...]:
        return numbers(self.order, self.tags.get(name))

    def number(self, name: int, default: int) -> int:
        """The first number of a tag."""
        return number_of(self.order, self.tags.get(name), default)

    def _check_parts(self) -> None:
        """Raises ValueError where strips or tiles are missing, whose place decoders fill with anything."""
        width, height, _, _ = self.size
        across, down = self.number(322, width), self.number(323, min(self.number(278, height), height))
        planes = self.number(277, 1) if self.number(284, 1) == 2 else 1
        starts, parts = self._numbers(324) or self._numbers(273), -(-width // across) * -(-height // down) * planes
        if len(starts) < parts or 0 in starts[:parts]:
            raise ValueError("its samples are cut off")

    def _area(self, tags: dict[int, Tag]) -> int:
        return number_of(self.order, tags.get(256)) * number_of(self.order, tags.get(257))

    def _rank(self, tags: dict[int, Tag]) -> tuple[bool, int]:
        """Whole pictures before reduced ones and masks (TIFF 6.0, NewSubfileType), then by area."""
        return not number_of(self.order, tags.get(_SUBFILE)) & 5, self._area(tags)

    def plain(self) -> bytes:
        """The file with this picture alone, in the plainest way."""
        copy, head = bytearray(self._data), "Q" if self.directories.big else "I"
        struct.pack_into(self.order + head, copy, 8 if self.directories.big else 4, self.at)
        (count,) = struct.unpack_from(self.order + ("Q" if self.directories.big else "H"), copy, self.at)
        start, step = (self.at + 8, 20) if self.directories.big else (self.at + 2, 12)
        end = start + step * count
        copy[end : end + struct.calcsize("=" + head)] = bytes(struct.calcsize("=" + head))
        for at in range(start, end, step):
            (number,) = struct.unpack_from(self.order + "H", copy, at)
            if number in _PLAIN:
                kind, value = _PLAIN[number]
                struct.pack_into(f"{self.order}HH{head}H", copy, at, number, kind, 1, value)
        return bytes(copy)


def decode_tiff(tiff: Tiff) -> tuple[Native, list[str]]:
    """The samples of a TIFF, and notes on them."""
    notes = [f"it holds {tiff.count} pictures: only the largest is used"] * (tiff.count > 1)
    data, bits = tiff.plain(), tiff.number(258, 1)
    if any(kind != 1 for kind in tiff._numbers(339)) or bits not in (1, 2, 4, 8, 16):
        raise InputError("whole numbers of at most 16 bits", "others in the TIFF", "save it with 8 or 16 bits")
    with TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as image:
        image.load()
        deep = bits == 16 and not (image.mode.startswith("I;16") and tiff.number(262, 1) == 1)
        if not deep:
            samples, kind, extra, held, more = samples_of(image)
            notes += [f"its {bits}-bit grey becomes 8-bit"] * (image.mode == "L" and bits < 8)
            notes += ["its grey, of which 0 is white, becomes one of which 0 is black"] * (tiff.number(262, 1) == 0)
    if deep:
        samples, kind, extra, held, more = _decode_deep(data, tiff), "rgb", None, 16, []
        extra = 2 if samples.shape[2] == 4 else None
    extra = tiff.extra if extra is not None and tiff.extra is not None else extra
    return Native(samples, kind, extra, held, _kept(tiff)), notes + more


def _decode_deep(data: bytes, tiff: Tiff) -> Samples:
    """16-bit colour, which Pillow would cut down to 8 bits. OpenCV knows neither planes nor inks."""
    if tiff.number(262, 1) == 2 and tiff.number(284, 1) == 1:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if samples is None:
            raise ValueError("its samples are cut off")
        if samples.dtype == np.uint16 and samples.shape[2:] in ((3,), (4,)):
            deep: Samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
            return deep
    raise InputError("16-bit grey or RGB in one plane", "another kind of 16 bits", "save it with 8 bits")


def _kept(tiff: Tiff) -> Kept:
    dropped = ["further pictures"] * (tiff.count > 1)
    other = _CODING | {_XMP, _ICC, _IPTC, _PHOTOSHOP, *_NAMES}
    exif = exif_of(tiff.directories, {name: tag for name, tag in tiff.tags.items() if name not in other}, dropped)
    dropped += [name for number, name in _NAMES.items() if number in tiff.tags]
    blocks = {name: tag.value for name, tag in tiff.tags.items() if isinstance(tag.value, bytes)}
    iptc = blocks.get(_IPTC, b"")
    if _PHOTOSHOP in blocks:
        inside, more = split_resources(blocks[_PHOTOSHOP])
        iptc, dropped = iptc or inside, dropped + more
    xmp = (blocks[_XMP],) if _XMP in blocks else ()
    found, unit = _resolution_of(tiff.tags, tiff.order, None)
    factor = {2: 1.0, 3: 2.54}.get(unit, 0.0)
    dpi = (found[0][0] / found[0][1] * factor, found[1][0] / found[1][1] * factor) if found and factor else None
    return keep(Found((exif,) if exif else (), xmp, iptc, blocks.get(_ICC, b""), (), dpi, tuple(dropped)))


def encode_tiff(native: Native, source: Tiff | None) -> tuple[bytes, list[str]]:
    """A TIFF of the samples, without loss, and of what is kept beside them; compressed unless the source was not."""
    kept, compressed = native.kept, not source or source.number(259, 1) != 1
    tags, order = tags_of(kept.exif)
    dpi, unit = _resolution_of({tag.number: tag for tag in tags}, order, kept.dpi)
    tags = [tag for tag in tags if tag.number not in (282, 283, 296)]
    for number, kind, block in ((_XMP, 1, kept.xmp), (_IPTC, 7, kept.iptc)):
        tags += [Tag(number, kind, len(block), block)] if block else []
    samples = native.samples if native.bits > 1 else native.samples >= 128
    stream = io.BytesIO()
    single = samples.shape[2] == 1
    tifffile.imwrite(
        stream,
        samples[..., 0] if single else samples,
        byteorder=">" if order == ">" else "<",
        metadata=None,
        photometric={"grey": "minisblack", "rgb": "rgb", "cmyk": "separated"}[native.kind],
        software=False,
        planarconfig=None if single else "contig",
        extrasamples=None if native.extra is None else [native.extra],
        compression="zlib" if compressed else None,
        predictor=compressed and native.bits > 1,
        iccprofile=kept.icc,
        resolution=dpi,
        resolutionunit=unit,
    )
    # tifffile writes no directories inside the first: another first one, of its tags and these, goes to the end
    body = bytearray(stream.getvalue() + bytes(stream.tell() % 2))
    first = Directories(bytes(body)).first
    struct.pack_into(order + "I", body, 4, write_directory(body, order, [*first.values(), *tags]))
    return bytes(body), []


def _resolution_of(tags: dict[int, Tag], order: str, dpi: Dpi | None) -> tuple[tuple[Fraction, Fraction] | None, int]:
    """Dots per unit across and down, and the unit, of EXIF's tags or else of `dpi`."""
    sides = [tags[number].value for number in (282, 283) if number in tags and tags[number].kind == 5]
    found = [struct.unpack(order + "II", side) for side in sides if isinstance(side, bytes) and len(side) == 8]
    if len(found) == 2 and all(above and below for above, below in found):
        unit = number_of(order, tags.get(296), 2)
        return (found[0], found[1]), unit if unit in (2, 3) else 1
    return (((round(dpi[0] * 100), 100), (round(dpi[1] * 100), 100)), 2) if dpi else (None, 1)
